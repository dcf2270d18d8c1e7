"""An engine with its department of alerts, on a clock moved by hand, and targets that note what they get."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.engine.bench import Bench
from whosin.alerts.messages import Message
from whosin.alerts.office import Office, Plan
from whosin.alerts.routing import Channel
from whosin.alerts.targets import Line, Target, Undelivered
from whosin.desk.alerts import AlertsDesk


@dataclass(eq=False)
class Notes:
    """A target that is sent to without a thread. `answers` are what it says no with, in that order."""

    got: list[Message] = field(default_factory=list)
    tried: int = 0
    answers: list[Undelivered] = field(default_factory=list)
    always: Undelivered | None = None
    shown: str = "notes"

    def send(self, message: Message, line: Line) -> None:
        self.tried += 1
        if self.answers:
            raise self.answers.pop(0)
        if self.always is not None:
            raise self.always
        self.got.append(message)

    @property
    def subjects(self) -> list[str]:
        return [message.subject.removeprefix("[Whosin] ") for message in self.got]


async def at_once(target: Target, message: Message) -> None:
    target.send(message, Line())


def channel(name: str = "office", **limits: Any) -> Channel:
    return Channel(name, Notes(), **{"cleared": True, **limits})


class House(Bench):
    """`await House(path, plan).start()`."""

    def __init__(self, path: Path, plan: Plan | None = None, **more: Any) -> None:
        super().__init__(path, **more)
        self.plan = plan or Plan((channel(),))

    async def start(self, *, enabled: bool = False) -> House:
        await super().start(enabled=enabled)
        return self

    def put_in(self, loaded: Any) -> None:
        self.office = Office(
            self.engine, self.cleanup, self.counts, self.plan, random=random.Random(1),
            ident=iter(f"id{number}" for number in range(1, 10_000)).__next__, send=at_once,
        )  # fmt: skip
        self.office.begin(loaded)
        self.desk.alerts = AlertsDesk(self.engine, self.office)

    def notes(self, name: str = "office") -> Notes:
        target = self.office.outbox.channels[name].target
        assert isinstance(target, Notes)
        return target

    async def settle(self) -> None:
        await super().settle()
        office = getattr(self, "office", None)
        while office is not None and office.outbox._busy:
            await asyncio.wait(list(office.outbox._busy.values()), timeout=0.05)
            await super().settle()

    async def go(self, seconds: float, *, step_s: float = 0.5) -> None:
        """Time passes in pieces of a second, so that what is sent in one is noted before the next."""
        while seconds > 0:
            await super().go(min(seconds, 1.0), step_s=step_s)
            seconds -= 1.0
        await self.settle()

    async def close(self) -> None:
        await self.office.close()
        await super().close()


async def blocking(house: House, *users: str, company: str = "c1", wait_s: float = 300) -> None:
    """These people fall with an order each, and ben waits for all of them."""
    for user in users:
        await house.login(f"{user}-1", user=user, machine=f"PC-{user}", company=company)
        await house.say(
            f"{user}-1", "lock", {"resource": f"order/{user}", "activity": "amending"}, company=company
        )
    await house.go(wait_s - 10)
    await house.login("ben-1", user="ben", machine="PC-ben", company=company)
    for user in users:
        await house.say("ben-1", "lock", {"resource": f"order/{user}", "wait_s": 3000}, company=company)
    await house.go(11)
