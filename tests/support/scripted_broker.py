"""A broker that does what a test says, in memory, on a clock that a test moves.

Built from the server's side of the codec, so it is as strict as a broker may be.
"""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from typing import TYPE_CHECKING, Any

from whosin.mqtt.codec import (
    NO_PROPERTIES,
    V5,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    Reason,
    Side,
    SubAck,
    Subscribe,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whosin.mqtt.codec import Packet, Properties
    from whosin.ports import Peer, Received


class Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class FakeTime:
    """A Clock, and a `call_later` on it."""

    def __init__(self, now_ms: int = 1_000_000) -> None:
        self._now_ms = now_ms
        self._timers: list[tuple[int, int, Timer]] = []
        self._order = count()

    def now_ms(self) -> int:
        return self._now_ms

    def wall_ms(self, at_ms: int) -> int:
        return at_ms

    def timeline_ms(self, wall_ms: int) -> int:
        return wall_ms

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Timer:
        timer = Timer(callback)
        heapq.heappush(self._timers, (self._now_ms + round(delay * 1000), next(self._order), timer))
        return timer

    async def settle(self) -> None:
        """Everything that is due now, and what follows from it."""
        for _ in range(50):
            ran = self._run_due()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if not ran and not self._run_due():
                return
        raise AssertionError("it never comes to rest")

    async def advance(self, ms: int) -> None:
        """As if time passed, every timer called at its moment."""
        end = self._now_ms + ms
        await self.settle()
        while self._timers and self._timers[0][0] <= end:
            self._now_ms = max(self._now_ms, self._timers[0][0])
            await self.settle()
        self._now_ms = end
        await self.settle()

    def stand_still(self, ms: int) -> None:
        """As if the program were stopped: time passes, nothing is called."""
        self._now_ms += ms

    def _run_due(self) -> bool:
        ran = False
        while self._timers and self._timers[0][0] <= self._now_ms:
            _, _, timer = heapq.heappop(self._timers)
            if timer.call is not None:
                timer.call()
                ran = True
        return ran


class Wire(asyncio.Transport):
    """The client's end of one connection; what it writes is decoded at once."""

    def __init__(self, broker: ScriptedBroker, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.packets: list[Packet] = []
        self.reading = True
        self.closed = False
        self.aborted = False
        self._broker = broker
        self._decoder = Decoder(Side.CLIENT)

    def write(self, data: Any) -> None:
        assert not self.closed, "written after closing"
        packets = self._decoder.feed(bytes(data))
        while packets:
            self.packets += packets
            for packet in packets:
                self._broker.react(self, packet)
            packets = self._decoder.feed(b"")

    def send(self, *packets: Packet) -> None:
        """From the broker, in one chunk."""
        self.send_bytes(b"".join(encode(packet, V5) for packet in packets))

    def send_bytes(self, data: bytes) -> None:
        assert self.reading, "the client does not read"
        if not self.closed:
            self.protocol.data_received(data)

    def lose(self, exc: Exception | None = None) -> None:
        self.closed = True
        self.protocol.connection_lost(exc)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._broker.time.call_later(0, lambda: self.protocol.connection_lost(None))

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def of(self, kind: type[Any]) -> list[Any]:
        return [packet for packet in self.packets if type(packet) is kind]

    @property
    def published(self) -> list[Publish]:
        return self.of(Publish)


class ScriptedBroker:
    """Answers by itself as the switches say; a test does the rest with `wire.send`."""

    def __init__(self, time: FakeTime) -> None:
        self.time = time
        self.wires: list[Wire] = []
        self.dialled_ms: list[int] = []
        self.unreachable: OSError | None = None
        self.connack: Reason | None = Reason.SUCCESS
        self.session_present = False
        self.properties: Properties = NO_PROPERTIES
        self.suback: Reason | None = Reason.GRANTED_QOS_1
        self.answers_pings = True
        self.puback: Reason | None = Reason.SUCCESS

    @property
    def wire(self) -> Wire:
        return self.wires[-1]

    async def dial(self, factory: Callable[[], asyncio.Protocol], /) -> object:
        self.dialled_ms.append(self.time.now_ms())
        if self.unreachable is not None:
            raise self.unreachable
        protocol = factory()
        wire = Wire(self, protocol)
        self.wires.append(wire)
        protocol.connection_made(wire)
        return wire

    def react(self, wire: Wire, packet: Packet) -> None:
        reply: Packet | None = None
        if isinstance(packet, Connect) and self.connack is not None:
            present = self.session_present and not self.connack.failed
            reply = ConnAck(present, self.connack, self.properties)
        elif isinstance(packet, Subscribe) and self.suback is not None:
            reply = SubAck(packet.packet_id, (self.suback,))
        elif isinstance(packet, PingReq) and self.answers_pings:
            reply = PingResp()
        elif isinstance(packet, Publish) and self.puback is not None:
            reply = PubAck(packet.packet_id, self.puback)
        elif isinstance(packet, Disconnect):
            self.time.call_later(0, lambda: None if wire.closed else wire.lose())
        if reply is not None:
            self.time.call_later(0, lambda: wire.send(reply) if wire.reading else None)


class Lines:
    """A structlog logger that keeps what it is told: level, event, fields."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def bind(self, **_fields: Any) -> Lines:
        return self

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.lines.append((level, event, fields))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [fields for _, name, fields in self.lines if name == event]


class Heard:
    """An Intake that writes down what it is told."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.peers: list[Peer] = []
        self.full = False
        self.waiting: list[Callable[[], None]] = []

    def deliver(self, source: str, at_ms: int, peer: Peer, messages: Sequence[Received]) -> None:
        self.log.append(("deliver", at_ms, [bytes(message.payload) for message in messages]))
        self.peers.append(peer)

    def deliver_bare(self, source: str, at_ms: int, peer: Peer, topics: Sequence[str]) -> None:
        self.deliver(source, at_ms, peer, [Publish(topic.encode(), b"") for topic in topics])

    def proof(self, source: str, at_ms: int) -> None:
        self.log.append(("proof", at_ms))

    def sighted(self, source: str, at_ms: int) -> None:
        self.log.append(("sighted", at_ms))

    def blinded(self, source: str) -> None:
        self.log.append(("blinded",))

    def rejected(self, reason: str, sample: bytes) -> None:
        self.log.append(("rejected", reason))

    def when_free(self, call: Callable[[], None]) -> None:
        self.waiting.append(call)

    def free(self) -> None:
        self.full = False
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()

    def kinds(self) -> list[str]:
        return [entry[0] for entry in self.log]

    def of(self, kind: str) -> list[Any]:
        return [entry[1] if len(entry) == 2 else entry[1:] for entry in self.log if entry[0] == kind]

    @property
    def payloads(self) -> list[bytes]:
        return [payload for entry in self.log if entry[0] == "deliver" for payload in entry[2]]
