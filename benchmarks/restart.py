"""From start to ready with 100,000 live sessions, after SIGTERM and after kill -9."""

from __future__ import annotations

import argparse
import signal
import tempfile
from pathlib import Path

from benchmarks import rig
from benchmarks.crowd import Crowd
from benchmarks.heartbeats import PATIENT, login

FLOOR_S = 2.0


def run(options: argparse.Namespace) -> None:
    crowd = Crowd(options.sessions)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        daemon = rig.Daemon(Path(folder), {**PATIENT, "store": {"flush_s": 5}})
        try:
            empty_s = daemon.start()
            rows.append(("start with none", f"{empty_s:.2f}", "", "", ""))
            login(daemon, crowd)
            rig.settle(daemon.pid)
            for what, how in (("SIGTERM", signal.SIGTERM), ("kill -9", signal.SIGKILL)):
                took_s, busy_s, ended_s, resident = [], [], [], []
                for _ in range(options.repeats):
                    ended_s.append(daemon.stop(how))
                    took_s.append(daemon.start())
                    busy_s.append(rig.cpu_s(daemon.pid))
                    resident.append(rig.memory(daemon.pid)[0] / 1e6)
                    there = daemon.metric("whosin_sessions")
                    if there != crowd.count:
                        raise RuntimeError(f"{there} sessions came back of {crowd.count}")
                middle = sorted(took_s)[len(took_s) // 2]
                judged = rig.floor(middle, FLOOR_S, "s", ".2f")
                times = rig.spread(took_s), rig.spread(busy_s), rig.spread(ended_s)
                rows.append((f"after {what}", *times, f"{judged}; {max(resident):.0f} MB resident"))
        finally:
            daemon.stop()
    rig.table((f"{crowd.count:,} sessions", "to ready s", "CPU s", "to exit s", ""), rows)
