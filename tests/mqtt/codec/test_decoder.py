"""Framing: where packets begin and end, however they are cut, and what may come when."""

from __future__ import annotations

from itertools import pairwise

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
    PingReq,
    PingResp,
    Properties,
    ProtocolError,
    Publish,
    Reason,
    Side,
    encode,
    encode_publish,
)

C, S = Side.CLIENT, Side.SERVER
AUTH = Auth(Reason.CONTINUE_AUTHENTICATION, Properties(authentication_method="m"))


def in_pieces(decoder, wire, *cuts):
    edges = [0, *cuts, len(wire)]
    return [decoder.feed(wire[a:b]) for a, b in pairwise(edges)]


# --- lengths ---------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "length", [125, 126, 127, 128, 129, 255, 256, 257, 300, 16_383, 16_384, 16_385, 40_000]
)
def test_a_packet_of_any_length_is_found_wherever_it_is_cut(version, length):
    packet = Publish(b"a", bytes(length - (4 if version == V5 else 3)))
    wire = encode(packet, version)
    head = len(wire) - length
    assert wire[1:head] == encode_length(length)
    assert greeted(C, version).feed(wire + PINGREQ + wire) == [packet, PingReq(), packet]
    for cut in (*range(1, 8), len(wire) - 1):
        assert in_pieces(greeted(C, version), wire, cut) == [[], [packet]]
        assert in_pieces(greeted(C, version), PINGREQ + wire + PINGREQ, cut + 2) == [
            [PingReq()], [packet, PingReq()],
        ]  # fmt: skip


def encode_length(length):
    out = []
    while length >= 128:
        out.append(length % 128 | 128)
        length //= 128
    return bytes((*out, length))


@pytest.mark.parametrize("length", [b"\x83\0", b"\x83\x80\0", b"\x83\x80\x80\0"])
def test_in_3_1_1_a_length_in_too_many_bytes_is_understood_wherever_it_is_cut(length):
    wire = b"\x30" + length + b"\0\1a"
    for decoder in (greeted(C, V311), greeted(C, V311)):
        decoder.max_packet = 100
        assert decoder.feed(wire + PINGREQ) == [Publish(b"a", b""), PingReq()]
    for cut in range(1, len(wire)):
        assert in_pieces(greeted(C, V311), wire, cut) == [[], [Publish(b"a", b"")]]
    assert greeted(C, V311).feed(b"\xc0" + bytes((0x80,)) * (len(length) - 1) + b"\0") == [PingReq()]


@pytest.mark.parametrize("wire", ["30 8300 000161", "30 838000 000161", "c0 8000", "c0 80808000"])
def test_in_5_it_is_refused_as_soon_as_it_is_whole(wire):
    raw = bytes.fromhex(wire)
    error = refused(raw, side=C)
    assert (error.reason, "more bytes than it needs" in error.found) == (Reason.MALFORMED_PACKET, True)
    assert error.packet == ("PUBLISH" if raw[0] == 0x30 else "PINGREQ")


@BOTH
@pytest.mark.parametrize("more", [b"\x80\x80\x80\x80", b"\xff\xff\xff\xff", b"\x80\x80\x80\x80\0"])
def test_a_length_has_four_bytes_at_most(version, more):
    error = refused(b"\x30" + more, version=version)
    assert "more than four bytes" in error.found
    assert error.packet == "PUBLISH"
    assert greeted(C, version).feed(b"\x30" + more[:3]) == []


@BOTH
@pytest.mark.parametrize("limit", [5, 100, 129, 130, 131, 20_000])
def test_a_packet_as_large_as_the_limit_is_taken_and_none_larger(version, limit):
    def sized(size):
        head = 2 if size <= 129 else 3 if size <= 16_386 else 4
        body = size - head
        return b"\x30" + encode_length(body) + b"\0\1a" + bytes(body - 3)

    decoder = greeted(C, V311)
    decoder.max_packet = limit
    if limit != 130:  # no packet has that size: one byte more of body takes one more of length
        assert len(sized(limit)) == limit
        assert len(decoder.feed(sized(limit))) == 1
    larger = sized(limit + (2 if limit == 129 else 1))
    for cut in (len(larger), 5):
        decoder = greeted(C, version)
        decoder.max_packet = limit
        with pytest.raises(ProtocolError, match=f"{len(larger)} bytes; at most {limit}") as caught:
            decoder.feed(larger[:cut])
        assert (caught.value.reason, caught.value.packet) == (Reason.PACKET_TOO_LARGE, "PUBLISH")


