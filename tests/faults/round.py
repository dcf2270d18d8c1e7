"""One round: a daemon and its broker, people at work, the faults of a seed, and the judgement."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from pprint import pformat

from tests.faults import handed
from tests.faults import shim as shim_room
from tests.faults.crowd import Crowd
from tests.faults.facts import Facts
from tests.faults.inject import Injector
from tests.faults.judge import Judge, Verdict
from tests.faults.network import Network, possible
from tests.faults.plan import Plan, Way
from tests.faults.record import Record
from tests.faults.shim import Shim
from tests.faults.when import Terms
from tests.support.daemon import Daemon
from tests.support.mosquitto import Mosquitto, find_program
from tests.support.ports import free_port

SETTINGS = """
[daemon]
name = "faults"
data_dir = "{{data}}"

[mqtt]
{{mqtt}}

[http]
listen = "127.0.0.1:{{http_port}}"

[client_types.desktop]
timeout_s = 2.6
heartbeat_every_s = 0.8
lost_grace_s = 1.8

[client_types.web]
timeout_s = {web}
heartbeat_every_s = 1.2
lost_grace_s = 2.5

[client_types.api]
timeout_s = 1.7
heartbeat_every_s = 0.8
lost_grace_s = 1.5

[watch]
regain_grace_s = {grace}
tick_s = {tick}

[locks]
lock_delay_s = 0.5

[cleanup]
every_s = {every}

