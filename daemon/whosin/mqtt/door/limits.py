"""How much strangers can make the door hold, in one place.

Owns the bounds and their defaults; must not know who enforces them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """Times are milliseconds, sizes bytes; rates are messages a second over bursts of that many."""

    connections: int = 10_000
    pending: int = 4_000
    """Connections that have not sent CONNECT yet. When everybody comes back at once, so many are accepted
    before the first is read."""
    connect_ms: int = 10_000
    """From the connection to its CONNECT, a TLS handshake included."""
    handshakes: int = 1_000
    """TLS handshakes under way; who comes then waits in line."""
    handshakes_at_once: int = 4
    """Steps of handshakes in one turn of the loop, for which everybody else has to wait."""
    packet: int = 16 * 1024
    """Largest packet of a client: twice the largest payload that means something, so that a payload a
    little too large is counted as such and costs nobody the connection."""
    batch_packet: int = 260 * 1024
    """Largest packet of those who may send batches."""
    piece: int = 8 * 1024
    """What is read of one connection in one turn of the loop."""
    pieces: int = 4
    """How many of those who had a whole piece to say are read in one turn; the others wait in line."""
    will: int = 8 * 1024
    client_id: int = 128
    """Characters."""
    filters: int = 64
    """Subscriptions of one session."""
    receive_maximum: int = 250
    """QoS 1 messages of one connection that wait for their acknowledgement. They are stored together, a few
    times in a second even on a slow disk: more of them would be no faster, and take more memory."""
    in_flight: int = 100
    """QoS 1 messages to one connection that it has not acknowledged; its own limit counts if lower."""
    observer_in_flight: int = 10_000
    queue: int = 1_000
    queue_bytes: int = 256 * 1024
    """What is kept for one session, unacknowledged messages included."""
    observer_queue: int = 20_000
    observer_queue_bytes: int = 16 * 1024 * 1024
    queue_bytes_in_all: int = 128 * 1024 * 1024
    """What is kept for all sessions together; beyond it each has an equal share."""
    crowded_ms: int = 10_000
    """How long events wait for an observer that has half a queue to read; then it may lose its place."""
    write_soft: int = 32 * 1024
    """Bytes written and not yet taken by the peer, above which answers wait in the session's queue."""
    write_hard: int = 256 * 1024
    """The same, above which the peer is too slow to stay."""
    session_expiry_ms: int = 3_600_000
    """Longest life of a session without its connection."""
    sessions: int = 5_000
    """Sessions without a connection."""
    client_rate: int = 50
    client_burst: int = 200
    gateway_rate: int = 5_000
    gateway_burst: int = 10_000
    linger_ms: int = 5_000
    """How long a closed connection may take to fetch its last bytes."""
