"""What a running daemon costs, read from the system, and whether that is as promised.

Owns the readings and the judgement of them. Must not know who uses the daemon.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

MB = 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")


class Reading(NamedTuple):
    """One look at the process. Bytes, seconds, counts."""

    at_s: float
    cpu_s: float
    rss: int
    fds: int
    threads: int
    tasks: int


def read(pid: int, at_s: float, tasks: int) -> Reading:
    place = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    return Reading(
        at_s,
        cpu_seconds(pid),
        int(status["VmRSS"].split()[0]) * 1024,
        len(os.listdir(place / "fd")),  # noqa: PTH208 - names are enough
        int(status["Threads"]),
        tasks,
    )


def cpu_seconds(pid: int) -> float:
    """User and system time of the process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rows(backup: Path) -> dict[str, int]:
    """How many rows each table has, read from a backup: the daemon lets nobody into its own file."""
    db = sqlite3.connect(backup)
    try:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
    finally:
        db.close()


def slope(points: list[tuple[float, float]]) -> float:
    """The straight line through them (least squares): how much y grows with each x."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


@dataclass(frozen=True)
class Promise:
    """The bounds. Growth is looked at after the warm-up, and only over a stretch long enough to tell a
    slope from the steps in which memory is taken from the system."""

    cpu_share: float = 0.01
    rss: int = 80 * MB
    growth_per_hour: int = 2 * MB
    warm_up_s: float = 600.0
    growth_over_s: float = 1200.0
    ready_s: float = 1.0
    exit_s: float = 2.0
    spare_fds: int = 6  # besides those at the start and one for each connection: requests under way
    spare_tasks: int = 6
    threads: int = 8


@dataclass(frozen=True)
class Figures:
    """What was measured, summed up."""

    cpu_share: float
    rss_first: int
    rss_max: int
    growth_per_hour: float | None  # None: it did not run for long enough

    @classmethod
    def of(cls, readings: list[Reading], promise: Promise) -> Figures:
        first, last = readings[0], readings[-1]
        warm = [one for one in readings if one.at_s - first.at_s >= promise.warm_up_s]
        long_enough = bool(warm) and warm[-1].at_s - warm[0].at_s >= promise.growth_over_s
        return cls(
            (last.cpu_s - first.cpu_s) / max(last.at_s - first.at_s, 1e-9),
            first.rss,
            max(one.rss for one in readings),
            slope([(one.at_s, one.rss) for one in warm]) * 3600 if long_enough else None,
        )


def judge(readings: list[Reading], connections: list[int], promise: Promise) -> list[str]:
    """What is not as promised, in words. `connections` are those that clients had open at each reading;
    at the first one nobody has come yet."""
    figures = Figures.of(readings, promise)
    wrong = []
    if figures.cpu_share > promise.cpu_share:
        wrong.append(
            f"it used {figures.cpu_share:.2%} of a core; at most {promise.cpu_share:.0%} is promised"
        )
    if figures.rss_max > promise.rss:
        wrong.append(f"it took {figures.rss_max / MB:.1f} MB; at most {promise.rss / MB:.0f} MB are promised")
    growth = figures.growth_per_hour
    if growth is not None and growth > promise.growth_per_hour:
        wrong.append(
            f"memory grew by {growth / MB:.2f} MB an hour; at most {promise.growth_per_hour / MB:.0f} MB"
        )
    for reading, open_ones in zip(readings, connections, strict=True):
        minute = f"{(reading.at_s - readings[0].at_s) / 60:.1f} min"
        if reading.fds > readings[0].fds + open_ones + promise.spare_fds:
            wrong.append(f"at {minute}: {reading.fds} file descriptors with {open_ones} connections")
        if reading.tasks > readings[0].tasks + promise.spare_tasks:
            wrong.append(f"at {minute}: {reading.tasks} tasks of the event loop")
        if reading.threads > promise.threads:
            wrong.append(f"at {minute}: {reading.threads} threads")
    return wrong
