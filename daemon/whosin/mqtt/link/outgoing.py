"""What leaves through the link: acknowledgements, answers, events, the daemon's status; in which order.

Owns: the queues and their bounds, packet identifiers, the window of what is not yet acknowledged, sending
again after a lost connection. Must not know: sockets, time, what an answer or event means.

Answers and acknowledgements share one queue, so an acknowledgement never overtakes an answer that was
handed over before it. Events have a queue of their own, behind: they wait on disk anyway, people wait for
answers. All answers go to `down` topics and all events to others, so the order per topic holds.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from whosin.mqtt.codec import V5, Reason, encode_puback, encode_publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whosin.mqtt.link.quiet import Quiet

SUBSCRIBE_ID: Final = 0xFFFF
"""Kept free for SUBSCRIBE, which shares the numbers of packets with what is published here."""

_LAST_ID: Final = SUBSCRIBE_ID - 1
_HOPELESS: Final = frozenset({Reason.TOPIC_NAME_INVALID, Reason.PAYLOAD_FORMAT_INVALID})
_RETRY_MS: Final = 5_000
_PIECE: Final = 65_536


class Message:
    """One PUBLISH on its way. `packet_id` is 0 until it is first written."""

    __slots__ = ("done", "flying", "order", "packet_id", "payload", "retain", "sent", "topic")

    def __init__(self, topic: str, payload: bytes) -> None:
        self.topic = topic.encode()
        self.payload = payload
        self.retain = False
        self.done: Callable[[], None] | None = None  # events have one, and are never given up
        self.order = 0
        self.packet_id = 0
        self.sent = False  # on an earlier connection of the same broker session: DUP
        self.flying = False  # on this connection


class Outgoing:
    """`take` gives the bytes that may leave now; everything else only changes what that will be.

    `answers` bounds the queue of answers: beyond it the oldest are dropped. It has to be well above the
    65,535 messages that a broker may have handed us unacknowledged. `events` is where `roomy` ends.
    """

    def __init__(
        self, quiet: Quiet, *, answers: int = 100_000, events: int = 5_000, window: int = 1_000
    ) -> None:
        if not 1 <= window <= _LAST_ID:
            raise ValueError(f"window is {window}; expected 1 to {_LAST_ID}")
        self.dropped = 0
        self._quiet = quiet
        self._max_answers = answers
        self._max_events = events
        self._cap = window
        self._window = 0
        self._largest = 0
        self._queue: deque[Message | int] = deque()  # an int is a packet to acknowledge
        self._answers = 0
        self._events: deque[Message] = deque()
        self._again: deque[Message] = deque()
        self._unacked: dict[int, Message] = {}  # in the order of first sending
        self._flying = 0
        self._refused: list[Message] = []
        self._retry_ms = 0
        self._status: Message | None = None
        self._order = 0
        self._last_id = 0

    # --- handing over ---

    def answer(self, topic: str, payload: bytes) -> None:
        self._queue.append(Message(topic, payload))
        self._answers += 1
        if self._answers > self._max_answers:
            self._drop_oldest()

    def ack(self, packet_id: int) -> None:
        self._queue.append(packet_id)

    def event(self, topic: str, payload: bytes, done: Callable[[], None]) -> None:
        message = Message(topic, payload)
        message.done = done
        self._order += 1
        message.order = self._order
        self._events.append(message)

    def status(self, topic: str, payload: bytes, *, last: bool = False) -> None:
        """Retained; goes before the events that wait, or behind them. Saying the same again while it is
        still on its way does nothing.
        """
        if self._status is not None and self._status.payload == payload:
            return
        self._status = Message(topic, payload)
        self._status.retain = True
        if last:
            self._events.append(self._status)
        else:
            self._events.appendleft(self._status)

    @property
    def roomy(self) -> bool:
        """More events are welcome."""
        return (
            len(self._events) < self._max_events and self._answers < self._max_answers and not self._refused
        )

    @property
    def idle(self) -> bool:
        """Nothing is left to send, and all that was sent has arrived."""
        return not (self._queue or self._events or self._refused or self._unacked)

    def _drop_oldest(self) -> None:
        for place, item in enumerate(self._queue):
            if isinstance(item, Message):
                del self._queue[place]
                self._answers -= 1
                self.dropped += 1
                self._quiet.say("error", "link.answers_dropped", "bound", dropped=self.dropped)
                return

    # --- the connection ---

    def connected(self, *, session_present: bool, receive_maximum: int, largest_packet: int) -> None:
        """A broker listens. One that kept our session gets the same packets again, marked as such; one
        that did not gets them anew.
        """
        self._window = min(self._cap, receive_maximum)
        self._largest = largest_packet
        if not session_present:
            for message in self._again:
                message.sent = False

    def disconnected(self) -> None:
        """Acknowledgements are void: the broker sends those messages again. All else is kept."""
        self._queue = deque(item for item in self._queue if isinstance(item, Message))
        self._again = deque(self._unacked.values())
        for message in self._again:
            message.flying = False
        self._flying = 0
        self._window = 0
        self._take_back()

    def take(self) -> bytes:
        """What may be written now, up to some 64 KiB; empty if nothing may."""
        out = bytearray()
        for item in self._leaving():
            if isinstance(item, int):
                out += encode_puback(item, version=V5)
            else:
                out += self._published(item)
            if len(out) >= _PIECE:
                break
        return bytes(out)

    def _leaving(self) -> Iterator[Message | int]:
        while True:
            open_window = self._flying < self._window
            if self._again:
                if not open_window:
                    return
                yield self._again.popleft()
            elif self._queue:
                if not isinstance(self._queue[0], int):
                    if not open_window:
                        return
                    self._answers -= 1
                yield self._queue.popleft()
            elif self._events and open_window and not self._refused:
                yield self._events.popleft()
            else:
                return

    def _published(self, message: Message) -> bytes:
        if not message.packet_id:
            message.packet_id = self._free_id()
        data = encode_publish(
            message.topic, message.payload, qos=1, packet_id=message.packet_id,
            retain=message.retain, dup=message.sent, version=V5,
        )  # fmt: skip
        if len(data) > self._largest:
            self._give_up(message, "too_large", size=len(data), allowed=self._largest)
            return b""
        message.sent = message.flying = True
        self._unacked[message.packet_id] = message
        self._flying += 1
        return data

    def _free_id(self) -> int:
        while True:
            self._last_id = self._last_id % _LAST_ID + 1
            if self._last_id not in self._unacked:
                return self._last_id

    # --- acknowledged ---

    def acked(self, packet_id: int, reason: Reason, at_ms: int) -> None:
        """The broker's PUBACK. What it refused for now is offered again in some seconds, if an event."""
        message = self._unacked.get(packet_id)
        if message is None or not message.flying:
            return
        del self._unacked[packet_id]
        self._flying -= 1
        if not reason.failed:
            self._finish(message)
        elif message.done is None or reason in _HOPELESS:
            self._give_up(message, reason.name.lower())
        else:
            self._quiet.say(
                "error", "link.publish_refused", reason.name, topic=message.topic.decode(),
                reason=reason.name.lower(), retry_s=_RETRY_MS // 1000,
            )  # fmt: skip
            if not self._refused:
                self._retry_ms = at_ms + _RETRY_MS
            self._refused.append(message)

    def retry(self, at_ms: int) -> bool:
        """True if refused events are due to be offered again; from now on `take` has them."""
        if not self._refused or at_ms < self._retry_ms:
            return False
        self._take_back()
        return True

    def _take_back(self) -> None:
        for message in sorted(self._refused, key=lambda one: one.order, reverse=True):
            message.packet_id = 0
            message.sent = message.flying = False
            self._events.appendleft(message)
        self._refused.clear()

    def _give_up(self, message: Message, cause: str, **fields: object) -> None:
        self._quiet.say(
            "error", "link.not_published", cause, topic=message.topic.decode(), cause=cause, **fields
        )
        self._unacked.pop(message.packet_id, None)
        self._finish(message)

    def _finish(self, message: Message) -> None:
        if message is self._status:
            self._status = None
        if message.done is not None:
            message.done()
