"""Bytes of memory for a live session, all in: what the daemon's process grows by, beside a key in Redis.

Each with user, client type and machine, every third with an os_session; after the flush and at rest. Then
again with a lock each.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path

from benchmarks import peers, rig
from benchmarks.crowd import Crowd
from benchmarks.heartbeats import PATIENT, login
from tests.support.lines import dial, say

FLOOR_BYTES = 700.0


def run(options: argparse.Namespace) -> None:
    crowd = Crowd(options.sessions)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        daemon = rig.Daemon(folder, {**PATIENT, "store": {"flush_s": 5}})
        try:
            daemon.start()
            _warm(daemon)
            empty = rig.memory(daemon.pid)
            login(daemon, crowd)
            rows.append(_row("logged in, at once", daemon, empty, crowd.count))
            with contextlib.closing(dial(daemon.door_port, "bench")) as line:
                for _ in range(3):
                    say([line], [crowd.heartbeats(range(crowd.count))], [0])
            rig.settle(daemon.pid)
            rig.until(lambda: rig.settle(daemon.pid) or True)
            rows.append(_row("after heartbeats, at rest", daemon, empty, crowd.count, judged=True))
            with contextlib.closing(dial(daemon.door_port, "bench")) as line:
                say([line], [crowd.locks(range(crowd.count))], [crowd.count])
            rig.settle(daemon.pid)
            rows.append(_row("with a lock each", daemon, empty, crowd.count))
            daemon.stop()
            daemon.start()
            rig.settle(daemon.pid)
            rows.append(_row("the same after a restart", daemon, empty, crowd.count))
        finally:
            daemon.stop()
        rows += _redis(folder, crowd)
    print(f"the daemon itself: {empty[0] / 1e6:.1f} MB resident, {empty[1] / 1e6:.1f} MB of it its own\n")
    rig.table((f"{crowd.count:,} sessions", "resident B each", "own B each", "resident MB", ""), rows)


def _warm(daemon: rig.Daemon) -> None:
    """What the first few make it load is not theirs."""
    few = Crowd(100, site="warm-up")
    login(daemon, few)
    rig.settle(daemon.pid)


def _row(
    what: str, daemon: rig.Daemon, empty: tuple[int, int], count: int, *, judged: bool = False
) -> tuple[str, ...]:
    resident, own = rig.memory(daemon.pid)
    each, own_each = (resident - empty[0]) / count, (own - empty[1]) / count
    verdict = rig.floor(each, FLOOR_BYTES, "B", ".0f") if judged else ""
    return what, f"{each:,.0f}", f"{own_each:,.0f}", f"{resident / 1e6:.0f}", verdict


def _redis(folder: Path, crowd: Crowd) -> list[tuple[str, ...]]:
    """A key that expires, as long as a topic; then a hash with what a session tells."""
    rows = []
    for what in ("Redis, a key with an expiry", "Redis, a hash of user, client, machine"):
        with peers.redis(folder) as redis:
            if redis is None:
                return rows
            before, used = rig.memory(redis.pid), redis.used()
            parts, replies = [], 0
            for nth in range(crowd.count):
                key = crowd.ident(nth)
                if "hash" in what:
                    who = (
                        "user",
                        f"user{nth:06}@example.com",
                        "client",
                        "desktop",
                        "machine",
                        f"PC-{nth % 50_000:05}",
                    )
                    parts += [peers.command("HSET", key, *who), peers.command("PEXPIRE", key, "3600000")]
                    replies += 8
                else:
                    parts.append(peers.command("SET", key, "", "PX", "3600000"))
                    replies += 5
            redis.pour(b"".join(parts), replies)
            after = rig.memory(redis.pid)
            each, allocated = (after[0] - before[0]) / crowd.count, (redis.used() - used) / crowd.count
            rows.append(
                (what, f"{each:,.0f}", f"{allocated:,.0f}", f"{after[0] / 1e6:.0f}", "(own: as allocated)")
            )
    return rows
