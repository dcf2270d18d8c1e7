"""From packets to bytes.

Owns: the outgoing wire format. Must not know: sockets, time. What MQTT forbids raises ProtocolError with
side `caller`, before any byte exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from whosin.mqtt.codec.packets import (
    V5,
    V311,
    Auth,
    Bare,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from whosin.mqtt.codec.properties import WILL, write_binary, write_properties, write_text, write_varint
from whosin.mqtt.codec.reasons import ALLOWED, ProtocolError, Reason, Side, connack_code_311
from whosin.mqtt.codec.text import filter_problem, shared_filter_problem, topic_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from whosin.mqtt.codec.packets import Packet, Properties, Subscription, Version

PINGREQ: Final = b"\xc0\x00"
PINGRESP: Final = b"\xd0\x00"

_LARGEST_LENGTH: Final = 268_435_455


def encode(packet: Packet, version: Version) -> bytes:
    """Any packet. In 3.1.1 properties are left out, reasons become the nearest return code.

    A Connect is encoded in its own `version`.
    """
    if isinstance(packet, Publish):
        problem = topic_problem(packet.topic)
        if problem:
            _fail("PUBLISH", problem, Reason.TOPIC_NAME_INVALID)
        topic, payload, qos, retain, dup, packet_id, properties = packet
        return encode_publish(
            topic, payload, qos=qos, packet_id=packet_id, retain=retain, dup=dup,
            version=version, properties=properties,
        )  # fmt: skip
    if isinstance(packet, Bare):
        return b"".join(encode(Publish(topic.encode(), b""), version) for topic in packet.topics)
    first, name, write = _WRITERS[type(packet)]
    return _framed(first, name, write(packet, version))


def encode_publish(
    topic: bytes,
    payload: bytes,
    *,
    qos: int = 0,
    packet_id: int = 0,
    retain: bool = False,
    dup: bool = False,
    version: Version = V311,
    properties: Properties | None = None,
) -> bytes:
    """One PUBLISH, fast. The topic is trusted: check strangers' topics with `topic_problem`."""
    if len(topic) > 0xFFFF:
        _fail("PUBLISH", f"a topic of {len(topic)} bytes", Reason.PACKET_TOO_LARGE)
    body = len(topic).to_bytes(2, "big") + topic
    if qos:
        if not 0 < packet_id <= 0xFFFF or qos not in (1, 2):
            _fail("PUBLISH", f"QoS {qos} with packet identifier {packet_id}")
        body += packet_id.to_bytes(2, "big")
    elif packet_id or dup:
        _fail("PUBLISH", "a packet identifier or DUP at QoS 0")
    if version == V5:
        body += b"\0" if properties is None else write_properties(properties, "PUBLISH", "PUBLISH")
    return _framed(0x30 | dup << 3 | qos << 1 | retain, "PUBLISH", body + payload)


def encode_puback(packet_id: int, reason: Reason = Reason.SUCCESS, version: Version = V311) -> bytes:
    """One PUBACK without properties, fast. 3.1.1 has no reason: it is left out."""
    if reason and version == V5:
        return b"\x40\x03" + packet_id.to_bytes(2, "big") + reason.to_bytes(1, "big")
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def _fail(packet: str, found: str, reason: Reason = Reason.PROTOCOL_ERROR) -> NoReturn:
    raise ProtocolError(Side.CALLER, reason, packet, found)


def _framed(first: int, name: str, body: bytes) -> bytes:
    length = len(body)
    if length < 0x80:
        return bytes((first, length)) + body
    if length > _LARGEST_LENGTH:
        _fail(name, f"{length} bytes; at most {_LARGEST_LENGTH} are allowed", Reason.PACKET_TOO_LARGE)
    if length < 0x4000:
        return bytes((first, length & 0x7F | 0x80, length >> 7)) + body
    return bytes((first,)) + write_varint(length) + body


def _props(properties: Properties, name: str, version: Version) -> bytes:
    return write_properties(properties, name, name) if version == V5 else b""


def _id(name: str, packet_id: int) -> bytes:
    if not 0 < packet_id <= 0xFFFF:
        _fail(name, f"packet identifier {packet_id}; 1 to 65535 are allowed")
    return packet_id.to_bytes(2, "big")


def _code(name: str, reason: Reason) -> bytes:
    if reason not in ALLOWED[name]:
        _fail(name, f"reason code {reason:#04x}, which {name} does not have")
    return bytes((reason,))


def _connect(packet: Connect, _: Version) -> bytes:
    version, will = packet.version, packet.will
    if version == V311 and packet.password is not None and packet.username is None:
        _fail("CONNECT", "a password without a user name")
    flags = packet.clean_start << 1 | (packet.username is not None) << 7 | (packet.password is not None) << 6
    if will is not None:
        problem = topic_problem(will.topic)
        if problem or not 0 <= will.qos <= 2:
            _fail("CONNECT", f"the will has {problem or f'QoS {will.qos}'}")
        flags |= 0x04 | will.qos << 3 | will.retain << 5
    if not 0 <= packet.keep_alive <= 0xFFFF:
        _fail("CONNECT", f"keep alive {packet.keep_alive}; 0 to 65535 are allowed")
    body = b"\0\4MQTT" + bytes((version, flags)) + packet.keep_alive.to_bytes(2, "big")
    body += _props(packet.properties, "CONNECT", version)
    body += write_text(packet.client_id, "CONNECT", "client identifier")
    if will is not None:
        body += write_properties(will.properties, "CONNECT", WILL) if version == V5 else b""
        body += write_binary(will.topic, "CONNECT", "will topic")
        body += write_binary(will.payload, "CONNECT", "will payload")
    if packet.username is not None:
        body += write_text(packet.username, "CONNECT", "user name")
    if packet.password is not None:
        body += write_binary(packet.password, "CONNECT", "password")
    return body


