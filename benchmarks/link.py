"""What one received message costs the link: CPU of this process, through a real Mosquitto.

The publisher is another process; the intake only counts, and acknowledges QoS 1 after 5 ms as a commit would.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import peers
from whosin.mqtt.codec import PINGREQ, PINGRESP, V5, Connect, encode, encode_puback, encode_publish
from whosin.mqtt.link import Link

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whosin.ports import Peer, Received


class Clock:
    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self, at_ms: int) -> int:
        return at_ms

    def timeline_ms(self, wall_ms: int) -> int:
        return wall_ms


class Counting:
    """The least that an intake can do."""

    full = False

    def __init__(self, expected: int) -> None:
        self.left = expected
        self.deliveries = 0
        self.proofs = 0
        self.complete = asyncio.Event()

    def deliver(self, _source: str, _at_ms: int, peer: Peer, messages: Sequence[Received]) -> None:
        self.left -= len(messages)
        self.deliveries += 1
        if messages[0].qos:
            asyncio.get_running_loop().call_later(0.005, self.acknowledge, peer, messages)
        if self.left <= 0:
            self.complete.set()

    def deliver_bare(self, _source: str, _at_ms: int, _peer: Peer, topics: Sequence[str]) -> None:
        self.left -= len(topics)
        self.deliveries += 1
        if self.left <= 0:
            self.complete.set()

    def acknowledge(self, peer: Peer, messages: Sequence[Received]) -> None:
        for message in messages:
            peer.ack(message.packet_id)

    def proof(self, _source: str, _at_ms: int) -> None:
        self.proofs += 1

    def sighted(self, _source: str, _at_ms: int) -> None: ...

    def blinded(self, _source: str) -> None: ...


def publish(port: int, count: int, qos: int, topics: int) -> None:
    """In one go; then stay until the broker has taken all of it."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(encode(Connect("publisher", version=V5), V5))
        line.recv(1_000)
        taken = threading.Thread(
            target=drain, args=(line, qos * count * len(encode_puback(1)) + len(PINGRESP))
        )
        taken.start()
        for start in range(0, count, 500):
            line.sendall(
                b"".join(
                    encode_publish(
                        b"whosin/v1/up/site/company/session-%06d/heartbeat" % (n % topics),
                        b"", qos=qos, packet_id=(n % 65_535 + 1) * qos, version=V5,
                    )
                    for n in range(start, min(start + 500, count))
                )
            )  # fmt: skip
        line.sendall(PINGREQ)
        taken.join()


def drain(line: socket.socket, size: int) -> None:
    while size > 0:
        size -= len(line.recv(65_536))


async def measure(port: int, count: int, qos: int, topics: int) -> None:
    intake = Counting(count)
    link = Link("127.0.0.1", port, client_id="whosin-bench", name="bench", clock=Clock())
    await link.start(intake)
    while not link.ready:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)
    context = multiprocessing.get_context("fork")
    publisher = context.Process(target=publish, args=(port, count, qos, topics))
    publisher.start()
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        await asyncio.wait_for(intake.complete.wait(), 120)
    finally:
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        got = count - max(0, intake.left)
        print(
            f"QoS {qos}: {got:,} of {count:,} in {wall:.2f} s = {got / wall:,.0f}/s, "
            f"{cpu / max(1, got) * 1e6:.2f} us CPU each, "
            f"{got / max(1, intake.deliveries):.1f} in a delivery, {intake.proofs:,} proofs"
        )
    publisher.join()
    await link.stop()


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder, peers.mosquitto(Path(folder)) as broker:
        if broker is not None:
            for qos in (0, 1):
                asyncio.run(measure(broker.port, 3 * options.sessions, qos, 5_000))
