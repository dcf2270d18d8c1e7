"""How long a login takes until it is answered, which is once it is stored: alone and at 1,000/s."""

from __future__ import annotations

import argparse

from benchmarks import asking
from benchmarks.crowd import Crowd
from whosin.mqtt.codec import V5, encode_publish

CROWD = Crowd(1_000_000)


def question(nth: int) -> tuple[bytes, bytes]:
    packet = encode_publish(
        CROWD.topic(nth, "login"), CROWD.who(nth), qos=1, packet_id=nth % 65_535 + 1, version=V5
    )
    return packet, f"{CROWD.ident(nth)}/login".encode()


def run(options: argparse.Namespace) -> None:
    asking.run(options, {"login": question})
