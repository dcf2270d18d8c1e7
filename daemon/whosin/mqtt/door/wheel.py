"""Timers on the door's own time, each step O(1), so that 10,000 keep-alives cost nothing while kept.

Owns when to call; must not know what for. A timer never fires early, and at most one `GRAIN_MS` plus one turn
of the wheel late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

GRAIN_MS: Final = 100


class Timer:
    """One thing to do, armed once at a time."""

    __slots__ = ("call", "slot")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.slot = -1


class Wheel:
    def __init__(self, now_ms: int) -> None:
        self._turned = now_ms // GRAIN_MS
        self._slots: dict[int, set[Timer]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def arm(self, timer: Timer, at_ms: int) -> None:
        """Fire at or after `at_ms`; an earlier arming is forgotten."""
        self.cancel(timer)
        timer.slot = max(-(-at_ms // GRAIN_MS), self._turned + 1)
        self._slots.setdefault(timer.slot, set()).add(timer)

    def cancel(self, timer: Timer) -> None:
        timers = self._slots.get(timer.slot)
        if timers is not None:
            timers.discard(timer)
            if not timers:
                del self._slots[timer.slot]
        timer.slot = -1

    def drop(self, *timers: Timer) -> None:
        """They will never fire again, and let go of what they would have called."""
        for timer in timers:
            self.cancel(timer)
            timer.call = _nothing

    def turn(self, now_ms: int) -> None:
        """Fire everything that is due at `now_ms`."""
        until = now_ms // GRAIN_MS
        if until - self._turned > len(self._slots):
            due = sorted(slot for slot in self._slots if slot <= until)
        else:
            due = list(range(self._turned + 1, until + 1))
        self._turned = max(self._turned, until)
        for slot in due:
            timers = self._slots.get(slot)
            while timers:
                timer = timers.pop()
                timer.slot = -1
                timer.call()
            self._slots.pop(slot, None)


def _nothing() -> None:
    """What a timer calls that was dropped."""
