"""What a heartbeat costs the daemon, from socket to state, beside a C subscriber and Redis.

100,000 sessions on distinct topics are logged in, then all beat, through the door and through a real
Mosquitto with the limits that ship. CPU is the daemon's own, user and system, with the writing behind put off
(it is measured apart). The peers get the same flood in the same run: a C program on libmosquitto that keeps
when each topic was heard last, and Redis renewing one key a session (`PEXPIRE`, pipelined).
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import peers, rig
from benchmarks.crowd import Crowd, shares
from tests.support.lines import dial, say

FLOOR_US = 5.0
PATIENT = {
    "client_types.desktop": {"timeout_s": 3600},
    "store": {"flush_s": 60},  # written behind once in a while, and not while a flood is measured
}


class Figures:
    """Rows of one table, each after several rounds."""

    def __init__(self, count: int, repeats: int) -> None:
        self.count = count
        self.repeats = repeats
        self.rows: list[tuple[str, list[float], list[float], float, float | None]] = []

    def measure(self, what: str, pid: int, flood: Callable[[], float], most_us: float | None = None) -> None:
        """`flood` returns once all was taken, with the sender's own seconds of CPU. One more to warm up."""
        flood()
        each_us, rates, sender = [], [], []
        for _ in range(self.repeats):
            rig.settle(pid, 5)
            meter = rig.Meter(pid)
            sent_s = flood()
            busy_s, took_s = meter.read()
            each_us.append(busy_s / self.count * 1e6)
            rates.append(self.count / took_s)
            sender.append(sent_s / took_s)
        self.rows.append((what, each_us, rates, max(sender), most_us))

    def show(self) -> None:
        first = statistics.median(self.rows[0][1]) if self.rows else 0
        rows = []
        for what, each_us, rates, sender, most_us in self.rows:
            middle = statistics.median(each_us)
            judged = "" if most_us is None else rig.floor(middle, most_us, "us")
            ratio = f"{middle / first:.2f}" if first else ""
            rows.append(
                (
                    what,
                    rig.spread(each_us),
                    ratio,
                    f"{statistics.median(rates):,.0f}",
                    f"{sender:.0%}",
                    judged,
                )
            )
        rig.table(("", "us CPU each", "ratio", "messages/s", "sender busy", ""), rows)


def login(daemon: rig.Daemon, crowd: Crowd, port: int | None = None) -> tuple[float, float]:
    """Everybody, at QoS 1. CPU and wall seconds."""
    lines = [dial(port or daemon.door_port, f"bench-login-{nth}") for nth in range(10)]
    hands = list(shares(crowd.count, len(lines)))
    meter = rig.Meter(daemon.pid)
    say(lines, [crowd.logins(hand) for hand in hands], [len(hand) for hand in hands])
    found = meter.read()
    for line in lines:
        line.close()
    rig.until(lambda: daemon.metric("whosin_sessions") >= crowd.count)
    return found


def run(options: argparse.Namespace) -> None:
    ways = options.only.split(",") if options.only else ["door", "mosquitto", "redis"]
    crowd = Crowd(options.sessions)
    figures = Figures(crowd.count, options.repeats)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(peers.mosquitto(folder)) if "mosquitto" in ways else None
        daemon = rig.Daemon(folder, PATIENT, broker=broker and broker.port)
        daemon.start()
        stack.callback(daemon.stop)
        busy_s, took_s = login(daemon, crowd)
        print(
            f"{crowd.count:,} logins at QoS 1 through the door: {busy_s / crowd.count * 1e6:.1f} us CPU "
            f"each, {crowd.count / took_s:,.0f}/s"
        )
        rig.settle(daemon.pid)
        if "door" in ways:
            _door(figures, daemon, crowd)
        if broker is not None:
            _mosquitto(figures, daemon, crowd, folder, broker.port)
        if "redis" in ways:
            with peers.redis(folder) as redis:
                if redis is not None:
                    _redis(figures, redis, crowd)
        figures.show()
        _behind(daemon, crowd)
        _steady(daemon, crowd, broker and broker.port, options.seconds)


def _door(figures: Figures, daemon: rig.Daemon, crowd: Crowd) -> None:
    for qos in (0, 1):
        most_us = None if qos else FLOOR_US
        with contextlib.closing(dial(daemon.door_port, "bench")) as line:
            blob = crowd.heartbeats(range(crowd.count), qos)
            flood = _flood(daemon, [line], [blob], [crowd.count * qos])
            figures.measure(f"door, QoS {qos}", daemon.pid, flood, most_us)
    many = min(1_000, crowd.count)
    hands = list(shares(crowd.count, many))
    lines = [dial(daemon.door_port, f"bench-{nth}") for nth in range(many)]
    blobs = [crowd.heartbeats(hand) for hand in hands]
    flood = _flood(daemon, lines, blobs, [0] * many)
    figures.measure(f"door, QoS 0, {many:,} connections", daemon.pid, flood)
    one = len(crowd.heartbeats([0]))
    flood = _flood(daemon, lines, blobs, [0] * many, piece=one)
    figures.measure("the same, one message a packet", daemon.pid, flood)
    for line in lines:
        line.close()


