"""What holds for every packet, every cut and all bytes."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mqtt.codec.helpers import BOTH, calm, greeted
from tests.mqtt.codec.strategies import first_packets, packets
from whosin.mqtt.codec import V5, V311, ConnAck, Connect, Decoder, ProtocolError, Side, encode

SIDES = pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])


def drain(decoder, chunks):
    """All packets and the error that these chunks come to."""
    found = []
    for chunk in chunks:
        data = chunk
        while True:
            held = decoder.buffered
            try:
                new = decoder.feed(data)
            except ProtocolError as error:
                return found + error.before, (error.reason, error.packet, error.found)
            found += new
            data = b""
            if not decoder.buffered or (not new and decoder.buffered >= held):
                break
    return found, None


def cut(data, places):
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@SIDES
@BOTH
@calm()
@given(data=st.data())
def test_what_is_encoded_is_decoded_to_the_same_packet(side, version, data):
    first = data.draw(first_packets(version, side))
    rest = data.draw(st.lists(packets(version, side), max_size=4))
    decoder = Decoder(side, version if side is Side.SERVER else None)
    wire = b"".join(encode(packet, version) for packet in [first, *rest])
    found, error = drain(decoder, [wire])
    assert (found, error) == ([first, *rest], None)
    assert decoder.buffered == 0


@SIDES
@BOTH
@calm()
@given(data=st.data())
def test_where_the_stream_is_cut_does_not_matter(side, version, data):
    rest = data.draw(st.lists(packets(version, side), min_size=1, max_size=4))
    wire = b"".join(encode(packet, version) for packet in rest) + data.draw(st.binary(max_size=20))
    whole = drain(greeted(side, version), [wire])
    cuts = data.draw(st.lists(st.integers(0, 1000), max_size=8))
    assert drain(greeted(side, version), cut(wire, cuts)) == whole
    assert drain(greeted(side, version), [wire[i : i + 1] for i in range(len(wire))]) == whole


@SIDES
@BOTH
@calm(200)
@given(data=st.data())
def test_any_bytes_are_packets_or_a_protocol_error(side, version, data):
    noise = data.draw(st.binary(max_size=200))
    packet = bytearray(encode(data.draw(packets(version, side) | first_packets(version, side)), version))
    for place, byte in data.draw(
        st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=3)
    ):
        packet[place % len(packet)] = byte
    for wire in (noise, bytes(packet), bytes(packet) + noise):
        drain(greeted(side, version), [wire])
        drain(Decoder(side, version if side is Side.SERVER else None), [wire])


@SIDES
@calm()
@given(noise=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=5))
def test_noise_is_judged_the_same_however_it_is_cut(side, noise, cuts):
    def fresh():
        return Decoder(side, V5 if side is Side.SERVER else None)

    assert drain(fresh(), [noise]) == drain(fresh(), cut(noise, cuts))


@BOTH
@calm()
@given(data=st.data())
def test_what_is_decoded_is_encoded_to_something_that_decodes_the_same(version, data):
    """Mutated packets too: whatever was accepted can be said again."""
    side = data.draw(st.sampled_from([Side.CLIENT, Side.SERVER]))
    wire = bytearray(encode(data.draw(packets(version, side)), version))
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    found, _ = drain(greeted(side, version), [bytes(wire)])
    for packet in found:
        assert drain(greeted(side, version), [encode(packet, version)]) == ([packet], None)


def test_a_large_packet_in_single_bytes_takes_time_in_proportion():
    def took(size):
        wire = encode(Connect("c"), V311)
        decoder = Decoder(Side.CLIENT)
        decoder.feed(wire)
        packet = (
            b"\x30"
            + bytes([0x80 | size & 0x7F, 0x80 | size >> 7 & 0x7F, size >> 14])
            + b"\0\1a"
            + bytes(size - 3)
        )
        best = 9.0
        for _ in range(3):
            start = time.process_time()
            found = [one for i in range(len(packet)) for one in decoder.feed(packet[i : i + 1])]
            best = min(best, time.process_time() - start)
            assert len(found) == 1
        return best

    assert took(240_000) < 12 * took(60_000) + 0.05  # quadratic would be 16 times as long


def test_a_failed_decoder_stays_failed():
    decoder = greeted(Side.SERVER, V5)
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(encode(ConnAck(), V5))
    with pytest.raises(ProtocolError, match="a second one"):
        decoder.feed(b"\xd0\0")
    assert caught.value.before == []
