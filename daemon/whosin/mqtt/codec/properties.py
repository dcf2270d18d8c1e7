"""The properties of MQTT 5: one table, read by the decoder and the encoder alike.

Owns: numbers, types, ranges, and which packet may carry which. Must not know: the packets' other fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from whosin.mqtt.codec.packets import NO_PROPERTIES, Properties
from whosin.mqtt.codec.reasons import ALLOWED, ProtocolError, Reason, Side
from whosin.mqtt.codec.text import topic_problem

if TYPE_CHECKING:
    from whosin.mqtt.codec.reader import Reader

WILL: Final = "a will"
"""Where will properties stand; the other places are named as the packets are."""

_REASONED: Final = frozenset(ALLOWED)
"""The packets that have a reason code may also explain it."""


class _Kind(NamedTuple):
    """One property. `low` and `high` bound numbers; 0/1 flags are bytes with `high` 1."""

    number: int
    name: str
    type: str  # u8 u16 u32 varint text binary pair
    places: frozenset[str]
    low: int
    high: int


def _kind(number: int, name: str, kind: str, *places: str, low: int = 0, high: int = 0xFFFF_FFFF) -> _Kind:
    bounds = {"u8": 1, "u16": 0xFFFF, "varint": 268_435_455}
    return _Kind(number, name, kind, frozenset(places), low, min(high, bounds.get(kind, high)))


_TABLE: Final = (
    _kind(1, "payload_format_indicator", "u8", "PUBLISH", WILL),
    _kind(2, "message_expiry_interval", "u32", "PUBLISH", WILL),
    _kind(3, "content_type", "text", "PUBLISH", WILL),
    _kind(8, "response_topic", "text", "PUBLISH", WILL),
    _kind(9, "correlation_data", "binary", "PUBLISH", WILL),
    _kind(11, "subscription_identifier", "varint", "PUBLISH", "SUBSCRIBE", low=1),
    _kind(17, "session_expiry_interval", "u32", "CONNECT", "CONNACK", "DISCONNECT"),
    _kind(18, "assigned_client_identifier", "text", "CONNACK"),
    _kind(19, "server_keep_alive", "u16", "CONNACK"),
    _kind(21, "authentication_method", "text", "CONNECT", "CONNACK", "AUTH"),
    _kind(22, "authentication_data", "binary", "CONNECT", "CONNACK", "AUTH"),
    _kind(23, "request_problem_information", "u8", "CONNECT"),
    _kind(24, "will_delay_interval", "u32", WILL),
    _kind(25, "request_response_information", "u8", "CONNECT"),
    _kind(26, "response_information", "text", "CONNACK"),
    _kind(28, "server_reference", "text", "CONNACK", "DISCONNECT"),
    _kind(31, "reason_string", "text", *_REASONED),
    _kind(33, "receive_maximum", "u16", "CONNECT", "CONNACK", low=1),
    _kind(34, "topic_alias_maximum", "u16", "CONNECT", "CONNACK"),
    _kind(35, "topic_alias", "u16", "PUBLISH"),
    _kind(36, "maximum_qos", "u8", "CONNACK"),
    _kind(37, "retain_available", "u8", "CONNACK"),
    _kind(38, "user_property", "pair", "CONNECT", "PUBLISH", WILL, "SUBSCRIBE", "UNSUBSCRIBE", *_REASONED),
    _kind(39, "maximum_packet_size", "u32", "CONNECT", "CONNACK", low=1),
    _kind(40, "wildcard_subscription_available", "u8", "CONNACK"),
    _kind(41, "subscription_identifier_available", "u8", "CONNACK"),
    _kind(42, "shared_subscription_available", "u8", "CONNACK"),
)
_BY_NUMBER: Final = {kind.number: kind for kind in _TABLE}


def read_properties(reader: Reader, place: str) -> Properties:
    """The properties at this place of a packet, their length in front.

    Twice the same (0x82), not allowed here, out of range, or cut short raises ProtocolError.
    """
    length = reader.varint("property length")
    if not length:
        return NO_PROPERTIES
    end, outer = reader.pos + length, reader.end
    if end > outer:
        reader.fail("its properties are longer than the packet")
    reader.end = end
    found: dict[str, Any] = {}
    while reader.pos < end:
        _read_one(reader, place, found)
    reader.end = outer
    _check_together(reader.side, reader.packet, place, found)
    return Properties(**found)


def _read_one(reader: Reader, place: str, found: dict[str, Any]) -> None:
    number = reader.varint("property number")
    kind = _BY_NUMBER.get(number)
    if kind is None:
        reader.fail(f"property {number}, which MQTT 5 does not have")
    name = kind.name
    if place not in kind.places:
        reader.fail(f"property {name}, which does not belong in {place}", Reason.PROTOCOL_ERROR)
    if kind.type == "pair":
        pair = reader.text(name), reader.text(name)
        found.setdefault(name, []).append(pair)
        return
    value = getattr(reader, kind.type)(name)
    if isinstance(value, int) and not kind.low <= value <= kind.high:
        reader.fail(f"{name} is {value}; {kind.low} to {kind.high} are allowed", Reason.PROTOCOL_ERROR)
    if number == 11 and place == "PUBLISH":
        found.setdefault(name, []).append(value)
        return
    if name in found:
        reader.fail(f"property {name} twice", Reason.PROTOCOL_ERROR)
    found[name] = (value,) if number == 11 else value


def _check_together(side: Side, packet: str, place: str, found: dict[str, Any]) -> None:
    """What one property says about another, about the sender, and about topics; tuples come out of it."""
    for repeated in ("user_property", "subscription_identifier"):
        if repeated in found:
            found[repeated] = tuple(found[repeated])
    if "authentication_data" in found and "authentication_method" not in found:
        raise ProtocolError(side, Reason.PROTOCOL_ERROR, packet, "authentication_data without a method")
    if side is Side.CLIENT and place == "PUBLISH" and "subscription_identifier" in found:
        raise ProtocolError(side, Reason.PROTOCOL_ERROR, packet, "a subscription_identifier from a client")
    if place == "DISCONNECT":
        lone = {Side.CLIENT: "server_reference", Side.SERVER: "session_expiry_interval"}.get(side)
        if lone in found:
            found_text = f"{lone}, which is not the {side}'s to say"
            raise ProtocolError(side, Reason.PROTOCOL_ERROR, packet, found_text)
    if "response_topic" in found:
        problem = topic_problem(found["response_topic"].encode())
        if problem:
            raise ProtocolError(side, Reason.TOPIC_NAME_INVALID, packet, f"for response_topic {problem}")


def write_varint(value: int) -> bytes:
    """A variable byte integer (section 1.5.5); at most 268,435,455."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_binary(value: bytes, packet: str, what: str) -> bytes:
    if len(value) > 0xFFFF:
        raise ProtocolError(Side.CALLER, Reason.PACKET_TOO_LARGE, packet, f"{what} of {len(value)} bytes")
    return len(value).to_bytes(2, "big") + value


