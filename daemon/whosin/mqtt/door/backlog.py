"""Connections of which something may be unread, and whose turn it is to be read.

Owns the line of those that have much to say, and up to when each is read. Must not know packets or sessions.
One is behind while its reading is paused, or once it filled a whole piece, until it was read to its end. One
that always has more to say is read up to a moment all the same: once as many bytes of it have been read as
the system can have kept for us at that moment.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from whosin.mqtt.door.connection import Connection
    from whosin.mqtt.door.door import Door

TURN: Final = 8  # why reading is paused: the line (`connection` has the other bits)
KEPT: Final = 256 * 1024  # bytes that may be unread beyond what the system says, or where it says nothing
LONG_MS: Final = 2_000  # behind for so long was blindness, which has a grace: who spoke may have to come back


class _Mark:
    """At this moment no more than `left` bytes were unread; something is since `since_ms`."""

    __slots__ = ("at_ms", "left", "since_ms")

    def __init__(self, at_ms: int, left: int) -> None:
        self.at_ms = self.since_ms = at_ms
        self.left = left


class Backlog:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._line: deque[Connection] = deque()  # those with much to say, whose turn has not come
        self._heavy = 0  # how many of them were read in this turn of the loop
        self._marks: dict[Connection, _Mark] = {}  # who is behind
        self._moved: set[Connection] = set()  # of them: filled a piece, or is read again, since `asked`
        self._read_ms = 0  # up to here everybody else is read

    # --- whose turn it is

    def full(self, connection: Connection) -> None:
        """It had a whole piece to say: few such are read in one turn, since all others wait for them."""
        if not self._heavy:
            self._door.next_turn(self._next_in_line)
        self._heavy += 1
        if self._line or self._heavy > self._door.limits.pieces:
            connection.pause(TURN)
            self._line.append(connection)

    def _next_in_line(self) -> None:
        self._heavy = 0
        for _ in range(min(self._door.limits.pieces, len(self._line))):
            self._line.popleft().resume(TURN)
        if self._line:
            self._heavy = 1  # the turn after this one is called already
            self._door.next_turn(self._next_in_line)

    # --- what is read

    def behind(self, connection: Connection) -> None:
        """It may have something unread from now on. Said before what was read of it is handed over."""
        self._moved.add(connection)
        if connection not in self._marks:
            self._marks[connection] = _Mark(self._door.clock.now_ms(), _kept(connection))
            self._door.tell_behind(connection.line, self._read_ms)

    def read(self, connection: Connection, nbytes: int, *, whole: bool) -> None:
        """So much of one that is behind has been read and handed over; `whole`: more may follow at once."""
        mark = self._marks.get(connection)
        if mark is None:
            return
        if not whole:
            self.over(connection)
            return
        mark.left -= nbytes
        if mark.left <= 0:
            self._door.tell_behind(connection.line, mark.at_ms)
            mark.at_ms, mark.left = self._door.clock.now_ms(), _kept(connection)

    def known(self, connection: Connection, line: int) -> None:
        """Whose connection it is: nothing was heard by its number of before."""
        was, connection.line = connection.line, line
        if connection in self._marks:
            self._door.tell_caught_up(was)
            self._door.tell_behind(line, self._read_ms)

    def over(self, connection: Connection) -> None:
        """It is read as far as it goes, or was cut off. After long the other side may have kept back what did
        not fit into the system's buffers: that is on its way now, or its connection breaks first."""
        mark = self._marks.pop(connection, None)
        if mark is not None:
            self._moved.discard(connection)
            long = self._door.clock.now_ms() - mark.since_ms >= LONG_MS
            self._door.tell_caught_up(connection.line, unread=long)

    def ended(self, connection: Connection) -> None:
        """Its own last word was read: there is nothing behind it."""
        if self._marks.pop(connection, None) is not None:
            self._moved.discard(connection)
            self._door.tell_caught_up(connection.line)

    def asked(self) -> None:
        """From now on everything readable is read within the next turn of the loop."""
        self._moved.clear()

    def proven(self, at_ms: int) -> None:
        """It was. Who could have been read in it and was not, has nothing to say."""
        self._read_ms = max(self._read_ms, at_ms)
        for connection in [it for it in self._marks if it not in self._moved and not it.paused]:
            self.over(connection)


def _kept(connection: Connection) -> int:
    """Bytes that can be on their way to us through the system."""
    sock = connection.sock
    if sock is None:
        return KEPT
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) + KEPT
    except OSError:  # it is being closed
        return KEPT
