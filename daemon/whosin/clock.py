"""The real clock: a timeline that starts at the wall clock's time and follows the monotonic one (rule 1).

Owns the correction between both; must not know what time is used for. People are shown the wall clock:
when that is stepped by more than STEP_MS against the timeline, what is shown follows; deadlines do not.
"""

from __future__ import annotations

import sys
import time

STEP_MS = 500


class SystemClock:
    """Implements `ports.Clock`."""

    def __init__(self) -> None:
        self._start_ms = _wall_ms() - _monotonic_ms()
        self._step_ms = 0

    def now_ms(self) -> int:
        return _monotonic_ms() + self._start_ms

    def wall_ms(self, at_ms: int) -> int:
        return at_ms + self._step_ms if self._step_ms else at_ms  # the same number, not one as large

    def timeline_ms(self, wall_ms: int) -> int:
        return wall_ms - self._step_ms

    def look(self) -> int:
        """Compare with the wall clock, now and then. Returns by how much it was stepped (0: it was not)."""
        stepped_ms = _wall_ms() - self.now_ms() - self._step_ms
        if abs(stepped_ms) < STEP_MS:
            return 0
        self._step_ms += stepped_ms
        return stepped_ms

    def suspended_ms(self) -> int:
        """How long the machine has slept in all, where the system tells (Linux); else 0."""
        if sys.platform != "linux":
            return 0
        return round((time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()) * 1000)


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
