"""How long until a message is acknowledged, which is once what it changed is stored: alone and at 1,000/s.

A repeated login changes nothing that must be stored; a lock and its release do.
"""

from __future__ import annotations

import argparse
import json

from benchmarks import asking
from benchmarks.crowd import Crowd
from whosin.mqtt.codec import V5, encode_publish

CROWD = Crowd(1_000, site="commits")


def _ask(nth: int, verb: str, payload: bytes) -> tuple[bytes, bytes]:
    packet_id = nth % 65_535 + 1
    packet = encode_publish(
        CROWD.topic(nth % CROWD.count, verb), payload, qos=1, packet_id=packet_id, version=V5
    )
    return packet, packet_id.to_bytes(2, "big")


def login(nth: int) -> tuple[bytes, bytes]:
    return _ask(nth, "login", CROWD.who(nth % CROWD.count))


def lock(nth: int) -> tuple[bytes, bytes]:
    verb = "unlock" if nth // CROWD.count % 2 else "lock"
    return _ask(nth, verb, json.dumps({"resource": "sales-order/SO-1"}).encode())


def heartbeat(nth: int) -> tuple[bytes, bytes]:
    return _ask(nth, "heartbeat", b"")


def run(options: argparse.Namespace) -> None:
    asking.run(options, {"login": login, "lock": lock, "heartbeat at QoS 1": heartbeat}, acknowledged=True)
