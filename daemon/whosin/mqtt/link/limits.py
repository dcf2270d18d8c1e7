"""What a broker says about its limits, and which of them are too small for Whosin.

Owns: the thresholds and their reasons. Must not know: connections, logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from whosin.mqtt.codec import Properties

SMALLEST_WINDOW: Final = 1_000
"""Acknowledgements come after a commit: with a small window each commit carries few messages."""

LARGEST_BATCH: Final = 256 * 1024
PACKET_OVERHEAD: Final = 1_024
"""The longest topic of the contract, its length, packet identifier, a few properties."""

UNLIMITED_PACKET: Final = 268_435_460


class Limit(NamedTuple):
    name: str
    found: int
    wanted: int


class Terms(NamedTuple):
    """What a CONNACK left unsaid filled in by MQTT's defaults. Seconds and bytes."""

    receive_maximum: int
    maximum_packet_size: int
    keep_alive_s: int
    session_expiry_s: int


def terms_of(said: Properties, keep_alive_s: int, session_expiry_s: int) -> Terms:
    """What holds on a connection whose CONNACK said this; the two others are what we asked for."""

    def given(value: int | None, default: int) -> int:
        return default if value is None else value

    return Terms(
        given(said.receive_maximum, 65_535),
        given(said.maximum_packet_size, UNLIMITED_PACKET),
        given(said.server_keep_alive, keep_alive_s),
        given(said.session_expiry_interval, session_expiry_s),
    )


def too_small(said: Properties, terms: Terms, session_expiry_s: int) -> list[Limit]:
    """Each limit that will hurt, with what would not."""
    largest = LARGEST_BATCH + PACKET_OVERHEAD
    checks = (
        Limit("receive_maximum", terms.receive_maximum, SMALLEST_WINDOW),
        Limit("maximum_packet_size", terms.maximum_packet_size, largest),
        Limit("maximum_qos", 2 if said.maximum_qos is None else said.maximum_qos, 1),
        Limit("retain_available", 1 if said.retain_available is None else said.retain_available, 1),
        Limit("session_expiry_s", terms.session_expiry_s, session_expiry_s),
    )
    return [limit for limit in checks if limit.found < limit.wanted]
