"""`python -m tests.docs.made_up_days N`: every answer and event of N days of the simulator, as lines of JSON.

A process of its own, for the simulator takes the place of clocks and of the log for good.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.simulator.run import play_seed
from whosin import wire


def listen() -> list[tuple[str, bytes]]:
    """What the wire puts into words from now on."""
    said: list[tuple[str, bytes]] = []
    answer, event = wire.answer, wire.event

    def answered(*given: Any) -> tuple[str, bytes]:
        said.append(answer(*given))
        return said[-1]

    def announced(*given: Any) -> tuple[str, bytes] | None:
        found = event(*given)
        if found is not None:
            said.append(found)
        return found

    wire.answer, wire.event = answered, announced  # type: ignore[assignment]
    return said


if __name__ == "__main__":
    overheard = listen()
    for seed in range(1, int(sys.argv[1]) + 1):
        assert play_seed(seed).violations == [], seed
    for topic, payload in overheard:
        print(json.dumps([topic, json.loads(payload)]))
