"""A site's day: everybody in it, from the first arrival until all have gone home.

Owns the users' clock, the portals and the tally. What one client does is `person`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Final

from whosin.client import Gateway, State
from whosin.simulate.cast import COMPANIES, cast
from whosin.simulate.options import Options, Summary
from whosin.simulate.person import Person

log = logging.getLogger("whosin.simulate")

HOME_WITHIN_S: Final = 30.0  # for logging everybody out at the end of the day


class Day:
    """`run` is all of it; `summary` counts while it goes on, `now` tells how things stand."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.over = False
        self.summary = Summary(seed=options.seed, clients=options.clients, speed=options.speed)
        self.people = [Person(self, role) for role in cast(options)]
        self._portals: dict[str, Gateway] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._lives: set[asyncio.Task[None]] = set()

    def seconds(self, minutes: float) -> float:
        """Real seconds of the users' minutes."""
        return minutes * 60 / self.options.speed

    async def run(self) -> Summary:
        """The whole day. Cancelled, it is over at once: nobody logs out, as if the site lost its power."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._lives = {asyncio.create_task(each.live(), name=each.role.user) for each in self.people}
        for each in self._lives:
            each.add_done_callback(self._lived)
        limit_s = None if self.options.minutes is None else self.options.minutes * 60
        try:
            if self._lives:
                await asyncio.wait(self._lives, timeout=limit_s)
            await self.close()
        finally:
            await self._tidy()
            self.summary.seconds = round(loop.time() - began, 1)
        return self.summary

    async def close(self, within_s: float = HOME_WITHIN_S) -> None:
        """Everybody goes home: logs out, as far as the time allows."""
        self.over = True
        for person in self.people:
            person.stir()
        if running := {each for each in self._lives if not each.done()}:
            await asyncio.wait(running, timeout=within_s)

    async def portal(self, site: str) -> Gateway:
        """The site's one portal server, opened by the first who comes. `NotConnected` for now."""
        async with self._opening.setdefault(site, asyncio.Lock()):
            if (known := self._portals.get(site)) is None or known.state is State.ENDED:
                portal = Gateway(
                    self.options.url,
                    site=site,
                    company=COMPANIES[0],
                    username=self.options.username,
                    password=self.options.password,
                    connect_timeout_s=10,
                )
                self._portals[site] = await portal.open()
            return self._portals[site]

    def now(self) -> Counter[str]:
        """How many are in, waiting, idle, offline, and the heartbeats so far: a snapshot to show."""
        counts = Counter(beats=self.summary.beats)
        for person in self.people:
            if (login := person.login) is not None:
                counts["in"] += 1
                counts["beats"] += login.beats
                counts["offline"] += login.state == "reconnecting"
                counts["idle"] += person.idle
                counts["waiting"] += person.lock is not None and person.lock.waiting
        return counts

    def _lived(self, life: asyncio.Task[None]) -> None:
        """A defect of the play is counted and told, and the others play on."""
        if not life.cancelled() and (error := life.exception()) is not None:
            self.summary.defects += 1
            log.error("the simulated client %s failed", life.get_name(), exc_info=error)

    async def _tidy(self) -> None:
        self.over = True
        running = {each for each in self._lives if not each.done()}
        for each in running:
            each.cancel()
        if running:
            await asyncio.wait(running)
        for portal in self._portals.values():
            await portal.close()
