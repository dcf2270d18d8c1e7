"""From a stream of bytes, cut anywhere, to packets.

Owns: framing, the hot path (PUBLISH), which packet may come first. Must not know: sockets, time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from whosin.mqtt.codec.bodies import NAMES, READERS, read_connect
from whosin.mqtt.codec.packets import V5, Auth, Bare, PubAck, Publish
from whosin.mqtt.codec.properties import read_properties
from whosin.mqtt.codec.reader import Reader
from whosin.mqtt.codec.reasons import ProtocolError, Reason, Side
from whosin.mqtt.codec.text import topic_problem

if TYPE_CHECKING:
    from whosin.mqtt.codec.packets import Connect, Packet, Properties, Version

LARGEST_PACKET: Final = 268_435_460
"""The largest packet that MQTT's length field can tell of, with its fixed header."""

_PUBLISH_QOS: Final = tuple(
    {0x0: 0, 0x2: 1, 0xA: 1, 0x4: 2, 0xC: 2}.get(byte & 0xE, -1) if byte >> 4 == 3 else -1
    for byte in range(256)
)
"""By first byte: a PUBLISH's QoS; -1 for all else, also where the flags are wrong (QoS 3, DUP at QoS 0)."""

_PUBACK: Final = 0x40
_ONLY_ID: Final = 2
"""The length of most acknowledgements: success, and no properties."""

_TOPIC_BYTES_KEPT: Final = 256

_LONGEST_BARE: Final = 2 + 0x7F
_BARE_311: Final = {bytes((0x30, 2 + size, 0, size)): 4 + size for size in range(1, 0x7F - 1)}
_BARE_5: Final = {bytes((0x30, 3 + size, 0, size)): 5 + size for size in range(1, 0x7F - 2)}
"""By the first four bytes of a PUBLISH at QoS 0 with a topic and nothing else: its size. In MQTT 5 its last
byte tells of no properties. One whose length takes a second byte is read like any other."""


