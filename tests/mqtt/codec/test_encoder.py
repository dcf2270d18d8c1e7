"""What is refused before any byte exists: whose packet it was, and what was wrong with it."""

from __future__ import annotations

import pytest

from tests.mqtt.codec.helpers import BOTH, greeted
from whosin.mqtt.codec import (
    V5,
    V311,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Properties,
    ProtocolError,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Reason,
    Side,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
    encode,
    encode_puback,
    encode_publish,
)
from whosin.mqtt.codec import decoder as decoder_module
from whosin.mqtt.codec import encoder as encoder_module
from whosin.mqtt.codec.properties import write_varint

OK = (Reason.SUCCESS,)
FOREIGN = Properties(will_delay_interval=1)
"""A property that none of the packets below may carry."""


def refused(packet, version=V5):
    with pytest.raises(ProtocolError) as caught:
        encode(packet, version)
    assert caught.value.side is Side.CALLER
    assert caught.value.before == []
    return caught.value


@pytest.mark.parametrize(
    ("packet", "kind"),
    [
        (Connect("c", version=V5, properties=FOREIGN), "CONNECT"),
        (Connect("c", version=V5, will=Will(b"w", b"", properties=Properties(receive_maximum=1))), "CONNECT"),
        (ConnAck(properties=FOREIGN), "CONNACK"),
        (Publish(b"t", b"", properties=FOREIGN), "PUBLISH"),
        (PubAck(1, properties=FOREIGN), "PUBACK"),
        (PubRec(1, properties=FOREIGN), "PUBREC"),
        (PubRel(1, properties=FOREIGN), "PUBREL"),
        (PubComp(1, properties=FOREIGN), "PUBCOMP"),
        (Subscribe(1, (Subscription("a"),), FOREIGN), "SUBSCRIBE"),
        (SubAck(1, OK, FOREIGN), "SUBACK"),
        (Unsubscribe(1, ("a",), FOREIGN), "UNSUBSCRIBE"),
        (UnsubAck(1, OK, FOREIGN), "UNSUBACK"),
        (Disconnect(properties=FOREIGN), "DISCONNECT"),
        (Auth(properties=FOREIGN), "AUTH"),
    ],
)
def test_a_property_in_a_foreign_packet_is_that_packets_fault(packet, kind):
    error = refused(packet)
    assert (error.packet, error.reason) == (kind, Reason.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    ("packet", "version", "kind", "reason"),
    [
        (PubAck(0), V5, "PUBACK", Reason.PROTOCOL_ERROR),
        (PubRec(65_536), V5, "PUBREC", Reason.PROTOCOL_ERROR),
        (PubRel(-1), V311, "PUBREL", Reason.PROTOCOL_ERROR),
        (PubComp(0), V311, "PUBCOMP", Reason.PROTOCOL_ERROR),
        (Subscribe(0, (Subscription("a"),)), V5, "SUBSCRIBE", Reason.PROTOCOL_ERROR),
        (Unsubscribe(0, ("a",)), V5, "UNSUBSCRIBE", Reason.PROTOCOL_ERROR),
        (SubAck(0, OK), V5, "SUBACK", Reason.PROTOCOL_ERROR),
        (UnsubAck(0, OK), V311, "UNSUBACK", Reason.PROTOCOL_ERROR),
        (Publish(b"t", b"", 1), V5, "PUBLISH", Reason.PROTOCOL_ERROR),
        (Publish(b"t", b"", packet_id=1), V5, "PUBLISH", Reason.PROTOCOL_ERROR),
        (Publish(b"t", b"", dup=True), V5, "PUBLISH", Reason.PROTOCOL_ERROR),
        (Publish(b"", b""), V5, "PUBLISH", Reason.TOPIC_NAME_INVALID),
        (Publish(b"#", b""), V5, "PUBLISH", Reason.TOPIC_NAME_INVALID),
        (Connect("c", password=b"p"), V311, "CONNECT", Reason.PROTOCOL_ERROR),
        (Connect("c", keep_alive=65_536), V311, "CONNECT", Reason.PROTOCOL_ERROR),
        (Connect("c", will=Will(b"#", b"")), V311, "CONNECT", Reason.PROTOCOL_ERROR),
        (Connect("c\0"), V311, "CONNECT", Reason.MALFORMED_PACKET),
        (Connect("c", username="\0"), V311, "CONNECT", Reason.MALFORMED_PACKET),
        (Connect("c", username="u" * 65_536), V311, "CONNECT", Reason.PACKET_TOO_LARGE),
        (Connect("c", username="u", password=bytes(65_536)), V311, "CONNECT", Reason.PACKET_TOO_LARGE),
        (Connect("c", will=Will(b"w", bytes(65_536))), V311, "CONNECT", Reason.PACKET_TOO_LARGE),
        (ConnAck(True, Reason.SERVER_BUSY), V311, "CONNACK", Reason.PROTOCOL_ERROR),
        (Subscribe(1, ()), V311, "SUBSCRIBE", Reason.PROTOCOL_ERROR),
        (Subscribe(1, (Subscription("a#"),)), V311, "SUBSCRIBE", Reason.TOPIC_FILTER_INVALID),
        (Subscribe(1, (Subscription("a", 3),)), V311, "SUBSCRIBE", Reason.PROTOCOL_ERROR),
        (Subscribe(1, (Subscription("a" * 65_536),)), V311, "SUBSCRIBE", Reason.PACKET_TOO_LARGE),
        (Unsubscribe(1, ()), V311, "UNSUBSCRIBE", Reason.PROTOCOL_ERROR),
        (Unsubscribe(1, ("a#",)), V311, "UNSUBSCRIBE", Reason.TOPIC_FILTER_INVALID),
        (Unsubscribe(1, ("a" * 65_536,)), V311, "UNSUBSCRIBE", Reason.PACKET_TOO_LARGE),
        (SubAck(1, ()), V311, "SUBACK", Reason.PROTOCOL_ERROR),
        (SubAck(1, (Reason.SUCCESS, Reason.BANNED)), V311, "SUBACK", Reason.PROTOCOL_ERROR),
        (UnsubAck(1, ()), V5, "UNSUBACK", Reason.PROTOCOL_ERROR),
        (Auth(), V311, "AUTH", Reason.PROTOCOL_ERROR),
        (Auth(Reason.RE_AUTHENTICATE), V5, "AUTH", Reason.PROTOCOL_ERROR),
    ],
)
def test_what_a_caller_may_not_say_is_refused_by_packet_and_reason(packet, version, kind, reason):
    error = refused(packet, version)
    assert (error.packet, error.reason) == (kind, reason)


