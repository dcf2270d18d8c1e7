"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

pytest_plugins = ("tests.support.mosquitto",)

# Properties are about results. How long an example takes on a machine that runs other tests beside it says
# nothing; the benchmarks are about time. An example that fails is printed so that it can be run again.
settings.register_profile(
    "whosin", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("whosin")
