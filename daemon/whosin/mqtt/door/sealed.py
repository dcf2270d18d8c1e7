"""TLS at the door: between the bytes of a socket and what is said in them, and whose handshake is next.

Owns the sealed side of a connection. Must not know what is said. The loop's own TLS is not used, for nobody
sees what it keeps of a connection: bytes decrypted and not yet handed over would not count as unread, are
lost when the peer closes behind them, and a connection is in no limit before its handshake is over. Here a
piece that is read is handed over whole, and a connection counts from its first moment.

A handshake costs a third of a millisecond and some 45 KiB, so only a few are done in one turn of the loop and
so many are under way; the others wait in line, unread.
"""

from __future__ import annotations

import ssl
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from whosin.mqtt.codec import Reason

if TYPE_CHECKING:
    from whosin.mqtt.door.connection import Connection
    from whosin.mqtt.door.door import Door

HANDSHAKE: Final = 16  # why reading is paused: the line of those who are to be greeted
_CHUNK: Final = 64 * 1024


class Sealed:
    """One connection's TLS. `certified` is the common name in the certificate that the peer showed: None
    where it showed none, "" where it has not exactly one."""

    def __init__(self, connection: Connection) -> None:
        self.certified: str | None = None
        self._connection = connection
        self._line = connection.door.handshakes
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._established = False

    def received(self, data: bytes) -> None:
        """Bytes of the socket: what is said in them is handed over at once."""
        self._in.write(data)
        if self._established:
            self._read()
        elif self._line.turn_of(self):
            self.greet()
        else:
            self._connection.pause(HANDSHAKE)

    def its_turn(self) -> None:
        """It waited in line, and is no longer held up."""
        connection = self._connection
        if not self.closed:
            connection.door.wheel.arm(connection.timer, connection.until_connected_ms())
            connection.resume(HANDSHAKE)
            self.greet()

    @property
    def closed(self) -> bool:
        return self._connection.closed

    def greet(self) -> None:
        """The handshake, as far as its bytes have come."""
        if self._tls is None:
            context = self._connection.door.context()
            self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._connection.write(self._out.read())
            return
        except (ssl.SSLError, ValueError) as error:
            self._connection.write(self._out.read())  # the alert says why
            self._broke(error)
            return
        self._established = True
        self._line.over(self)
        self.certified = _name_in(self._tls)
        self._connection.write(self._out.read())
        self._read()

    def _read(self) -> None:
        """All that has come, in one piece: a record's rest is still on its way when this returns."""
        assert self._tls is not None
        said: list[bytes] = []
        broken: ssl.SSLError | None = None
        ended = False
        try:
            while not ended:
                part = self._tls.read(_CHUNK)
                ended = not part  # close_notify: nothing more will be said
                said.append(part)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError) as error:
            ended = isinstance(error, ssl.SSLZeroReturnError)
        except ssl.SSLError as error:
            broken = error
        if self._out.pending:
            self._connection.write(self._out.read())
        data = b"".join(said)
        if data:
            self._connection.data_received(data)
        if broken is not None:
            self._broke(broken)
        elif ended:
            self._connection.said_all()

    def _broke(self, error: Exception) -> None:
        connection = self._connection
        if not connection.closed:
            why = getattr(error, "verify_message", "") or getattr(error, "reason", "") or error
            connection.door.rejected("tls", str(why).encode())
            connection.end(Reason.UNSPECIFIED_ERROR, "tls")

    def seal(self, data: bytes) -> bytes:
        """As it goes out."""
        if self._tls is None or not self._established:
            return b""
        with suppress(ssl.SSLError):  # broken already: nobody can be told anything
            self._tls.write(data)
        return self._out.read()

    def goodbye(self) -> bytes:
        """That nothing more comes from us."""
        if self._tls is None or not self._established:
            return b""
        with suppress(ssl.SSLError):  # it wants to read the peer's, which nobody waits for
            self._tls.unwrap()
        return self._out.read()

    def gone(self) -> None:
        """The connection is over."""
        if not self._established:
            self._line.over(self)


class Handshakes:
    """The line before the door."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._coming: deque[Sealed] = deque()  # not begun
        self._going_on: deque[Sealed] = deque()
        self._under_way: set[Sealed] = set()
        self._steps = 0  # in this turn of the loop
        self._called = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._coming) + len(self._going_on)

    def turn_of(self, sealed: Sealed) -> bool:
        """Whether its handshake may go on now; else it is called when it may."""
        self._call()
        begun, limits = sealed in self._under_way, self._door.limits
        first = not (self._going_on or (self._coming and not begun))
        if first and self._steps < limits.handshakes_at_once and (begun or self._room):
            self._step(sealed)
            return True
        (self._going_on if begun else self._coming).append(sealed)
        return False

    def over(self, sealed: Sealed) -> None:
        """It succeeded or failed."""
        self._under_way.discard(sealed)
        if len(self):
            self._call()

    def _next(self) -> Sealed | None:
        """Whose turn it is; None: nobody's in this turn of the loop, or there is no room to begin."""
        while self._steps < self._door.limits.handshakes_at_once and len(self):
            if not (self._going_on or self._room):
                return None
            sealed = (self._going_on or self._coming).popleft()
            if not sealed.closed:
                self._step(sealed)
                return sealed
        return None

    @property
    def _room(self) -> bool:
        return len(self._under_way) < self._door.limits.handshakes

    def _step(self, sealed: Sealed) -> None:
        self._steps += 1
        self._under_way.add(sealed)

    def _call(self) -> None:
        if not self._called:
            self._called = True
            self._door.next_turn(self._next_turn)

    def _next_turn(self) -> None:
        self._called = False
        self._steps = 0
        while (sealed := self._next()) is not None:
            sealed.its_turn()
        if self._steps:
            self._call()


def _name_in(tls: ssl.SSLObject) -> str | None:
    shown: dict[str, Any] | None = tls.getpeercert()
    if not shown:
        return None
    names = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
    return str(names[0]) if len(names) == 1 else ""
