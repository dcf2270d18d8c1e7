"""How much one caller may ask: so many requests a second, and a burst after a pause; in bounded memory.

One number is kept for each caller: the moment up to which what was asked has used the rate up.
Knows no HTTP.
"""

from __future__ import annotations

from collections import OrderedDict
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BURST_S = 3.0  # this long one may ask for nothing and then all at once
REMEMBERED = 4096


class Rates:
    """`per_s` is asked each time, as settings change while running; 0: no limit."""

    def __init__(
        self, now_ms: Callable[[], int], per_s: Callable[[], float], remembered: int = REMEMBERED
    ) -> None:
        self._now_ms = now_ms
        self._per_s = per_s
        self._remembered = remembered
        self._used: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, caller: str) -> int:
        """Whole seconds until this caller may ask again; 0: now, and it counts."""
        per_s = self._per_s()
        if per_s <= 0:
            return 0
        now = self._now_ms()
        used = max(self._used.get(caller, 0.0), now) + 1000 / per_s
        beyond = used - now - max(BURST_S, 1 / per_s) * 1000
        if beyond > 0.001:  # of a millisecond: fractions add up to a little more than they are
            return max(1, ceil(beyond / 1000))
        self._used[caller] = used
        self._used.move_to_end(caller)
        if len(self._used) > self._remembered:
            self._used.popitem(last=False)
        return 0
