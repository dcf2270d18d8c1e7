"""The unit for systemd: known to it in every key, and closed."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.house import repository

UNIT = repository.ROOT / "systemd" / "whosin.service"
analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="NOT TESTED: systemd-analyze is missing"
)


@analyze
def test_its_exposure_is_at_most_one_and_two_tenths() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=12", str(UNIT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-500:]


@analyze
def test_every_key_is_known() -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "whosin.service" in line]
    assert [line for line in ours if "is not executable" not in line] == []
