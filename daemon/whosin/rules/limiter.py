"""At most one per key in a while, in bounded memory. Knows no messages.

When all its places are taken by fresh keys it says no: strangers by the thousand must not earn answers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable


class Limiter:
    __slots__ = ("_every_ms", "_last", "_places", "suppressed")

    def __init__(self, every_ms: int, places: int = 20_000) -> None:
        self._every_ms = every_ms
        self._places = places
        self._last: OrderedDict[Hashable, int] = OrderedDict()
        self.suppressed = 0

    def allows(self, key: Hashable, at_ms: int) -> bool:
        """True at most once per key in `every_ms`; a moment exactly `every_ms` later is allowed again."""
        last = self._last
        while last:
            oldest = next(iter(last))
            if at_ms - last[oldest] < self._every_ms:
                break
            del last[oldest]
        if key in last or len(last) >= self._places:
            self.suppressed += 1
            return False
        last[key] = at_ms
        return True
