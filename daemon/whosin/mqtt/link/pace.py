"""When reading rests for a moment, so that what comes meanwhile is read together.

Owns that decision. Must not know sockets or packets. A broker writes each message by itself, and being woken
costs as much as ten messages. So in a flood of heartbeats reading rests after each piece. Whatever else comes
meanwhile waits for as long.
"""

from __future__ import annotations

from typing import Final

REST_S: Final = 0.002
SOON_MS: Final = 4
"""Heartbeats that come no sooner than this behind the last ones are no flood."""

LITTLE: Final = 1_024
"""Bytes in one piece, below which so little comes that resting costs more than being woken."""

MUCH: Final = 32_768
"""Bytes in one piece, from which on we are behind already: then reading goes on at once."""


class Pace:
    def __init__(self) -> None:
        self._beat_ms = -SOON_MS

    def rests(self, at_ms: int, size: int) -> bool:
        """Whether to rest after a piece of this size that was read at `at_ms` and had heartbeats in it."""
        soon = at_ms - self._beat_ms < SOON_MS
        self._beat_ms = at_ms
        return soon and LITTLE <= size < MUCH