@pytest.mark.parametrize("packet_id", [1, 255, 256, 65_535])
@BOTH
def test_packet_identifiers_are_1_to_65535(packet_id, version):
    packets = [PubAck(packet_id), Publish(b"a", b"", 1, packet_id=packet_id)]
    assert greeted(Side.CLIENT, version).feed(b"".join(encode(one, version) for one in packets)) == packets
    assert encode_puback(packet_id, version=version) == encode(packets[0], version)


def test_a_topic_has_65535_bytes_at_most():
    assert len(encode_publish(b"t" * 65_535, b"")) > 65_535
    with pytest.raises(ProtocolError, match="a topic of 65536 bytes") as caught:
        encode_publish(b"t" * 65_536, b"")
    assert (caught.value.packet, caught.value.reason) == ("PUBLISH", Reason.PACKET_TOO_LARGE)


def test_a_packet_has_as_many_bytes_as_its_length_can_tell(monkeypatch):
    assert len(write_varint(encoder_module._LARGEST_LENGTH)) == 4
    assert len(write_varint(encoder_module._LARGEST_LENGTH + 1)) == 5
    assert encoder_module._LARGEST_LENGTH + 5 == decoder_module.LARGEST_PACKET
    monkeypatch.setattr(encoder_module, "_LARGEST_LENGTH", 200)
    assert len(encode(Publish(b"t", bytes(197)), V311)) == 203
    for packet, kind in (
        (Publish(b"t", bytes(198)), "PUBLISH"),
        (Unsubscribe(1, ("a" * 197,)), "UNSUBSCRIBE"),
    ):
        error = refused(packet, V311)
        assert (error.packet, error.reason) == (kind, Reason.PACKET_TOO_LARGE)
        assert "201 bytes; at most 200" in error.found


LONG = Properties(reason_string="x" * 200)


@pytest.mark.parametrize(
    ("packet", "kind"),
    [
        (Connect("c" * 200, version=V5), "CONNECT"), (ConnAck(properties=LONG), "CONNACK"),
        (PubAck(1, properties=LONG), "PUBACK"), (PubRec(1, properties=LONG), "PUBREC"),
        (PubRel(1, properties=LONG), "PUBREL"), (PubComp(1, properties=LONG), "PUBCOMP"),
        (Subscribe(1, (Subscription("a" * 200),)), "SUBSCRIBE"), (SubAck(1, OK, LONG), "SUBACK"),
        (Unsubscribe(1, ("a" * 200,)), "UNSUBSCRIBE"), (UnsubAck(1, OK, LONG), "UNSUBACK"),
        (Disconnect(properties=LONG), "DISCONNECT"),
        (Auth(properties=Properties(authentication_method="m" * 200)), "AUTH"),
    ],
)  # fmt: skip
def test_a_packet_that_is_too_large_is_named(packet, kind, monkeypatch):
    monkeypatch.setattr(encoder_module, "_LARGEST_LENGTH", 200)
    error = refused(packet, V5)
    assert (error.packet, error.reason) == (kind, Reason.PACKET_TOO_LARGE)
    assert str(error).startswith(f"caller sent {kind}: ")


@pytest.mark.parametrize("reason", [Reason.SUCCESS, Reason.NO_MATCHING_SUBSCRIBERS, Reason.NOT_AUTHORIZED])
def test_a_puback_in_5_leaves_out_what_it_may(reason):
    assert encode_puback(7, reason, V5) == encode(PubAck(7, reason), V5)
    assert len(encode_puback(7, reason, V5)) == (5 if reason else 4)
    assert encode_puback(7, reason) == b"\x40\2\0\7"


def test_what_3_1_1_cannot_say_is_left_out():
    said = Properties(user_property=(("k", "v"),))
    for packet in (
        Publish(b"t", b"p", properties=said), Connect("c", properties=said),
        Connect("c", will=Will(b"w", b"", properties=said)),
        ConnAck(properties=said), PubAck(1, Reason.NOT_AUTHORIZED, said), PubRec(1, properties=said),
        Subscribe(1, (Subscription("a"),), said), SubAck(1, OK, said), Unsubscribe(1, ("a",), said),
        UnsubAck(1, OK, said), Disconnect(Reason.SERVER_BUSY, said),
    ):  # fmt: skip
        assert b"\x26" not in encode(packet, V311)
