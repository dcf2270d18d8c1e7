"""The packets that are rare, read with care rather than speed.

Owns: every packet's fields but PUBLISH's. Must not know: framing, the order of packets.

Each reader gets the first byte's flags and a `Reader` on the body, and leaves it at its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from whosin.mqtt.codec.packets import (
    NO_PROPERTIES,
    V5,
    V311,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    Properties,
    PubAck,
    PubComp,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Version,
    Will,
)
from whosin.mqtt.codec.properties import WILL, read_properties
from whosin.mqtt.codec.reasons import ALLOWED, CONNACK_311, SERVER_ONLY_DISCONNECT, Reason, Side
from whosin.mqtt.codec.text import filter_problem, shared_filter_problem, topic_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from whosin.mqtt.codec.packets import Packet
    from whosin.mqtt.codec.reader import Reader

_Ack = TypeVar("_Ack", PubAck, PubRec, PubRel, PubComp)
_PING_REQ: Final = PingReq()
_PING_RESP: Final = PingResp()


def read_connect(reader: Reader) -> Connect:
    """A CONNECT of either version; any other is refused with 0x84."""
    version: Version = V5 if _level(reader) == V5 else V311
    flags = reader.u8("connect flags")
    will_qos = flags >> 3 & 3
    if flags & 1:
        reader.fail("the reserved connect flag is set")
    if will_qos == 3:
        reader.fail("will QoS 3; 0 to 2 are allowed")
    if not flags & 0x04 and flags & 0x38:
        reader.fail("will QoS or will retain without a will")
    if version == V311 and flags & 0xC0 == 0x40:
        reader.fail("a password without a user name")
    keep_alive = reader.u16("keep alive")
    properties = read_properties(reader, "CONNECT") if version == V5 else NO_PROPERTIES
    client_id = reader.text("client identifier")
    will = _read_will(reader, version, will_qos, bool(flags & 0x20)) if flags & 0x04 else None
    username = reader.text("user name") if flags & 0x80 else None
    password = reader.binary("password") if flags & 0x40 else None
    return Connect(client_id, bool(flags & 2), keep_alive, version, username, password, will, properties)


def _level(reader: Reader) -> int:
    """The protocol level; a name other than MQTT's is no MQTT at all."""
    name = reader.binary("protocol name")
    level = reader.u8("protocol level")
    if name == b"MQTT" and level in (V311, V5):
        return level
    if name in (b"MQTT", b"MQIsdp"):
        reader.fail(
            f"protocol {name.decode()} level {level}; MQTT levels 4 (3.1.1) and 5 are allowed",
            Reason.UNSUPPORTED_PROTOCOL_VERSION,
        )
    return reader.fail(f"protocol name {name[:16]!r}; MQTT is allowed", Reason.UNSUPPORTED_PROTOCOL_VERSION)


def _read_will(reader: Reader, version: Version, qos: int, retain: bool) -> Will:
    properties = read_properties(reader, WILL) if version == V5 else NO_PROPERTIES
    topic = reader.binary("will topic")
    problem = topic_problem(topic)
    if problem:
        reader.fail(f"the will has {problem}", Reason.TOPIC_NAME_INVALID)
    return Will(topic, reader.binary("will payload"), qos, retain, properties)


def _reason(reader: Reader, code: int) -> Reason:
    reason = ALLOWED[reader.packet].get(code)
    if reason is None:
        reader.fail(f"reason code {code:#04x}, which {reader.packet} does not have", Reason.PROTOCOL_ERROR)
    return reason


def _tail(reader: Reader, version: Version) -> tuple[Reason, Properties]:
    """Reason and properties of MQTT 5, each of which may be left out at the end."""
    if version != V5 or not reader.left:
        return Reason.SUCCESS, NO_PROPERTIES
    reason = _reason(reader, reader.u8("reason code"))
    return reason, read_properties(reader, reader.packet) if reader.left else NO_PROPERTIES


def _connack(reader: Reader, version: Version) -> ConnAck:
    flags = reader.u8("acknowledge flags")
    code = reader.u8("reason code")
    if flags > 1:
        reader.fail(f"acknowledge flags {flags:#04x}; only session present is allowed")
    if version == V5:
        reason = _reason(reader, code)
        properties = read_properties(reader, "CONNACK")
    else:
        if code not in CONNACK_311:
            reader.fail(f"return code {code}; 0 to 5 are allowed", Reason.PROTOCOL_ERROR)
        reason, properties = CONNACK_311[code], NO_PROPERTIES
    if flags and reason:
        reader.fail("session present in a refusal", Reason.PROTOCOL_ERROR)
    return ConnAck(bool(flags), reason, properties)


def _ack_reader(kind: type[_Ack]) -> Callable[[Reader, Version], _Ack]:
    def read(reader: Reader, version: Version) -> _Ack:
        packet_id = reader.packet_id()
        reason, properties = _tail(reader, version)
        return kind(packet_id, reason, properties)

    return read


def _subscribe(reader: Reader, version: Version) -> Subscribe:
    packet_id = reader.packet_id()
    properties = read_properties(reader, "SUBSCRIBE") if version == V5 else NO_PROPERTIES
    subscriptions = []
    while reader.left:
        pattern = _filter(reader, version)
        options = reader.u8("subscription options")
        subscriptions.append(_subscription(reader, version, pattern, options))
    if not subscriptions:
        reader.fail("no topic filter; at least one is needed", Reason.PROTOCOL_ERROR)
    return Subscribe(packet_id, tuple(subscriptions), properties)


