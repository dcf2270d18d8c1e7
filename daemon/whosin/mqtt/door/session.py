"""What of a client outlives its connection: subscriptions, and QoS 1 messages not yet acknowledged.

Owns the queue and its bounds, its own and that of all sessions together. Must not know the network, time or
what is in a message.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from whosin.mqtt.door.connection import Connection
    from whosin.mqtt.door.wheel import Timer

Key: TypeAlias = tuple[str | None, str]
"""Account and client id: one account's client id is no business of another's."""

_OVERHEAD = 100  # bytes a queued message takes besides its own


class Queued(NamedTuple):
    topic: bytes
    payload: bytes
    retain: bool
    packet_id: int  # 0 until it was sent for the first time
    seq: int  # of an event; 0 for all else
    size: int  # what it takes in memory


def queued(topic: str, payload: bytes, *, retain: bool = False, seq: int = 0) -> Queued:
    raw = topic.encode()
    return Queued(raw, payload, retain, 0, seq, len(raw) + len(payload) + _OVERHEAD)


class Room:
    """What all sessions together may keep: each what it likes while there is room, else an equal share."""

    __slots__ = ("bytes", "holders", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = 0
        self.holders = 0  # sessions that keep anything

    def has(self, held: int, more: int) -> bool:
        """Whether a session that keeps `held` bytes may keep `more`."""
        if self.bytes + more <= self.most:
            return True
        return held + more <= self.most // max(1, self.holders)

    def change(self, was: int, now: int) -> None:
        """A session keeps `now` bytes instead of `was`."""
        self.bytes += now - was
        self.holders += bool(now) - bool(was)


class Session:
    """`connection` is None while it waits for its client; `timer` then tells when it has waited enough."""

    __slots__ = (
        "_last_id", "bytes", "connection", "expiry_ms", "filters", "in_flight", "key", "known_seq", "most",
        "most_bytes", "queue", "room", "slow", "stored", "timer", "will_timer",
    )  # fmt: skip

    def __init__(self, key: Key, most: int, most_bytes: int, room: Room) -> None:
        self.key = key
        self.room = room
        self.most = most
        self.most_bytes = most_bytes
        self.connection: Connection | None = None
        self.expiry_ms = 0
        self.filters: dict[str, int] = {}
        self.queue: deque[Queued] = deque()
        self.in_flight: dict[int, Queued] = {}
        self.bytes = 0
        self.timer: Timer | None = None
        self.will_timer: Timer | None = None
        self.stored = False  # whether the store knows it as a durable observer
        self.known_seq = 0  # events up to this one it has, or had no right to when it subscribed
        self.slow = False  # events have waited for it long enough
        self._last_id = 0

    def filled(self, share: int) -> bool:
        """Whether a `share`-th of what it may keep is there to be read."""
        waiting = len(self.queue) + len(self.in_flight)
        return waiting * share >= self.most or self.bytes * share >= self.most_bytes

    def hold(self, message: Queued) -> bool:
        """Keep a message until it is acknowledged. False: there is no room."""
        size = message.size
        if len(self.queue) + len(self.in_flight) >= self.most or self.bytes + size > self.most_bytes:
            return False
        if not self.room.has(self.bytes, size):
            return False
        self.queue.append(message)
        self._keep(self.bytes + size)
        return True

    def _keep(self, size: int) -> None:
        self.room.change(self.bytes, size)
        self.bytes = size

    def clear(self) -> None:
        """It is over: nothing is kept for it any more."""
        self.queue.clear()
        self.in_flight.clear()
        self._keep(0)

    def send_next(self) -> tuple[int, Queued, bool]:
        """The next message, now in flight under its packet identifier; True if it was sent before."""
        message = self.queue.popleft()
        again = message.packet_id != 0
        packet_id = message.packet_id if again else self._free_id()
        self.in_flight[packet_id] = message
        return packet_id, message, again

    def acknowledged(self, packet_id: int) -> bool:
        message = self.in_flight.pop(packet_id, None)
        if message is None:
            return False
        self._keep(self.bytes - message.size)
        return True

    def first_waiting(self) -> int | None:
        """The number of the first event that it has not acknowledged."""
        for messages in (self.in_flight.values(), self.queue):
            for message in messages:
                if message.seq:
                    return message.seq
        return None

    def rewind(self) -> None:
        """A new connection: what was not acknowledged is to be sent again, first and in order."""
        sent = [message._replace(packet_id=number) for number, message in self.in_flight.items()]
        self.queue.extendleft(reversed(sent))
        self.in_flight.clear()

    def _free_id(self) -> int:
        while True:
            self._last_id = self._last_id % 0xFFFF + 1
            if self._last_id not in self.in_flight:
                return self._last_id
