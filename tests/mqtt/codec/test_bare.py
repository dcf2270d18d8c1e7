"""Messages with nothing but a topic come together, and mean what they mean one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mqtt.codec.helpers import BOTH, calm, greeted
from tests.mqtt.codec.strategies import packets
from tests.mqtt.codec.test_properties_of_codec import cut, drain
from whosin.mqtt.codec import V5, V311, Bare, PingReq, ProtocolError, Publish, Side, encode, encode_publish

SIDES = pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
NEAR_THE_EDGE = st.integers(100, 140).map(lambda size: "t" * size)
TOPICS = st.sampled_from(["a", "whosin/v1/up/s/c/x/heartbeat", "é/ü", "a+b", "#", "nu\0l"]) | NEAR_THE_EDGE


def gathering(side, version):
    decoder = greeted(side, version)
    decoder.gathers = True
    return decoder


def one_by_one(found):
    flat = []
    for packet in found:
        flat += [Publish(it.encode(), b"") for it in packet.topics] if isinstance(packet, Bare) else [packet]
    return flat


@st.composite
def streams(draw, version, side):
    """Mostly bare messages, also with topics that MQTT forbids; other packets; bytes that were changed."""
    bare = TOPICS.map(lambda topic: encode_publish(topic.encode(), b"", version=version))
    other = packets(version, side).map(lambda packet: encode(packet, version))
    wire = bytearray(b"".join(draw(st.lists(bare | bare | bare | other, max_size=12))))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=2)):
        if wire:
            wire[place % len(wire)] = byte
    return bytes(wire)


@SIDES
@BOTH
@calm(200)
@given(data=st.data())
def test_gathered_or_not_the_same_is_heard_and_refused(side, version, data):
    wire = data.draw(streams(version, side))
    chunks = cut(wire, data.draw(st.lists(st.integers(0, 1000), max_size=4)))
    largest = data.draw(st.sampled_from([268_435_460, 129, 128, 60]))
    plain, gathers = greeted(side, version), gathering(side, version)
    plain.max_packet = gathers.max_packet = largest
    heard, problem = drain(gathers, chunks)
    assert (one_by_one(heard), problem) == drain(plain, chunks)


LONGEST = {V311: 125, V5: 124}
"""Topics for which the length of a message with nothing else is one byte."""


@BOTH
def test_bare_messages_behind_each_other_are_one(version):
    topics = ["t" * size for size in range(1, LONGEST[version] + 1)]
    wire = b"".join(encode_publish(topic.encode(), b"", version=version) for topic in topics)
    assert gathering(Side.SERVER, version).feed(wire) == [Bare(topics)]


@BOTH
@pytest.mark.parametrize("more", [1, 2, 3])
def test_a_length_that_takes_a_second_byte_is_not_taken_for_the_longest_of_one(version, more):
    """Else whoever sends it has what lies behind it heard as a topic, where it must be refused."""
    size = LONGEST[version] + more
    wire = bytes((0x30, 0x7F + more, 0, size)) + b"t" * size + b"\0"
    with pytest.raises(ProtocolError) as plain:
        greeted(Side.CLIENT, version).feed(wire)
    with pytest.raises(ProtocolError) as gathered:
        gathering(Side.CLIENT, version).feed(wire)
    assert str(gathered.value) == str(plain.value)


@BOTH
def test_they_are_gathered_where_the_longest_of_them_is_just_allowed(version):
    decoder = gathering(Side.CLIENT, version)
    decoder.max_packet = 129
    topic = "t" * LONGEST[version]
    wire = encode_publish(topic.encode(), b"", version=version)
    assert len(wire) == 129
    assert decoder.feed(wire * 2) == [Bare([topic, topic])]


@BOTH
def test_one_that_is_larger_than_allowed_is_refused_among_others_too(version):
    decoder = gathering(Side.CLIENT, version)
    decoder.max_packet = 128
    short, long = (encode_publish(b"t" * size, b"", version=version) for size in (9, LONGEST[version]))
    with pytest.raises(ProtocolError, match="129 bytes; at most 128 are allowed") as caught:
        decoder.feed(short + long + short)
    assert one_by_one(caught.value.before) == [Publish(b"t" * 9, b"")]


@BOTH
def test_what_stands_between_keeps_its_place(version):
    said = [Bare(["a", "b"]), Publish(b"c", b"{}"), Bare(["d"]), PingReq(), Bare(["e", "f"])]
    wire = b"".join(encode(packet, version) for packet in said)
    assert gathering(Side.CLIENT, version).feed(wire) == said


@BOTH
@pytest.mark.parametrize(
    "other",
    [
        {"payload": b"x"}, {"retain": True}, {"qos": 1, "packet_id": 7}, {"topic": "é".encode()},
        {"topic": b"t" * 126},
    ],
)  # fmt: skip
def test_a_message_with_more_to_it_is_not_bare(version, other):
    fields = {"topic": b"a", "payload": b"", "version": version, **other}
    [message] = gathering(Side.SERVER, version).feed(encode_publish(**fields))
    assert isinstance(message, Publish)


def test_properties_are_not_overlooked():
    wire = encode_publish(b"a", b"", version=V5)
    with pytest.raises(ProtocolError) as caught:
        gathering(Side.CLIENT, V5).feed(wire + wire[:-1] + b"\1")
    assert caught.value.before == [Bare(["a"])]


@pytest.mark.parametrize(
    ("topic", "problem"),
    [(b"c/#", "wildcard"), (b"c/+", "wildcard"), (b"+", "wildcard"), (b"c\0", "NUL"), (b"c\xff", "UTF-8")],
)
def test_a_forbidden_topic_among_others_is_refused_and_those_ahead_of_it_are_not_lost(topic, problem):
    wire = b"".join(encode_publish(it, b"") for it in (b"a", b"b", topic, b"d"))
    with pytest.raises(ProtocolError, match=problem) as caught:
        gathering(Side.CLIENT, V311).feed(wire)
    assert one_by_one(caught.value.before) == [Publish(b"a", b""), Publish(b"b", b"")]
