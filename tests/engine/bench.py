"""An engine on a real SQLite file, driven by hand: no loop timers, no real time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whosin.cleanup import Cleanup
from whosin.desk import Desk
from whosin.desk.passwords import Cost, Passwords
from whosin.engine.engine import Engine, Pace
from whosin.model import Account, ClientType, Event, MassSilence, Policy
from whosin.observe.counts import Counts
from whosin.operations import Caller
from whosin.ports import Intake, Loaded, Store
from whosin.rules.guidance import Guidance, Rule
from whosin.store.sqlite import SqliteStore

IDLE_MS, LASTS_MS, LINK_MS = 43_200_000, 604_800_000, 3_600_000  # of web sessions and one-time links
T0 = 1_764_000_000_000
BOSS = Caller("boss", "administrator")

TYPES = {
    "default": ClientType("default"),
    "desktop": ClientType("desktop"),
    "web": ClientType("web", 1_200_000, 240_000, 300_000),
}


class HandClock:
    """Moves only when told to."""

    def __init__(self, now_ms: int = T0) -> None:
        self.now = now_ms
        self.step = 0

    def now_ms(self) -> int:
        return self.now

    def wall_ms(self, at_ms: int) -> int:
        return at_ms + self.step

    def timeline_ms(self, wall_ms: int) -> int:
        return wall_ms - self.step


@dataclass
class Said:
    """One PUBLISH as a transport would decode it."""

    topic: bytes
    payload: bytes = b""
    qos: int = 1
    retain: bool = False
    packet_id: int = 0


@dataclass(eq=False)
class Line:
    """A peer that notes what it is acknowledged, among what the transport sent."""

    log: list[Any]
    account: Account | None = None
    line: int = 0

    def ack(self, packet_id: int) -> None:
        self.log.append(("ack", packet_id))


@dataclass
class Wire:
    """A transport that keeps what it is given, in order."""

    source: str = "door"
    log: list[Any] = field(default_factory=list)
    ready: bool = True
    hold_events: bool = False
    hearers: int = 1
    proves: bool = True
    pending: list[Callable[[], None]] = field(default_factory=list)
    asked: int = 0
    asked_ms: int = 0
    trouble: str = ""
    intake: Intake | None = None
    clock: HandClock | None = None

    def answer(self, topic: str, payload: bytes) -> None:
        self.log.append((topic, json.loads(payload)))

    def announce(self, topic: str, payload: bytes, done: Callable[[], None], seq: int = 0) -> int:
        self.log.append((topic, json.loads(payload)))
        if self.hold_events:
            self.pending.append(done)
        else:
            done()
        return self.hearers

    def prove(self) -> None:
        self.asked += 1
        if self.proves and self.intake is not None and self.clock is not None:
            self.intake.proof(self.source, self.clock.now)

    async def start(self, intake: Intake) -> None:
        self.intake = intake

    async def stop(self) -> None: ...


class Bench:
    """One daemon's inside. `crash` forgets all that is not in the file."""

    def __init__(
        self,
        path: Path,
        *,
        policy: Policy | None = None,
        store: Store | None = None,
        sources: Sequence[str] = ("door",),
        guidance: Sequence[Rule] = (),
    ) -> None:
        self.path = path
        self.guidance = guidance
        self.policy = policy or Policy(TYPES, mass=MassSilence(minimum=10))
        self.clock = HandClock()
        self._given = store
        self._sources = sources
        self.packet = 0

    async def start(self, *, enabled: bool = False) -> Bench:
        self.store = self._given or SqliteStore(self.path)
        self.counts = Counts()
        self.events: list[Event] = []
        self.wires = {name: Wire(name, clock=self.clock) for name in self._sources}
        self.wire = self.wires[self._sources[0]]
        self.line = Line(self.wire.log)
        self.engine = Engine(
            policy=self.policy,
            store=self.store,
            clock=self.clock,
            counts=self.counts,
            record=self.events.extend,
            name="test",
            pace=Pace(),
            soon=lambda _call: None,
        )
        self.cleanup = Cleanup(self.engine, every_ms=1_800_000, enabled=enabled, account="cleanup")
        self.desk = Desk(
            self.engine, self.cleanup, name="test", version="0", sign_in=False, reload=self._no_reload
        )
        self.desk.followups.put_in_force(Guidance(self.guidance), "test", None)
        loaded = await self.store.open()
        self.desk.restore(loaded)
        self.engine.begin(loaded, list(self.wires.values()))
        self.cleanup.begin(loaded)
        self.desk.operators.limit(idle_ms=IDLE_MS, lasts_ms=LASTS_MS, link_ms=LINK_MS)
        self.desk.operators._passwords = Passwords(Cost(1, 8, 1))
        self.desk.operators.restore(loaded)
        self.put_in(loaded)
        for wire in self.wires.values():
            await wire.start(self.engine)
            self.engine.sighted(wire.source, self.clock.now)
        await self.settle()
        return self

    def put_in(self, loaded: Loaded) -> None:
        """A place for departments that a test wants to have, too."""

    async def _no_reload(self, _actor: str) -> dict[str, Any]:
        return {}

    async def settle(self) -> None:
        """Let commits and look-ups that are on their way come to their end."""
        self.engine.drain()
        for _ in range(10_000):
            self.engine.collect()
            engine = self.engine
            tasks = [it for it in (engine.committer._task, engine._looking, engine.outbox._reading) if it]
            if not tasks and not engine.committer.open:
                return
            if tasks:
                await asyncio.wait(tasks, timeout=0.02)
            else:
                await asyncio.sleep(0)
            if engine.committer.problem is not None:
                return
        raise AssertionError("never settled")

    async def say(
        self,
        session: str,
        verb: str,
        payload: dict[str, Any] | None = None,
        *,
        site: str = "s1",
        company: str = "c1",
        qos: int = 1,
        source: str | None = None,
        retain: bool = False,
        account: Account | None = None,
        wait: bool = True,
    ) -> int:
        self.packet += 1
        body = b"" if payload is None else json.dumps(payload).encode()
        said = Said(
            f"whosin/v1/up/{site}/{company}/{session}/{verb}".encode(), body, qos, retain, self.packet
        )
        self.line.account = account
        self.engine.deliver(source or self.wire.source, self.clock.now, self.line, [said])
        self.engine.proof(source or self.wire.source, self.clock.now)
        if wait:
            await self.settle()
        return self.packet

    async def login(self, session: str, user: str = "anna", client: str = "desktop", **more: Any) -> None:
        where = {key: more.pop(key) for key in ("site", "company", "source") if key in more}
        await self.say(session, "login", {"user": user, "client": client, **more}, **where)

    async def go(self, seconds: float, *, step_s: float = 0.25) -> None:
        """Time passes, the ticker ticks."""
        end = self.clock.now + round(seconds * 1000)
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + round(step_s * 1000))
            self.engine.tick()
            while self.engine.more:
                self.engine.tick()
        await self.settle()

    async def beat_for(self, seconds: float, *sessions: str, every_s: float = 60) -> None:
        left = seconds
        while left > 0:
            for session in sessions:
                await self.say(session, "heartbeat", qos=0)
            await self.go(min(left, every_s), step_s=0.6)
            left -= every_s

    async def crash(self) -> Bench:
        await self.store.close()
        self.store = SqliteStore(self.path)
        self._given = None
        return await self.start()

    async def close(self) -> None:
        await self.engine.close()
        await self.store.close()

    def answers(self, kind: str | None = None) -> list[Any]:
        return [
            it[1]
            for it in self.wire.log
            if "/down/" in str(it[0]) and (kind is None or it[0].endswith("/" + kind))
        ]

    def published(self, kind: str | None = None) -> list[Any]:
        found = [it[1] for wire in self.wires.values() for it in wire.log if "/events/" in str(it[0])]
        return [it for it in found if kind is None or it["type"] == kind]

    def status(self, session: str) -> str | None:
        live = self.engine.live(session)
        return live.status.value if live else None