[store]
flush_s = {flush}
{{more}}
"""
USUAL = SETTINGS.format(web=4.0, grace=2.5, tick=0.1, every=1.0, flush=0.3)
CHANGED = SETTINGS.format(web=4.6, grace=2.7, tick=0.05, every=0.8, flush=0.5)
TERMS = Terms(
    timeout_s={"desktop": (2.6, 2.6), "web": (4.0, 4.6), "api": (1.7, 1.7)},
    lost_s={"desktop": (1.8, 1.8), "web": (2.5, 2.5), "api": (1.5, 1.5)},
    grace_s=2.7,
)
DISK = "48m"  # room for the longest log and what it is folded into, at any pace of this machine
LONGEST_S = 300.0
SETTLE_S = 60.0  # a limit for when something is wrong, on a machine that does much else
SHIM_KINDS = frozenset({"slow_disk", "failing_disk", "hanging_disk", "clock"})
BREAKS = ("deaf", "forget", "mute")


@dataclass
class Outcome:
    """What is left of a round: picklable, and with all that a failing one has to say."""

    seed: int
    ways: tuple[str, ...]
    seconds: float
    wrong: list[str]
    faults: list[str]
    skipped: list[str]
    windows: list[str] = field(default_factory=list)
    folder: str | None = None
    counts: dict[str, float] = field(default_factory=dict)


def missing() -> dict[str, str]:
    """Kinds of faults that this machine cannot make, with the reason."""
    found: dict[str, str] = {}
    library = shim_room.built()
    if isinstance(library, str):
        found |= dict.fromkeys(SHIM_KINDS, library)
    if (reason := possible()) is not None:
        found["cut"] = reason
    if isinstance(library, str) and not _root():
        found["full_disk"] = "needs root on Linux for a small file system, or the shim"
    return found


def telling(broker: Mosquitto) -> Mosquitto:
    """It says what it is handed and hands on, at once, so that a kill leaves all of it to be read."""
    config = broker.config.read_text()
    assert config.count("log_dest stdout") == 1
    broker.config.write_text(config.replace("log_dest stdout", "log_dest stderr") + "\nlog_type all\n")
    return broker


def _root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


class Round:
    def __init__(self, plan: Plan, folder: Path, broken: str | None = None) -> None:
        self.plan = plan
        self.folder = folder
        self.broken = broken
        self.network: Network | None = None
        self.broker: Mosquitto | None = None
        self.disk: Path | None = None
        self.record = Record(time.monotonic(), time.time() - time.monotonic())

    def run(self) -> Verdict:
        self._set_up()
        try:
            return asyncio.run(asyncio.wait_for(self._run(), LONGEST_S))
        finally:
            self._tear_down()

    def _set_up(self) -> None:
        addresses: dict[Way, tuple[str, int]] = {}
        mqtt = []
        if "door" in self.plan.ways:
            addresses["door"] = ("127.0.0.1", free_port())
            mqtt.append(f'listen = "127.0.0.1:{addresses["door"][1]}"')
        if "link" in self.plan.ways:
            addresses["link"], near = self._set_up_broker()
            mqtt.append(f'url = "mqtt://{near}:{addresses["link"][1]}"')
        self.disk = self._small_disk()
        library = shim_room.built()
        self.shim = Shim(self.folder, library) if isinstance(library, Path) else None
        self.daemon = Daemon(
            self.folder, "\n".join(mqtt), data=(self.disk or self.folder) / "data", settings=USUAL,
            environ=self.shim.environ if self.shim else None,
        )  # fmt: skip
        self.crowd = Crowd(self.plan, addresses, self.record)

    def _set_up_broker(self) -> tuple[tuple[str, int], str]:
        """Where its clients reach it, and where the daemon does."""
        place = self.folder / "broker"
        place.mkdir()
        if "cut" not in self.plan.kinds:
            self.broker = telling(Mosquitto(place)).start()
            return ("127.0.0.1", self.broker.port), "127.0.0.1"
        network = self.network = Network()
        listener = "listener {port} 0.0.0.0\nallow_anonymous true"
        broker = Mosquitto(place, listener=listener, within=network.within, host=network.clients)
        self.broker = telling(broker).start()
        return (network.clients, self.broker.port), network.daemon

    def _small_disk(self) -> Path | None:
        if not _root():
            return None
        place = self.folder / "disk"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", place]
        return None if subprocess.run(mount, capture_output=True, check=False).returncode else place

    def _tear_down(self) -> None:
        if self.shim is not None:
            self.shim.heal_disk()
        process = self.daemon.process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(10)
        if self.broker is not None:
            self.broker.stop()
        if self.network is not None:
            self.network.close()
        if self.disk is not None:
            if (self.disk / "data").exists():
                shutil.copytree(self.disk / "data", self.folder / "data")
            subprocess.run(["umount", "-l", self.disk], check=False)

    # --- the course of it ------------------------------------------------------------------------------

    async def _run(self) -> Verdict:
        lateness = asyncio.create_task(self._watch_myself())
        injector = Injector(
            self.plan, self.record, self.daemon, self.broker, self.network, self.shim, self.disk,
            (USUAL, CHANGED),
        )  # fmt: skip
        try:
            await asyncio.to_thread(self.daemon.start, limit_s=SETTLE_S)
            await self.crowd.arrive()
            if self.broker is not None:
                await asyncio.to_thread(self.broker.save)  # so that it knows its clients after a kill
            self.record.began = time.monotonic()
            injector.supervise()
            self.crowd.work()
            if self.broken == "mute":
                self.crowd.fall_silent_unnoticed()
            await injector.run()
            await injector.heal(SETTLE_S)
            await self._settle()
            await injector.stop()
            await self._end()
        finally:
            lateness.cancel()
            await injector.stop()
            await self.crowd.leave()
        if self.broker is not None:
            log = self.broker.log.read_text(errors="replace")
            self.record.handed = handed.lost(log, "whosin-faults", "observer-link")
        facts = Facts.read((self.disk or self.folder) / "data" / "whosin.db", self.daemon.log)
        self._break(facts)
        return Judge(self.record, facts, TERMS).verdict()

    async def _watch_myself(self) -> None:
        """How late this program is: so late others may seem."""
        while True:
            due = time.monotonic() + 0.1
            await asyncio.sleep(0.1)
            late = time.monotonic() - due
            if late > 0.1:
                self.record.lags.append((due, late))

    async def _settle(self) -> None:
        """Everybody is answered, everything acknowledged, the dead are found."""
        await self.crowd.go_home(SETTLE_S)
        end = time.monotonic() + SETTLE_S
        while waiting := self.crowd.unacknowledged or await asyncio.to_thread(self._not_found):
            if time.monotonic() > end:
                self.record.unsettled.append(f"still waiting for {waiting[:3]} and {len(waiting)} in all")
                return
            await asyncio.sleep(0.1)
        if self.broken == "mute":
            while not self.daemon.sessions(status="disconnected").keys() & {self.crowd.muted}:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await self.crowd.mark(SETTLE_S)

    def _not_found(self) -> list[object]:
        try:
            active = self.daemon.sessions(status="active")
        except OSError as error:
            return [error]
        return [
            each.id for each in self.record.members.values() if each.died is not None and each.id in active
        ]

    async def _end(self) -> None:
        code = await asyncio.to_thread(self.daemon.stop)
        if code:
            self.record.exits.append(f"exit code {code} at the end")

    def _break(self, facts: Facts) -> None:
        """For the proof that the judge can find something (`--break`)."""
        if self.broken == "deaf":
            way = self.plan.ways[0]
            lost = self.record.events[way][len(self.record.events[way]) // 2].body["id"]
            self.record.events[way] = [each for each in self.record.events[way] if each.body["id"] != lost]
        elif self.broken == "forget":
            facts.rows = [row for row in facts.rows if row.session != "stays-" + self.plan.ways[0] + "-0"]


def play(seed: int, keep: bool = False, broken: str | None = None) -> Outcome:
    """One round from its seed. Its folder stays if anything was wrong."""
    plan = Plan.draw(seed)
    lacking = missing()
    if "link" in plan.ways and find_program("mosquitto") is None:
        return Outcome(seed, plan.ways, 0.0, [], [], ["the round: needs mosquitto"])
    faults = tuple(fault for fault in plan.faults if fault.kind not in lacking)
    skipped = [f"{fault.kind}: {lacking[fault.kind]}" for fault in plan.faults if fault.kind in lacking]
    plan = Plan(plan.seed, plan.ways, faults, plan.deaths, plan.orders)
    folder = Path(tempfile.mkdtemp(prefix=f"whosin-faults-{seed}-"))
    began = time.monotonic()
    it = Round(plan, folder, broken)
    try:
        verdict = it.run()
    except Exception as error:  # noqa: BLE001 - told with the seed, and the next round goes on
        (folder / "failed.txt").write_text(traceback.format_exc())
        verdict = Verdict([f"the round itself failed: {error!r}"], 0, 0, 0, 0, 0.0)
    seconds = time.monotonic() - began
    (folder / "record.txt").write_text(pformat(it.record, width=200, compact=True))
    counts: dict[str, float] = {
        "said": len(it.record.said),
        "answers": len(it.record.heard),
        "events": sum(len(events) for events in it.record.events.values()),
        "found": verdict.found,
        "excused": verdict.excused,
        "gone": verdict.gone,
        "claimed": verdict.claimed,
        "late_s": round(sum(late for _, late in it.record.lags), 1),
        **{f"fault {fault.kind}": 1 for fault in plan.faults},
    }
    kept = bool(verdict.wrong) or keep
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)
    windows = [f"this program late by {counts['late_s']} s in all"] if counts["late_s"] else []
    windows += [
        f"{each.kind} from {each.start - it.record.began:.2f} to {each.end - it.record.began:.2f} s"
        for each in sorted(it.record.windows, key=lambda each: each.start)
    ]
    return Outcome(
        seed, plan.ways, seconds, verdict.wrong, [str(fault) for fault in plan.faults], skipped, windows,
        str(folder) if kept else None, counts,
    )  # fmt: skip
