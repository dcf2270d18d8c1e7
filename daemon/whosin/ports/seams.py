"""The seams to the world: Clock, Intake and Peer, Transport. Each is a Protocol; who implements it is unknown
here. Everything is called from the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from whosin.model import Account


class Clock(Protocol):
    """The only source of time. `now_ms` never goes back and never jumps with the wall clock."""

    def now_ms(self) -> int: ...

    def wall_ms(self, at_ms: int) -> int:
        """A moment of the timeline as epoch milliseconds, for people and for the store."""
        ...

    def timeline_ms(self, wall_ms: int) -> int:
        """The inverse of `wall_ms`."""
        ...


# --- transports ------------------------------------------------------------------------------------


class Received(Protocol):
    """One PUBLISH as a transport decoded it; the topic is not yet looked at."""

    @property
    def topic(self) -> bytes: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def qos(self) -> int: ...
    @property
    def retain(self) -> bool: ...
    @property
    def packet_id(self) -> int: ...


class Peer(Protocol):
    """The connection a message came by. `account` None: sign-in is off, or a broker vouches."""

    @property
    def account(self) -> Account | None: ...

    @property
    def line(self) -> int:
        """A number no other connection of this source ever has; 0 where `behind` is never said of one."""
        ...

    def ack(self, packet_id: int) -> None:
        """The message is committed: acknowledge it, behind every answer handed over before this call.

        Called once per QoS 1 message and in order of receipt. Harmless on a closed connection.
        """
        ...


class Intake(Protocol):
    """What a transport tells the engine."""

    def deliver(self, source: str, at_ms: int, peer: Peer, messages: Sequence[Received]) -> None:
        """Messages in order of receipt, all read at `at_ms`, which is now. Proves nothing by itself: where
        nothing can be left unread before them, `proof` follows."""
        ...

    def deliver_bare(self, source: str, at_ms: int, peer: Peer, topics: Sequence[str]) -> None:
        """The same of messages that have a topic, which is ASCII, and nothing else: no payload, QoS 0, not
        retained."""
        ...

    def proof(self, source: str, at_ms: int) -> None:
        """Whatever was sent to us before `at_ms` through this source has been delivered (rule 8). The moment
        may lie in the past."""
        ...

    def behind(self, source: str, line: int, since_ms: int) -> None:
        """This connection (`Peer.line`) may have more that is unread: a proof of the source counts for it
        only up to `since_ms`, until that is said again with a later moment, or `caught_up`."""
        ...

    def caught_up(self, source: str, line: int, *, unread: bool = False) -> None:
        """It has nothing unread, or has ended. Harmless if it was not behind. `unread`: it ended after a
        while in which it was not read, so that who speaks through it has to come back."""
        ...

    def sighted(self, source: str, at_ms: int) -> None:
        """The source receives from now on: listening, or connected and subscribed."""
        ...

    def blinded(self, source: str) -> None:
        """The source does not receive: blindness counts from its last proof. Repeating it is harmless."""
        ...

    def rejected(self, reason: str, sample: bytes) -> None:
        """Something was refused before it became a message; counted and logged by reason (rule 11)."""
        ...

    @property
    def full(self) -> bool:
        """Stop reading: the inbox is at its bound. `when_free` tells when to go on."""
        ...

    def when_free(self, call: Callable[[], None]) -> None: ...


class Transport(Protocol):
    """The door or the link. Everything sent is QoS 1."""

    @property
    def source(self) -> str:
        """`door` or `link`."""
        ...

    @property
    def ready(self) -> bool:
        """Takes events now; while False the outbox keeps them."""
        ...

    @property
    def trouble(self) -> str:
        """Why nothing is heard, as far as it knows; "" where it does not, or something is."""
        ...

    def answer(self, topic: str, payload: bytes) -> None:
        """Hand one answer over; kept over a short loss of the connection, within bounds."""
        ...

    def announce(self, topic: str, payload: bytes, done: Callable[[], None], seq: int = 0) -> int:
        """Hand one event over; `seq` is its number in the history. `done` is called once it need not be sent
        again (the broker's PUBACK; at the door: queued for everyone who hears it). Lost connection: the link
        sends it again itself. To how many it went: what telling it cost."""
        ...

    def prove(self) -> None:
        """A deadline is due: obtain a proof of receipt soon (ping). Cheap to repeat."""
        ...

    async def start(self, intake: Intake) -> None: ...

    async def stop(self) -> None:
        """Say offline, let what was handed over leave within two seconds, close."""
        ...


# --- the store -------------------------------------------------------------------------------------
