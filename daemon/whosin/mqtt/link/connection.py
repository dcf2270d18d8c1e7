"""One connection to the broker, from CONNECT to the loss of it.

Owns: the handshake, what is done with each packet, back-pressure, the ticking of the pulse. Must not know:
how connections are made, when to try again, what messages mean.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from whosin.mqtt.codec import (
    PINGREQ,
    V5,
    Bare,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    PingResp,
    Properties,
    ProtocolError,
    PubAck,
    Publish,
    Reason,
    Side,
    SubAck,
    Subscribe,
    Subscription,
    Will,
    encode,
)
from whosin.mqtt.link.limits import terms_of, too_small
from whosin.mqtt.link.outgoing import SUBSCRIBE_ID
from whosin.mqtt.link.pace import REST_S, Pace
from whosin.mqtt.link.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whosin.model import Account
    from whosin.mqtt.codec import Packet
    from whosin.mqtt.link.backoff import Backoff
    from whosin.mqtt.link.outgoing import Outgoing
    from whosin.mqtt.link.quiet import Quiet
    from whosin.ports import Clock, Intake

SOURCE: Final = "link"
FILTER: Final = "whosin/v1/up/#"

SUBSCRIPTION: Final = Subscription(FILTER, qos=1, no_local=True, retain_as_published=True, retain_handling=1)
"""Retained as published: a message someone wrongly published as retained comes marked, so that it is
counted and dropped instead of passing for a sign of life. Retain handling 1: those already stored come
when the subscription is new, thus once, and not again at each reconnect. No local: nothing that this very
client publishes can come back as a message from a session."""

LARGEST_PACKET: Final = 1 << 20
"""Told to the broker, which then keeps larger ones from us: four times what the contract allows."""

_TICK_S: Final = 0.5
_HANDSHAKE_MS: Final = 10_000


class Timer(Protocol):
    def cancel(self) -> None: ...


class Later(Protocol):
    """`loop.call_later`, or a test's."""

    def __call__(self, delay: float, callback: Callable[[], None], /) -> Timer: ...


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to the broker, and how patient. `status_topic` gets the will."""

    client_id: str
    username: str | None
    password: str | None
    status_topic: str
    session_expiry_s: int
    keep_alive_s: int
    ping_every_ms: int
    ping_timeout_ms: int

    def __repr__(self) -> str:
        return f"Login({self.client_id})"

    def connect(self, *, clean_start: bool) -> Connect:
        return Connect(
            self.client_id,
            clean_start=clean_start,
            keep_alive=self.keep_alive_s,
            version=V5,
            username=self.username,
            password=None if self.password is None else self.password.encode(),
            will=Will(self.status_topic.encode(), b"offline", qos=1, retain=True),
            properties=Properties(
                session_expiry_interval=self.session_expiry_s,
                receive_maximum=65_535,  # acknowledging after a commit must not throttle the broker
                maximum_packet_size=LARGEST_PACKET,
            ),
        )


@dataclass(frozen=True, slots=True)
class Tools:
    """What connections of one link share."""

    intake: Intake
    outgoing: Outgoing
    clock: Clock
    later: Later
    quiet: Quiet
    subscribe_again: Backoff


class Connection(asyncio.Protocol):
    """Also the `Peer` of the messages it delivers. `ended` gets the cause once it is over."""

    account: Account | None = None
    line: int = 0  # a broker tells its connections apart, we do not

    def __init__(self, login: Login, tools: Tools, *, clean_start: bool) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.subscribed_ms: int | None = None
        self.greeted = False
        self.broken = False  # by a packet that MQTT forbids
        self._login = login
        self._tools = tools
        self._clean_start = clean_start
        self._decoder = Decoder(Side.SERVER, V5, LARGEST_PACKET, gathers=True)
        self._transport: asyncio.Transport | None = None
        self._timer: Timer | None = None
        self._cause = ""
        self._over = False
        self._hushed = False
        self._pace = Pace()
        self._resting = False  # two reasons why nothing is read
        self._held = False
        self._writable = True
        self._flushing = False
        self._awaits_ms: int | None = None  # the broker owes CONNACK or SUBACK since then
        self._subscribe_ms: int | None = None  # try again then
        self._session_present = False
        self._said = Properties()
        now = tools.clock.now_ms()
        self._pulse = Pulse(
            now,
            every_ms=login.ping_every_ms,
            patience_ms=login.ping_timeout_ms,
            keep_alive_ms=login.keep_alive_s * 1000,
        )

    # --- what the link asks ---

    @property
    def open(self) -> bool:
        """Connected, subscribed, and not about to end."""
        return self.subscribed_ms is not None and not self._over and not self._cause

    @property
    def asked_ms(self) -> int:
        return self._pulse.asked_ms

    def prove(self) -> None:
        if self.open:
            self._pulse.want()
            self._ping_if_due(self._tools.clock.now_ms())

    def ack(self, packet_id: int) -> None:
        """See `ports.Peer`. After the connection's end the broker delivers again, so nothing is due."""
        if not self._over:
            self._tools.outgoing.ack(packet_id)
            self.flush_soon()

    def flush_soon(self) -> None:
        """Write what may leave, once for all that is handed over in this turn of the loop."""
        if not self._flushing and self.open and self._writable:
            self._flushing = True
            self._tools.later(0, self._flush)

    def hush(self) -> None:
        """We are stopping: deliver nothing more. Being unacknowledged, it comes again at the next start."""
        self._hushed = True

    def goodbye(self, reason: Reason = Reason.SUCCESS) -> None:
        """DISCONNECT and close, in order behind what was written."""
        if not self._over and self._transport is not None:
            self._cause = self._cause or "closed by us"
            self._transport.write(encode(Disconnect(reason), V5))
            self._transport.close()

    def abort(self, cause: str) -> None:
        """No reply can be hoped for."""
        if self._over:
            return
        self._cause = self._cause or cause
        self._tools.intake.blinded(SOURCE)
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(encode(self._login.connect(clean_start=self._clean_start), V5))
        self._awaits_ms = self._tools.clock.now_ms()
        self._timer = self._tools.later(_TICK_S, self._tick)

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._tools.intake.blinded(SOURCE)
        if self.subscribed_ms is not None:
            self._tools.outgoing.disconnected()
        if not self.ended.done():
            self.ended.set_result(self._cause or (str(exc) if exc else "closed by the broker"))

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self.flush_soon()

    def data_received(self, data: bytes) -> None:
        if self._over or self._cause:
            return
        at_ms = self._tools.clock.now_ms()
        self._pulse.heard(at_ms, len(data))
        try:
            packets: Sequence[Packet] = self._decoder.feed(bytes(data))  # a bytearray on Windows
        except ProtocolError as error:
            self._receive(at_ms, error.before)
            self._break(str(error), error.reason)
            return
        self._receive(at_ms, packets)
        if packets and isinstance(packets[0], Bare) and self._pace.rests(at_ms, len(data)):
            self._rest()

    # --- receiving ---

    def _receive(self, at_ms: int, packets: Sequence[Packet]) -> None:
        """Messages go out together, before anything that proves that they have come."""
        messages: list[Publish | Bare] = []
        others: list[Packet] = []
        for packet in packets:
            if isinstance(packet, Publish | Bare):
                messages.append(packet)
            else:
                others.append(packet)
        for packet in others:
            if isinstance(packet, ConnAck | SubAck):
                self._greet(at_ms, packet)
        if messages and not self._hushed and not self._cause:
            self._deliver(at_ms, messages)
        for packet in others:
            self._handle(at_ms, packet)
        if packets and self.open and self._pulse.current(at_ms):
            self._tools.intake.proof(SOURCE, at_ms)
        if messages:
            self._hold_back(at_ms)

    def _deliver(self, at_ms: int, messages: Sequence[Publish | Bare]) -> None:
        """In few deliveries, in order."""
        intake = self._tools.intake
        said: list[Publish] = []
        for message in messages:
            if isinstance(message, Publish):
                said.append(message)
                continue
            if said:
                intake.deliver(SOURCE, at_ms, self, said)
                said = []
            intake.deliver_bare(SOURCE, at_ms, self, message.topics)
        if said:
            intake.deliver(SOURCE, at_ms, self, said)

    def _greet(self, at_ms: int, packet: ConnAck | SubAck) -> None:
        if isinstance(packet, ConnAck):
            self._connected(at_ms, packet)
        elif packet.packet_id == SUBSCRIBE_ID and len(packet.reasons) == 1:
            self._subscribed(at_ms, packet.reasons[0])
        else:
            self._break(f"SUBACK for packet {packet.packet_id}, which was not asked", Reason.PROTOCOL_ERROR)

    def _handle(self, at_ms: int, packet: Packet) -> None:
        if isinstance(packet, PubAck):
            self._tools.outgoing.acked(packet.packet_id, packet.reason, at_ms)
            self.flush_soon()
        elif isinstance(packet, PingResp):
            asked = self._pulse.answered(at_ms)
            if asked and self.open:
                self._tools.intake.proof(SOURCE, asked)
                self._ping_if_due(at_ms)
        elif isinstance(packet, Disconnect):
            self.abort(packet.reason.name.lower())
        elif not isinstance(packet, ConnAck | SubAck):
            self._break(f"{type(packet).__name__}, which has no place here", Reason.PROTOCOL_ERROR)

    def _rest(self) -> None:
        """No blindness: all that has come by the next reading is read by it, as after a turn of the loop."""
        if self._transport is not None and not self._resting and not self._over:
            self._resting = True
            self._transport.pause_reading()
            self._tools.later(REST_S, self._rested)

    def _rested(self) -> None:
        self._resting = False
        self._resume()

    def _resume(self) -> None:
        if self._transport is not None and not (self._over or self._resting or self._held):
            self._transport.resume_reading()

    def _hold_back(self, at_ms: int) -> None:
        """Back-pressure: the broker's queue grows instead of ours."""
        intake = self._tools.intake
        if intake.full and self._transport is not None and not self._over:
            self._held = True
            self._transport.pause_reading()
            self._pulse.pause(at_ms, paused=True)
            intake.when_free(self._read_on)

    def _read_on(self) -> None:
        if self._over or self._transport is None:
            return
        now = self._tools.clock.now_ms()
        self._pulse.pause(now, paused=False)
        self._held = False
        self._resume()
        self._ping_if_due(now)

    # --- the handshake ---

    def _connected(self, at_ms: int, packet: ConnAck) -> None:
        self._awaits_ms = None
        if packet.reason.failed:
            said = packet.properties.reason_string
            self.abort(f"refused: {packet.reason.name.lower()}" + (f" ({said[:100]})" if said else ""))
            return
        self.greeted = True
        self._session_present = packet.session_present
        self._said = packet.properties
        terms = terms_of(self._said, self._login.keep_alive_s, self._login.session_expiry_s)
        self._pulse.keep_alive(terms.keep_alive_s * 1000)
        for limit in too_small(self._said, terms, self._login.session_expiry_s):
            self._tools.quiet.say("warning", "broker.limit", limit.name, **limit._asdict())
        self._subscribe(at_ms)

    def _subscribe(self, at_ms: int) -> None:
        """Also in a session that the broker kept: what it kept may be an older version's subscription."""
        assert self._transport is not None
        self._subscribe_ms = None
        self._awaits_ms = at_ms
        self._transport.write(encode(Subscribe(SUBSCRIBE_ID, (SUBSCRIPTION,)), V5))

    def _subscribed(self, at_ms: int, reason: Reason) -> None:
        self._awaits_ms = None
        tools = self._tools
        if reason.failed:
            delay_s = tools.subscribe_again.next_s()
            self._subscribe_ms = at_ms + int(delay_s * 1000)
            tools.quiet.say(
                "error", "link.not_subscribed", reason.name, filter=FILTER, reason=reason.name.lower(),
                retry_s=round(delay_s, 1),
            )  # fmt: skip
            return
        tools.subscribe_again.reset()
        if reason is Reason.SUCCESS:  # QoS 0 was granted: logins may get lost on the way
            tools.quiet.say("warning", "broker.limit", "granted_qos", name="granted_qos", found=0, wanted=1)
        terms = terms_of(self._said, self._login.keep_alive_s, self._login.session_expiry_s)
        tools.outgoing.connected(
            session_present=self._session_present,
            receive_maximum=terms.receive_maximum,
            largest_packet=terms.maximum_packet_size,
        )
        self.subscribed_ms = at_ms
        tools.quiet.tell("info", "link.connected", session_present=self._session_present)
        tools.intake.sighted(SOURCE, at_ms)
        tools.outgoing.status(self._login.status_topic, b"online")
        self.flush_soon()

    # --- sending and watching ---

    def _flush(self) -> None:
        self._flushing = False
        while self.open and self._writable and self._transport is not None:
            data = self._tools.outgoing.take()
            if not data:
                return
            self._transport.write(data)

    def _ping_if_due(self, at_ms: int) -> None:
        if self._pulse.due(at_ms) and self._transport is not None and not self._cause:
            self._pulse.pinged(at_ms)
            self._transport.write(PINGREQ)

    def _tick(self) -> None:
        if self._over:
            return
        now = self._tools.clock.now_ms()
        self._timer = self._tools.later(_TICK_S, self._tick)
        self._pulse.tick(now)
        if self._cause:
            return  # closing; the link sees to it that it ends
        if self._awaits_ms is not None and now - self._awaits_ms >= _HANDSHAKE_MS:
            self.abort(f"no {'SUBACK' if self.greeted else 'CONNACK'} within {_HANDSHAKE_MS // 1000} s")
        elif self._pulse.dead(now):
            self.abort("half-open: no reply to a ping")
        elif self.greeted:
            self._ping_if_due(now)
            if self._subscribe_ms is not None and now >= self._subscribe_ms:
                self._subscribe(now)
            if self._tools.outgoing.retry(now):
                self.flush_soon()

    def _break(self, found: str, reason: Reason) -> None:
        """The broker broke the protocol: say so, and end it."""
        self.broken = True
        if self._transport is not None and not self._over and not self._cause:
            self._transport.write(encode(Disconnect(reason), V5))
        self.abort(f"protocol error: {found}")
