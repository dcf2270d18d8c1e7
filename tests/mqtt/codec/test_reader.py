"""MQTT's data types (section 1.5) on the way in: their bounds, and what is told of what breaks them."""

from __future__ import annotations

import pytest

from whosin.mqtt.codec import ProtocolError, Reason, Side
from whosin.mqtt.codec.reader import Reader


def reader(data: bytes, end: int | None = None) -> Reader:
    return Reader(data, 0, len(data) if end is None else end, Side.SERVER, "CONNACK")


def refused(read, data, end=None):
    with pytest.raises(ProtocolError) as caught:
        read(reader(data, end))
    assert (caught.value.side, caught.value.packet) == (Side.SERVER, "CONNACK")
    return caught.value


TYPES = [
    ("u8", b"\x81", 0x81),
    ("u16", b"\x81\x02", 0x8102),
    ("u32", b"\x81\x02\x03\x04", 0x81020304),
    ("varint", b"\xff\xff\xff\x7f", 268_435_455),
    ("binary", b"\0\2\0\xff", b"\0\xff"),
    ("text", b"\0\2\xc3\xa9", "é"),
]


@pytest.mark.parametrize(("kind", "data", "value"), TYPES)
def test_a_value_is_read_and_no_more(kind, data, value):
    of = reader(data + b"rest")
    assert getattr(of, kind)("thing") == value
    assert (of.pos, of.left) == (len(data), 4)


@pytest.mark.parametrize(("kind", "data", "value"), TYPES)
def test_a_value_cut_anywhere_is_told_by_its_name(kind, data, value):
    for end in range(len(data)):
        error = refused(lambda of: getattr(of, kind)("thing"), data, end)
        assert error.found == "it ends within its thing"
        assert error.reason is Reason.MALFORMED_PACKET


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\0", 0),
        (b"\x7f", 127),
        (b"\x80\x01", 128),
        (b"\xff\x7f", 16_383),
        (b"\x80\x80\x01", 16_384),
        (b"\xff\xff\x7f", 2_097_151),
        (b"\x80\x80\x80\x01", 2_097_152),
    ],
)
def test_a_variable_byte_integer_takes_as_few_bytes_as_it_needs(data, value):
    assert reader(data).varint("thing") == value


@pytest.mark.parametrize("data", [b"\x80\0", b"\xff\0", b"\x80\x80\0", b"\x80\x80\x80\0"])
def test_a_variable_byte_integer_in_more_bytes_than_it_needs_is_refused(data):
    assert refused(lambda of: of.varint("thing"), data).found == "the thing takes more bytes than it needs"


@pytest.mark.parametrize("data", [b"\x80\x80\x80\x80\x01", b"\xff\xff\xff\xff", b"\x80\x80\x80\x80\x80\x01"])
def test_a_variable_byte_integer_has_four_bytes_at_most(data):
    assert refused(lambda of: of.varint("thing"), data).found == "the thing takes more than four bytes"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [(b"\xff", "not UTF-8"), (b"\xed\xa0\x80", "not UTF-8"), (b"\0", "NUL"), (b"a\0b", "NUL")],
)
def test_a_text_is_utf_8_without_nul(raw, problem):
    error = refused(lambda of: of.text("thing"), len(raw).to_bytes(2, "big") + raw)
    assert "thing" in error.found
    assert problem in error.found


def test_a_packet_identifier_is_not_0():
    assert reader(b"\0\1").packet_id() == 1
    assert reader(b"\xff\xff").packet_id() == 65_535
    assert refused(lambda of: of.packet_id(), b"\0\0").reason is Reason.PROTOCOL_ERROR
    assert "packet identifier" in refused(lambda of: of.packet_id(), b"\0").found


def test_what_is_behind_the_last_field_is_refused():
    reader(b"").finish()
    assert refused(lambda of: of.finish(), b"ab").found.startswith("2 bytes behind")
