"""Waiting longer after each failure, each time by chance, so that many do not come back together.

Owns: the next delay. Must not know: what failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


class Backoff:
    """Full jitter: the n-th delay is anything up to `first_s` doubled n times, at most `last_s`."""

    def __init__(self, random: Random, first_s: float = 0.2, last_s: float = 5.0) -> None:
        self._random = random
        self._first_s = first_s
        self._last_s = last_s
        self._ceiling_s = first_s

    def next_s(self) -> float:
        ceiling = self._ceiling_s
        self._ceiling_s = min(self._last_s, ceiling * 2)
        return self._random.uniform(0, ceiling)

    def reset(self) -> None:
        self._ceiling_s = self._first_s
