"""Every property of MQTT 5 (table 2-4): its number, its bytes, its bounds, and where it belongs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whosin.mqtt.codec import Properties, ProtocolError, Reason, Side
from whosin.mqtt.codec.properties import read_properties, write_properties, write_text, write_varint
from whosin.mqtt.codec.reader import Reader

C, S = Side.CLIENT, Side.SERVER
ACK = ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK")
REASONED = ("CONNACK", *ACK, "DISCONNECT", "AUTH")
MESSAGE = ("PUBLISH", "a will")
HELLO = ("CONNECT", "CONNACK")
EVERYWHERE = ("CONNECT", *MESSAGE, "SUBSCRIBE", "UNSUBSCRIBE", *REASONED)

PROPERTIES = [
    ("payload_format_indicator", 1, "01 01", MESSAGE),
    ("message_expiry_interval", 0x01020304, "02 01020304", MESSAGE),
    ("content_type", "é", "03 0002c3a9", MESSAGE),
    ("response_topic", "a", "08 000161", MESSAGE),
    ("correlation_data", b"\0\xff", "09 000200ff", MESSAGE),
    ("subscription_identifier", (300,), "0b ac02", ("PUBLISH", "SUBSCRIBE")),
    ("session_expiry_interval", 0xFFFFFFFF, "11 ffffffff", (*HELLO, "DISCONNECT")),
    ("assigned_client_identifier", "c", "12 000163", ("CONNACK",)),
    ("server_keep_alive", 0x0102, "13 0102", ("CONNACK",)),
    ("authentication_method", "m", "15 00016d", (*HELLO, "AUTH")),
    ("authentication_data", b"d", "16 000164", (*HELLO, "AUTH")),
    ("request_problem_information", 0, "17 00", ("CONNECT",)),
    ("will_delay_interval", 1, "18 00000001", ("a will",)),
    ("request_response_information", 1, "19 01", ("CONNECT",)),
    ("response_information", "r", "1a 000172", ("CONNACK",)),
    ("server_reference", "s", "1c 000173", ("CONNACK", "DISCONNECT")),
    ("reason_string", "no", "1f 00026e6f", REASONED),
    ("receive_maximum", 1, "21 0001", HELLO),
    ("topic_alias_maximum", 10, "22 000a", HELLO),
    ("topic_alias", 1, "23 0001", ("PUBLISH",)),
    ("maximum_qos", 1, "24 01", ("CONNACK",)),
    ("retain_available", 0, "25 00", ("CONNACK",)),
    ("user_property", (("k", "v"), ("k", "")), "26 00016b 000176 26 00016b 0000", EVERYWHERE),
    ("maximum_packet_size", 1, "27 00000001", HELLO),
    ("wildcard_subscription_available", 0, "28 00", ("CONNACK",)),
    ("subscription_identifier_available", 0, "29 00", ("CONNACK",)),
    ("shared_subscription_available", 0, "2a 00", ("CONNACK",)),
]
METHOD = bytes.fromhex("15 00016d")  # what authentication data must not come without


def read(block, place, side=S):
    data = write_varint(len(block)) + block
    reader = Reader(data + b"rest", 0, len(data), side, place)
    found = read_properties(reader, place)
    assert reader.left == 0
    return found


def not_read(block, place, side=S):
    with pytest.raises(ProtocolError) as caught:
        read(bytes.fromhex(block) if isinstance(block, str) else block, place, side)
    assert (caught.value.side, caught.value.packet) == (side, place)
    return caught.value.reason, caught.value.found


def not_written(properties, place):
    with pytest.raises(ProtocolError) as caught:
        write_properties(properties, "PACKET", place)
    assert (caught.value.side, caught.value.packet) == (Side.CALLER, "PACKET")
    return caught.value.reason, caught.value.found


@pytest.mark.parametrize(("name", "value", "written", "places"), PROPERTIES)
def test_a_property_is_these_bytes_where_it_belongs(name, value, written, places):
    block = bytes.fromhex(written)
    properties = Properties(**{name: value})
    if name == "authentication_data":
        block, properties = METHOD + block, replace(properties, authentication_method="m")
    for place in places:
        side = C if name == "session_expiry_interval" else S
        assert read(block, place, side) == properties
        assert write_properties(properties, place, place) == bytes((len(block),)) + block


@pytest.mark.parametrize(("name", "value", "written", "places"), PROPERTIES)
def test_a_property_is_refused_where_it_does_not_belong(name, value, written, places):
    for place in set(EVERYWHERE) - set(places):
        refusal = (Reason.PROTOCOL_ERROR, f"property {name}, which does not belong in {place}")
        assert not_read(written, place) == refusal
        assert not_written(Properties(**{name: value}), place) == (
            refusal[0],
            refusal[1].removeprefix("property "),
        )


ONCE = [each for each in PROPERTIES if each[0] != "user_property"]


@pytest.mark.parametrize(("name", "value", "written", "places"), ONCE)
def test_a_property_comes_once_but_for_pairs_and_the_subscriptions_of_a_message(name, value, written, places):
    for place in places:
        block = bytes.fromhex(written) * 2
        if name == "subscription_identifier" and place == "PUBLISH":
            assert read(block, place).subscription_identifier == value * 2
        else:
            assert not_read(block, place) == (Reason.PROTOCOL_ERROR, f"property {name} twice")


NUMBERS = [  # name, place, lowest, highest
    ("payload_format_indicator", "PUBLISH", 0, 1),
    ("message_expiry_interval", "PUBLISH", 0, 0xFFFF_FFFF),
    ("subscription_identifier", "PUBLISH", 1, 268_435_455),
    ("session_expiry_interval", "CONNECT", 0, 0xFFFF_FFFF),
    ("server_keep_alive", "CONNACK", 0, 0xFFFF),
    ("request_problem_information", "CONNECT", 0, 1),
    ("will_delay_interval", "a will", 0, 0xFFFF_FFFF),
    ("request_response_information", "CONNECT", 0, 1),
    ("receive_maximum", "CONNECT", 1, 0xFFFF),
    ("topic_alias_maximum", "CONNECT", 0, 0xFFFF),
    ("topic_alias", "PUBLISH", 0, 0xFFFF),
    ("maximum_qos", "CONNACK", 0, 1),
    ("retain_available", "CONNACK", 0, 1),
    ("maximum_packet_size", "CONNECT", 1, 0xFFFF_FFFF),
    ("wildcard_subscription_available", "CONNACK", 0, 1),
    ("subscription_identifier_available", "CONNACK", 0, 1),
    ("shared_subscription_available", "CONNACK", 0, 1),
]


@pytest.mark.parametrize(("name", "place", "low", "high"), NUMBERS)
def test_a_number_is_within_its_bounds(name, place, low, high):
    def having(value):
        return Properties(**{name: (value,) if name == "subscription_identifier" else value})

    for value in (low, high):
        written = write_properties(having(value), place, place)
        assert read(written[1:], place, S) == having(value)
    for value in (low - 1, high + 1):
        refusal = Reason.PROTOCOL_ERROR, f"{name} is {value}; {low} to {high} are allowed"
        assert not_written(having(value), place) == refusal


@pytest.mark.parametrize(
    ("block", "place", "found"),
    [
        ("01 02", "PUBLISH", "payload_format_indicator is 2; 0 to 1 are allowed"),
        ("0b 00", "SUBSCRIBE", "subscription_identifier is 0; 1 to 268435455 are allowed"),
        ("21 0000", "CONNECT", "receive_maximum is 0; 1 to 65535 are allowed"),
        ("27 00000000", "CONNACK", "maximum_packet_size is 0; 1 to 4294967295 are allowed"),
    ],
)
def test_a_number_out_of_its_bounds_is_not_read(block, place, found):
    assert not_read(block, place) == (Reason.PROTOCOL_ERROR, found)


def test_without_properties_there_is_a_length_of_0():
    assert read(b"", "CONNECT") == Properties()
    assert write_properties(Properties(), "CONNECT", "CONNECT") == b"\0"


@pytest.mark.parametrize(
    ("block", "reason", "found"),
    [
        ("04 00", Reason.MALFORMED_PACKET, "property 4, which MQTT 5 does not have"),
        ("2b 00", Reason.MALFORMED_PACKET, "property 43, which MQTT 5 does not have"),
        ("8126 00", Reason.MALFORMED_PACKET, "property 4865, which MQTT 5 does not have"),
        ("21 00", Reason.MALFORMED_PACKET, "it ends within its receive_maximum"),
        ("26 00056b", Reason.MALFORMED_PACKET, "it ends within its user_property"),
        ("26 00016b 0001", Reason.MALFORMED_PACKET, "it ends within its user_property"),
        ("15 000100", Reason.MALFORMED_PACKET, "the authentication_method has a NUL in it: b'\\x00'"),
        ("a1", Reason.MALFORMED_PACKET, "it ends within its property number"),
        ("16 0000", Reason.PROTOCOL_ERROR, "authentication_data without a method"),
    ],
)
def test_what_is_no_property_is_told(block, reason, found):
    assert not_read(block, "CONNECT") == (reason, found)


@pytest.mark.parametrize(("data", "found"), [(b"", "it ends within its property length"), (b"\2\x21\0", "")])
def test_the_length_of_properties_is_within_the_packet(data, found):
    with pytest.raises(ProtocolError, match=found or "it ends within its receive_maximum"):
        read_properties(Reader(data, 0, len(data), C, "CONNECT"), "CONNECT")
    reader = Reader(b"\3\x21\0\1", 0, 3, C, "CONNECT")
    with pytest.raises(ProtocolError, match="its properties are longer than the packet"):
        read_properties(reader, "CONNECT")


def test_a_property_ends_before_what_follows_the_properties():
    data = b"\3\x1f\0\5hello"
    with pytest.raises(ProtocolError, match="it ends within its reason_string"):
        read_properties(Reader(data, 0, len(data), S, "PUBACK"), "PUBACK")


@pytest.mark.parametrize("side", [C, S])
def test_some_properties_are_for_one_side_alone(side):
    expiry, reference = "11 00000001", "1c 000173"
    mine, foreign = (expiry, reference) if side is C else (reference, expiry)
    name = "server_reference" if side is C else "session_expiry_interval"
    assert read(bytes.fromhex(mine), "DISCONNECT", side)
    assert not_read(foreign, "DISCONNECT", side) == (
        Reason.PROTOCOL_ERROR, f"{name}, which is not the {side}'s to say",
    )  # fmt: skip
    assert read(bytes.fromhex(expiry + reference), "CONNACK", S)
    assert read(bytes.fromhex("0b 01"), "SUBSCRIBE", C).subscription_identifier == (1,)
    assert not_read("0b 01", "PUBLISH", C) == (
        Reason.PROTOCOL_ERROR, "a subscription_identifier from a client",
    )  # fmt: skip


@pytest.mark.parametrize("topic", ["a/+", "#", ""])
def test_a_response_topic_is_a_topic(topic):
    block = b"\x08" + len(topic).to_bytes(2, "big") + topic.encode()
    reason, found = not_read(block, "a will", C)
    assert (reason, found[:19]) == (Reason.TOPIC_NAME_INVALID, "for response_topic ")
    assert not_written(Properties(response_topic=topic), "PUBLISH")[0] is Reason.TOPIC_NAME_INVALID


@pytest.mark.parametrize(
    "properties",
    [
        Properties(user_property=(("k\0", "v"),)),
        Properties(user_property=(("k", "v\0"),)),
        Properties(reason_string="no\0"),
    ],
)
def test_a_property_with_a_broken_text_is_named(properties):
    reason, found = not_written(properties, "CONNACK")
    assert reason is Reason.MALFORMED_PACKET
    assert found.split(" with")[0] in ("user_property", "reason_string")


def test_a_property_with_too_many_bytes_is_named():
    reason, found = not_written(Properties(correlation_data=bytes(65_536)), "PUBLISH")
    assert (reason, found) == (Reason.PACKET_TOO_LARGE, "correlation_data of 65536 bytes")


def test_what_a_caller_combines_wrongly_is_not_written():
    lone = Properties(authentication_data=b"d")
    assert not_written(lone, "AUTH") == (Reason.PROTOCOL_ERROR, "authentication_data without a method")
    twice = Properties(subscription_identifier=(1, 2))
    assert not_written(twice, "SUBSCRIBE") == (Reason.PROTOCOL_ERROR, "subscription_identifier twice")
    assert write_properties(twice, "PUBLISH", "PUBLISH") == bytes.fromhex("04 0b01 0b02")


@pytest.mark.parametrize("value", [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455])
def test_a_variable_byte_integer_written_is_the_one_read(value):
    written = write_varint(value)
    assert len(written) == 1 + (value > 127) + (value > 16_383) + (value > 2_097_151)
    assert Reader(written, 0, len(written), S, "PUBLISH").varint("it") == value


def test_a_text_of_65535_bytes_is_written_and_none_longer():
    assert write_text("é" + "x" * 65_533, "CONNECT", "user name")[:4] == b"\xff\xff\xc3\xa9"
    with pytest.raises(ProtocolError, match="user name of 65536 bytes") as caught:
        write_text("x" * 65_536, "CONNECT", "user name")
    assert (caught.value.reason, caught.value.packet) == (Reason.PACKET_TOO_LARGE, "CONNECT")


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "a\udfff"])
def test_a_text_with_a_nul_or_half_a_character_is_not_written(text):
    with pytest.raises(ProtocolError, match="user name with a NUL or a surrogate") as caught:
        write_text(text, "CONNECT", "user name")
    assert (caught.value.reason, caught.value.packet) == (Reason.MALFORMED_PACKET, "CONNECT")
    assert caught.value.side is Side.CALLER
