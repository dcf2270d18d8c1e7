"""100,000 sessions fall silent at once: how late that is told, what it costs, and what others notice.

Everybody beats a last time within about a second (or evenly over ten), so all deadlines come as close
together. An observer in a process of its own receives each `session.disconnected` and compares its arrival
with the deadline that the event is dated with; the daemon publishes it once it is durable. Meanwhile 1,000
others go on beating and ask for locks, from a third process, which takes the time of every answer. Redis gets
as many keys that expire at the same moments, and tells a subscriber.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import multiprocessing.connection
import re
import select
import socket
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import peers, rig
from benchmarks.crowd import Crowd, shares
from tests.support.lines import dial, packets, published, say
from whosin.mqtt.codec import V5, encode_puback, encode_publish

FLOOR_S = 2.0
CALM = 1_000
CALM_BEATS_S = 5
ASKED_PER_S = 100
UNACKED = 200  # fewer than the door's Receive Maximum
PATIENCE_S = 120  # from an observer's start, before the last beats

Pipe = multiprocessing.connection.Connection


# --- the observer -------------------------------------------------------------------------------------


def observe(port: int, count: int, pipe: Pipe) -> None:
    """Until `count` sessions are told as disconnected: when each was heard, and of when it is dated."""
    heard: list[tuple[float, bytes]] = []
    lost = 0
    line = dial(port, "observer", hear="whosin/v1/events/#", version=V5, window=65_535, expiry_s=600)
    pipe.send("hears")
    end = time.monotonic() + PATIENCE_S
    buffer = bytearray()
    while len(heard) < count and time.monotonic() < end:
        if not select.select([line], [], [], 1.0)[0]:
            continue
        data = b""
        with contextlib.suppress(OSError):
            data = line.recv(1 << 20)
        now = time.time()
        if not data:
            lost += 1
            line = dial(port, "observer", hear="whosin/v1/events/#", version=V5, window=65_535, expiry_s=600)
            buffer.clear()
            continue
        buffer += data
        acks = bytearray()
        for kind, body in packets(buffer):
            if kind >> 4 != 3:
                continue
            topic, packet_id, payload = published(body)
            acks += encode_puback(packet_id, version=V5)
            if topic.endswith(b"/session.disconnected"):
                heard.append((now, payload))
        with contextlib.suppress(OSError):
            line.sendall(acks)
    line.close()
    pipe.send((lost, [(now, dated(payload)) for now, payload in heard]))


def dated(event: bytes) -> float:
    found = re.search(rb'"time":"([^"]+)"', event)
    assert found is not None
    return datetime.fromisoformat(found[1].decode()).timestamp()


# --- those who stay -----------------------------------------------------------------------------------


class Calm:
    """Beats for its sessions, and asks for a lock now and then; how long each answer took."""

    def __init__(self, port: int, count: int) -> None:
        self.crowd = Crowd(count, companies=20, site="quiet-site")
        self.line = dial(port, "calm", hear="whosin/v1/down/quiet-site/#", version=V5, window=65_535)
        self.asked: dict[str, float] = {}
        self.answers: list[tuple[float, float]] = []
        self.buffer = bytearray()
        self.unacked = 0
        self.held: deque[bytes] = deque()  # what has to wait for acknowledgements first; its clock runs

    def begin(self) -> None:
        everybody = range(self.crowd.count)
        for start in range(0, self.crowd.count, 200):
            for nth in everybody[start : start + 200]:
                self._say(nth, "login", self.crowd.who(nth))
            self._hear(0.2)

    def go_on(self, until: Pipe) -> None:
        """Until the pipe says something."""
        turn, begun, beaten, asked = 0, time.monotonic(), 0, 0
        while not until.poll():
            now = time.monotonic() - begun
            while beaten < now * self.crowd.count / CALM_BEATS_S:
                self._say(beaten % self.crowd.count, "heartbeat", b"", qos=0)
                beaten += 1
            while asked < now * ASKED_PER_S:
                nth = turn % self.crowd.count
                verb = "unlock" if turn // self.crowd.count % 2 else "lock"
                if (ident := self.crowd.ident(nth)) not in self.asked:
                    self.asked[ident] = time.time()
                    self._say(nth, verb, json.dumps({"resource": f"order/{nth}"}).encode())
                turn += 1
                asked += 1
            self._hear(0.005)

    def _say(self, nth: int, verb: str, payload: bytes, qos: int = 1) -> None:
        topic = self.crowd.topic(nth, verb)
        packet = encode_publish(topic, payload, qos=qos, packet_id=qos and nth % 65_535 + 1, version=V5)
        if qos:
            self.held.append(packet)
            self._send_held()
        else:
            self.line.sendall(packet)

    def _send_held(self) -> None:
        while self.held and self.unacked < UNACKED:
            self.unacked += 1
            self.line.sendall(self.held.popleft())

    def _hear(self, wait_s: float) -> None:
        while select.select([self.line], [], [], wait_s)[0]:
            data = self.line.recv(1 << 16)
            if not data:
                raise ConnectionError("one who stayed lost the connection")
            self.buffer += data
            now, wait_s = time.time(), 0
            acks = b""
            for kind, body in packets(self.buffer):
                self.unacked -= kind >> 4 == 4
                if kind >> 4 == 3:
                    topic, packet_id, _ = published(body)
                    acks += encode_puback(packet_id, version=V5)
                    asked = self.asked.pop(topic.split(b"/")[5].decode(), None)
                    if asked is not None:
                        self.answers.append((asked, now - asked))
            if acks:
                self.line.sendall(acks)
            self._send_held()


def stay(port: int, count: int, pipe: Pipe) -> None:
    calm = Calm(port, count)
    calm.begin()
    pipe.send("in")
    calm.go_on(pipe)
    overdue = [(asked, time.time() - asked) for asked in calm.asked.values()]
    pipe.send(calm.answers + overdue)


# --- Redis --------------------------------------------------------------------------------------------


def subscribe(port: int, count: int, pipe: Pipe) -> None:
    """Until `count` keys are told as expired, or time is up: when each was."""
    line = socket.create_connection(("127.0.0.1", port))
    line.sendall(peers.command("SUBSCRIBE", "__keyevent@0__:expired"))
    line.recv(4_096)
    pipe.send("hears")
    heard: list[tuple[float, bytes]] = []
    found, end = 0, time.monotonic() + PATIENCE_S
    while found < count and time.monotonic() < end:
        if select.select([line], [], [], 1.0)[0]:
            data = line.recv(1 << 20)
            heard.append((time.time(), data))
            found += data.count(b"$7\r\nmessage")
    told = []
    rest = b""
    for now, data in heard:
        parts = (rest + data).split(b"*3\r\n$7\r\nmessage\r\n")
        rest = parts.pop()
        told += [(now, part) for part in parts if part]
    told += [(heard[-1][0], rest)] if rest else []
    pipe.send([(now, int(part.split(b"\r\n")[3])) for now, part in told])


# --- one wave -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def beside(target: Any, *args: object) -> Iterator[Pipe]:
    """A process of its own, and the pipe to it; ready once it has said so."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*args, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        ours.recv()
        yield ours
    finally:
        process.terminate()
        process.join()