@pytest.mark.parametrize("limit", [95, 20_000])
def test_the_limit_is_of_each_packet_not_of_what_comes_at_once(limit):
    def sized(size):
        return Publish(b"a", bytes(size - 5 - (size > 16_000) * 2))

    decoder = greeted(C, V311)
    decoder.max_packet = limit
    wire = encode(sized(limit), V311)
    assert len(wire) == limit
    assert decoder.feed(wire * 3) == [sized(limit)] * 3
    with pytest.raises(ProtocolError, match=f"{limit + 1} bytes; at most {limit}"):
        decoder.feed(wire + encode(sized(limit + 1), V311))


@pytest.mark.parametrize("length", [b"\x80\0", b"\x80\x80\0", b"\x80\x80\x80\0"])
def test_a_packet_comes_with_its_last_byte_whatever_came_before_it(length):
    wire = b"\xc0" + length
    for cut in range(1, len(wire)):
        decoder = greeted(C, V311)
        assert decoder.feed(PINGREQ * 20 + wire[:cut]) == [PingReq()] * 20
        for at in range(cut, len(wire) - 1):
            assert decoder.feed(wire[at : at + 1]) == []
        assert decoder.feed(wire[-1:]) == [PingReq()]
        assert decoder.buffered == 0


@BOTH
def test_a_length_may_be_short_behind_other_packets_too(version):
    assert greeted(C, version).feed(PINGREQ * 3) == [PingReq()] * 3
    with pytest.raises(ProtocolError, match="more bytes than it needs") as caught:
        greeted(C, V5).feed(PINGREQ * 3 + b"\xc0\x80\0")
    assert caught.value.before == [PingReq()] * 3


KINDS = (
    "a packet of the reserved type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL",
    "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
)  # fmt: skip


@pytest.mark.parametrize(("number", "kind"), [*enumerate(KINDS)])
def test_whatever_is_too_large_is_named_by_its_first_byte(number, kind):
    decoder = greeted(C, V5)
    decoder.max_packet = 10
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(bytes((number << 4, 9)))
    assert (caught.value.packet, caught.value.reason) == (kind, Reason.PACKET_TOO_LARGE)


def test_the_limit_holds_for_the_first_packet_too():
    wire = encode(Connect("c" * 100), V311)
    decoder = Decoder(C, max_packet=len(wire))
    assert len(decoder.feed(wire)) == 1
    decoder = Decoder(C, max_packet=len(wire) - 1)
    with pytest.raises(ProtocolError, match=f"{len(wire)} bytes") as caught:
        decoder.feed(wire[:5])
    assert caught.value.packet == "CONNECT"


# --- beginnings ------------------------------------------------------------------------------------------


def test_a_version_is_given_for_what_a_server_sends_and_for_nothing_else():
    assert Decoder(S, V5).version == Decoder(S, V5).level == V5
    assert Decoder(C).version is None
    for side, version in ((S, None), (C, V5), (C, V311)):
        with pytest.raises(ValueError, match="version"):
            Decoder(side, version)


@BOTH
def test_what_came_behind_a_connect_in_pieces_waits_for_the_caller_whole(version):
    wire = encode(Connect("c", version=version), version)
    for cut in range(1, len(wire)):
        decoder = Decoder(C)
        assert decoder.feed(wire[:cut]) == []
        assert decoder.buffered == cut
        assert decoder.feed(wire[cut:] + PINGREQ) == [Connect("c", version=version)]
        assert decoder.buffered == 2
        assert decoder.feed(b"") == [PingReq()]
        assert decoder.buffered == 0