def _connack(packet: ConnAck, version: Version) -> bytes:
    if packet.session_present and packet.reason:
        _fail("CONNACK", "session present in a refusal")
    code = _code("CONNACK", packet.reason) if version == V5 else bytes((connack_code_311(packet.reason),))
    return bytes((packet.session_present,)) + code + _props(packet.properties, "CONNACK", version)


def _tail(name: str, reason: Reason, properties: Properties, version: Version) -> bytes:
    """Reason and properties as short as MQTT 5 allows; nothing in 3.1.1."""
    if version != V5:
        return b""
    code = _code(name, reason)
    written = write_properties(properties, name, name)
    if written != b"\0":
        return code + written
    return code if reason else b""


def _ack(name: str) -> Callable[[Any, Version], bytes]:
    def write(packet: PubAck | PubRec | PubRel | PubComp, version: Version) -> bytes:
        return _id(name, packet.packet_id) + _tail(name, packet.reason, packet.properties, version)

    return write


def _filter(name: str, pattern: str, version: Version) -> bytes:
    shared = version == V5 and (pattern == "$share" or pattern.startswith("$share/"))
    problem = shared_filter_problem(pattern) if shared else filter_problem(pattern)
    if problem:
        _fail(name, problem, Reason.TOPIC_FILTER_INVALID)
    return write_text(pattern, name, "topic filter")


def _options(asked: Subscription, version: Version) -> bytes:
    if not 0 <= asked.qos <= 2 or not 0 <= asked.retain_handling <= 2:
        _fail("SUBSCRIBE", f"QoS {asked.qos}, retain handling {asked.retain_handling}; 0 to 2 are allowed")
    if asked.no_local and asked.filter.startswith("$share/"):
        _fail("SUBSCRIBE", "no local on a shared subscription")
    extra = asked.no_local << 2 | asked.retain_as_published << 3 | asked.retain_handling << 4
    if extra and version != V5:
        _fail("SUBSCRIBE", "options that MQTT 3.1.1 does not have")
    return bytes((asked.qos | extra,))


def _subscribe(packet: Subscribe, version: Version) -> bytes:
    if not packet.subscriptions:
        _fail("SUBSCRIBE", "no topic filter; at least one is needed")
    body = _id("SUBSCRIBE", packet.packet_id) + _props(packet.properties, "SUBSCRIBE", version)
    for asked in packet.subscriptions:
        body += _filter("SUBSCRIBE", asked.filter, version) + _options(asked, version)
    return body


def _suback(packet: SubAck, version: Version) -> bytes:
    if not packet.reasons:
        _fail("SUBACK", "no reason code; one for each filter is needed")
    codes = b"".join(_code("SUBACK", reason) for reason in packet.reasons)
    if version != V5:
        codes = bytes(min(code, 0x80) for code in codes)
    return _id("SUBACK", packet.packet_id) + _props(packet.properties, "SUBACK", version) + codes


def _unsubscribe(packet: Unsubscribe, version: Version) -> bytes:
    if not packet.filters:
        _fail("UNSUBSCRIBE", "no topic filter; at least one is needed")
    body = _id("UNSUBSCRIBE", packet.packet_id) + _props(packet.properties, "UNSUBSCRIBE", version)
    return body + b"".join(_filter("UNSUBSCRIBE", pattern, version) for pattern in packet.filters)


def _unsuback(packet: UnsubAck, version: Version) -> bytes:
    body = _id("UNSUBACK", packet.packet_id)
    if version != V5:
        return body
    if not packet.reasons:
        _fail("UNSUBACK", "no reason code; one for each filter is needed")
    codes = b"".join(_code("UNSUBACK", reason) for reason in packet.reasons)
    return body + _props(packet.properties, "UNSUBACK", version) + codes


def _disconnect(packet: Disconnect, version: Version) -> bytes:
    return _tail("DISCONNECT", packet.reason, packet.properties, version)


def _auth(packet: Auth, version: Version) -> bytes:
    if version != V5:
        _fail("AUTH", "it, which MQTT 3.1.1 does not have")
    tail = _tail("AUTH", packet.reason, packet.properties, version)
    if tail and packet.properties.authentication_method is None:
        _fail("AUTH", "no authentication method")
    return tail


_WRITERS: Final[dict[type[Any], tuple[int, str, Callable[[Any, Version], bytes]]]] = {
    Connect: (0x10, "CONNECT", _connect),
    ConnAck: (0x20, "CONNACK", _connack),
    PubAck: (0x40, "PUBACK", _ack("PUBACK")),
    PubRec: (0x50, "PUBREC", _ack("PUBREC")),
    PubRel: (0x62, "PUBREL", _ack("PUBREL")),
    PubComp: (0x70, "PUBCOMP", _ack("PUBCOMP")),
    Subscribe: (0x82, "SUBSCRIBE", _subscribe),
    SubAck: (0x90, "SUBACK", _suback),
    Unsubscribe: (0xA2, "UNSUBSCRIBE", _unsubscribe),
    UnsubAck: (0xB0, "UNSUBACK", _unsuback),
    PingReq: (0xC0, "PINGREQ", lambda *_: b""),
    PingResp: (0xD0, "PINGRESP", lambda *_: b""),
    Disconnect: (0xE0, "DISCONNECT", _disconnect),
    Auth: (0xF0, "AUTH", _auth),
}
