"""From packets to bytes.

Owns: the outgoing wire format. Must not know: sockets, time. What MQTT forbids raises ProtocolError with
side `caller`, before any byte exists.
"""

from __future__ import annotations

from typing import Final

from whosin.mqtt.codec.packets import V311, Packet, Properties, Version
from whosin.mqtt.codec.reasons import Reason

PINGREQ: Final = b"\xc0\x00"
PINGRESP: Final = b"\xd0\x00"


def encode(packet: Packet, version: Version) -> bytes:
    """Any packet. In 3.1.1 properties are left out, reasons become the nearest return code.

    A Connect is encoded in its own `version`.
    """
    raise NotImplementedError


def encode_publish(
    topic: bytes,
    payload: bytes,
    *,
    qos: int = 0,
    packet_id: int = 0,
    retain: bool = False,
    dup: bool = False,
    version: Version = V311,
    properties: Properties | None = None,
) -> bytes:
    """One PUBLISH, fast. The topic is trusted: check strangers' topics with `topic_problem`."""
    raise NotImplementedError


def encode_puback(packet_id: int, reason: Reason = Reason.SUCCESS, version: Version = V311) -> bytes:
    """One PUBACK without properties, fast. 3.1.1 has no reason: it is left out."""
    raise NotImplementedError
