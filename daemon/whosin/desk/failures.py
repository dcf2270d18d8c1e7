"""Failed sign-ins on their way into the history: told at once, then at most once a minute with their number.

Owns the pace, in bounded memory: strangers must not be able to fill the history.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_MS = 60_000
REMEMBERED = 1_000
MOST = 60  # told in `EVERY_MS`, whoever they are of


class Failures:
    """By operator (None: no such name) and address. `tell` gets name, address and how many there were."""

    def __init__(
        self, now_ms: Callable[[], int], tell: Callable[[str | None, str | None, int], None]
    ) -> None:
        self._now_ms = now_ms
        self._tell = tell
        self._known: OrderedDict[tuple[str | None, str | None], list[int]] = OrderedDict()  # told at, since
        self._minute_ms = now_ms()
        self._told = 0
        self._rest = 0

    def note(self, name: str | None, address: str | None) -> None:
        """One more. The name that was typed is not kept unless it is one: it may be a password."""
        now = self._now_ms()
        found = self._known.get((name, address))
        if found is not None and now - found[0] < EVERY_MS:
            found[1] += 1
            return
        self._known.pop((name, address), None)
        count = 1 + (found[1] if found is not None else 0)
        self._know((name, address), [now, 0])
        self._say(name, address, count, now)

    def flush(self) -> None:
        """Tell of those that were held back for a minute."""
        now = self._now_ms()
        for key, found in list(self._known.items()):
            if now - found[0] < EVERY_MS:
                break  # the rest are younger
            del self._known[key]
            if found[1]:
                self._know(key, [now, 0])
                self._say(*key, found[1], now)
        self._new_minute(now)

    def _know(self, key: tuple[str | None, str | None], found: list[int]) -> None:
        self._known[key] = found
        while len(self._known) > REMEMBERED:
            self._rest += self._known.popitem(last=False)[1][1]

    def _say(self, name: str | None, address: str | None, count: int, now: int) -> None:
        self._new_minute(now)
        if self._told >= MOST:
            self._rest += count
            return
        self._told += 1
        self._tell(name, address, count)

    def _new_minute(self, now: int) -> None:
        if now - self._minute_ms < EVERY_MS:
            return
        self._minute_ms, self._told = now, 0
        if self._rest:
            rest, self._rest = self._rest, 0
            self._told = 1
            self._tell(None, None, rest)