def write_text(value: str, packet: str, what: str) -> bytes:
    """A UTF-8 string; NUL and lone surrogates raise ProtocolError."""
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raw = b"\0"
    if b"\0" in raw:
        raise ProtocolError(
            Side.CALLER, Reason.MALFORMED_PACKET, packet, f"{what} with a NUL or a surrogate: {value[:64]!r}"
        )
    return write_binary(raw, packet, what)


def write_properties(properties: Properties, packet: str, place: str) -> bytes:
    """The properties with their length in front; one not allowed here or out of range raises."""
    if properties is NO_PROPERTIES:
        return b"\0"
    out = bytearray()
    found: dict[str, Any] = {}
    for kind in _TABLE:
        value = getattr(properties, kind.name)
        if value is None or value == ():
            continue
        if place not in kind.places:
            raise ProtocolError(
                Side.CALLER, Reason.PROTOCOL_ERROR, packet, f"{kind.name}, which does not belong in {place}"
            )
        found[kind.name] = value
        _write_one(out, kind, value, packet)
    if place == "SUBSCRIBE" and len(properties.subscription_identifier) > 1:
        raise ProtocolError(Side.CALLER, Reason.PROTOCOL_ERROR, packet, "subscription_identifier twice")
    _check_together(Side.CALLER, packet, place, found)
    return write_varint(len(out)) + out


def _write_one(out: bytearray, kind: _Kind, value: Any, packet: str) -> None:
    name = kind.name
    number = kind.number.to_bytes(1, "big")
    if kind.type == "pair":
        for key, text in value:
            out += number + write_text(key, packet, name) + write_text(text, packet, name)
    elif kind.type == "text":
        out += number + write_text(value, packet, name)
    elif kind.type == "binary":
        out += number + write_binary(value, packet, name)
    else:
        for item in value if kind.number == 11 else (value,):
            if not kind.low <= item <= kind.high:
                raise ProtocolError(
                    Side.CALLER, Reason.PROTOCOL_ERROR, packet,
                    f"{name} is {item}; {kind.low} to {kind.high} are allowed",
                )  # fmt: skip
            out += number + _write_number(kind.type, item)


def _write_number(kind: str, value: int) -> bytes:
    if kind == "varint":
        return write_varint(value)
    return value.to_bytes({"u8": 1, "u16": 2, "u32": 4}[kind], "big")
