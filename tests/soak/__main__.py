"""`python -m tests.soak --minutes M`: a site of fifty users at real speed, and what the daemon takes for it.

Prints a line a minute and a summary; ends with 1 if anything is not as promised. `--seed` gives everybody
the same intentions again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.soak.meter import MB, Figures, Promise, Reading, cpu_seconds, judge, read, rows
from tests.soak.population import SITE, Population
from tests.support.daemon import Daemon
from tests.support.ports import free_port

SETTINGS = """
[daemon]
name = "soak"
data_dir = "{data}"

[mqtt]
{mqtt}

[http]
listen = "127.0.0.1:{http_port}"

[cleanup]
enabled = true
every_s = 60
{more}
"""
STARTS = 3  # the quickest counts: other processes can only make a start slower
KEPT = ("sessions", "beats", "locks", "wants")  # tables that are empty when nobody is in


class Soak:
    """One run: `run` is all of it, `wrong` what was found."""

    def __init__(self, folder: Path, minutes: float, seed: int, promise: Promise) -> None:
        self.minutes = minutes
        self.promise = promise
        self.wrong: list[str] = []
        self.readings: list[Reading] = []
        self.connections: list[int] = []
        port = free_port()
        self.daemon = Daemon(folder, f'listen = "127.0.0.1:{port}"', settings=SETTINGS)
        self.people = Population(f"mqtt://127.0.0.1:{port}", seed)

    async def run(self) -> bool:
        """True if all is as promised."""
        await self._start()
        try:
            self._read()
            await self.people.start()
            await self._watch()
            self._read()
            self._sum_up()
            await self.people.stop()
            await self._empty()
        finally:
            await self._stop()
        self.wrong += self.people.trouble
        print("\nas promised" if not self.wrong else "\nNOT as promised:", flush=True)
        for line in self.wrong:
            print(f"  {line}")
        return not self.wrong

    # --- start and stop -------------------------------------------------------------------------------

    async def _start(self) -> None:
        tries = []
        for number in range(STARTS):
            if number:
                self.daemon.stop()
            began = time.monotonic()
            pid = self.daemon.launch().pid
            while not self.daemon.answers("/readyz"):  # noqa: ASYNC110 - a process, not a task
                await asyncio.sleep(0.005)
            tries.append((time.monotonic() - began, cpu_seconds(pid)))
        shown = ", ".join(f"{wall:.2f} s ({cpu:.2f} s of CPU)" for wall, cpu in tries)
        print(f"start to ready: {shown}", flush=True)
        quickest = min(wall for wall, _ in tries)
        if quickest > self.promise.ready_s:
            self.wrong.append(
                f"ready after {quickest:.2f} s at the earliest; {self.promise.ready_s:g} s promised"
            )

    async def _stop(self) -> None:
        began = time.monotonic()
        code = await asyncio.to_thread(self.daemon.stop)
        took = time.monotonic() - began
        print(f"SIGTERM to exit: {took:.2f} s, exit code {code}", flush=True)
        if took > self.promise.exit_s or code:
            self.wrong.append(
                f"it took {took:.2f} s to exit, with code {code}; {self.promise.exit_s:g} s promised"
            )

    # --- while it runs --------------------------------------------------------------------------------

    async def _watch(self) -> None:
        end = time.monotonic() + self.minutes * 60
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(60.0, left))
            self._read()
            await asyncio.to_thread(self._operate)
            self._tell()

    def _read(self) -> None:
        tasks = round(self.daemon.metric("whosin_tasks"))
        self.readings.append(read(self.daemon.pid, time.monotonic(), tasks))
        self.connections.append(self.people.connections)

    def _operate(self) -> None:
        """An operator looks, and logs off the first of the disconnected by hand."""
        self._compare(self.daemon.sessions(site=SITE))
        self.daemon.api("GET", "locks")
        self.daemon.history(limit="100")
        fallen = [
            ident for ident, item in self.daemon.sessions(status="disconnected").items() if item["locks"]
        ]
        if fallen:
            self.daemon.api("POST", "sessions/logoff", {"ids": fallen[:1], "reason": "soak"})

    def _compare(self, listed: dict[str, Any]) -> None:
        """The list and the truth, read one after the other while people come and go: only what was so
        before and after can be wrong."""
        inside, fallen = set(self.people.inside), set(self.people.fallen)
        ghosts = {ident for ident in listed if ident not in inside | fallen}
        wrongly = {
            ident
            for ident, item in listed.items()
            if ident in inside and item["status"] == "disconnected" and ident in self.people.inside
        }
        gone = {ident for ident in ghosts if self.daemon.status(ident) in ("active", "disconnected")}
        if gone:
            self.wrong.append(f"listed as live and not so: {sorted(gone)}")
        if wrongly:
            self.wrong.append(f"disconnected while they beat: {sorted(wrongly)}")

    def _tell(self) -> None:
        now, before = self.readings[-1], self.readings[-2]
        figures = Figures.of(self.readings, self.promise)
        minute = (now.at_s - self.readings[0].at_s) / 60
        share = (now.cpu_s - before.cpu_s) / (now.at_s - before.at_s)
        said = self.people.said
        print(
            f"{minute:5.1f} min  cpu {share:.2%} (all {figures.cpu_share:.2%})  "
            f"rss {now.rss / MB:.1f} MB (first {figures.rss_first / MB:.1f}, "
            f"max {figures.rss_max / MB:.1f})  "
            f"fds {now.fds} ({self.connections[-1]} connections)  threads {now.threads}  tasks {now.tasks}  "
            f"in {len(self.people.inside)}  logins {said['logins']}  crashes {said['crashes']}  "
            f"locks {said['locks']}",
            flush=True,
        )

    # --- in the end -----------------------------------------------------------------------------------

    def _sum_up(self) -> None:
        figures = Figures.of(self.readings, self.promise)
        self.wrong += judge(self.readings, self.connections, self.promise)
        growth = figures.growth_per_hour
        shown = "too short to tell its growth" if growth is None else f"{growth / MB:+.2f} MB an hour"
        print(
            f"\n{self.minutes:g} minutes: cpu {figures.cpu_share:.2%} of a core, "
            f"rss first {figures.rss_first / MB:.1f} max {figures.rss_max / MB:.1f} MB, {shown}; "
            f"{dict(self.people.said)}"
        )

    async def _empty(self) -> None:
        """Everybody has gone: what is left is taken off by the operator, and then nothing may remain."""
        left = [ident for ident in self.daemon.sessions() if ident in self.people.fallen]
        if left:
            body = {"ids": left, "force": True, "reason": "end of the soak"}
            await asyncio.to_thread(self.daemon.api, "POST", "sessions/logoff", body)
        await self._until(lambda: not self.daemon.sessions(), "no session is listed")
        await self._until(lambda: not self.daemon.api("GET", "locks")["items"], "no lock is held")
        counted = self._rows()
        print(f"rows with nobody in: {counted}")
        self.wrong += [
            f"{counted[name]} rows left in {name} with nobody in" for name in KEPT if counted[name]
        ]
        logins = self._count("session.logged_in")
        ends = self._count("session.logged_off") + self._count("session.removed")
        granted, released = self._count("lock.granted"), self._count("lock.released")
        print(f"history: {logins} logins, {ends} ends, {granted} locks granted, {released} released")
        if logins != ends or counted["ended_sessions"] != ends:
            self.wrong.append(f"{logins} logins, {ends} ends, {counted['ended_sessions']} ended rows")
        if granted != released:
            self.wrong.append(f"{granted} locks granted, {released} released")
        now = read(self.daemon.pid, time.monotonic(), round(self.daemon.metric("whosin_tasks")))
        print(f"with nobody in: fds {now.fds}, threads {now.threads}, tasks {now.tasks}")
        if now.fds > self.readings[0].fds + 2 or now.tasks > self.readings[0].tasks + 2:
            self.wrong.append(f"left with nobody in: {now} against {self.readings[0]} at the start")

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 30
        while not condition():
            if time.monotonic() > end:
                self.wrong.append(f"not within 30 s: {what}")
                return
            await asyncio.sleep(0.2)

    def _rows(self) -> dict[str, int]:
        copy = self.daemon.folder / f"rows-{len(self.readings)}.db"
        self.daemon.whosin("backup", str(copy))
        return rows(copy)

    def _count(self, kind: str) -> int:
        count, cursor = 0, ""
        while cursor is not None:
            page = self.daemon.api(
                "GET", f"history?limit=1000&type={kind}{'&cursor=' + cursor if cursor else ''}"
            )
            count += len(page["items"])
            cursor = page["next"]
        return count


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, metavar="M")
    parser.add_argument("--seed", type=int, default=None)
    args = parser.parse_args()
    seed = random.randrange(1 << 30) if args.seed is None else args.seed
    began = subprocess.run(["date", "-u", "+%FT%TZ"], capture_output=True, text=True, check=True)
    print(f"seed {seed}, {args.minutes:g} minutes, from {began.stdout.strip()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="whosin-soak-") as folder:
        soak = Soak(Path(folder), args.minutes, seed, Promise())
        return 0 if asyncio.run(soak.run()) else 1


if __name__ == "__main__":
    sys.exit(main())
