"""An MQTT 5 client somewhere in the world, as client programs use one: it stays connected, and resends.

Owns connecting and coming back, what is unacknowledged, pings. Must not know what topics mean. Bytes are the
project's codec's; what is done with packets is written here.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from whosin.mqtt.codec import (
    PINGREQ,
    V5,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Properties,
    PubAck,
    Publish,
    Reason,
    Side,
    SubAck,
    Subscribe,
    Subscription,
    Will,
    encode,
    encode_puback,
    encode_publish,
)
from whosin.mqtt.codec import PingResp as Pong

if TYPE_CHECKING:
    from tests.simulator.network import Conn, Network
    from tests.simulator.world import Alarm, World

SYN_MS = 3_000  # nobody answers
CONNACK_MS = 3_000  # nor to a CONNECT: nothing else is written until then, so nothing else would tell


class Client:
    """Told of by the hooks `on_up(present)`, `on_message(topic, payload)`, `on_ack(tag)`, `on_down()`.

    `path_ok` False: its own network carries nothing (its own fault, not the daemon's).
    """

    def __init__(
        self,
        world: World,
        network: Network,
        random: Random,
        client_id: str,
        *,
        by: str,
        keep_alive_s: int,
        filters: tuple[str, ...],
        expiry_s: int = 0,
        clean: bool = True,
    ) -> None:
        self.world = world
        self.network = network
        self.random = random
        self.client_id = client_id
        self.by = by
        self.keep_alive_ms = keep_alive_s * 1000
        self.filters = filters
        self.expiry_s = expiry_s
        self.clean = clean
        self.will: Callable[[], Will | None] = lambda: None
        self.path_ok = True
        self.wanted = False
        self.up = False
        self.conn: Conn | None = None
        self.on_up: Callable[[bool], None] = lambda _present: None
        self.on_message: Callable[[str, bytes], None] = lambda _topic, _payload: None
        self.on_ack: Callable[[object], None] = lambda _tag: None
        self.on_down: Callable[[], None] = lambda: None
        self.on_try: Callable[[], None] = lambda: None
        self.unacked: dict[int, tuple[bytes, bytes, bool, object]] = {}
        self.acks = True  # acknowledges what it gets
        self._next_id = 0
        self._decoder = Decoder(Side.SERVER, V5)
        self._line = 0  # which connection callbacks are of
        self._heard_ms = 0
        self._asked_ms: int | None = None
        self._alarm: Alarm | None = None
        self._waiting: Alarm | None = None

    # --- the connection -------------------------------------------------------------------------------

    def connect(self) -> None:
        self.wanted = True
        self._dial()

    def _dial(self) -> None:
        if not self.wanted or self.conn is not None:
            return
        self._line += 1
        line = self._line
        self._again(SYN_MS)
        if not self.path_ok:
            return
        self.on_try()
        end = _Line(self, line)
        dial = self.network.dial_door if self.by == "door" else self.network.dial_broker
        dial(end, self.random, lambda conn: self._dialled(line, conn))

    def _again(self, delay_ms: int) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = self.world.after(delay_ms, self._dial)

    def _dialled(self, line: int, conn: Conn | None) -> None:
        if line != self._line or not self.wanted:
            if conn is not None:
                conn.reset(0)
            return
        if conn is None:
            self._again(self.random.randrange(200, 1_500))
            return
        if not self.path_ok:
            conn.vanish()
        self.conn = conn
        self._decoder = Decoder(Side.SERVER, V5)
        self._asked_ms = self.world.now  # CONNACK
        will = self.will()
        packet = Connect(
            self.client_id, clean_start=self.clean, keep_alive=self.keep_alive_ms // 1000, version=V5,
            will=will, properties=Properties(session_expiry_interval=self.expiry_s or None),
        )  # fmt: skip
        self._write(encode(packet, V5))
        self.world.after(CONNACK_MS, self._unwelcome, line)
        if self._waiting is not None:
            self._waiting.cancel()
        if self._alarm is None:
            self._alarm = self.world.after(max(500, self.keep_alive_ms // 2), self._look)

    def _unwelcome(self, line: int) -> None:
        if line == self._line and self.conn is not None and not self.up:
            self.drop()

    def _look(self) -> None:
        """Twice in a keep-alive: ping, and give up where nobody answers."""
        self._alarm = None
        if self.conn is None:
            return
        now = self.world.now
        if self._asked_ms is not None and now - self._asked_ms >= max(2_000, self.keep_alive_ms // 2):
            self.drop()
            return
        self._alarm = self.world.after(max(500, self.keep_alive_ms // 2), self._look)
        if self.up and self._asked_ms is None and now - self._heard_ms >= self.keep_alive_ms // 2 - 100:
            self._asked_ms = now
            self._write(PINGREQ)

    def drop(self) -> None:
        """Close without a goodbye, and come back if wanted."""
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.reset(0)
            self._down()

    def move(self) -> None:
        """Another network: the old connection is never heard of again, and a new one takes over."""
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.vanish()
            self._down()

    def leave(self, *, politely: bool = True, willing: bool = False) -> None:
        """For good."""
        self.wanted = False
        conn, self.conn = self.conn, None
        if conn is not None:
            if politely and self.up:
                reason = Reason.DISCONNECT_WITH_WILL if willing else Reason.SUCCESS
                conn.send(0, encode(Disconnect(reason), V5))
            conn.finish(0)
        self.up = False
        self._line += 1

    def die(self, how: str) -> None:
        """The program is gone: `reset` or `closed` (its system tells), `vanished` (it does not)."""
        self.wanted = False
        conn, self.conn = self.conn, None
        self.up = False
        self._line += 1
        if conn is None:
            return
        if how == "vanished":
            conn.vanish()
        elif how == "reset":
            conn.reset(0)
        else:
            conn.finish(0)

    def _down(self) -> None:
        was, self.up = self.up, False
        self._asked_ms = None
        self._line += 1
        if was:
            self.on_down()
        if self.wanted:
            self._again(self.random.randrange(100, 1_500))

    # --- sending --------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if self.conn is not None:
            self.conn.send(0, data)

    def publish(
        self, topic: str, payload: bytes, qos: int, *, retain: bool = False, tag: object = None
    ) -> bool:
        """QoS 1 is kept until it is acknowledged, over connections; QoS 0 goes now or never."""
        raw = topic.encode()
        if not qos:
            if self.up:
                self._write(encode_publish(raw, payload, retain=retain, version=V5))
            return self.up
        self._next_id = self._next_id % 0xFFFF + 1
        self.unacked[self._next_id] = raw, payload, retain, tag
        if self.up:
            self._write(
                encode_publish(raw, payload, qos=1, packet_id=self._next_id, retain=retain, version=V5)
            )
        return True

    # --- receiving ------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        self._heard_ms = self.world.now
        packets = self._decoder.feed(data)
        for packet in packets:
            if isinstance(packet, Publish):
                if packet.qos and self.acks:
                    self._write(encode_puback(packet.packet_id, version=V5))
                self.on_message(packet.topic.decode(), packet.payload)
            elif isinstance(packet, PubAck):
                found = self.unacked.pop(packet.packet_id, None)
                if found is not None:
                    self.on_ack(found[3])
            elif isinstance(packet, ConnAck):
                self._asked_ms = None
                self._welcome(packet)
            elif isinstance(packet, Pong):
                self._asked_ms = None
            elif isinstance(packet, Disconnect):
                conn, self.conn = self.conn, None
                if conn is not None:
                    conn.finish(0)
                    if packet.reason is Reason.SESSION_TAKEN_OVER:
                        self.wanted = False
                    self._down()
                return
            elif isinstance(packet, SubAck):
                pass
            if self.conn is None:
                return

    def _welcome(self, packet: ConnAck) -> None:
        if packet.reason.failed:
            self.drop()
            return
        self.up = True
        if self.filters and not packet.session_present:
            subscriptions = tuple(Subscription(one, qos=1) for one in self.filters)
            self._write(encode(Subscribe(0xFFFF, subscriptions), V5))
        for packet_id, (topic, payload, retain, _) in self.unacked.items():
            self._write(
                encode_publish(
                    topic, payload, qos=1, packet_id=packet_id, dup=True, retain=retain, version=V5
                )
            )
        self.on_up(packet.session_present)

    def lost(self) -> None:
        self.conn = None
        self._down()


class _Line:
    """The client's end of one connection; what comes late for an old one is dropped."""

    def __init__(self, client: Client, number: int) -> None:
        self._client = client
        self._number = number

    def data(self, data: bytes) -> None:
        if self._client._line == self._number and self._client.conn is not None:
            self._client.received(data)

    def lost(self, *, reset: bool) -> None:
        if self._client._line == self._number and self._client.conn is not None:
            self._client.lost()
