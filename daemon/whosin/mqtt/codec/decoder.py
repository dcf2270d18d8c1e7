"""From a stream of bytes, cut anywhere, to packets.

Owns: framing, the hot path (PUBLISH), the order of the first packets. Must not know: sockets, time.
"""

from __future__ import annotations

from whosin.mqtt.codec.packets import Packet, Version
from whosin.mqtt.codec.reasons import Side


class Decoder:
    """Decodes what `peer` sends. Memory is bounded by `max_packet` plus the last chunk.

    From a client the version is taken from its CONNECT, and `feed` returns right behind a CONNECT even if
    more bytes have come: limits can be set for this client first; `feed(b"")` goes on with the rest.
    """

    version: Version | None
    """Given, or taken from the CONNECT; None before it."""
    level: int | None
    """The protocol level as it stood in the CONNECT, even if unsupported; None before it."""
    max_packet: int
    """Largest packet accepted, in bytes with its fixed header (0x95 if exceeded). May be changed."""

    def __init__(self, peer: Side, version: Version | None = None, max_packet: int = 268_435_460) -> None:
        self.peer = peer
        self.version = version
        self.level = version
        self.max_packet = max_packet

    def feed(self, data: bytes) -> list[Packet]:
        """All packets that are complete by now, in order.

        Raises ProtocolError at the first broken one (its `before` has the others), and from then on always.
        """
        raise NotImplementedError

    @property
    def buffered(self) -> int:
        """Bytes of an incomplete packet (or behind a CONNECT) that are kept."""
        raise NotImplementedError
