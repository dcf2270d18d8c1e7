"""What a message costs in the codec, and how many a second the door hands over.

In one process, without the daemon; the sender shares it, so the door alone is faster.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING

from whosin.clock import SystemClock
from whosin.mqtt.codec import V5, V311, ConnAck, Connect, Decoder, Publish, Side, encode, encode_publish
from whosin.mqtt.door import Door, DoorLimits

if TYPE_CHECKING:
    from whosin.ports import Peer

SESSIONS = 4_000
CHUNK = 65_536


def stream(qos: int, version: int, count: int) -> bytes:
    topic = b"whosin/v1/up/north/books/%08d-1b7e-44c8-a4c2-1e2d3c4b5a69/heartbeat"
    return b"".join(
        encode_publish(
            topic % (n % SESSIONS), b"", qos=qos, packet_id=(n % 500 + 1) if qos else 0, version=version
        )
        for n in range(count)
    )


def decoding(qos: int, version: int, count: int) -> None:
    decoder = Decoder(Side.SERVER, version, gathers=True)
    decoder.feed(encode(ConnAck(), version))
    wire = stream(qos, version, count)
    chunks = [wire[start : start + CHUNK] for start in range(0, len(wire), CHUNK)]
    best = 9.0
    for _ in range(3):
        start = time.process_time()
        for chunk in chunks:
            decoder.feed(chunk)
        best = min(best, time.process_time() - start)
    print(f"codec  MQTT {version} QoS {qos}: {best / count * 1e6:.2f} us a message")


class Sink:
    """Takes everything, acknowledges at once."""

    full = False

    def __init__(self, expected: int) -> None:
        self.count = 0
        self.expected = expected
        self.all = asyncio.Event()

    def deliver(self, _source: str, _at_ms: int, peer: Peer, messages: list[Publish]) -> None:
        self.count += len(messages)
        if messages[0].qos:
            for message in messages:
                peer.ack(message.packet_id)
        if self.count >= self.expected:
            self.all.set()

    def deliver_bare(self, _source: str, _at_ms: int, _peer: Peer, topics: list[str]) -> None:
        self.count += len(topics)
        if self.count >= self.expected:
            self.all.set()

    def nothing(self, *_args: object, **_more: object) -> None:
        pass

    proof = behind = caught_up = sighted = blinded = rejected = when_free = nothing


async def ingest(qos: int, version: int, count: int) -> None:
    sink = Sink(count)
    fast = DoorLimits(gateway_rate=10**8, gateway_burst=10**8, receive_maximum=65_535)
    door = Door("127.0.0.1:0", clock=SystemClock(), name="bench", limits=fast)
    await door.start(sink)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(encode(Connect("bench", version=version), version))
    await reader.read(100)
    wire = stream(qos, version, count)

    async def drain() -> None:
        while await reader.read(1 << 20):
            pass

    draining = asyncio.create_task(drain())
    cpu, start = time.process_time(), time.perf_counter()
    for place in range(0, len(wire), CHUNK):
        writer.write(wire[place : place + CHUNK])
        await writer.drain()
    await sink.all.wait()
    took, busy = time.perf_counter() - start, time.process_time() - cpu
    rate, each = count / took, busy / count * 1e6
    print(f"door   MQTT {version} QoS {qos}: {rate:,.0f} messages/s, {each:.2f} us of CPU each")
    writer.close()
    await door.stop()
    draining.cancel()


def run(options: argparse.Namespace) -> None:
    count = 3 * options.sessions
    for one in (V311, V5):
        for quality in (0, 1):
            decoding(quality, one, count)
            asyncio.run(ingest(quality, one, count))
