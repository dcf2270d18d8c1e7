"""Reading one packet's fields, each within its bounds.

Owns: MQTT's data types (section 1.5) on the way in. Must not know: which packet has which fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whosin.mqtt.codec.reasons import ProtocolError, Reason

if TYPE_CHECKING:
    from typing import NoReturn

    from whosin.mqtt.codec.reasons import Side


class Reader:
    """A place in one packet. Reading past `end` is a malformed packet of `side`."""

    __slots__ = ("data", "end", "packet", "pos", "side")

    def __init__(self, data: bytes, pos: int, end: int, side: Side, packet: str) -> None:
        self.data = data
        self.pos = pos
        self.end = end
        self.side = side
        self.packet = packet

    @property
    def left(self) -> int:
        return self.end - self.pos

    def fail(self, found: str, reason: Reason = Reason.MALFORMED_PACKET) -> NoReturn:
        raise ProtocolError(self.side, reason, self.packet, found)

    def take(self, count: int, what: str) -> bytes:
        start = self.pos
        self.pos = start + count
        if self.pos > self.end:
            self.fail(f"it ends within its {what}")
        return self.data[start : self.pos]

    def u8(self, what: str) -> int:
        return self.take(1, what)[0]

    def u16(self, what: str) -> int:
        return int.from_bytes(self.take(2, what), "big")

    def u32(self, what: str) -> int:
        return int.from_bytes(self.take(4, what), "big")

    def varint(self, what: str) -> int:
        """A variable byte integer: up to four bytes, in as few as possible (MQTT-1.5.5-1)."""
        value = 0
        for place in range(4):
            byte = self.u8(what)
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if place and not byte:
                    self.fail(f"the {what} takes more bytes than it needs")
                return value
        return self.fail(f"the {what} takes more than four bytes")

    def binary(self, what: str) -> bytes:
        return self.take(self.u16(what), what)

    def text(self, what: str) -> str:
        """A UTF-8 string: no surrogates, no NUL (MQTT-1.5.4-1, -2)."""
        raw = self.binary(what)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            self.fail(f"the {what} is not UTF-8: {raw[:64]!r}")
        if "\0" in text:
            self.fail(f"the {what} has a NUL in it: {raw[:64]!r}")
        return text

    def packet_id(self) -> int:
        value = self.u16("packet identifier")
        if not value:
            self.fail("packet identifier 0; 1 to 65535 are allowed", Reason.PROTOCOL_ERROR)
        return value

    def finish(self) -> None:
        if self.pos != self.end:
            self.fail(f"{self.end - self.pos} bytes behind its last field")
