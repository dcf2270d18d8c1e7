"""The pulse of one connection: when to ping, what a reply proves, when silence means that it is dead.

Owns: pings on their way, and doubt. Must not know: sockets, packets, what is done about it.

A packet that comes proves that we receive, but not that nothing older is still on its way behind it: after
a stall, after reading was paused, or when a read was so full that more must be waiting, a whole backlog
may be. Then doubt begins, and only the reply to a ping sent later than that ends it, if it comes promptly:
the broker sends in order, so what was due before the ping has come before the reply.
"""

from __future__ import annotations

from collections import deque
from typing import Final

LAG_MS: Final = 1_000
"""A reply later than this tells of a backlog: it proves the past, and doubt stays."""

STALL_MS: Final = 1_500
"""Nobody called for so long, though `tick` is called twice a second: the program stood still."""

FULL_READ: Final = 65_536
"""Event loops read at most 64 KiB (Windows) or 256 KiB at once; less means that all was read."""


class Pulse:
    """All times are the clock's milliseconds. `every_ms` between pings, `patience_ms` until dead."""

    def __init__(self, at_ms: int, *, every_ms: int, patience_ms: int, keep_alive_ms: int) -> None:
        self._every_ms = every_ms
        self._patience_ms = patience_ms
        self._keep_alive_ms = keep_alive_ms
        self._pings: deque[int] = deque()
        self._pinged_ms = at_ms
        self._alive_ms = at_ms
        self._awake_ms = at_ms
        self._doubt_ms: int | None = None
        self._wanted = False
        self._paused = False

    @property
    def asked_ms(self) -> int:
        """When the ping left whose reply is awaited; 0 if none is."""
        return self._pings[0] if self._pings else 0

    def keep_alive(self, keep_alive_ms: int) -> None:
        """The broker's own wish, which goes before ours."""
        self._keep_alive_ms = keep_alive_ms

    def tick(self, at_ms: int) -> None:
        """Called at least every 500 ms."""
        if at_ms - self._awake_ms > STALL_MS:
            self.doubt(at_ms)
            self._alive_ms = at_ms  # the silence was ours
        self._awake_ms = at_ms

    def heard(self, at_ms: int, size: int) -> None:
        """So many bytes came."""
        if size >= FULL_READ:
            self.doubt(at_ms)
        self.tick(at_ms)
        self._alive_ms = at_ms

    def doubt(self, at_ms: int) -> None:
        self._doubt_ms = at_ms

    def pause(self, at_ms: int, *, paused: bool) -> None:
        """We stopped reading on purpose, or go on."""
        self._paused = paused
        self._alive_ms = at_ms
        self.doubt(at_ms)

    def pinged(self, at_ms: int) -> None:
        self._pings.append(at_ms)
        self._pinged_ms = at_ms
        self._wanted = False

    def answered(self, at_ms: int) -> int:
        """The reply to the oldest ping: all that was sent to us before the returned moment has come.

        0 for a reply that nobody asked for.
        """
        if not self._pings:
            return 0
        asked = self._pings.popleft()
        if at_ms - asked > LAG_MS:
            self.doubt(at_ms)
        elif self._doubt_ms is not None and asked >= self._doubt_ms:
            self._doubt_ms = None
        return asked

    def want(self) -> None:
        """A proof newer than any ping on its way is wanted."""
        self._wanted = True

    def due(self, at_ms: int) -> bool:
        """A ping is to be sent. One at a time, unless the broker would take us for dead meanwhile."""
        if self._pings:
            return 0 < self._keep_alive_ms <= 2 * (at_ms - self._pinged_ms)
        return self._wanted or self._doubt_ms is not None or at_ms - self._pinged_ms >= self._every_ms

    def current(self, at_ms: int) -> bool:
        """Whatever was sent to us by now has come, as far as can be known without asking."""
        return self._doubt_ms is None and (not self._pings or at_ms - self._pings[0] <= LAG_MS)

    def dead(self, at_ms: int) -> bool:
        """A ping is unanswered and nothing else has come for the whole patience."""
        if not self._pings or self._paused:
            return False
        return at_ms - max(self._pings[0], self._alive_ms) >= self._patience_ms
