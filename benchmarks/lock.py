"""How long a lock takes until it is answered, granted and refused: p50 and p99, alone and at 1,000/s.

A thousand sessions of one company ask in turn; "in use" asks for what the first of them holds.
"""

from __future__ import annotations

import argparse
import json

from benchmarks import asking, rig
from benchmarks.crowd import Crowd
from benchmarks.heartbeats import login
from tests.support.lines import dial, say
from whosin.mqtt.codec import V5, encode_publish

CROWD = Crowd(1_000, companies=1, site="locks")


def granted(nth: int) -> tuple[bytes, bytes]:
    return _lock(nth % CROWD.count, nth, f"sales-order/SO-{nth:07}")


def in_use(nth: int) -> tuple[bytes, bytes]:
    return _lock(nth % (CROWD.count - 1) + 1, nth, "vat-return")


def _lock(session: int, nth: int, resource: str) -> tuple[bytes, bytes]:
    asked = json.dumps({"resource": resource, "activity": "amending"}).encode()
    topic = CROWD.topic(session, "lock")
    packet = encode_publish(topic, asked, qos=1, packet_id=nth % 65_535 + 1, version=V5)
    return packet, f"{CROWD.ident(session)}/lock".encode()


def prepare(daemon: rig.Daemon) -> None:
    login(daemon, CROWD)
    with dial(daemon.door_port, "first", version=V5) as line:
        say([line], [_lock(0, 0, "vat-return")[0]], [1])


def run(options: argparse.Namespace) -> None:
    asking.run(options, {"granted": granted, "in use": in_use}, prepare)