def _flood(
    daemon: rig.Daemon, lines: list[socket.socket], blobs: list[bytes], acks: list[int], **more: int
) -> Callable[[], float]:
    def flood() -> float:
        return say(lines, blobs, acks, **more)

    before = daemon.metric("whosin_heartbeats_total")
    flood()
    got = daemon.metric("whosin_heartbeats_total") - before
    sent = sum(blob.count(b"/heartbeat") for blob in blobs)
    if got != sent:
        raise RuntimeError(f"{sent} heartbeats were sent and {got} counted")
    return flood


def _mosquitto(figures: Figures, daemon: rig.Daemon, crowd: Crowd, folder: Path, port: int) -> None:
    """The last message of each round asks for an answer, which comes once all before it was taken."""
    for qos in (0, 1):
        blob = crowd.heartbeats(range(crowd.count), qos)
        with contextlib.closing(dial(port, "bench")) as line:

            def flood(line: socket.socket = line, blob: bytes = blob, qos: int = qos) -> float:
                before = daemon.metric("whosin_heartbeats_total")
                cost = say([line], [blob], [crowd.count * qos])
                rig.until(lambda: daemon.metric("whosin_heartbeats_total") - before >= crowd.count)
                return cost

            flood()
            figures.measure(f"Mosquitto, QoS {qos}", daemon.pid, flood, None if qos else FLOOR_US)
    for qos in (0, 1):
        blob = crowd.heartbeats(range(crowd.count), qos)
        with (
            peers.listener(folder, port, qos, crowd.count) as heard,
            contextlib.closing(dial(port, "bench")) as line,
        ):
            if heard is None:
                return

            def flood_c(
                line: socket.socket = line, blob: bytes = blob, qos: int = qos, to: peers.Listener = heard
            ) -> float:
                cost = say([line], [blob], [crowd.count * qos])
                to.heard()
                return cost

            figures.measure(f"C on libmosquitto, QoS {qos}", heard.pid, flood_c)


def _redis(figures: Figures, redis: peers.Redis, crowd: Crowd) -> None:
    keys = [crowd.topic(nth) for nth in range(crowd.count)]
    redis.pour(b"".join(peers.command("SET", key, "", "PX", "3600000") for key in keys), 5 * len(keys))
    blob = b"".join(peers.command("PEXPIRE", key, "3600000") for key in keys)
    figures.measure("Redis PEXPIRE, pipelined", redis.pid, lambda: redis.pour(blob, 4 * len(keys)))


def _behind(daemon: rig.Daemon, crowd: Crowd) -> None:
    """All sessions beat once, then the flush."""
    with contextlib.closing(dial(daemon.door_port, "bench")) as line:
        say([line], [crowd.heartbeats(range(crowd.count))], [0])
    rig.settle(daemon.pid)
    meter = rig.Meter(daemon.pid)
    daemon.change({"store": {"flush_s": 0.5}})
    time.sleep(1.5)
    rig.settle(daemon.pid)
    busy_s, _ = meter.read()
    each_us = busy_s / crowd.count * 1e6
    print(f"\nwritten behind: {each_us:.2f} us CPU for each session that has beaten since the last time")
    daemon.change({"store": {"flush_s": 5}})


def _steady(daemon: rig.Daemon, crowd: Crowd, broker: int | None, seconds: float) -> None:
    """As in life: nothing, then everybody once a minute, a message at a time, the flush included."""
    idle = rig.Meter(daemon.pid)
    time.sleep(seconds)
    idle_s, wall_s = idle.read()
    idle_share = idle_s / wall_s
    print(f"idle with {crowd.count:,} sessions: {idle_share:.2%} of a core")
    rate = crowd.count / 60
    for what, port in (("door", daemon.door_port), ("Mosquitto", broker)):
        if port is None:
            continue
        lines = [dial(port, f"bench-{nth}") for nth in range(min(100, crowd.count))]
        packets = [crowd.heartbeats([nth]) for nth in range(min(crowd.count, int(rate * seconds)))]
        meter = rig.Meter(daemon.pid)
        begun = time.perf_counter()
        for nth, packet in enumerate(packets):
            ahead_s = begun + nth / rate - time.perf_counter()
            if ahead_s > 0.002:
                time.sleep(ahead_s)
            lines[nth % len(lines)].sendall(packet)
        time.sleep(max(0.0, begun + seconds - time.perf_counter()))
        busy_s, took_s = meter.read()
        for line in lines:
            line.close()
        each_us = max(0.0, busy_s - idle_share * took_s) / len(packets) * 1e6
        print(
            f"everybody once a minute through {what}, {len(packets) / took_s:,.0f}/s: {busy_s / took_s:.1%} "
            f"of a core, {each_us:.1f} us CPU each above idle"
        )