def _filter(reader: Reader, version: Version) -> str:
    pattern = reader.text("topic filter")
    shared = version == V5 and (pattern == "$share" or pattern.startswith("$share/"))
    problem = shared_filter_problem(pattern) if shared else filter_problem(pattern)
    if problem:
        reader.fail(problem, Reason.TOPIC_FILTER_INVALID if shared else Reason.MALFORMED_PACKET)
    return pattern


def _subscription(reader: Reader, version: Version, pattern: str, options: int) -> Subscription:
    qos = options & 3
    if qos == 3 or options & (0xC0 if version == V5 else 0xFC):
        reader.fail(f"subscription options {options:#04x} with QoS 3 or reserved bits")
    no_local, handling = bool(options & 4), options >> 4 & 3
    if handling == 3:
        reader.fail("retain handling 3; 0 to 2 are allowed", Reason.PROTOCOL_ERROR)
    if no_local and pattern.startswith("$share/"):
        reader.fail("no local on a shared subscription", Reason.PROTOCOL_ERROR)
    return Subscription(pattern, qos, no_local, bool(options & 8), handling)


def _suback(reader: Reader, version: Version) -> SubAck:
    packet_id = reader.packet_id()
    properties = read_properties(reader, "SUBACK") if version == V5 else NO_PROPERTIES
    reasons = [_reason(reader, code) for code in reader.take(reader.left, "reason codes")]
    if not reasons:
        reader.fail("no reason code; one for each filter is needed", Reason.PROTOCOL_ERROR)
    if version == V311 and any(reason > Reason.UNSPECIFIED_ERROR for reason in reasons):
        reader.fail("a return code other than 0, 1, 2 and 0x80", Reason.PROTOCOL_ERROR)
    return SubAck(packet_id, tuple(reasons), properties)


def _unsubscribe(reader: Reader, version: Version) -> Unsubscribe:
    packet_id = reader.packet_id()
    properties = read_properties(reader, "UNSUBSCRIBE") if version == V5 else NO_PROPERTIES
    filters = []
    while reader.left:
        filters.append(_filter(reader, version))
    if not filters:
        reader.fail("no topic filter; at least one is needed", Reason.PROTOCOL_ERROR)
    return Unsubscribe(packet_id, tuple(filters), properties)


def _unsuback(reader: Reader, version: Version) -> UnsubAck:
    packet_id = reader.packet_id()
    if version == V311:
        return UnsubAck(packet_id)
    properties = read_properties(reader, "UNSUBACK")
    reasons = tuple(_reason(reader, code) for code in reader.take(reader.left, "reason codes"))
    if not reasons:
        reader.fail("no reason code; one for each filter is needed", Reason.PROTOCOL_ERROR)
    return UnsubAck(packet_id, reasons, properties)


def _disconnect(reader: Reader, version: Version) -> Disconnect:
    if version == V311:
        if reader.side is Side.SERVER:
            reader.fail("DISCONNECT, which only clients send in MQTT 3.1.1", Reason.PROTOCOL_ERROR)
        return Disconnect()
    reason, properties = _tail(reader, version)
    foreign = SERVER_ONLY_DISCONNECT if reader.side is Side.CLIENT else (Reason.DISCONNECT_WITH_WILL,)
    if reason in foreign:
        reader.fail(f"{reason!r}, which is not the {reader.side}'s to say", Reason.PROTOCOL_ERROR)
    return Disconnect(reason, properties)


def _auth(reader: Reader, version: Version) -> Auth:
    if version == V311:
        reader.fail("AUTH, which MQTT 3.1.1 does not have")
    bare = not reader.left
    reason, properties = _tail(reader, version)
    if not bare and properties.authentication_method is None:
        reader.fail("no authentication method", Reason.PROTOCOL_ERROR)
    return Auth(reason, properties)


READERS: Final[dict[int, tuple[str, frozenset[Side], Callable[[Reader, Version], Packet]]]] = {
    # first byte, flags included, since all flags here are fixed: (name, who may send it, reader)
    0x20: ("CONNACK", frozenset({Side.SERVER}), _connack),
    0x40: ("PUBACK", frozenset(Side), _ack_reader(PubAck)),
    0x50: ("PUBREC", frozenset(Side), _ack_reader(PubRec)),
    0x62: ("PUBREL", frozenset(Side), _ack_reader(PubRel)),
    0x70: ("PUBCOMP", frozenset(Side), _ack_reader(PubComp)),
    0x82: ("SUBSCRIBE", frozenset({Side.CLIENT}), _subscribe),
    0x90: ("SUBACK", frozenset({Side.SERVER}), _suback),
    0xA2: ("UNSUBSCRIBE", frozenset({Side.CLIENT}), _unsubscribe),
    0xB0: ("UNSUBACK", frozenset({Side.SERVER}), _unsuback),
    0xC0: ("PINGREQ", frozenset({Side.CLIENT}), lambda *_: _PING_REQ),
    0xD0: ("PINGRESP", frozenset({Side.SERVER}), lambda *_: _PING_RESP),
    0xE0: ("DISCONNECT", frozenset(Side), _disconnect),
    0xF0: ("AUTH", frozenset(Side), _auth),
}

NAMES: Final = (
    "a packet of the reserved type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL",
    "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
)  # fmt: skip
"""Control packet types (section 2.1.2) by the upper half of the first byte."""
