"""Free ports for the processes of tests.

Asking the system for port 0 and closing it again is a race that is lost now and then: the next outgoing
connection of any test may be given that very port. So these come from below the range that systems give to
outgoing connections, at random, so that test runs beside each other do not meet either.
"""

from __future__ import annotations

import random
import socket

LOWEST, HIGHEST = 10_000, 32_000

_random = random.SystemRandom()  # Hypothesis seeds the ordinary one: every run would try the same ports


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    while True:
        port = _random.randrange(LOWEST, HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
