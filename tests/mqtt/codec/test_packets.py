"""Each packet byte for byte, in both versions, and what is refused in it."""

from __future__ import annotations

import pytest

from tests.mqtt.codec.helpers import BOTH, greeted, refused
from whosin.mqtt.codec import (
    PINGREQ,
    PINGRESP,
    V5,
    V311,
    Auth,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    PingReq,
    PingResp,
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

C, S = Side.CLIENT, Side.SERVER
EXAMPLES = [
    (C, V311, Publish(b"a/b", b"hi"), "3007 0003612f62 6869"),
    (C, V5, Publish(b"a/b", b"hi"), "3008 0003612f62 00 6869"),
    (C, V311, Publish(b"a", b"", 1, True, True, 10), "3b05 000161 000a"),
    (C, V5, Publish(b"a", b"", 2, packet_id=1), "3406 000161 0001 00"),
    (S, V5, Publish(b"a", b"x", properties=Properties(subscription_identifier=(1, 200))),
     "300a 000161 05 0b01 0bc801 78"),
    (C, V311, PubAck(1), "4002 0001"),
    (C, V5, PubAck(1, Reason.NOT_AUTHORIZED), "4003 0001 87"),
    (S, V5, PubAck(1, properties=Properties(reason_string="no")), "4009 0001 00 05 1f00026e6f"),
    (C, V311, PubRec(2), "5002 0002"),
    (S, V311, PubRel(2), "6202 0002"),
    (C, V5, PubComp(2, Reason.PACKET_ID_NOT_FOUND), "7003 0002 92"),
    (C, V311, Subscribe(3, (Subscription("a/+", 1),)), "8208 0003 0003612f2b 01"),
    (C, V5, Subscribe(3, (Subscription("#", 1, True, True, 2),)), "8207 0003 00 000123 2d"),
    (S, V311, SubAck(3, (Reason.GRANTED_QOS_1, Reason.UNSPECIFIED_ERROR)), "9004 0003 01 80"),
    (S, V5, SubAck(3, (Reason.NOT_AUTHORIZED,)), "9004 0003 00 87"),
    (C, V311, Unsubscribe(4, ("a",)), "a205 0004 000161"),
    (C, V5, Unsubscribe(4, ("a",)), "a206 0004 00 000161"),
    (S, V311, UnsubAck(4), "b002 0004"),
    (S, V5, UnsubAck(4, (Reason.NO_SUBSCRIPTION_EXISTED,)), "b004 0004 00 11"),
    (C, V5, PingReq(), "c000"),
    (S, V5, PingResp(), "d000"),
    (C, V311, Disconnect(), "e000"),
    (C, V5, Disconnect(Reason.DISCONNECT_WITH_WILL), "e001 04"),
    (S, V5, Disconnect(Reason.SESSION_TAKEN_OVER), "e001 8e"),
    (C, V5, Auth(Reason.RE_AUTHENTICATE, Properties(authentication_method="X")), "f006 19 04 15000158"),
]  # fmt: skip
FIRST = [
    (C, V311, Connect("me", True, 60), "100e 00044d515454 04 02 003c 00026d65"),
    (C, V5, Connect("", False, 0, V5, "u", b"p", Will(b"w", b"x", 1)),
     "101a 00044d515454 05 cc 0000 00 0000 00 000177 000178 000175 000170"),
    (S, V311, ConnAck(True), "2002 01 00"),
    (S, V311, ConnAck(False, Reason.NOT_AUTHORIZED), "2002 00 05"),
    (S, V5, ConnAck(False, Reason.SUCCESS, Properties(receive_maximum=20)), "2006 00 00 03 210014"),
]  # fmt: skip


@pytest.mark.parametrize(("side", "version", "packet", "wire"), EXAMPLES)
def test_a_packet_is_these_bytes_both_ways(side, version, packet, wire):
    raw = bytes.fromhex(wire)
    assert encode(packet, version) == raw
    assert greeted(side, version).feed(raw) == [packet]


@pytest.mark.parametrize(("side", "version", "packet", "wire"), FIRST)
def test_a_first_packet_is_these_bytes_both_ways(side, version, packet, wire):
    raw = bytes.fromhex(wire)
    assert encode(packet, version) == raw
    decoder = Decoder(side, version if side is S else None)
    assert decoder.feed(raw) == [packet]
    assert (decoder.version, decoder.level) == (version, version)


def test_what_is_not_said_is_as_little_as_can_be():
    assert encode(ConnAck(), V311) == bytes.fromhex("2002 00 00")
    assert encode(Subscribe(1, (Subscription("a"),)), V311) == bytes.fromhex("8206 0001 0001 61 00")
    assert (Will(b"w", b"").qos, Will(b"w", b"").retain) == (0, False)


def test_the_fast_encoders_agree_with_the_general_one():
    assert encode_puback(7, Reason.NOT_AUTHORIZED, V5) == encode(PubAck(7, Reason.NOT_AUTHORIZED), V5)
    assert encode_puback(7, Reason.NOT_AUTHORIZED) == encode(PubAck(7), V311) == encode_puback(7)
    assert [encode(PingReq(), V5), encode(PingResp(), V5)] == [PINGREQ, PINGRESP]
    assert encode_publish(b"t", b"p", qos=1, packet_id=9, dup=True) == encode(
        Publish(b"t", b"p", 1, False, True, 9), V311
    )


@pytest.mark.parametrize(
    ("wire", "side", "reason", "found"),
    [
        ("3000", C, 0x81, "ends within its topic"),
        ("300300046162", C, 0x81, "ends within its topic"),
        ("30020000", C, 0x82, "an empty topic"),
        ("300400022b61", C, 0x90, "wildcard"),
        ("300400026100", C, 0x90, "NUL"),
        ("30050003eda080", C, 0x90, "not UTF-8"),
        ("36050001610001", C, 0x81, "QoS 3"),
        ("38030001 61", C, 0x81, "flags 0x8"),
        ("32030001 61", C, 0x81, "packet identifier"),
        ("3206000161000000", C, 0x82, "packet identifier 0"),
        ("3007000161 03 230001", C, 0x94, "topic alias 1"),
        ("3006000161 02 0102", C, 0x82, "payload_format_indicator is 2"),
        ("3008000161 04 01000101", C, 0x82, "payload_format_indicator twice"),
        ("3009000161 05 1100000001", C, 0x82, "does not belong in PUBLISH"),
        ("3006000161 02 0b01", C, 0x82, "subscription_identifier from a client"),
        ("3006000161 02 0b00", S, 0x82, "subscription_identifier is 0"),
        ("3005000161 01 7f", C, 0x81, "property 127"),
        ("3005000161 09 01", C, 0x81, "longer than the packet"),
        ("3008000161 04 0800012b", C, 0x90, "response_topic"),
        ("40020000", C, 0x82, "packet identifier 0"),
        ("4003000155", C, 0x82, "reason code 0x55"),
        ("400400010000 00", C, None, ""),
        ("41020001", C, 0x81, "flags 0x1"),
        ("60020001", C, 0x81, "flags 0x0"),
        ("8203000100", C, 0x82, "no topic filter"),
        ("8207000100 000123 03", C, 0x81, "options"),
        ("8207000100 000123 30", C, 0x82, "retain handling 3"),
        ("820e000100 0008 2473686172652f78 00", C, 0x8F, "shared filter"),
        ("8210000100 000a 2473686172652f782f79 04", C, 0x82, "no local"),
        ("82090001 020b00 000123 00", C, 0x82, "subscription_identifier is 0"),
        ("a203000100", C, 0x82, "no topic filter"),
        ("9003000100", S, 0x82, "no reason code"),
        ("9004000100 03", S, 0x82, "reason code 0x03"),
        ("20020000", C, 0x82, "not the client's"),
        ("1000", C, 0x82, "a second one"),
        ("2003000000", S, 0x82, "a second one"),
        ("c001 00", C, 0x81, "behind its last field"),
        ("0000", C, 0x81, "flags"),
        ("e00104", S, 0x82, "not the server's"),
        ("e007 00 05 1100000001", S, 0x82, "not the server's"),
        ("e006 00 04 1c000178", C, 0x82, "not the client's"),
        ("f00118", C, 0x82, "no authentication method"),
        ("f006 18 04 16000178", C, 0x82, "without a method"),
        ("30 8000", C, 0x81, "more bytes than it needs"),
        ("30ffffffff", C, 0x81, "more than four bytes"),
        ("30 ffffffff 01", C, 0x81, "more than four bytes"),
    ],
)
def test_what_mqtt_5_forbids_is_refused_with_its_reason(wire, side, reason, found):
    if reason is None:
        assert greeted(side, V5).feed(bytes.fromhex(wire)[:6])
        return
    error = refused(bytes.fromhex(wire), side=side)
    assert found in error.found
    assert error.reason == reason
    assert str(error).startswith(f"{side} sent ")


@pytest.mark.parametrize(
    ("wire", "reason", "found"),
    [
        ("c000", 0x82, "first packet"),
        ("100600044d515454", 0x81, "ends within its protocol level"),
        ("100c00064d514973647003020000 0000", 0x84, "MQIsdp level 3"),
        ("100c00044d515454 06 02 0000 0000", 0x84, "level 6"),
        ("100c000448545450 04 02 0000 0000", 0x84, "protocol name"),
        ("100c00044d515454 04 03 0000 0000", 0x81, "reserved"),
        ("100c00044d515454 04 1c 0000 0000", 0x81, "will QoS 3"),
        ("100c00044d515454 04 08 0000 0000", 0x81, "without a will"),
        ("100e00044d515454 04 40 0000 0000 0000", 0x81, "without a user name"),
        ("100d00044d515454 04 02 0000 0000 00", 0x81, "behind its last field"),
        ("101000044d515454 05 02 0000 03 210000 0000", 0x82, "receive_maximum is 0"),
        ("101200044d515454 05 02 0000 05 2700000000 0000", 0x82, "maximum_packet_size is 0"),
        ("101100044d515454 04 06 0000 0000 0001 2b 0000", 0x90, "wildcard"),
        ("100e00044d515454 04 02 0000 0002c0af", 0x81, "not UTF-8"),
        ("108d0000044d515454 05 02 0000 00 0000", 0x81, "more bytes than it needs"),
    ],
)
def test_a_broken_connect_is_refused_with_its_reason(wire, reason, found):
    error = refused(bytes.fromhex(wire), first=True)
    assert found in error.found
    assert error.reason == reason


def test_the_level_is_known_even_if_it_is_not_supported():
    decoder = Decoder(C)
    with pytest.raises(ProtocolError):
        decoder.feed(bytes.fromhex("100c00044d515454 07 02 0000 0000"))
    assert (decoder.level, decoder.version) == (7, None)


def test_a_length_in_more_bytes_than_needed_is_fine_in_3_1_1():
    assert greeted(C, V311).feed(b"\x30\x83\x80\0\0\1a") == [Publish(b"a", b"")]
    assert Decoder(C).feed(bytes.fromhex("108c0000044d515454040200000000")) == [Connect("")]


@pytest.mark.parametrize(
    ("wire", "side"), [("f000", C), ("e000", S), ("900300 01 87", S), ("20020006", S), ("20020200", S)]
)
def test_what_only_mqtt_5_has_is_refused_in_3_1_1(wire, side):
    raw = bytes.fromhex(wire)
    assert refused(raw, side=side, version=V311, first=raw[0] == 0x20)


@BOTH
def test_a_packet_above_the_limit_is_refused_before_it_has_come(version):
    decoder = greeted(C, version)
    decoder.max_packet = 100
    assert decoder.feed(b"\x30\x62\0\1a") == []
    decoder = greeted(C, version)
    decoder.max_packet = 100
    with pytest.raises(ProtocolError, match="101 bytes; at most 100") as caught:
        decoder.feed(b"\x30\x63")
    assert caught.value.reason is Reason.PACKET_TOO_LARGE


def test_packets_ahead_of_a_broken_one_are_not_lost():
    with pytest.raises(ProtocolError) as caught:
        greeted(C, V5).feed(PINGREQ + encode_publish(b"a", b"", version=V5) + b"\0\0")
    assert caught.value.before == [PingReq(), Publish(b"a", b"")]


def test_nothing_behind_a_connect_is_decoded_before_the_caller_asks():
    decoder = Decoder(C)
    wire = encode(Connect("c"), V311) + encode_publish(b"a", bytes(50))
    assert decoder.feed(wire) == [Connect("c")]
    decoder.max_packet = 20
    with pytest.raises(ProtocolError, match="at most 20"):
        decoder.feed(b"")


def test_auth_may_come_before_connack():
    auth = Auth(Reason.CONTINUE_AUTHENTICATION, Properties(authentication_method="X"))
    decoder = Decoder(S, V5)
    assert decoder.feed(encode(auth, V5) + encode(ConnAck(), V5) + PINGRESP) == [auth, ConnAck(), PingResp()]


def test_equal_topics_are_the_same_object_and_few_are_kept():
    decoder = Decoder(S, V311, topics_kept=2)
    decoder.feed(encode(ConnAck(), V311))
    first, second = decoder.feed(encode_publish(b"a/b", b"1") + encode_publish(b"a/b", b"2"))
    assert first.topic is second.topic
    for number in range(10):
        decoder.feed(encode_publish(b"t%d" % number, b""))
    assert len(decoder._topics) <= 2


@pytest.mark.parametrize(
    ("packet", "version", "found"),
    [
        (Publish(b"a/#", b""), V5, "wildcard"),
        (Publish(b"a", b"", 1), V5, "packet identifier 0"),
        (Publish(b"a", b"", -1, packet_id=1), V5, "QoS -1"),
        (Publish(b"a", b"", 3, packet_id=1), V311, "QoS 3"),
        (Publish(b"a", b"", 1, packet_id=65_536), V311, "packet identifier 65536"),
        (Publish(b"a", b"", 0, dup=True), V311, "at QoS 0"),
        (Publish(b"a", b"", 0, packet_id=3), V5, "at QoS 0"),
        (Publish(b"a", b"", properties=Properties(receive_maximum=1)), V5, "does not belong"),
        (PubAck(0), V311, "packet identifier 0"),
        (PubAck(1, Reason.SERVER_BUSY), V5, "reason code"),
        (Connect("a\0"), V311, "NUL"),
        (Connect("\ud800"), V311, "surrogate"),
        (Connect("a", keep_alive=70_000), V311, "keep alive"),
        (Connect("a", password=b"x"), V311, "without a user name"),
        (Connect("a", will=Will(b"+", b"")), V311, "wildcard"),
        (Connect("a", version=V5, properties=Properties(receive_maximum=0)), V5, "receive_maximum is 0"),
        (ConnAck(True, Reason.SERVER_BUSY), V5, "refusal"),
        (Subscribe(1, ()), V5, "no topic filter"),
        (Subscribe(1, (Subscription("a+"),)), V5, "beside"),
        (Subscribe(1, (Subscription("a", no_local=True),)), V311, "3.1.1"),
        (Subscribe(1, (Subscription("a"),), Properties(subscription_identifier=(1, 2))), V5, "twice"),
        (Unsubscribe(1, ()), V5, "no topic filter"),
        (SubAck(1, ()), V5, "no reason"),
        (UnsubAck(1, ()), V5, "no reason"),
        (Auth(), V311, "3.1.1"),
        (Auth(Reason.RE_AUTHENTICATE), V5, "method"),
    ],
)
def test_the_encoder_refuses_what_mqtt_forbids_and_blames_the_caller(packet, version, found):
    with pytest.raises(ProtocolError, match=found.replace(".", r"\.")) as caught:
        encode(packet, version)
    assert caught.value.side is Side.CALLER
