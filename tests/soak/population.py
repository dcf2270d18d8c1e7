"""Fifty people in five companies, at their own pace: who comes, works, goes, crashes, and comes back.

Owns what they do and the truth about it, to be compared with what the daemon says. They use the client
library as any program would: desktops and programs on a connection of their own, the portal's users on one
gateway. A seed gives everybody the same intentions.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Final

from whosin.client import ClientError, Gateway, GatewayLogin, LockRefused, Login, LoginRefused

SITE: Final = "soak"
COMPANIES: Final = tuple(f"C{number}" for number in range(1, 6))
CLIENTS: Final = ("desktop",) * 30 + ("web",) * 12 + ("api",) * 8

AnyLogin = Login | GatewayLogin


class Population:
    """`said` counts what was done; `inside` are the ids of those logged in now, `fallen` of those who left
    without a goodbye."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.seed = seed
        self.said: Counter[str] = Counter()
        self.inside: dict[str, AnyLogin] = {}
        self.fallen: set[str] = set()
        self.trouble: list[str] = []
        self.portal: Gateway | None = None
        self._lives: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """Open connections to the door."""
        return sum(isinstance(login, Login) for login in self.inside.values()) + (self.portal is not None)

    async def start(self) -> None:
        self.portal = await Gateway(self.url, site=SITE, company=COMPANIES[0]).open()
        for number, client in enumerate(CLIENTS):
            draw = Random(f"{self.seed}/{number}")
            life = asyncio.create_task(self._live(number, client, draw), name=f"user-{number}")
            self._lives.add(life)

    async def stop(self) -> None:
        """Everybody who is in logs out."""
        for life in self._lives:
            life.cancel()
        for result in await asyncio.gather(*self._lives, return_exceptions=True):
            if isinstance(result, Exception):
                self.trouble.append(repr(result))
        async with asyncio.TaskGroup() as going:
            for ident, login in list(self.inside.items()):
                going.create_task(self._goodbye(ident, login))
        if self.portal is not None:
            await self.portal.close()
            self.portal = None

    # --- one person -----------------------------------------------------------------------------------

    async def _live(self, number: int, client: str, draw: Random) -> None:
        await asyncio.sleep(draw.uniform(0, 30))  # real time: they do not all come at once
        while True:
            try:
                login = await self._come(number, client, draw)
                await self._work(login, client, draw)
                await self._leave(login, draw)
            except LoginRefused as refused:
                self.trouble.append(f"user-{number} was refused: {refused}")
            except ClientError as error:
                self.said["trouble"] += 1
                self.trouble.append(f"user-{number}: {error!r}")
            await asyncio.sleep(draw.uniform(10, 90))

    async def _come(self, number: int, client: str, draw: Random) -> AnyLogin:
        company = draw.choice(COMPANIES)
        login: AnyLogin
        if client == "web":
            assert self.portal is not None
            login = self.portal.login(
                user=f"user-{number}", company=company, address=f"203.0.113.{number}", app="Portal"
            )
        else:
            login = Login(
                self.url, site=SITE, company=company, user=f"user-{number}", client=client,
                machine=f"PC-{number}", os_session="1", app="Accounts 26.1",
            )  # fmt: skip
        self.inside[login.id] = login  # from the moment it may be known to the daemon
        await login.open()
        self.said["logins"] += 1
        return login

    async def _work(self, login: AnyLogin, client: str, draw: Random) -> None:
        """Records are opened and closed; some are wanted by several people at once."""
        left = draw.uniform(20, 120) if client == "api" else draw.uniform(180, 900)
        if client == "desktop":
            login.idle_s = lambda: draw.uniform(0, 30)
        while left > 0:
            hold = draw.uniform(2, 30)
            resource = draw.choice((f"sales-order/SO-{draw.randrange(40)}", "vat-return", "prices/list-1"))
            shared = draw.random() < 0.2
            lock = login.lock(resource, mode="shared" if shared else "exclusive", wait_s=draw.choice((0, 20)))
            try:
                await lock.acquire()
            except LockRefused as refused:
                self.said[f"lock {refused.code}"] += 1
            else:
                self.said["locks"] += 1
                login.activity = f"working on {resource}"
                await asyncio.sleep(hold)
                login.activity = None
                await lock.release()
            pause = draw.uniform(1, 40)
            await asyncio.sleep(pause)
            left -= hold + pause

    async def _leave(self, login: AnyLogin, draw: Random) -> None:
        fate = draw.random()
        if fate < 0.8:
            await self._goodbye(login.id, login)
            return
        del self.inside[login.id]
        self.fallen.add(login.id)
        self.said["crashes"] += 1
        if isinstance(login, GatewayLogin):
            await login.abandon()  # a closed tab
        else:
            await login.abandon(broken=fate < 0.9)  # with its will, or switched off without

    async def _goodbye(self, ident: str, login: AnyLogin) -> None:
        with suppress(ClientError):
            await login.close()
        self.inside.pop(ident, None)
        self.said["logouts"] += 1