def test_a_server_may_ask_for_several_steps_of_authentication_first():
    decoder = Decoder(S, V5)
    wire = encode(AUTH, V5)
    assert decoder.feed(wire) == [AUTH]
    assert decoder.feed(wire[:4]) == []
    assert decoder.feed(wire[4:] + encode(ConnAck(), V5)[:3]) == [AUTH]
    assert decoder.feed(encode(ConnAck(), V5)[3:] + PINGRESP) == [ConnAck(), PingResp()]
    assert decoder.feed(PINGRESP) == [PingResp()]


@pytest.mark.parametrize("first", [b"\x30\3\0\1a", PINGRESP, b"\xe0\0", b"\x40\2\0\1", b"\x10\0"])
def test_nothing_else_comes_from_a_server_first(first):
    error = refused(first, side=S, first=True)
    assert (error.reason, "first packet" in error.found) == (Reason.PROTOCOL_ERROR, True)


@pytest.mark.parametrize("first", [b"\x30\3\0\1a", PINGREQ, b"\xe0\0", b"\xf0\0", b"\x20\3\0\0\0", b"\x11\0"])
def test_nothing_but_a_connect_comes_from_a_client_first(first):
    error = refused(first, side=C, first=True)
    assert (error.reason, "first packet" in error.found) == (Reason.PROTOCOL_ERROR, True)


@pytest.mark.parametrize("wire", ["1004 00044d51", "1000", "1006 00044d515454", "1007 00044d515454 04"])
def test_a_connect_that_ends_too_early_is_a_broken_connect(wire):
    error = refused(bytes.fromhex(wire), first=True)
    assert (error.packet, error.reason) == ("CONNECT", Reason.MALFORMED_PACKET)
    assert "it ends within its" in error.found


# --- PUBLISH ---------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("first", range(0x30, 0x40))
def test_the_flags_of_a_publish_are_dup_qos_and_retain(version, first):
    qos, dup, retain = first >> 1 & 3, bool(first & 8), bool(first & 1)
    body = b"\0\1a" + (b"\1\2" if qos else b"") + (b"\0" if version == V5 else b"") + b"x"
    wire = bytes((first, len(body))) + body
    if qos == 3 or (dup and not qos):
        error = refused(wire, version=version)
        assert (error.reason, error.packet) == (Reason.MALFORMED_PACKET, "PUBLISH")
        return
    packet = Publish(b"a", b"x", qos, retain, dup, 0x0102 if qos else 0)
    (found,) = greeted(C, version).feed(wire)
    assert found == packet
    assert type(found) is Publish
    assert (found.retain, found.dup) == (retain, dup)  # booleans, not numbers
    assert encode(packet, version) == wire


@BOTH
def test_a_publish_cut_short_within_its_topic_or_identifier_is_broken(version):
    for body, found in (
        (b"", "topic"), (b"\0", "topic"), (b"\0\2a", "topic"), (b"\1\1a", "topic"),
        (b"\0\1a", "packet identifier"), (b"\0\1a\1", "packet identifier"),
    ):  # fmt: skip
        error = refused(bytes((0x32, len(body))) + body, version=version)
        assert error.found == f"it ends within its {found}"
        assert (error.reason, error.packet) == (Reason.MALFORMED_PACKET, "PUBLISH")
    assert refused(b"\x32\5\0\1a\0\0", version=version).reason is Reason.PROTOCOL_ERROR
    # and never reads on in what is behind it
    assert "topic" in refused(b"\x30\1\0" + b"\1a" * 9, version=version).found
    assert "identifier" in refused(b"\x32\3\0\1a" + b"\1" * 9, version=version).found


@pytest.mark.parametrize("high", [b"\0\1", b"\1\0", b"\xff\xff"])
def test_a_packet_identifier_has_16_bits(high):
    (packet,) = greeted(C, V311).feed(b"\x32\5\0\1a" + high)
    assert packet.packet_id == int.from_bytes(high, "big")


@BOTH
@pytest.mark.parametrize("size", [1, 255, 256, 257, 1_000, 65_535])
def test_a_topic_has_a_length_of_16_bits(version, size):
    packet = Publish(b"t" * size, b"payload")
    assert greeted(C, version).feed(encode(packet, version)) == [packet]


