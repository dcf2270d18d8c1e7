"""The people of one round: those who stay, who die, who come and go, who want the same locks.

Owns what they say and remember. Each behaves as docs/wire.md tells client authors to: beats, logs in again
when the daemon says `unknown`, stops when it says `ended`, asks again when an answer is overdue.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from tests.faults.line import Line
from tests.faults.plan import Death, Plan, Way
from tests.faults.record import Event, Heard, Member, Record, Said

SITE: Final = "s1"
COMPANIES: Final = ("c1", "c2")
RESOURCES: Final = ("order/1", "order", "vat-return")
BEAT_EVERY_S: Final = 0.45
QUICKLY_S: Final = (0.03, 0.25)  # how long until a client tries to connect again
SLOWLY_S: Final = (1.6, 1.8)  # nearly as long as the grace
ASK_AGAIN_S: Final = 1.5
STAYING: Final = 5  # on each gateway's line; besides, two on connections of their own


class Crowd:
    """Everybody, on all ways in. `record` is the truth about them."""

    def __init__(self, plan: Plan, addresses: Mapping[Way, tuple[str, int]], record: Record) -> None:
        self.plan = plan
        self.record = record
        self._addresses = addresses
        self._dice = Random(f"crowd {plan.seed}")
        self._gateways: dict[str, Line] = {}
        self._observers: dict[str, Line] = {}
        self._own: dict[str, Line] = {}
        self._asked: dict[tuple[str, str, str], asyncio.Future[dict[str, Any]]] = {}
        self._again: dict[str, float] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._hearts: list[asyncio.Task[None]] = []
        self._going_home = False
        self.muted: str | None = None

    # --- coming and going ------------------------------------------------------------------------------

    async def arrive(self) -> None:
        """Observers first, so that they hear everything; then those who stay."""
        for way in self.plan.ways:
            self.record.events[way] = []
            observer = await self._line(
                way, f"observer-{way}", "whosin/v1/events/#", self._observe(way)
            ).open()
            self._observers[way] = observer
            if way == "door":  # what a broker keeps for whom is its own matter
                await self._restless(way)
            gateway = await self._line(
                way, f"gateway-{way}", f"whosin/v1/down/{SITE}/#", self._hear(way)
            ).open()
            self._gateways[way] = gateway
        entering = []
        for way in self.plan.ways:
            for number in range(STAYING):
                client = ("desktop", "desktop", "web")[number % 3]
                entering.append(self._enter(f"stays-{way}-{number}", way, "stays", client))
            client = "api" if way == "door" else "desktop"
            entering += [
                self._enter(f"own-{way}-{number}", way, "stays", client, own=True) for number in (1, 2)
            ]
            entering += [self._enter(f"victim-{way}-{number}", way, "victim", "desktop") for number in (1, 2)]
        await asyncio.gather(*entering)
        self._hearts += [asyncio.create_task(self._heart(way)) for way in self.plan.ways]

    def work(self) -> None:
        """Begin: visits, locks, deaths. Time counts from now."""
        for way in self.plan.ways:
            self._do(self._visits(way, Random(f"visits {way} {self.plan.seed}")))
            self._do(self._calls(way, Random(f"calls {way} {self.plan.seed}")))
            for number in range(STAYING - 1):
                member = self.record.members[f"stays-{way}-{number}"]
                self._do(self._locks(member, Random(f"locks {member.id} {self.plan.seed}")))
        for number, death in enumerate(self.plan.deaths):
            way = self.plan.ways[number % len(self.plan.ways)]
            self._do(self._die(f"dies-{number}", way, death))

    async def _restless(self, way: Way) -> None:
        """An observer whose connection breaks all the time: what it misses is kept for it."""
        name = f"{way}, restless"
        self.record.events[name] = []
        line = self._line(
            way, f"restless-{way}", "whosin/v1/events/#", self._observe(name), away_s=(0.2, 0.8)
        )
        self._observers[name] = await line.open()

        async def break_off() -> None:
            dice = Random(f"restless {way} {self.plan.seed}")
            while not self._going_home:
                await asyncio.sleep(dice.uniform(0.2, 0.8))
                line.break_off()

        self._hearts.append(asyncio.create_task(break_off()))

    def fall_silent_unnoticed(self) -> None:
        """For the proof that the judge can find something: one is thought to beat, and does not."""
        self.muted = f"stays-{self.plan.ways[0]}-4"

    async def go_home(self, limit_s: float) -> None:
        """Let everybody finish what they are about; those who stay beat on."""
        self._going_home = True
        _, late = await asyncio.wait(self._work, timeout=limit_s)
        for task in late:
            self.record.unsettled.append(f"{task.get_name()} did not come to an end")
            task.cancel()
        for task in self._work:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def mark(self, limit_s: float) -> None:
        """Each observer has heard all that happened until now."""
        way = self.plan.ways[0]
        await self._enter("marker", way, "visits", "web")
        end = time.monotonic() + limit_s
        for name, events in self.record.events.items():
            while not any(event.body.get("subject") == "marker" for event in events):
                if time.monotonic() > end:
                    self.record.unsettled.append(f"the observer at the {name} did not hear the marker")
                    return
                await asyncio.sleep(0.05)

    async def leave(self) -> None:
        for heart in self._hearts:
            heart.cancel()
        for line in (*self._own.values(), *self._gateways.values(), *self._observers.values()):
            await line.close()

    @property
    def unacknowledged(self) -> list[Said]:
        """But for what was said on connections that are no more."""
        gone = {member.id for member in self.record.members.values() if member.own and not member.beating}
        return [said for said in self.record.said if said.acked is None and said.session not in gone]

    # --- lines -------------------------------------------------------------------------------------------

    def _line(self, way: Way, ident: str, hear: str, heard: Any, **more: Any) -> Line:
        dice = Random(f"line {ident} {self.plan.seed}")
        return Line(self._addresses[way], ident, heard, hear=hear, dice=dice, **more)

    def _observe(self, way: str) -> Any:
        events = self.record.events[way]
        return lambda topic, body: events.append(Event(time.monotonic(), topic, body))

    def _hear(self, way: str) -> Any:
        def heard(topic: str, body: dict[str, Any]) -> None:
            _, _, _, _, _, session, kind = topic.split("/")
            self.record.heard.append(Heard(time.monotonic(), way, session, kind, body))
            member = self.record.members.get(session)
            if member is not None:
                self._answered(member, kind, body)

        return heard

    def _answered(self, member: Member, kind: str, body: dict[str, Any]) -> None:
        if kind == "ended":
            member.end(time.monotonic())
            for key, asked in self._asked.items():
                if key[0] == member.id and not asked.done():
                    asked.set_result(body)
        elif kind == "unknown":
            now = time.monotonic()
            if member.beating and now - self._again.get(member.id, 0) > 1:
                self._again[member.id] = now
                self._login(member)
        else:
            waiting = bool(body.get("waiting"))
            asked_for = self._asked.get((member.id, kind, body.get("resource", "")))
            if asked_for is not None and not asked_for.done() and not waiting:
                asked_for.set_result(body)

    def _line_of(self, member: Member) -> Line:
        return self._own[member.id] if member.own else self._gateways[member.way]

    # --- saying ------------------------------------------------------------------------------------------

    def _say(self, member: Member, verb: str, payload: dict[str, Any]) -> Said:
        said = Said(member.id, verb, payload, member.way, time.monotonic())
        self.record.said.append(said)
        topic = f"whosin/v1/up/{SITE}/{member.company}/{member.id}/{verb}"
        self._line_of(member).say(topic, json.dumps(payload).encode() if payload else b"", said)
        return said

    def _login(self, member: Member) -> Said:
        payload: dict[str, Any] = {"user": member.user, "client": member.client, "machine": f"PC-{member.id}"}
        if member.own:
            payload["conn"] = self._own[member.id].connections
        return self._say(member, "login", payload)

    async def _ask(self, member: Member, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Say it until it is answered; the answer, or `ended`'s."""
        key = (member.id, verb, payload.get("resource", ""))
        answer = self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            while True:
                if verb == "login":
                    self._login(member)
                else:
                    self._say(member, verb, payload)
                patience_s = ASK_AGAIN_S + payload.get("wait_s", 0)
                try:
                    return await asyncio.wait_for(asyncio.shield(answer), patience_s)
                except TimeoutError:
                    if not member.beating:
                        return {}
        finally:
            del self._asked[key]

    async def _enter(self, ident: str, way: Way, role: str, client: str, *, own: bool = False) -> Member:
        company = self._dice.choice(COMPANIES)
        member = Member(ident, f"user-{ident}", client, company, way, role, own)
        self.record.members[ident] = member
        if own:
            place = f"whosin/v1/up/{SITE}/{company}/{ident}/lost"
            self._own[ident] = line = self._line(
                way, ident, f"whosin/v1/down/{SITE}/{company}/{ident}/+", self._hear(way),
                will=lambda: (place, json.dumps({"conn": line.connections}).encode()),
                away_s=SLOWLY_S if client == "api" else QUICKLY_S,
            )  # fmt: skip
            await line.open()
            self._hearts.append(asyncio.create_task(self._beat_alone(member)))
        await self._ask(member, "login", {})
        return member

    # --- lives -------------------------------------------------------------------------------------------

    def _do(self, life: Any, name: str | None = None) -> None:
        self._work.add(asyncio.create_task(life, name=name or life.__qualname__))

    async def _heart(self, way: str) -> None:
        """Beats for all on a gateway's line: some in batches, some alone, now and then with QoS 1."""
        line, dice = self._gateways[way], Random(f"heart {way} {self.plan.seed}")
        while True:
            batches: dict[str, list[Member]] = {}
            for number, member in enumerate(list(self.record.members.values())):
                if member.way != way or member.own or not member.beating:
                    continue
                if member.id == self.muted:
                    member.beats.append(time.monotonic())
                elif number % 2:
                    batches.setdefault(member.company, []).append(member)
                elif dice.random() < 0.15:
                    if line.up.is_set():
                        member.beats.append(self._say(member, "heartbeat", {}).at)
                elif line.beat(f"whosin/v1/up/{SITE}/{member.company}/{member.id}/heartbeat", b""):
                    member.beats.append(time.monotonic())
            for company, members in batches.items():
                body = json.dumps({"sessions": [member.id for member in members]}).encode()
                if line.beat(f"whosin/v1/up/{SITE}/{company}/@batch/heartbeat", body):
                    for member in members:
                        member.beats.append(time.monotonic())
            await asyncio.sleep(BEAT_EVERY_S)

    async def _beat_alone(self, member: Member) -> None:
        """On a connection of its own: logs in again on each new one, as clients should."""
        line, known = self._own[member.id], 1
        topic = f"whosin/v1/up/{SITE}/{member.company}/{member.id}/heartbeat"
        while member.beating:
            if line.up.is_set() and line.connections != known:
                known = line.connections
                self._login(member)
            if line.beat(topic, json.dumps({"conn": known}).encode()):
                member.beats.append(time.monotonic())
            await asyncio.sleep(BEAT_EVERY_S)

    async def _visits(self, way: Way, dice: Random) -> None:
        """One after the other comes, locks something, and goes."""
        number = 0
        while not self._going_home:
            number += 1
            member = await self._enter(f"visits-{way}-{number}", way, "visits", "web")
            if dice.random() < 0.6:
                resource = f"order/{way}-{number}"
                answer = await self._ask(member, "lock", {"resource": resource})
                if answer.get("granted") and dice.random() < 0.5:
                    await self._ask(member, "unlock", {"resource": resource})
            said = self._say(member, "logout", {"reason": "done"})
            while said.acked is None:  # noqa: ASYNC110 - short, and there are many
                await asyncio.sleep(0.02)
            member.end(said.acked)
            await asyncio.sleep(dice.uniform(0.05, 0.3))

    async def _calls(self, way: Way, dice: Random) -> None:
        """Programs that log in and out and go by the acknowledgements alone: they hear no answer, never say
        anything again, and do not beat. Whatever was acknowledged must have been done."""
        number = 0
        while not self._going_home:
            number += 1
            ident = f"calls-{way}-{number}"
            member = Member(ident, f"user-{ident}", "web", self._dice.choice(COMPANIES), way, "calls", False)
            member.end(time.monotonic())
            self.record.members[ident] = member
            self._do(self._call(member), name=ident)
            await asyncio.sleep(dice.uniform(0.05, 0.2))

    async def _call(self, member: Member) -> None:
        login = self._login(member)
        while login.acked is None:  # noqa: ASYNC110 - short, and there are many
            await asyncio.sleep(0.02)
        self._say(member, "logout", {})

    async def _locks(self, member: Member, dice: Random) -> None:
        """Wants what others want too, waits for it, and gives it back."""
        while not self._going_home and member.beating:
            resource = dice.choice(RESOURCES)
            mode = "shared" if dice.random() < 0.25 else "exclusive"
            wait_s = dice.choice((0, 1.0))
            answer = await self._ask(member, "lock", {"resource": resource, "mode": mode, "wait_s": wait_s})
            if answer.get("granted"):
                await asyncio.sleep(dice.uniform(0.05, 0.3))
                await self._ask(member, "unlock", {"resource": resource})
            await asyncio.sleep(dice.uniform(0.05, 0.4))

    async def _die(self, ident: str, way: Way, death: Death) -> None:
        """Logs in early, holds a lock, and is heard of no more."""
        member = await self._enter(ident, way, "dies", death.client, own=death.own)
        await self._ask(member, "lock", {"resource": f"held/{ident}"})
        elapsed = time.monotonic() - self.record.began
        await asyncio.sleep(max(0.0, death.at_s - elapsed))  # real time: it dies when the plan says
        if member.over is None:
            self._say(member, "heartbeat", {})
            await asyncio.sleep(0.05)  # real time: the last sign of life may still get out
        member.died = time.monotonic()
        if member.own:
            await self._own[ident].drop()
            member.dropped = time.monotonic()