class Decoder:
    """Decodes what `peer` sends. Memory is bounded by `max_packet` plus the last chunk.

    From a client the version is taken from its CONNECT, and `feed` returns right behind a CONNECT even if
    more bytes have come: limits can be set for this client first; `feed(b"")` goes on with the rest.

    Each topic is checked once and then remembered, up to `topics_kept` of them: that costs less than
    checking again, and hands out the same bytes object each time, its hash already known.

    With `gathers` messages that have a topic and nothing else come as one `Bare` where they lie behind each
    other, which costs a quarter. Topics that are not ASCII, or long, are left out of this.
    """

    version: Version | None
    """Given, or taken from the CONNECT; None before it."""
    level: int | None
    """The protocol level as it stood in the CONNECT, even if unsupported; None before it."""
    max_packet: int
    """Largest packet accepted, in bytes with its fixed header (0x95 if exceeded). May be changed."""
    topics_kept: int
    """How many topics to remember. May be changed."""

    def __init__(
        self,
        peer: Side,
        version: Version | None = None,
        max_packet: int = LARGEST_PACKET,
        topics_kept: int = 16_384,
        *,
        gathers: bool = False,
    ) -> None:
        if (peer is Side.SERVER) != (version is not None):
            raise ValueError("the version is needed for a server's packets, and a client tells its own")
        self.peer = peer
        self.version = version
        self.level = version
        self.max_packet = max_packet
        self.topics_kept = topics_kept
        self.gathers = gathers
        self._greeted = False
        self._kept = bytearray()
        self._need = 0
        self._failure: ProtocolError | None = None
        self._topics: dict[bytes, bytes] = {}

    @property
    def buffered(self) -> int:
        """Bytes of an incomplete packet (or behind a CONNECT) that are kept."""
        return len(self._kept)

    def feed(self, data: bytes) -> list[Packet]:
        """All packets that are complete by now, in order.

        Raises ProtocolError at the first broken one (its `before` has the others), and from then on always.
        """
        if self._failure is not None:
            self._failure.before = []
            raise self._failure
        if self._kept:
            self._kept += data
            if len(self._kept) < self._need:
                return []
            data = bytes(self._kept)
            self._kept = bytearray()
        packets: list[Packet] = []
        self._need = 0
        try:
            used = self._run(data, packets) if self._greeted else self._greet(data, packets)
        except ProtocolError as error:
            error.before = packets
            self._failure = error
            raise
        if used < len(data):
            self._kept += data[used:]
        return packets

    def _greet(self, data: bytes, packets: list[Packet]) -> int:
        """Nothing may come before CONNECT, or from a server before CONNACK but AUTH."""
        pos = 0
        allowed = (0x10,) if self.peer is Side.CLIENT else (0x20, 0xF0)
        while pos < len(data):
            first = data[pos]
            if first not in allowed:
                self._fail(first, "it where the first packet must be another", Reason.PROTOCOL_ERROR)
            framed = self._frame(data, pos)
            if framed is None:
                return pos
            body, end = framed
            if first == 0x10:
                packets.append(self._connect(data, pos, body, end))
                return end
            packets.append(self._read(data, first, body, end))
            pos = end
            if not isinstance(packets[-1], Auth):
                self._greeted = True
                return self._run(data, packets, pos)
        return pos

    def _connect(self, data: bytes, start: int, body: int, end: int) -> Connect:
        look = Reader(data, body, end, self.peer, "CONNECT")
        look.binary("protocol name")
        self.level = look.u8("protocol level")
        reader = Reader(data, body, end, self.peer, "CONNECT")
        connect = read_connect(reader)
        reader.finish()
        self.version = connect.version
        self._greeted = True
        self._check_form(data, start, body, end)
        return connect

    def _run(self, data: bytes, packets: list[Packet], pos: int = 0) -> int:
        """Decode from `pos` on; where the first incomplete packet starts.

        The hot path, hence in one piece: local variables, and no calls for an ordinary PUBLISH.
        """
        size = len(data)
        last = size - 1
        limit = self.max_packet
        known = self._topics.get
        five = self.version == V5
        append = packets.append
        publish = tuple.__new__  # what Publish(...) comes to, at half the price
        qos_of = _PUBLISH_QOS
        bare = (_BARE_5 if five else _BARE_311) if self.gathers and limit >= _LONGEST_BARE else {}
        text = ""
        while pos < last:
            if bare and data[pos : pos + 4] in bare:
                text = text or data.decode("latin-1")
                topics, pos = _gather(data, text, pos, bare, five)
                if topics:
                    append(Bare(topics))
                    continue
                bare = {}  # here is one that has to be looked at alone, or is incomplete
            start = pos
            first = data[pos]
            length = data[pos + 1]
            body = pos + 2
            if length >= 0x80:
                more = data[body] if body < size else 0
                if 0 < more < 0x80:
                    length += (more - 1) << 7
                    body += 1
                else:
                    framed = self._frame(data, pos)
                    if framed is None:
                        return start
                    self._check_form(data, pos, *framed)
                    body, length = framed[0], framed[1] - framed[0]
            pos = body + length
            if pos - start > limit:
                self._too_large(first, pos - start)
            if pos > size:
                self._need = pos - start
                return start
            qos = qos_of[first]
            if qos < 0:
                acked = data[body] << 8 | data[body + 1] if first == _PUBACK and length == _ONLY_ID else 0
                append(PubAck(acked) if acked else self._read(data, first, body, pos))
                continue
            rest = body + 2 + (data[body] << 8 | data[body + 1]) if length > 1 else size + 1
            if rest > pos:
                self._fail(first, "it ends within its topic")
            topic = data[body + 2 : rest]
            topic = known(topic) or self._new_topic(topic)
            packet_id = 0
            if qos:
                packet_id = (data[rest] << 8 | data[rest + 1]) if rest + 2 <= pos else 0
                if not packet_id:
                    self._bad_packet_id(data, rest, pos)
                rest += 2
            properties = None
            if five:
                if rest < pos and not data[rest]:
                    rest += 1
                else:
                    rest, properties = self._publish_properties(data, rest, pos)
            fields = topic, data[rest:pos], qos, first & 1 == 1, first & 8 == 8, packet_id, properties
            append(publish(Publish, fields))
        if pos == last:
            self._need = 2
        return pos

    def _bad_packet_id(self, data: bytes, pos: int, end: int) -> None:
        Reader(data, pos, end, self.peer, "PUBLISH").packet_id()

    def _new_topic(self, topic: bytes) -> bytes:
        problem = topic_problem(topic)
        if problem:
            aliased = not topic and self.version == V5
            reason = Reason.PROTOCOL_ERROR if aliased else Reason.TOPIC_NAME_INVALID
            self._fail(0x30, problem, reason)
        if len(topic) <= _TOPIC_BYTES_KEPT:
            if len(self._topics) >= self.topics_kept:
                self._topics.clear()
            self._topics[topic] = topic
        return topic

    def _publish_properties(self, data: bytes, pos: int, end: int) -> tuple[int, Properties]:
        reader = Reader(data, pos, end, self.peer, "PUBLISH")
        properties = read_properties(reader, "PUBLISH")
        if properties.topic_alias is not None:
            reader.fail(f"topic alias {properties.topic_alias}; none was offered", Reason.TOPIC_ALIAS_INVALID)
        return reader.pos, properties

    def _read(self, data: bytes, first: int, body: int, end: int) -> Packet:
        """Any packet but PUBLISH and CONNECT."""
        found = READERS.get(first)
        if found is None:
            if first == 0x10:
                self._fail(first, "a second one on the same connection", Reason.PROTOCOL_ERROR)
            if first & 0xF6 == 0x36:
                self._fail(first, "QoS 3; 0 to 2 are allowed")
            self._fail(first, f"flags {first & 0x0F:#x} that it must not have")
        name, senders, read = found
        if self.peer not in senders:
            self._fail(first, f"a packet that is not the {self.peer}'s to send", Reason.PROTOCOL_ERROR)
        if first == 0x20 and self._greeted:
            self._fail(first, "a second one on the same connection", Reason.PROTOCOL_ERROR)
        reader = Reader(data, body, end, self.peer, name)
        assert self.version is not None
        packet = read(reader, self.version)
        reader.finish()
        return packet

    def _frame(self, data: bytes, start: int) -> tuple[int, int] | None:
        """Where the packet's body starts and ends; None, with `_need` set, while it is incomplete."""
        length = 0
        for place in range(4):
            pos = start + 1 + place
            if pos >= len(data):
                self._need = pos + 1 - start
                return None
            length |= (data[pos] & 0x7F) << (7 * place)
            if data[pos] < 0x80:
                end = pos + 1 + length
                if end - start > self.max_packet:
                    self._too_large(data[start], end - start)
                if end > len(data):
                    self._need = end - start
                    return None
                return pos + 1, end
        return self._fail(data[start], "a remaining length of more than four bytes")

    def _check_form(self, data: bytes, start: int, body: int, end: int) -> None:
        """MQTT 5 wants the length in as few bytes as possible (MQTT-1.5.5-1); 3.1.1 does not say so."""
        if self.version == V5 and not data[body - 1]:
            self._fail(data[start], f"a remaining length {end - body} in more bytes than it needs")

    def _too_large(self, first: int, size: int) -> NoReturn:
        self._fail(first, f"{size} bytes; at most {self.max_packet} are allowed", Reason.PACKET_TOO_LARGE)

    def _fail(self, first: int, found: str, reason: Reason = Reason.MALFORMED_PACKET) -> NoReturn:
        raise ProtocolError(self.peer, reason, NAMES[first >> 4], found)


def _gather(data: bytes, text: str, start: int, bare: dict[bytes, int], five: bool) -> tuple[list[str], int]:
    """The topics of the messages from `start` on that have nothing else, and where that ends. None if
    something may be wrong with one of them: they are checked together. `text` are the same bytes."""
    topics: list[str] = []
    append = topics.append
    size_of = bare.get
    size, pos = len(data), start
    while (packet := size_of(data[pos : pos + 4])) is not None:
        end = pos + packet
        if end > size or (five and data[end - 1]):
            break
        append(text[pos + 4 : end - five])
        pos = end
    together = "".join(topics)
    if not together.isascii() or "\0" in together or "+" in together or "#" in together:
        return [], start
    return topics, pos
