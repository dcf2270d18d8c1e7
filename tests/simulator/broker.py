"""A small MQTT 5 broker: sessions, wills, retained messages, QoS 1 with redelivery, and its ways to fail.

Owns what a broker does with packets. Its behaviour is its own (the codec only turns bytes into packets); must
not know what topics mean, but for the one that the oracle listens at (`heard`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from whosin.mqtt.codec import (
    PINGRESP,
    V5,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    PingReq,
    Properties,
    ProtocolError,
    PubAck,
    Publish,
    Reason,
    Side,
    SubAck,
    Subscribe,
    Will,
    encode,
    encode_puback,
    encode_publish,
)

if TYPE_CHECKING:
    from tests.simulator.network import Conn
    from tests.simulator.world import Alarm, World

RESTART_WILLS_MS = 3_000


def matches(pattern: str, topic: str) -> bool:
    if pattern.endswith("/#"):
        return topic.startswith(pattern[:-1])
    wanted, found = pattern.split("/"), topic.split("/")
    return len(wanted) == len(found) and all(a in ("+", b) for a, b in zip(wanted, found, strict=True))


class BSession:
    """What the broker keeps for one client id."""

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self.filters: dict[str, int] = {}
        self.line: BLine | None = None
        self.queue: deque[tuple[bytes, bytes, int, bool]] = deque()
        self.unacked: dict[int, tuple[bytes, bytes, bool]] = {}
        self.next_id = 0
        self.expiry_ms = 0
        self.expires: Alarm | None = None
        self.will: Will | None = None
        self.will_alarm: Alarm | None = None


class BLine:
    """One connection."""

    def __init__(self, broker: Broker, conn: Conn) -> None:
        self.broker = broker
        self.conn = conn
        self.decoder = Decoder(Side.CLIENT, None, 1 << 20)
        self.session: BSession | None = None
        self.keep_alive_ms = 0
        self.heard_ms = broker.world.now
        self.over = False

    def data(self, data: bytes) -> None:
        self.broker.incoming(self, data)

    def lost(self, *, reset: bool) -> None:
        self.broker.incoming(self, None)

    def send(self, data: bytes) -> None:
        if not self.over:
            self.conn.send(1, data)


class Broker:
    """`heard` gets each message that the client `daemon` published and the broker took over."""

    def __init__(self, world: World, daemon: str, heard: Callable[[bytes, bytes], None]) -> None:
        self.world = world
        self.reachable = True
        self.hung = False
        self.slow_ms = 0
        self.random = world.random("broker")
        self._daemon = daemon
        self._heard = heard
        self._sessions: dict[str, BSession] = {}
        self._lines: dict[BLine, None] = {}
        self._retained: dict[bytes, bytes] = {}
        self._backlog: deque[tuple[BLine, bytes | None]] = deque()
        self._working = False
        world.after(1_000, self._look)

    # --- ways to fail ---------------------------------------------------------------------------------

    def stop(self, *, forget: bool) -> None:
        """Killed; `forget`: what it kept is lost with it."""
        self.reachable = False
        self.hung = False
        for line in list(self._lines):
            line.over = True
            line.conn.reset(1)
        self._lines.clear()
        self._backlog.clear()
        for session in self._sessions.values():
            session.line = None
            if forget:
                for alarm in (session.will_alarm, session.expires):
                    if alarm is not None:
                        alarm.cancel()
        if forget:
            self._sessions.clear()
            self._retained.clear()

    def start(self) -> None:
        self.reachable = True
        for session in self._sessions.values():
            if session.will is not None and session.will_alarm is None and session.line is None:
                # Some brokers publish the wills of those who do not come back after their own restart.
                delay = self.random.randrange(0, RESTART_WILLS_MS)
                session.will_alarm = self.world.after(delay, self._publish_will, session)

    def hang(self, *, on: bool) -> None:
        """It takes connections and bytes, and does nothing with them."""
        self.hung = on
        if not on:
            self._work_on()

    # --- taking turns ---------------------------------------------------------------------------------

    def accept(self, conn: Conn) -> None:
        line = BLine(self, conn)
        conn.ends[1] = line
        self._lines[line] = None

    def incoming(self, line: BLine, data: bytes | None) -> None:
        if line.over:
            return
        if not self.hung and not self.slow_ms and not self._backlog:
            self._take(line, data)
            return
        self._backlog.append((line, data))
        self._work_on()

    def _work_on(self) -> None:
        if not self._working and self._backlog and not self.hung:
            self._working = True
            self.world.after(self.slow_ms and self.random.randrange(self.slow_ms), self._work)

    def _work(self) -> None:
        self._working = False
        if self.hung:
            return
        for _ in range(len(self._backlog)):
            line, data = self._backlog.popleft()
            if not line.over:
                self._take(line, data)
        self._work_on()

    def _take(self, line: BLine, data: bytes | None) -> None:
        if data is None:
            self._gone(line, willing=True)
            return
        line.heard_ms = self.world.now
        try:
            packets = line.decoder.feed(data)
            while packets:
                for packet in packets:
                    if not line.over:
                        self._packet(line, packet)
                packets = line.decoder.feed(b"") if isinstance(packets[0], Connect) else []
        except ProtocolError:
            line.conn.reset(1)
            self._gone(line, willing=True)

    def _look(self) -> None:
        """Keep-alives, once a second, and not sharply: as brokers do."""
        self.world.after(1_000, self._look)
        if self.hung or not self.reachable or self._backlog:
            return
        now = self.world.now
        for line in list(self._lines):
            if line.keep_alive_ms and now - line.heard_ms > line.keep_alive_ms * 3 // 2:
                line.conn.reset(1)
                self._gone(line, willing=True)

    # --- packets --------------------------------------------------------------------------------------

    def _packet(self, line: BLine, packet: object) -> None:
        session = line.session
        if isinstance(packet, Connect):
            self._connect(line, packet)
        elif session is None:
            line.conn.reset(1)
            self._gone(line, willing=False)
        elif isinstance(packet, Publish):
            if packet.qos:
                line.send(encode_puback(packet.packet_id, version=V5))
            if session.client_id == self._daemon:
                self._heard(packet.topic, packet.payload)
            self._route(packet.topic, packet.payload, packet.qos, packet.retain, session)
        elif isinstance(packet, PubAck):
            session.unacked.pop(packet.packet_id, None)
            self._pump(session)
        elif isinstance(packet, PingReq):
            line.send(PINGRESP)
        elif isinstance(packet, Subscribe):
            self._subscribe(line, session, packet)
        elif isinstance(packet, Disconnect):
            line.conn.finish(1)
            self._gone(line, willing=packet.reason is not Reason.SUCCESS)

    def _connect(self, line: BLine, packet: Connect) -> None:
        session = self._sessions.get(packet.client_id)
        if session is not None and session.line is not None:
            old = session.line
            old.send(encode(Disconnect(Reason.SESSION_TAKEN_OVER), V5))
            old.conn.finish(1)
            self._gone(old, willing=True)
            session = self._sessions.get(packet.client_id)
        if session is not None and packet.clean_start:
            self._forget(session)
            session = None
        present = session is not None
        if session is None:
            session = self._sessions[packet.client_id] = BSession(packet.client_id)
        for alarm in (session.expires, session.will_alarm):
            if alarm is not None:
                alarm.cancel()
        session.expires = session.will_alarm = None
        session.line, line.session = line, session
        session.expiry_ms = (packet.properties.session_expiry_interval or 0) * 1000
        session.will = packet.will
        line.keep_alive_ms = packet.keep_alive * 1000
        line.send(encode(ConnAck(present, Reason.SUCCESS, Properties(receive_maximum=1_000)), V5))
        again, session.unacked = session.unacked, {}
        for packet_id, (topic, payload, retain) in again.items():
            session.unacked[packet_id] = topic, payload, retain
            line.send(
                encode_publish(
                    topic, payload, qos=1, packet_id=packet_id, dup=True, retain=retain, version=V5
                )
            )
        self._pump(session)

    def _subscribe(self, line: BLine, session: BSession, packet: Subscribe) -> None:
        reasons = []
        for asked in packet.subscriptions:
            known = asked.filter in session.filters
            session.filters[asked.filter] = min(asked.qos, 1)
            reasons.append(Reason.GRANTED_QOS_1 if asked.qos else Reason.SUCCESS)
            if asked.retain_handling == 0 or (asked.retain_handling == 1 and not known):
                for topic, payload in self._retained.items():
                    if matches(asked.filter, topic.decode()):
                        self._give(session, topic, payload, min(asked.qos, 1), retain=True)
        line.send(encode(SubAck(packet.packet_id, tuple(reasons)), V5))

    # --- messages -------------------------------------------------------------------------------------

    def _route(self, topic: bytes, payload: bytes, qos: int, retain: bool, sender: BSession | None) -> None:
        if retain:
            if payload:
                self._retained[topic] = payload
            else:
                self._retained.pop(topic, None)
        name = topic.decode()
        for session in self._sessions.values():
            for pattern, most in session.filters.items():
                if matches(pattern, name) and not (session is sender and session.client_id == self._daemon):
                    self._give(session, topic, payload, min(qos, most), retain=retain)
                    break

    def _give(self, session: BSession, topic: bytes, payload: bytes, qos: int, *, retain: bool) -> None:
        if qos:
            session.queue.append((topic, payload, qos, retain))
            self._pump(session)
        elif session.line is not None:
            session.line.send(encode_publish(topic, payload, retain=retain, version=V5))

    def _pump(self, session: BSession) -> None:
        line = session.line
        while line is not None and session.queue and len(session.unacked) < 500:
            topic, payload, _, retain = session.queue.popleft()
            session.next_id = session.next_id % 0xFFFF + 1
            while session.next_id in session.unacked:
                session.next_id = session.next_id % 0xFFFF + 1
            session.unacked[session.next_id] = topic, payload, retain
            line.send(
                encode_publish(topic, payload, qos=1, packet_id=session.next_id, retain=retain, version=V5)
            )

    # --- ends -----------------------------------------------------------------------------------------

    def _gone(self, line: BLine, *, willing: bool) -> None:
        line.over = True
        line.conn.ends[1] = None
        self._lines.pop(line, None)
        session = line.session
        if session is None or session.line is not line:
            return
        session.line = None
        will = session.will
        if will is not None and willing:
            delay = (will.properties.will_delay_interval or 0) * 1000
            if delay and session.expiry_ms:
                session.will_alarm = self.world.after(
                    min(delay, session.expiry_ms), self._publish_will, session
                )
            else:
                self._publish_will(session)
        else:
            session.will = None
        if session.expiry_ms:
            session.expires = self.world.after(session.expiry_ms, self._forget, session)
        else:
            self._forget(session)

    def _publish_will(self, session: BSession) -> None:
        session.will_alarm = None
        will, session.will = session.will, None
        if will is not None and session.line is None and self.reachable:
            self._route(will.topic, will.payload, will.qos, will.retain, None)

    def _forget(self, session: BSession) -> None:
        if self._sessions.get(session.client_id) is session and session.line is None:
            if session.will_alarm is not None:
                session.will_alarm.cancel()
                self._publish_will(session)
            del self._sessions[session.client_id]
