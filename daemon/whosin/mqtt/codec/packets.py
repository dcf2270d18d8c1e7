"""The packets of MQTT 3.1.1 and 5 as plain values.

Owns: their fields and defaults. Must not know: bytes, connections, what the packets are used for.

`version` is the protocol level on the wire: 4 is MQTT 3.1.1, 5 is MQTT 5. Topics and payloads of messages
stay bytes, as received; names and filters that are rare are text. Durations are seconds, as in MQTT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from whosin.mqtt.codec.reasons import Reason

Version: TypeAlias = Literal[4, 5]
V311: Final = 4
V5: Final = 5


@dataclass(frozen=True, slots=True)
class Properties:
    """All properties of MQTT 5 (section 2.2.2); None is absent. Their order is that of their numbers."""

    payload_format_indicator: int | None = None
    message_expiry_interval: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_identifier: tuple[int, ...] = ()
    session_expiry_interval: int | None = None
    assigned_client_identifier: str | None = None
    server_keep_alive: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: int | None = None
    will_delay_interval: int | None = None
    request_response_information: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user_property: tuple[tuple[str, str], ...] = ()
    maximum_packet_size: int | None = None
    wildcard_subscription_available: int | None = None
    subscription_identifier_available: int | None = None
    shared_subscription_available: int | None = None


NO_PROPERTIES: Final = Properties()


class Publish(NamedTuple):
    """A message. `packet_id` is 0 at QoS 0; `properties` None when there are none (always in 3.1.1)."""

    topic: bytes
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    properties: Properties | None = None


class Bare(NamedTuple):
    """Messages one behind the other that have a topic and nothing else: no payload, QoS 0, not retained. What
    most heartbeats are, so a `Decoder` that `gathers` makes one thing of them. The topics are ASCII."""

    topics: list[str]


@dataclass(frozen=True, slots=True)
class Will:
    """What the server publishes in the client's name when the connection breaks."""

    topic: bytes
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Connect:
    """The client's first packet. `clean_start` is Clean Session in 3.1.1; `keep_alive` 0 is none."""

    client_id: str
    clean_start: bool = True
    keep_alive: int = 0
    version: Version = V311
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class ConnAck:
    """The server's first packet; in 3.1.1 the reason is translated from and to its return code."""

    session_present: bool = False
    reason: Reason = Reason.SUCCESS
    properties: Properties = NO_PROPERTIES


class PubAck(NamedTuple):
    """Of these there are as many as of messages, so it is as light as `Publish`."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class PubRec:
    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class PubRel:
    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class PubComp:
    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Subscription:
    """One filter of a SUBSCRIBE and its options; all but `filter` and `qos` need MQTT 5."""

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class SubAck:
    """One reason for each filter, in order. 3.1.1 knows only the granted QoS and 0x80."""

    packet_id: int
    reasons: tuple[Reason, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    packet_id: int
    filters: tuple[str, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class UnsubAck:
    """One reason for each filter, in order; none in 3.1.1."""

    packet_id: int
    reasons: tuple[Reason, ...] = ()
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class PingReq:
    pass


@dataclass(frozen=True, slots=True)
class PingResp:
    pass


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The last packet. In 3.1.1 only clients send it, and it says nothing but goodbye."""

    reason: Reason = Reason.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Auth:
    """A step of enhanced authentication (MQTT 5)."""

    reason: Reason = Reason.SUCCESS
    properties: Properties = NO_PROPERTIES


Packet: TypeAlias = (
    Publish | Bare | PubAck | PubRec | PubRel | PubComp | Connect | ConnAck | Subscribe | SubAck
    | Unsubscribe | UnsubAck | PingReq | PingResp | Disconnect | Auth
)  # fmt: skip
