"""Questions with an answer: how long each takes, one at a time and at a rate. Shared by three benchmarks.

Must not know what is asked. The clock runs from the moment at which a question was due, so that one who has
to wait behind others counts as waiting.
"""

from __future__ import annotations

import argparse
import select
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import rig
from benchmarks.heartbeats import PATIENT
from tests.support.lines import dial, packets, published
from whosin.mqtt.codec import V5, encode_puback

Question = Callable[[int], tuple[bytes, bytes]]
"""The packet to send as the nth question, and the key under which its answer is found."""

RATE = 1_000


def run(
    options: argparse.Namespace,
    ways: dict[str, Question],
    prepare: Callable[[rig.Daemon], object] = lambda _daemon: None,
    *,
    acknowledged: bool = False,
) -> None:
    """`acknowledged`: the PUBACK is the answer, and its packet id the key; else a topic's last two levels."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        daemon = rig.Daemon(Path(folder), {**PATIENT, "store": {"flush_s": 5}})
        daemon.start()
        try:
            prepare(daemon)
            for what, question in ways.items():
                for rate in (0, RATE):
                    hear = None if acknowledged else "whosin/v1/down/#"
                    line = dial(daemon.door_port, "asker", hear=hear, version=V5, window=65_535)
                    rows.append(_row(daemon, f"{what}, {_pace(rate)}", line, question, rate, options.seconds))
                    line.close()
        finally:
            daemon.stop()
    rig.table(("", "answers", "ms p50/p99/max", "us CPU each"), rows)


def _pace(rate: int) -> str:
    return f"{rate:,}/s" if rate else "one at a time"


def _row(
    daemon: rig.Daemon, what: str, line: socket.socket, question: Question, rate: int, seconds: float
) -> tuple[str, ...]:
    rig.settle(daemon.pid, 5)
    meter = rig.Meter(daemon.pid)
    took = ask(line, question, rate, seconds)
    busy_s, _ = meter.read()
    return (
        what,
        f"{len(took):,}",
        rig.quantiles([one * 1000 for one in took], ".2f"),
        f"{busy_s / len(took) * 1e6:.0f}",
    )


_asked = 0  # questions are numbered on, so that none comes twice in a run


def ask(line: socket.socket, question: Question, rate: int, seconds: float) -> list[float]:
    global _asked  # noqa: PLW0603
    open_: dict[bytes, float] = {}
    took: list[float] = []
    buffer = bytearray()
    begun = time.perf_counter()
    sent = 0
    while True:
        now = time.perf_counter()
        over = now - begun > seconds
        if over and (not open_ or now - begun > seconds + 30):
            return took
        due = begun + sent / rate if rate else now
        while not over and due <= now and (rate or not open_):
            packet, key = question(_asked)
            _asked += 1
            sent += 1
            open_[key] = due
            line.sendall(packet)
            due = begun + sent / rate if rate else now
        wait_s = min(max(0.0, due - now), 0.05) if rate and not over else 0.05
        if not select.select([line], [], [], wait_s)[0]:
            continue
        data = line.recv(1 << 16)
        now = time.perf_counter()
        if not data:
            raise ConnectionError("the door closed the line")
        buffer += data
        acks = b""
        for kind, body in packets(buffer):
            if kind >> 4 == 3:
                topic, packet_id, _ = published(body)
                acks += encode_puback(packet_id, version=V5)
                key = b"/".join(topic.split(b"/")[-2:])
            elif kind >> 4 == 4:
                key = body[:2]
            else:
                continue
            if (asked := open_.pop(key, None)) is not None:
                took.append(now - asked)
        if acks:
            line.sendall(acks)