class Wave:
    """What one wave showed."""

    def __init__(self, daemon: rig.Daemon, crowd: Crowd, port: int, over_s: float, timeout_s: float) -> None:
        self.daemon = daemon
        self.crowd = crowd
        self.port = port
        self.over_s = over_s
        self.timeout_s = timeout_s
        self.late: list[float] = []
        self.lost = 0

    def run(self, calm: Pipe) -> None:
        """Everybody beats a last time, then is silent for as long as it takes."""
        with beside(observe, self.port, self.crowd.count) as observer:
            self._last_beats()
            first, heard = self._watch(observer)
        calm.send("enough")
        answers = calm.recv()
        last = max((now for now, _ in heard), default=first)
        self.late = [now - dated for now, dated in heard]
        self.before = [took for asked, took in answers if asked < first]
        self.during = [took for asked, took in answers if first <= asked <= last]

    def _last_beats(self) -> None:
        with contextlib.closing(dial(self.port, "crowd")) as line:
            slices = 100 if self.over_s else 1
            blobs = [self.crowd.heartbeats(part) for part in shares(self.crowd.count, slices)]
            begun = time.monotonic()
            for nth, blob in enumerate(blobs):
                time.sleep(max(0.0, begun + nth * self.over_s / slices - time.monotonic()))
                say([line], [blob], [0])
            self.beat_s = time.monotonic() - begun

    def _watch(self, observer: Pipe) -> tuple[float, list[tuple[float, float]]]:
        quiet_s = self.timeout_s - self.beat_s - 4
        time.sleep(max(0.0, quiet_s))
        idle = rig.Meter(self.daemon.pid)
        time.sleep(2)
        idle_s, wall_s = idle.read()
        meter = rig.Meter(self.daemon.pid)
        self.lost, heard = observer.recv()
        busy_s, took_s = meter.read()
        self.each_us = (busy_s - idle_s / wall_s * took_s) / max(1, len(heard)) * 1e6
        return min((dated for _, dated in heard), default=time.time()), heard

    def row(self, what: str) -> tuple[str, ...]:
        whole = len(self.late) == self.crowd.count and not self.lost
        worst = max(self.late, default=PATIENCE_S)
        judged = rig.floor(worst, FLOOR_S, "s", ".2f")
        if not whole:
            judged = f"floor missed: {len(self.late):,} heard, observer cut off {self.lost} times"
        return (
            what, f"{len(self.late):,}", rig.quantiles(self.late, ".2f"), f"{self.each_us:.0f}",
            ms(self.before), ms(self.during), judged,
        )  # fmt: skip