@BOTH
def test_an_empty_payload_and_the_topic_at_the_very_end_are_fine(version):
    packet = Publish(b"a", b"")
    assert greeted(C, version).feed(encode(packet, version)) == [packet]


def test_properties_of_a_publish_stand_between_topic_and_payload():
    packet = Publish(b"a", b"rest", 1, packet_id=9, properties=Properties(content_type="t"))
    assert greeted(C, V5).feed(encode(packet, V5) + PINGREQ) == [packet, PingReq()]
    assert "property length" in refused(b"\x30\3\0\1a").found
    assert "longer than the packet" in refused(b"\x30\5\0\1a\2\1" + b"\0" * 9).found
    error = refused(bytes.fromhex("3007 000161 03 230001"))
    assert (error.packet, error.reason) == ("PUBLISH", Reason.TOPIC_ALIAS_INVALID)


def test_an_empty_topic_is_an_alias_that_was_not_offered_in_5_and_no_topic_in_3_1_1():
    assert refused(b"\x30\3\0\0\0").reason is Reason.PROTOCOL_ERROR
    assert refused(b"\x30\2\0\0", version=V311).reason is Reason.TOPIC_NAME_INVALID
    assert refused(b"\x30\4\0\1#\0").reason is Reason.TOPIC_NAME_INVALID
    assert refused(b"\x30\4\0\1#\0").packet == "PUBLISH"


# --- topics remembered -----------------------------------------------------------------------------------


def topics(decoder, *names):
    return [decoder.feed(encode_publish(name, b""))[0].topic for name in names]


def test_as_many_topics_are_remembered_as_may_be():
    decoder = Decoder(S, V311, topics_kept=2)
    decoder.feed(encode(ConnAck(), V311))
    a, b = topics(decoder, b"aa", b"bb")
    assert [one is other for one, other in zip(topics(decoder, b"aa", b"bb"), (a, b), strict=True)] == [
        True,
        True,
    ]
    (c,) = topics(decoder, b"cc")
    assert topics(decoder, b"cc")[0] is c
    assert topics(decoder, b"aa")[0] is not a  # forgotten to make room


def test_a_long_topic_is_not_remembered():
    decoder = greeted(C, V311)
    kept, not_kept = b"k" * 256, b"n" * 257
    first, second = topics(decoder, kept, kept)
    assert first is second
    first, second = topics(decoder, not_kept, not_kept)
    assert first == second
    assert first is not second


# --- after a failure -------------------------------------------------------------------------------------


def test_what_was_valid_before_a_broken_packet_is_told_once():
    decoder = greeted(C, V5)
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(PINGREQ + b"\0\0")
    assert caught.value.before == [PingReq()]
    with pytest.raises(ProtocolError) as again:
        decoder.feed(PINGREQ)
    assert again.value.before == []
    assert again.value.reason is caught.value.reason


@pytest.mark.parametrize("first", [0x00, 0x0F, 0x21, 0x3E, 0x41, 0x60, 0x80, 0xA0, 0xC1, 0xD2, 0xE8, 0xF4])
def test_flags_that_a_packet_must_not_have_are_refused(first):
    error = refused(bytes((first, 2, 0, 1)), side=C)
    assert error.reason is Reason.MALFORMED_PACKET


@pytest.mark.parametrize(
    ("side", "wire"),
    [
        (C, "2003 00 00 00"), (S, "8207 0001 00 0001 61 00"), (C, "9004 0001 00 00"),
        (S, "a206 0001 00 0001 61"), (C, "b004 0001 00 00"), (S, "c000"), (C, "d000"),
    ],
)  # fmt: skip
def test_each_side_has_packets_that_only_it_sends(side, wire):
    error = refused(bytes.fromhex(wire), side=side)
    assert (error.reason, error.found) == (
        Reason.PROTOCOL_ERROR,
        f"a packet that is not the {side}'s to send",
    )


@pytest.mark.parametrize("wire", ["1000", "100c 00044d515454 04 02 0000 0000"])
def test_a_second_connect_is_refused(wire):
    error = refused(bytes.fromhex(wire), side=C)
    assert (error.reason, error.packet, "second" in error.found) == (Reason.PROTOCOL_ERROR, "CONNECT", True)
