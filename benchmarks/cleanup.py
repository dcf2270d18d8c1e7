"""One pass removes 100,000 disconnected logins in 1,000 companies, with a lock on every tenth.

The sessions log in through the door and fall silent, so that what is removed is what the daemon itself made.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import rig
from benchmarks.crowd import Crowd
from benchmarks.silence import everybody_in, impatient
from tests.support.lines import dial, say

FLOOR_S = 5.0
SETTINGS = {
    "mass_silence": {"min": 1_000_000},  # else all of them are held back, as they should be
    "limits": {"sessions": 300_000},
}


def run(options: argparse.Namespace) -> None:
    crowd = Crowd(options.sessions)
    with tempfile.TemporaryDirectory() as folder:
        daemon = rig.Daemon(Path(folder), {**impatient(options.timeout_s), **SETTINGS})
        daemon.start()
        try:
            _fallen(daemon, crowd)
            meter = rig.Meter(daemon.pid)
            done = _finished(daemon)
            busy_s, wall_s = meter.read()
            rig.settle(daemon.pid)
            all_s, _ = meter.read()
        finally:
            daemon.stop()
    took_s = _moment(done["finished"]) - _moment(done["started"])
    removed, released = done["removed"], done["released"]
    rows = (
        ("removed", f"{removed:,} logins and {released:,} locks in {len(done['companies']):,} companies", ""),
        ("the pass, as it reports", f"{took_s:.2f} s", rig.floor(took_s, FLOOR_S, "s", ".2f")),
        ("until the answer", f"{wall_s:.2f} s", ""),
        ("CPU", f"{busy_s:.2f} s, {busy_s / max(1, removed) * 1e6:.1f} us a login", ""),
        ("CPU until it rests", f"{all_s:.2f} s", ""),
    )
    rig.table(("", "", ""), rows)


def _fallen(daemon: rig.Daemon, crowd: Crowd) -> None:
    everybody_in(daemon, crowd)
    with contextlib.closing(dial(daemon.door_port, "locks")) as line:
        chosen = range(0, crowd.count, 10)
        say([line], [crowd.locks(chosen)], [len(chosen)])
    rig.until(lambda: daemon.metric("whosin_sessions_disconnected_total") >= crowd.count, 120, 0.5)
    rig.settle(daemon.pid)


def _finished(daemon: rig.Daemon) -> Any:
    report = daemon.api("POST", "cleanup/run", {})
    while report["finished"] is None:  # it waits, for the end of a grace
        time.sleep(0.1)
        report = daemon.api("GET", "cleanup/passes?limit=1")["items"][0]
    return report


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
