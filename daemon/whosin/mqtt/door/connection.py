"""One connection at the door, from its first byte to its last.

Owns the protocol's conversation: what comes in is checked and handed on, what goes out is paced. Must not
know sessions of the domain, other connections, or what a payload says.

A plain `asyncio.BufferedProtocol`: it runs on every event loop, and we say how much of one peer is read at a
time. Nothing it meets makes it raise: a peer that breaks the rules is told why (MQTT 5) and cut off.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Final, cast

from whosin.listening import keep_alive, read_in_pieces
from whosin.mqtt.codec import (
    PINGRESP,
    V5,
    V311,
    Auth,
    Bare,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    PingReq,
    ProtocolError,
    PubAck,
    PubComp,
    Publish,
    PubRel,
    Reason,
    Side,
    Subscribe,
    Unsubscribe,
    encode,
    encode_puback,
    encode_publish,
)
from whosin.mqtt.codec.reasons import ALLOWED
from whosin.mqtt.door import greeting, saying, subscribing
from whosin.mqtt.door.sealed import Sealed
from whosin.mqtt.door.wheel import Timer

if TYPE_CHECKING:
    from whosin.model import Account
    from whosin.mqtt.codec import Packet, Will
    from whosin.mqtt.door.access import Rights
    from whosin.mqtt.door.door import Door
    from whosin.mqtt.door.session import Session

RATE: Final = 1
INTAKE: Final = 2
ACKS: Final = 4
"""Why reading is paused; bits, since several can hold. More are `backlog.TURN` and `sealed.HANDSHAKE`."""

_lines = count(1)

_TOPICS_OF_ONE: Final = 64
_TOPICS_OF_MANY: Final = 256  # to look closely at one costs little more than to find it among thousands


class Connection(asyncio.BufferedProtocol):
    """Implements `ports.Peer` for what was said through it."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.line = next(_lines)
        self.session: Session | None = None
        self.rights: Rights | None = None
        self.will: Will | None = None
        self.closed = False
        self.heard_ms = door.awake_ms()
        self.keep_alive_ms = 0
        self.largest_out = 0  # the peer's Maximum Packet Size; 0 is none
        self.window = door.limits.in_flight
        self.decoder = Decoder(Side.CLIENT, None, door.limits.packet, _TOPICS_OF_ONE, gathers=True)
        self.timer = Timer(self._time_is_up)
        self.sealed = Sealed(self) if door.seals else None
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._writable = True
        self._paused = 0
        self.allowed: set[bytes] = set()  # topics that it may say
        self._acks: deque[tuple[int, Reason | None]] = deque()  # in order of receipt; None: not committed yet
        self._most_acks = door.limits.receive_maximum
        self._rate = self._burst = 0
        self._tokens = 0.0
        self._counted_ms = self.heard_ms
        self._rate_timer = Timer(self._within_rate)

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self.door.limits.write_soft)
        read_in_pieces(self._transport, self.door.limits.piece)
        keep_alive(self._transport)  # half-open peers that promised no keep-alive
        if not self.door.admit(self):
            self.closed = True
            self._transport.abort()
            return
        self.door.wheel.arm(self.timer, self.until_connected_ms())
        if self.door.holding:
            self.pause(INTAKE)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """One for all connections: it is filled and emptied in one go."""
        return self.door.piece

    def buffer_updated(self, nbytes: int) -> None:
        if self.closed:
            return
        backlog, whole = self.door.backlog, nbytes == len(self.door.piece)
        if whole:
            backlog.behind(self)
        take = self.data_received if self.sealed is None else self.sealed.received
        take(bytes(self.door.piece[:nbytes]))
        if self.closed:
            return
        backlog.read(self, nbytes, whole=whole)
        if whole:
            backlog.full(self)
        elif self._paused:
            backlog.behind(self)

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        at_ms = self.door.clock.now_ms()
        self.heard_ms = self.door.awake_ms(at_ms)
        broken: ProtocolError | None = None
        while not self.closed:
            try:
                packets = self.decoder.feed(data)
            except ProtocolError as error:
                broken = error
                packets = error.before
            self._take(packets, at_ms)
            data = b""
            if broken is not None or not packets or not isinstance(packets[0], Connect):
                break
        if broken is not None and not self.closed:
            self._refuse_packet(broken)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self.sealed is not None:
            self.sealed.gone()
        if not self.closed:
            self.closed = True
            if exc is None:  # the end of what it said, read behind all else
                self.door.backlog.ended(self)
            self.door.gone(self, willing=True)
        self.door.left(self)
        self.door.wheel.drop(self.timer, self._rate_timer)  # no circle is left: it may remember much
        self.sealed = None

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self.pump()

    # --- ports.Peer

    @property
    def paused(self) -> bool:
        return bool(self._paused)

    @property
    def sock(self) -> socket.socket | None:
        return None if self._transport is None else self._transport.get_extra_info("socket")

    @property
    def account(self) -> Account | None:
        return None if self.rights is None else self.rights.account

    def ack(self, packet_id: int) -> None:
        """In order of receipt (MQTT-4.6.0-2): behind what the door itself refused before."""
        acks = self._acks
        if self.closed or not acks:
            return
        if acks[0] == (packet_id, None):
            acks[0] = (packet_id, Reason.SUCCESS)
        else:
            for place, (waiting, reason) in enumerate(acks):
                if waiting == packet_id and reason is None:
                    acks[place] = (packet_id, Reason.SUCCESS)
                    break
        self._send_acks()

    def _send_acks(self) -> None:
        acks = self._acks
        version = self.decoder.version or V5
        while acks and acks[0][1] is not None:
            packet_id, reason = acks.popleft()
            self.send(encode_puback(packet_id, reason or Reason.SUCCESS, version))
        if self._paused & ACKS and len(acks) < self.door.limits.receive_maximum:
            self.resume(ACKS)

    # --- what comes in

    def _take(self, packets: list[Packet], at_ms: int) -> None:
        """Hand over a chunk's messages in one go; other packets in their place among them."""
        allowed = self.allowed
        acks = self._acks
        said: list[Publish] = []
        messages = 0
        fatal: Reason | None = None
        for packet in packets:
            if type(packet) is Publish:
                messages += 1
                qos = packet.qos
                if qos and (qos == 2 or (len(acks) >= self._most_acks)):
                    fatal = Reason.QOS_NOT_SUPPORTED if qos == 2 else Reason.RECEIVE_MAXIMUM_EXCEEDED
                    break
                if packet.topic not in allowed and not saying.may_say(self, packet):
                    continue
                if qos:
                    acks.append((packet.packet_id, None))
                said.append(packet)
                continue
            if said:
                self.door.deliver(self, at_ms, said)
                said = []
            if type(packet) is Bare:
                messages += len(packet.topics)
                sayable = saying.sayable(self, packet.topics)
                if sayable:
                    self.door.deliver(self, at_ms, Bare(sayable))
                continue
            self._handle(packet)
            if self.closed:
                return
            messages += type(packet) is not PubAck  # those follow our own pace
        if said:
            self.door.deliver(self, at_ms, said)
        if fatal is not None:  # behind the messages ahead of it, since a will may follow
            self.end(fatal, "qos_2" if fatal is Reason.QOS_NOT_SUPPORTED else "receive_maximum")
        elif self.session is not None and not self.closed:
            self._spend(messages)

    def refuse_message(self, packet_id: int, reason: Reason) -> None:
        """Acknowledge it as refused, in its turn."""
        self._acks.append((packet_id, reason))
        self._send_acks()

    def _handle(self, packet: Packet) -> None:
        session = self.session
        if isinstance(packet, Connect):
            greeting.welcome(self, packet)
        elif session is None:
            return
        elif isinstance(packet, PubAck):
            if session.acknowledged(packet.packet_id):
                self.pump()
                if session.slow or self.door.crowded:
                    self.door.has_read(session)
            else:
                self._tokens -= 1
        elif isinstance(packet, PingReq):
            self.send(PINGRESP)
        elif isinstance(packet, Subscribe):
            subscribing.subscribe(self, session, packet)
        elif isinstance(packet, Unsubscribe):
            subscribing.unsubscribe(self, session, packet)
        elif isinstance(packet, Disconnect):
            self._goodbye(session, packet)
        elif isinstance(packet, PubRel):  # of a session elsewhere; here no QoS 2 was ever begun
            self.reply(PubComp(packet.packet_id, Reason.PACKET_ID_NOT_FOUND))
        else:
            reason = Reason.BAD_AUTHENTICATION_METHOD if isinstance(packet, Auth) else Reason.PROTOCOL_ERROR
            self.end(reason if reason in ALLOWED["DISCONNECT"] else Reason.PROTOCOL_ERROR, "protocol")

    def _goodbye(self, session: Session, packet: Disconnect) -> None:
        expiry_s = packet.properties.session_expiry_interval
        if expiry_s is not None:
            if expiry_s and not session.expiry_ms:  # MQTT-3.14.2-2
                self.end(Reason.PROTOCOL_ERROR, "protocol")
                return
            session.expiry_ms = min(expiry_s * 1000, self.door.limits.session_expiry_ms)
        self.door.backlog.ended(self)
        self._close(willing=packet.reason is not Reason.SUCCESS)

    def _refuse_packet(self, error: ProtocolError) -> None:
        large = error.reason is Reason.PACKET_TOO_LARGE
        self.door.rejected("size" if large else "protocol", str(error).encode())
        if self.session is None:
            greeting.refuse(self, error.reason)
        else:
            self.end(error.reason, "protocol")

    # --- what goes out

    def send(self, data: bytes) -> None:
        """Append a packet to what leaves next; the door flushes once for all that a turn of the loop brings.

        One above the peer's Maximum Packet Size is dropped, as if it had been sent.
        """
        if self.closed:
            return
        if self.largest_out and len(data) > self.largest_out:  # MQTT-3.1.2-24
            self.door.count("dropped_too_large")
            return
        if not self._out:
            self.door.soon(self)
        self._out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes > self.door.limits.write_soft:
            self.flush()

    def reply(self, packet: Packet) -> None:
        self.send(encode(packet, self.decoder.version or V5))

    def flush(self) -> None:
        transport = self._transport
        if not self._out or transport is None:
            return
        data = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        self.write(data if self.sealed is None else self.sealed.seal(data))

    def write(self, data: bytes) -> None:
        """To the socket, as it is."""
        transport = self._transport
        if transport is not None and data and not transport.is_closing():
            transport.write(data)
            if not self.closed and transport.get_write_buffer_size() > self.door.limits.write_hard:
                self.end(Reason.QUOTA_EXCEEDED, "slow")

    def pump(self) -> None:
        """Send what is queued, as far as the peer keeps up."""
        session = self.session
        if session is None:
            return
        queue, in_flight = session.queue, session.in_flight
        while queue and self._writable and not self.closed and len(in_flight) < self.window:
            packet_id, message, again = session.send_next()
            data = self.encoded(message.topic, message.payload, message.retain, 1, packet_id, again)
            if data is None:
                session.acknowledged(packet_id)
            else:
                self.send(data)

    def send_lossy(self, topic: bytes, payload: bytes, *, retain: bool) -> None:
        """At QoS 0: now or not at all."""
        if not self._writable:
            self.door.count("dropped_qos_0")
            return
        data = self.encoded(topic, payload, retain)
        if data is not None:
            self.send(data)

    def encoded(
        self, topic: bytes, payload: bytes, retain: bool, qos: int = 0, packet_id: int = 0, dup: bool = False
    ) -> bytes | None:
        """None: above the peer's Maximum Packet Size, so it must not be sent (MQTT-3.1.2-24)."""
        data = encode_publish(
            topic, payload, qos=qos, packet_id=packet_id, retain=retain, dup=dup,
            version=self.decoder.version or V5,
        )  # fmt: skip
        if self.largest_out and len(data) > self.largest_out:
            self.door.count("dropped_too_large")
            return None
        return data

    # --- pace

    def settle(self, rights: Rights, will: Will | None) -> None:
        """Signed in: the limits of who this is."""
        limits = self.door.limits
        self.rights, self.will = rights, will
        if self.decoder.version == V311:
            self._most_acks = sys.maxsize
        self._rate, self._burst = limits.client_rate, limits.client_burst
        if rights.batches:
            self._rate, self._burst = limits.gateway_rate, limits.gateway_burst
            self.decoder.max_packet = limits.batch_packet
            self.decoder.topics_kept = _TOPICS_OF_MANY
        self._tokens = float(self._burst)

    def _spend(self, messages: int) -> None:
        """Above the rate reading pauses until the debt is paid; nothing is dropped. Likewise while too many
        acknowledgements are owed to a client that knows no Receive Maximum (3.1.1)."""
        if len(self._acks) >= self.door.limits.receive_maximum:
            self.pause(ACKS)
        passed_ms = max(0, self.heard_ms - self._counted_ms)  # the door may find that it had stood still
        self._counted_ms = self.heard_ms
        self._tokens = min(self._burst, self._tokens + passed_ms * self._rate / 1000) - messages
        if self._tokens < 0 and not self._paused & RATE:
            self.door.count("paused_for_rate")
            self.pause(RATE)
            self.door.wheel.arm(self._rate_timer, self.heard_ms + round(-self._tokens * 1000 / self._rate))

    def _within_rate(self) -> None:
        self.resume(RATE)

    def pause(self, why: int) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._paused |= why
        if why != INTAKE and self.session is not None:  # that one is a matter of the whole door
            self.door.backlog.behind(self)

    def resume(self, why: int) -> None:
        """Silence while we did not read is ours, not the peer's."""
        was, self._paused = self._paused, self._paused & ~why
        if was and not self._paused and self._transport is not None and not self._transport.is_closing():
            self.heard_ms = self.door.awake_ms()
            self._transport.resume_reading()
            if why != INTAKE and self.session is not None:
                self.door.backlog.behind(self)

    def _time_is_up(self) -> None:
        """The time to CONNECT, or the keep-alive; armed lazily, so it may turn out not to be due."""
        if self.closed:
            if self._transport is not None:
                self._transport.abort()
            return
        if self.session is None and self._paused:
            self.door.wheel.arm(self.timer, self.until_connected_ms())
            return
        if self.session is None:
            self.door.count("connect_timeout")
            self._close(willing=False, hard=True)
            return
        due_ms = (self.door.awake_ms() if self._paused else self.heard_ms) + self.keep_alive_ms
        if due_ms > self.door.awake_ms():
            self.door.wheel.arm(self.timer, due_ms)
        else:
            self.end(Reason.KEEP_ALIVE_TIMEOUT, "keep_alive")

    # --- the end

    def until_connected_ms(self) -> int:
        return self.door.awake_ms() + self.door.limits.connect_ms

    def said_all(self) -> None:
        """As after the end of a stream: nothing more will be said, and all that was has been handed over."""
        if self._transport is not None:
            self._transport.close()

    def end(self, reason: Reason, cause: str, *, willing: bool = True) -> None:
        """Close for this reason, told to the peer where MQTT has words for it (5). Counted by `cause`."""
        if self.closed:
            return
        self.door.count(f"closed_{cause}")
        if self.session is not None and self.decoder.version == V5:
            self.reply(Disconnect(reason))
        self._close(willing=willing, hard=not self._writable)

    def refuse(self, reason: Reason, version: int) -> None:
        """Close instead of a welcome."""
        self.door.count("refused")
        self.send(encode(ConnAck(False, reason), V5 if version >= V5 else 4))
        self._close(willing=False)

    def _close(self, *, willing: bool, hard: bool = False) -> None:
        if self.closed:
            return
        self.closed = True  # first, so that last bytes that are too many end here
        self.flush()
        self.door.wheel.cancel(self._rate_timer)
        if self._transport is not None:
            if hard:
                self._transport.abort()
            else:
                self.write(b"" if self.sealed is None else self.sealed.goodbye())
                self._transport.close()
                self.door.wheel.arm(self.timer, self.door.awake_ms() + self.door.limits.linger_ms)
        self.door.gone(self, willing=willing)

    def abort(self) -> None:
        """Without waiting for the last bytes."""
        if self._transport is not None:
            self._transport.abort()
