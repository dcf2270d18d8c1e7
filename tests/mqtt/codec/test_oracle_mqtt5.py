"""The independent codec `mqtt5` and ours say and understand the same."""

from __future__ import annotations

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mqtt.codec.helpers import calm, greeted, refused
from tests.mqtt.codec.oracle import plain, translate
from tests.mqtt.codec.strategies import first_packets, packets
from whosin.mqtt.codec import V5, Auth, ConnAck, Connect, Decoder, ProtocolError, Side, encode

SIDES = pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])


def decoder_for(side, packet):
    if isinstance(packet, Connect | ConnAck):
        return Decoder(side, V5 if side is Side.SERVER else None)
    return greeted(side, V5)


@SIDES
@calm()
@given(data=st.data())
def test_what_mqtt5_encodes_we_decode_and_the_other_way_round(side, data):
    packet = plain(data.draw(packets(V5, side) | first_packets(V5, side)))
    theirs = translate(packet)
    assert decoder_for(side, packet).feed(theirs.write()) == [packet]
    wire = encode(packet, V5)
    assert mqtt5.read(memoryview(wire)) == (theirs, len(wire))


@SIDES
@calm(200)
@given(data=st.data())
def test_of_broken_packets_we_accept_no_more_than_mqtt5_does_and_with_the_same_meaning(side, data):
    """Single exception: an AUTH of no length at all, which means success (MQTT 5, 3.15.2.1)."""
    packet = data.draw(packets(V5, side) | first_packets(V5, side))
    wire = bytearray(encode(packet, V5))
    spots = st.tuples(st.integers(0, 10_000), st.integers(0, 255))
    for place, byte in data.draw(st.lists(spots, min_size=1, max_size=3)):
        wire[place % len(wire)] = byte
    try:
        found = decoder_for(side, packet).feed(bytes(wire))
    except ProtocolError as error:
        found = error.before
    for one in found[:1]:
        if one != Auth():
            theirs, _ = mqtt5.read(memoryview(bytes(wire)))
            assert theirs == translate(plain(one))


@pytest.mark.parametrize(
    ("wire", "side", "why"),
    [
        (b"\x30\x05\0\2a\0\0", Side.CLIENT, "MQTT-1.5.4-2: NUL in a string"),
        (b"\x30\x05\0\2a#\0", Side.CLIENT, "MQTT-3.3.2-2: a wildcard in a topic name"),
        (b"\x38\x05\0\2ab\0", Side.CLIENT, "MQTT-3.3.1-2: DUP at QoS 0"),
        (b"\x32\x07\0\2ab\0\0\0", Side.CLIENT, "MQTT-2.2.1-3: packet identifier 0"),
        (b"\x40\x02\0\0", Side.SERVER, "MQTT-2.2.1-5: packet identifier 0 in an acknowledgement"),
        (b"\x30\x07\0\2ab\2\x01\2", Side.CLIENT, "3.3.2.3.2: payload format indicator 2"),
        (b"\x82\x08\0\1\0\0\2+a\0", Side.CLIENT, "MQTT-4.7.1-2: a wildcard beside other characters"),
        (b"\x82\x08\0\1\0\0\2ab\x40", Side.CLIENT, "MQTT-3.8.3-5: reserved bits in subscription options"),
        (b"\xc0\0", Side.SERVER, "2.1.2: PINGREQ from a server"),
        (b"\xe0\1\x8e", Side.CLIENT, "3.14.2.1: 'session taken over' from a client"),
        (b"\x40\x07\0\1\0\1\x1f\0\0", Side.SERVER, "2.2.2: a property beyond the property length"),
        (b"\x10\x0d\0\4MQTT\5\x20\0\0\0\0\0", Side.CLIENT, "MQTT-3.1.2-15: will retain without a will"),
        (b"\x20\3\1\x87\0", Side.SERVER, "MQTT-3.2.2-6: session present in a refusal"),
    ],
)  # fmt: skip
def test_we_refuse_what_the_standard_forbids_and_mqtt5_lets_pass(wire, side, why):
    mqtt5.read(memoryview(wire))
    assert refused(wire, side=side, first=wire[0] in (0x10, 0x20)), why
