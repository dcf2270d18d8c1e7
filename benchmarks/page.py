"""The page's views with 100,000 logins, and how long everybody else waits meanwhile."""

from __future__ import annotations

import argparse
import http.client
import tempfile
import threading
import time
from pathlib import Path

from benchmarks import rig
from benchmarks.crowd import Crowd
from benchmarks.heartbeats import PATIENT, login

FORM = "application/x-www-form-urlencoded"
VIEWS = (
    "/users",
    "/users?sort=user",
    "/users?q=user000123",
    "/disconnected",
    "/locks",
    "/companies",
    "/history",
)


class Neighbour:
    """Somebody who asks something small, over and over: `worst_ms` is the longest that it took."""

    def __init__(self, daemon: rig.Daemon) -> None:
        self._daemon = daemon
        self._over = threading.Event()
        self._took_ms: list[float] = []
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        while not self._over.wait(0.005):
            begun = time.perf_counter()
            self._daemon.get("/healthz")
            self._took_ms.append((time.perf_counter() - begun) * 1000)

    def worst_ms(self) -> float:
        self._over.set()
        self._thread.join()
        return max(self._took_ms, default=0)


def _ask(daemon: rig.Daemon, token: str, path: str, form: str | None = None) -> tuple[float, int]:
    """Milliseconds and bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=300)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": FORM}
    begun = time.perf_counter()
    connection.request("POST" if form is not None else "GET", path, form, headers)
    answer = connection.getresponse()
    body = answer.read()
    took_ms = (time.perf_counter() - begun) * 1000
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
    return took_ms, len(body)


def run(options: argparse.Namespace) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        daemon = rig.Daemon(Path(folder), PATIENT)
        daemon.start()
        try:
            login(daemon, Crowd(options.sessions))
            token = (Path(folder) / "data" / "admin-token").read_text(encoding="ascii").strip()
            for path in VIEWS:
                meter, neighbour = rig.Meter(daemon.pid), Neighbour(daemon)
                found = [_ask(daemon, token, path) for _ in range(max(3, options.repeats))]
                busy_s, _ = meter.read()
                took = rig.quantiles([one for one, _ in found], ".0f")
                busy_ms = f"{busy_s / len(found) * 1000:.0f}"
                rows.append((path, took, busy_ms, f"{found[0][1] / 1000:.0f}", f"{neighbour.worst_ms():.0f}"))
            for what, form in (("/logoff/ask", ""), ("/logoff", "&force=1")):
                meter, neighbour = rig.Meter(daemon.pid), Neighbour(daemon)
                took_ms, size = _ask(daemon, token, what, "all=1&tab=users" + form)
                busy_s, _ = meter.read()
                rows.append(
                    (f"{what}, all", f"{took_ms:.0f}", f"{busy_s * 1000:.0f}", f"{size / 1000:.0f}",
                     f"{neighbour.worst_ms():.0f}")
                )  # fmt: skip
        finally:
            daemon.stop()
    rig.table(
        (f"{options.sessions:,} logins", "ms p50/p99/max", "ms CPU", "kB", "neighbour's worst ms"), rows
    )
