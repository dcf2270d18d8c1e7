"""The PyPI package `mqtt5` as a second opinion: our packets in its words."""

from __future__ import annotations

from dataclasses import fields, replace

import mqtt5

from whosin.mqtt.codec import (
    NO_PROPERTIES,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    Properties,
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

NAMES = {
    "subscription_identifier": "subscription_ids",
    "assigned_client_identifier": "assigned_client_id",
    "request_problem_information": "request_problem_info",
    "request_response_information": "request_response_info",
    "response_information": "response_info",
    "reason_string": "reason_str",
    "receive_maximum": "receive_max",
    "topic_alias_maximum": "topic_alias_max",
    "maximum_qos": "max_qos",
    "user_property": "user_properties",
    "maximum_packet_size": "max_packet_size",
    "subscription_identifier_available": "subscription_id_available",
}
FLAGS = {
    "request_problem_information", "request_response_information", "retain_available",
    "wildcard_subscription_available", "subscription_identifier_available", "shared_subscription_available",
}  # fmt: skip
DEFAULTS = {
    "payload_format_indicator": 0,
    "will_delay_interval": 0,
    "request_problem_information": 1,
    "request_response_information": 0,
    "receive_maximum": 0xFFFF,
    "topic_alias_maximum": 0,
    "retain_available": 1,
    "wildcard_subscription_available": 1,
    "subscription_identifier_available": 1,
    "shared_subscription_available": 1,
}
"""mqtt5 does not tell an absent property from one that says the default."""


def plain(packet):
    """The same packet without properties that only repeat a default."""
    if isinstance(packet, Publish):
        found = _plain(packet.properties or NO_PROPERTIES, type(packet))
        return packet._replace(properties=None if found == NO_PROPERTIES else found)
    if isinstance(packet, PingReq | PingResp):
        return packet
    if isinstance(packet, Connect) and packet.will is not None:
        will = replace(packet.will, properties=_plain(packet.will.properties, None))
        packet = replace(packet, will=will)
    properties = _plain(packet.properties, type(packet))
    if isinstance(packet, PubAck):
        return packet._replace(properties=properties)
    return replace(packet, properties=properties)


def _plain(properties, kind):
    gone = {name: None for name, value in DEFAULTS.items() if getattr(properties, name) == value}
    if kind is Connect and properties.session_expiry_interval == 0:
        gone["session_expiry_interval"] = None
    return replace(properties, **gone)


def _words(properties):
    words = {}
    for field in fields(Properties):
        value = getattr(properties or NO_PROPERTIES, field.name)
        if value is None or value == ():
            continue
        value = bool(value) if field.name in FLAGS else value
        value = mqtt5.QoS(value) if field.name == "maximum_qos" else value
        words[NAMES.get(field.name, field.name)] = list(value) if isinstance(value, tuple) else value
    return words


def _with_reason(kind, codes):
    def build(packet):
        own = {"packet_id": packet.packet_id} if hasattr(packet, "packet_id") else {}
        return kind(**own, reason_code=codes(packet.reason), **_words(packet.properties))

    return build


def _connect(packet):
    will = packet.will and mqtt5.Will(
        packet.will.topic.decode(), payload=packet.will.payload, qos=mqtt5.QoS(packet.will.qos),
        retain=packet.will.retain, **_words(packet.will.properties),
    )  # fmt: skip
    return mqtt5.ConnectPacket(
        packet.client_id, username=packet.username, password=packet.password, clean_start=packet.clean_start,
        will=will, keep_alive=packet.keep_alive, **_words(packet.properties),
    )  # fmt: skip


def _connack(packet):
    return mqtt5.ConnAckPacket(
        session_present=packet.session_present, reason_code=mqtt5.ConnAckReasonCode(packet.reason),
        **_words(packet.properties),
    )  # fmt: skip


def _publish(packet):
    return mqtt5.PublishPacket(
        packet.topic.decode(), packet.payload, qos=mqtt5.QoS(packet.qos), retain=packet.retain,
        packet_id=packet.packet_id or None, duplicate=packet.dup, **_words(packet.properties),
    )  # fmt: skip


def _subscribe(packet):
    words = _words(packet.properties)
    if "subscription_ids" in words:
        words["subscription_id"] = words.pop("subscription_ids")[0]
    asked = [
        mqtt5.TopicFilter(
            one.filter, max_qos=mqtt5.QoS(one.qos), no_local=one.no_local,
            retain_as_published=one.retain_as_published,
            retain_handling=mqtt5.RetainHandling(one.retain_handling),
        )
        for one in packet.subscriptions
    ]  # fmt: skip
    return mqtt5.SubscribePacket(packet.packet_id, asked, **words)


def _with_reasons(kind, codes):
    return lambda packet: kind(
        packet.packet_id, [codes(reason) for reason in packet.reasons], **_words(packet.properties)
    )


BUILD = {
    Connect: _connect,
    ConnAck: _connack,
    Publish: _publish,
    PubAck: _with_reason(mqtt5.PubAckPacket, mqtt5.PubAckReasonCode),
    PubRec: _with_reason(mqtt5.PubRecPacket, mqtt5.PubRecReasonCode),
    PubRel: _with_reason(mqtt5.PubRelPacket, mqtt5.PubRelReasonCode),
    PubComp: _with_reason(mqtt5.PubCompPacket, mqtt5.PubCompReasonCode),
    Subscribe: _subscribe,
    SubAck: _with_reasons(mqtt5.SubAckPacket, mqtt5.SubAckReasonCode),
    Unsubscribe: lambda packet: mqtt5.UnsubscribePacket(
        packet.packet_id, list(packet.filters), **_words(packet.properties)
    ),
    UnsubAck: _with_reasons(mqtt5.UnsubAckPacket, mqtt5.UnsubAckReasonCode),
    PingReq: lambda _: mqtt5.PingReqPacket(),
    PingResp: lambda _: mqtt5.PingRespPacket(),
    Disconnect: _with_reason(mqtt5.DisconnectPacket, mqtt5.DisconnectReasonCode),
    Auth: _with_reason(mqtt5.AuthPacket, mqtt5.AuthReasonCode),
}


def translate(packet):
    return BUILD[type(packet)](packet)
