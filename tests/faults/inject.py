"""What goes wrong, done to real processes: each fault of a plan from its beginning to its end.

Owns the daemon's and the broker's processes during a round: whoever kills one says for how long it stays
away, and a supervisor of each starts it again, as systemd would. Notes in the record when each fault was in
force.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

from tests.faults.network import Network
from tests.faults.plan import Fault, Plan
from tests.faults.record import Ordered, Record, Window
from tests.faults.shim import Shim
from tests.support.daemon import Daemon
from tests.support.mosquitto import Mosquitto

LOOK_EVERY_S = 0.03
DISK = ("full_disk", "slow_disk", "failing_disk", "hanging_disk")


class Injector:
    """`run` does all of a plan; `heal` ends what is left of it. `disk` is a small file system of the round's
    own, `shim` stands before the daemon; where either could not be had, its faults were left out before."""

    def __init__(
        self,
        plan: Plan,
        record: Record,
        daemon: Daemon,
        broker: Mosquitto | None,
        network: Network | None,
        shim: Shim | None,
        disk: Path | None,
        settings: tuple[str, str],
    ) -> None:
        self._plan = plan
        self._record = record
        self._daemon = daemon
        self._broker = broker
        self._network = network
        self._shim = shim
        self._disk = disk
        self._settings = settings
        self._reloads = 0
        self._offset_s = 0.0
        self._away_until = {"daemon": 0.0, "broker": 0.0}
        self._forgetful = False
        self._cuts: list[str] = []
        self._disk_faults: list[Fault] = []
        self._down: Window | None = None
        self._dismissed: object = None  # the process that was told to end
        self._supervisors: list[asyncio.Task[None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    # --- the round ------------------------------------------------------------------------------------

    def supervise(self) -> None:
        self._supervisors = [asyncio.create_task(self._keep_daemon())]
        if self._broker is not None:
            self._supervisors.append(asyncio.create_task(self._keep_broker(self._broker)))

    async def run(self) -> None:
        """All faults and orders at their times; returns when the last one is over."""
        self._tasks = [asyncio.create_task(self._suffer(fault)) for fault in self._plan.faults]
        self._tasks += [
            asyncio.create_task(self._order(order.at_s, order.kind, order.detail))
            for order in self._plan.orders
        ]
        await asyncio.gather(*self._tasks)

    async def heal(self, limit_s: float) -> None:
        """Wait until everything runs and the daemon is ready."""
        self._away_until = {"daemon": 0.0, "broker": 0.0}
        end = time.monotonic() + limit_s
        while not (self._daemon_up and await self._ready("/readyz")):
            if time.monotonic() > end:
                self._record.unsettled.append("the daemon was not ready in time after the faults")
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def stop(self) -> None:
        for task in (*self._tasks, *self._supervisors):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._supervisors, return_exceptions=True)
        for direction in self._cuts:
            assert self._network is not None
            self._network.mend(direction)

    async def _suffer(self, fault: Fault) -> None:
        await self._until(fault.at_s)
        window = Window(fault.kind, time.monotonic())
        if fault.kind not in ("kill", "restart"):  # whose windows are those in which nobody served
            self._record.windows.append(window)
        await getattr(self, f"_{fault.kind}")(fault)
        window.end = time.monotonic()

    async def _until(self, at_s: float) -> None:
        left_s = max(0.0, self._record.began + at_s - time.monotonic())
        await asyncio.sleep(left_s)  # real time: it happens when the plan says

    # --- the daemon's process -------------------------------------------------------------------------

    async def _keep_daemon(self) -> None:
        daemon = self._daemon
        while True:
            process, now = daemon.process, time.monotonic()
            if process is None or process.poll() is not None:
                self._note_down(now)
                if process is not None and process is not self._dismissed and not self._robbed():
                    when = f"{now - self._record.began:.2f} s"
                    self._record.exits.append(f"exit code {process.returncode} at {when}")
                    self._away_until["daemon"] = max(now + 0.3, self._away_until["daemon"])
                daemon.process = None
                if now >= self._away_until["daemon"]:
                    daemon.launch()
            elif process is self._dismissed:
                pass  # what it still answers is no sign of its being back
            elif self._down is not None and await self._ready("/healthz"):
                self._down.end, self._down = time.monotonic(), None
            await asyncio.sleep(LOOK_EVERY_S)

    def _robbed(self) -> bool:
        """It could not start because, while it was away, another program of this machine took its port: only
        if that program holds it still, and nobody of this round can be it."""
        log = self._daemon.log.read_text(errors="replace")
        found = re.search(r"cannot start: \S+ 127\.0\.0\.1:(\d+): [^\n]*address already in use\n\Z", log)
        if found is None:
            return False
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", int(found[1])))
                probe.listen()
            except OSError as error:
                return error.errno == errno.EADDRINUSE
        return False

    @property
    def _daemon_up(self) -> bool:
        return self._down is None

    def _note_down(self, now: float) -> None:
        if self._down is None:
            self._down = Window("down", now)
            self._record.windows.append(self._down)

    async def _ready(self, path: str) -> bool:
        process = self._daemon.process
        if process is None or process.poll() is not None:
            return False
        with contextlib.suppress(OSError, AssertionError):
            return await asyncio.to_thread(self._daemon.answers, path, 1.0)
        return False

    async def _kill(self, fault: Fault) -> None:
        self._send_away(signal.SIGKILL, fault.for_s)
        await asyncio.sleep(fault.for_s)  # real time: it lasts as long as the plan says

    async def _restart(self, fault: Fault) -> None:
        """As an upgrade does."""
        process = self._daemon.process
        if process is None or not self._daemon_up:
            return
        self._note_down(time.monotonic())
        self._dismissed = process
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        while process.poll() is None:  # noqa: ASYNC110 - a process, not a task
            await asyncio.sleep(0.02)
        if process.returncode not in (0, -signal.SIGKILL):
            self._record.exits.append(f"exit code {process.returncode} after SIGTERM")

    def _send_away(self, how: signal.Signals, for_s: float) -> None:
        now = time.monotonic()
        self._away_until["daemon"] = max(now + for_s, self._away_until["daemon"])
        self._note_down(now)
        process, self._daemon.process = self._daemon.process, None
        if process is not None and process.poll() is None:
            process.send_signal(how)
            process.wait(5)

    async def _stop(self, fault: Fault) -> None:
        process = self._daemon.process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGSTOP)
        await asyncio.sleep(fault.for_s)  # real time: it lasts as long as the plan says
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)

    # --- the broker -----------------------------------------------------------------------------------

    async def _keep_broker(self, broker: Mosquitto) -> None:
        while True:
            if not broker.running and time.monotonic() >= self._away_until["broker"]:
                if self._forgetful:
                    broker.state.unlink(missing_ok=True)
                    self._forgetful = False
                with contextlib.suppress(AssertionError):  # killed again before it served: then once more
                    await asyncio.to_thread(broker.start)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _broker_kill(self, fault: Fault) -> None:
        assert self._broker is not None
        self._away_until["broker"] = max(time.monotonic() + fault.for_s, self._away_until["broker"])
        if self._broker.running:
            self._broker.kill()
        await asyncio.sleep(fault.for_s)  # real time: it lasts as long as the plan says
        while not self._broker.running:  # noqa: ASYNC110 - until its supervisor has it back
            await asyncio.sleep(LOOK_EVERY_S)

    async def _broker_forget(self, fault: Fault) -> None:
        self._forgetful = True
        await self._broker_kill(fault)

    async def _broker_pause(self, fault: Fault) -> None:
        assert self._broker is not None
        if not self._broker.running:
            return
        pid = self._broker.pid
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(fault.for_s)  # real time: it lasts as long as the plan says
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    async def _cut(self, fault: Fault) -> None:
        assert self._network is not None
        direction = str(fault.detail)
        if direction not in self._cuts:
            self._network.cut(direction)
        self._cuts.append(direction)
        await asyncio.sleep(fault.for_s)  # real time: it lasts as long as the plan says
        self._cuts.remove(direction)
        if direction not in self._cuts:
            self._network.mend(direction)

    # --- disk and clock -------------------------------------------------------------------------------

    async def _full_disk(self, fault: Fault) -> None:
        if self._disk is None:
            await self._spoil(fault)
            return
        filler = self._disk / f"filler-{fault.at_s}"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        await asyncio.sleep(fault.for_s)  # real time: it lasts as long as the plan says
        filler.unlink()

    async def _spoil(self, fault: Fault) -> None:
        self._disk_faults.append(fault)
        self._set_disk()
        await asyncio.sleep(fault.for_s)  # real time: it lasts as long as the plan says
        self._disk_faults.remove(fault)
        self._set_disk()

    _slow_disk = _failing_disk = _hanging_disk = _spoil

    def _set_disk(self) -> None:
        assert self._shim is not None
        kinds = {fault.kind for fault in self._disk_faults}
        self._shim.slow_disk(
            max((int(fault.detail) for fault in self._disk_faults if fault.kind == "slow_disk"), default=0)
        )
        self._shim.failing_disk(
            bool(kinds & {"failing_disk", "full_disk"}),
            errno.EIO if "failing_disk" in kinds else errno.ENOSPC,
        )
        self._shim.hanging_disk("hanging_disk" in kinds)

    async def _clock(self, fault: Fault) -> None:
        """The wall clock is stepped, and back again later (not after every round's end)."""
        assert self._shim is not None
        self._step(float(fault.detail))
        await asyncio.sleep(fault.for_s)  # real time: it lasts as long as the plan says
        self._step(-float(fault.detail))

    def _step(self, by_s: float) -> None:
        assert self._shim is not None
        self._offset_s += by_s
        self._record.offsets.append(self._offset_s)
        self._shim.step_clock(self._offset_s)

    # --- operators ------------------------------------------------------------------------------------

    async def _reload(self, _: Fault) -> None:
        """Other settings and back again, by signal and by order in turn."""
        self._reloads += 1
        self._daemon.configure(self._settings[self._reloads % 2])
        process = self._daemon.process
        if self._reloads % 2 and self._daemon_up and process is not None and process.poll() is None:
            process.send_signal(signal.SIGHUP)
        else:
            await self._ask("POST", "reload")

    async def _switch(self, fault: Fault) -> None:
        await self._ask("PUT", "cleanup", {"enabled": fault.detail == "on"})

    async def _order(self, at_s: float, kind: str, detail: str) -> None:
        await self._until(at_s)
        if kind == "list":
            await self._ask("GET", "sessions?limit=1000")
            return
        members = self._record.members.values()
        if detail == "beats":
            ids = [each.id for each in members if each.role == "victim" and each.beating][:1]
        else:
            ids = [each.id for each in members if each.died is not None]
        if ids:
            body = {"ids": ids, "force": True, "reason": "by the round"}
            await self._ask("POST", "sessions/logoff", body)

    async def _ask(self, method: str, path: str, body: Any = None) -> None:
        ordered = Ordered(time.monotonic(), method, path, body)
        self._record.ordered.append(ordered)
        with contextlib.suppress(
            OSError, ValueError
        ):  # ValueError: half an answer of a daemon that was killed
            ordered.status, ordered.answer = await asyncio.to_thread(
                self._daemon.ask, method, f"/api/v1/{path}", body, timeout_s=4.0
            )
