"""The vocabulary of MQTT's outcomes, and the one error of this package.

Owns: reason codes, which packet may carry which, their shadow in 3.1.1, `ProtocolError`.
Must not know: how packets look on the wire, connections.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final

from whosin.errors import WhosinError

if TYPE_CHECKING:
    from whosin.mqtt.codec.packets import Packet


class Side(StrEnum):
    """Who sent it. `CALLER` is our own program asking an encoder for something that MQTT forbids."""

    CLIENT = "client"
    SERVER = "server"
    CALLER = "caller"


class Reason(IntEnum):
    """MQTT 5 reason codes (section 2.4). One vocabulary: 3.1.1 return codes are translated to it."""

    SUCCESS = 0x00
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    RE_AUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_ID_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_ID_IN_USE = 0x91
    PACKET_ID_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2

    @property
    def failed(self) -> bool:
        """0x80 and above: it did not work."""
        return self >= 0x80


class ProtocolError(WhosinError):
    """A packet that MQTT forbids.

    `side` broke the rules, in a `packet` of that kind ("PUBLISH"; "packet" where its kind is not known);
    `reason` is what a DISCONNECT or CONNACK should say. `before` has the packets that the same `feed`
    decoded ahead of the broken one: they are valid and still to be handled.
    """

    def __init__(self, side: Side, reason: Reason, packet: str, found: str) -> None:
        super().__init__(f"{side} sent {packet}: {found} ({reason:#04x} {reason.name.lower()})")
        self.side = side
        self.reason = reason
        self.packet = packet
        self.found = found
        self.before: list[Packet] = []


def _table(*codes: int) -> dict[int, Reason]:
    return {code: Reason(code) for code in codes}


_ACK: Final = (0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)

ALLOWED: Final[dict[str, dict[int, Reason]]] = {
    "CONNACK": _table(
        0x00, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
    ),
    "PUBACK": _table(*_ACK),
    "PUBREC": _table(*_ACK),
    "PUBREL": _table(0x00, 0x92),
    "PUBCOMP": _table(0x00, 0x92),
    "SUBACK": _table(0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2),
    "UNSUBACK": _table(0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91),
    "DISCONNECT": _table(
        0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, *range(0x8D, 0x91), *range(0x93, 0xA3),
    ),
    "AUTH": _table(0x00, 0x18, 0x19),
}  # fmt: skip
"""Which reason codes each kind of packet may carry in MQTT 5."""

SERVER_ONLY_DISCONNECT: Final = frozenset(
    {0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2, 0x87}
)
"""DISCONNECT codes that only a server may send (table 3-10); 0x04 is the client's alone."""

CONNACK_311: Final = {
    0: Reason.SUCCESS,
    1: Reason.UNSUPPORTED_PROTOCOL_VERSION,
    2: Reason.CLIENT_ID_NOT_VALID,
    3: Reason.SERVER_UNAVAILABLE,
    4: Reason.BAD_USER_NAME_OR_PASSWORD,
    5: Reason.NOT_AUTHORIZED,
}
"""CONNACK return codes of 3.1.1 in the words of 5."""

_CONNACK_5: Final = {reason: code for code, reason in CONNACK_311.items()}
_REFUSES: Final = frozenset({Reason.BANNED, Reason.BAD_AUTHENTICATION_METHOD})


def connack_code_311(reason: Reason) -> int:
    """The nearest 3.1.1 return code: what has none becomes 5 where it is about who one is, else 3."""
    return _CONNACK_5.get(reason, 5 if reason in _REFUSES else 3)