def ms(seconds: list[float]) -> str:
    return rig.quantiles([second * 1000 for second in seconds], ".0f")


def impatient(timeout_s: float) -> rig.Settings:
    beat_s = timeout_s / 4
    times = {"timeout_s": timeout_s, "heartbeat_every_s": beat_s, "lost_grace_s": 1.2 * beat_s}
    return {"client_types.desktop": times, "watch": {"regain_grace_s": 1}}


def settings(options: argparse.Namespace) -> rig.Settings:
    least = 10 if options.hold else 1_000_000
    return {
        **impatient(options.timeout_s),
        "mass_silence": {"min": least},
    }


def run(options: argparse.Namespace) -> None:
    ways = options.only.split(",") if options.only else ["door", "mosquitto", "redis"]
    rows = []
    for way in ways:
        for over_s in (0.0, options.over_s):
            what = f"{way}, {f'over {over_s:g} s' if over_s else 'at once'}"
            if way == "redis":
                rows += _redis(options, what, over_s)
            else:
                rows += _daemon(options, way, what, over_s)
    rig.table(
        ("", "told", "late s p50/p99/max", "us CPU each", "others' answers ms", "during the wave", ""), rows
    )


def _daemon(options: argparse.Namespace, way: str, what: str, over_s: float) -> list[tuple[str, ...]]:
    crowd = Crowd(options.sessions)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(peers.mosquitto(folder)) if way == "mosquitto" else None
        if way == "mosquitto" and broker is None:
            return []
        daemon = rig.Daemon(folder, settings(options), broker=broker and broker.port)
        daemon.start()
        stack.callback(daemon.stop)
        everybody_in(daemon, crowd)
        rig.settle(daemon.pid, options.timeout_s / 4)
        port = daemon.door_port if broker is None else broker.port
        calm = stack.enter_context(beside(stay, port, min(CALM, crowd.count)))
        wave = Wave(daemon, crowd, port, over_s, options.timeout_s)
        wave.run(calm)
        return [wave.row(what)]


def everybody_in(daemon: rig.Daemon, crowd: Crowd) -> None:
    """In parts, and those who are in beat meanwhile."""
    with contextlib.closing(dial(daemon.door_port, "in")) as line:
        for start in range(0, crowd.count, 10_000):
            part = range(start, min(start + 10_000, crowd.count))
            say([line], [crowd.logins(part)], [len(part)])
            say([line], [crowd.heartbeats(range(part.stop))], [0])


def _redis(options: argparse.Namespace, what: str, over_s: float) -> list[tuple[str, ...]]:
    count = options.sessions
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(peers.redis(folder, ["--notify-keyspace-events", "Ex"]))
        if redis is None:
            return []
        told = stack.enter_context(beside(subscribe, redis.port, count))
        first_ms = time.time_ns() // 1_000_000 + int(options.timeout_s * 1_000)
        span_ms = over_s * 1_000 or 1_000
        deadlines = [int(first_ms + nth * span_ms / count) for nth in range(count)]
        blob = b"".join(
            peers.command("SET", f"{nth:036}", "", "PXAT", str(at)) for nth, at in enumerate(deadlines)
        )
        redis.pour(blob, 5 * count)
        time.sleep(max(0.0, first_ms / 1_000 - time.time()))
        meter = rig.Meter(redis.pid)
        heard = told.recv()
        busy_s, _ = meter.read()
        late = [now - deadlines[nth] / 1_000 for now, nth in heard]
        each_us = busy_s / max(1, len(heard)) * 1e6
        return [(what, f"{len(heard):,}", rig.quantiles(late, ".2f"), f"{each_us:.0f}", "", "", "")]
