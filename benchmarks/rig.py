"""What every benchmark stands on: the daemon as a process, its CPU time and memory, and tables.

Must not know what is measured. Everything is started on free loopback ports, in a folder that is given, and
ended by its own process id.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.ports import free_port

WHOSIN = str(Path(sys.executable).with_name("whosin"))
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100

Settings = Mapping[str, Mapping[str, object]]


def machine() -> str:
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        name = models[0] if models else name
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores ({name}), {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, load {load:.1f} before"
    )


def cpu_s(pid: int) -> float:
    """User and system time of a process, ended threads included; in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> tuple[int, int]:
    """Bytes: resident in all, and the part of it that no file backs."""
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("VmRSS", "RssAnon"):
            found[name] = int(value.split()[0]) * 1024
    return found["VmRSS"], found["RssAnon"]


class Meter:
    """CPU and wall time since it was made."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._cpu, self._wall = cpu_s(pid), time.perf_counter()

    def read(self) -> tuple[float, float]:
        return cpu_s(self.pid) - self._cpu, time.perf_counter() - self._wall


def until(condition: Callable[[], Any], limit_s: float = 60.0, every_s: float = 0.05) -> Any:
    """Poll until it holds; its value."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {limit_s:.0f} s: {condition}")
        time.sleep(every_s)


def settle(pid: int, limit_s: float = 60.0) -> None:
    """Wait until a process has nothing left to do: under 5 % of a core for half a second."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        before = cpu_s(pid)
        time.sleep(0.5)
        if cpu_s(pid) - before < 0.025:
            return


class Daemon:
    """The installed `whosin run`."""

    def __init__(
        self, folder: Path, settings: Settings, *, door: bool = True, broker: int | None = None
    ) -> None:
        self.folder = folder
        self.door_port = free_port()
        self.http_port = free_port()
        self.config = folder / "whosin.toml"
        self.process: subprocess.Popen[bytes] | None = None
        mqtt: dict[str, object] = {"listen": f"127.0.0.1:{self.door_port}" if door else "off"}
        if broker is not None:
            mqtt["url"] = f"mqtt://127.0.0.1:{broker}"
        self.settings: dict[str, dict[str, object]] = {
            "daemon": {"name": "bench", "data_dir": str(folder / "data")},
            "mqtt": mqtt,
            "http": {"listen": f"127.0.0.1:{self.http_port}"},
        }
        self.change(settings)

    def change(self, settings: Settings) -> None:
        """Write them; a daemon that runs reads them at once."""
        for section, keys in settings.items():
            self.settings.setdefault(section, {}).update(keys)
        text = ""
        for section, keys in self.settings.items():
            text += f"[{section}]\n" + "".join(
                f"{key} = {json.dumps(value)}\n" for key, value in keys.items()
            )
        self.config.write_text(text)
        if self.process is not None:
            self.process.send_signal(signal.SIGHUP)

    def start(self) -> float:
        """Until it is ready; how many seconds that took."""
        begun = time.perf_counter()
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [WHOSIN, "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._ready, every_s=0.005)
        return time.perf_counter() - begun

    def _ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError((self.folder / "daemon.log").read_text()[-2_000:])
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """How many seconds it took to end."""
        process, self.process = self.process, None
        if process is None:
            return 0.0
        begun = time.perf_counter()
        process.send_signal(how)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return time.perf_counter() - begun

    def get(self, path: str) -> tuple[int, str]:
        return self._ask("GET", path, None, {})

    def api(self, method: str, path: str, body: object = None) -> Any:
        token = (self.folder / "data" / "admin-token").read_text().strip()
        status, text = self._ask(method, f"/api/v1/{path}", body, {"Authorization": f"Bearer {token}"})
        if status != 200:
            raise RuntimeError(f"{method} {path}: {status} {text[:500]}")
        return json.loads(text)

    def _ask(self, method: str, path: str, body: object, headers: dict[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=300)
        try:
            headers["Content-Type"] = "application/json"
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metric(self, name: str) -> int:
        """The sum over its labels."""
        lines = self.get("/metrics")[1].splitlines()
        return int(
            sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))
        )


# --- words and tables ---------------------------------------------------------------------------------


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """The median, and in brackets least and most where there are several."""
    middle = f"{statistics.median(values):{form}}"
    return middle if len(values) < 2 else f"{middle} [{min(values):{form}} … {max(values):{form}}]"


def quantiles(values: Iterable[float], form: str = ".1f") -> str:
    """p50, p99 and the largest."""
    ordered = sorted(values)
    if not ordered:
        return "none"
    at = [ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], ordered[-1]]
    return " / ".join(f"{value:{form}}" for value in at)


def floor(value: float, most: float, unit: str, form: str = ".1f") -> str:
    if value <= most:
        return f"floor met (<= {most:,g} {unit})"
    return f"floor missed by {value - most:{form}} {unit} (<= {most:,g} {unit})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Text to the left, all else to the right."""
    texts = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    for nth, row in enumerate(texts):
        cells = [f"{cell:{'<' if not column else '>'}{widths[column]}}" for column, cell in enumerate(row)]
        print("  ".join(cells).rstrip())
        if not nth:
            print("  ".join("-" * width for width in widths))
