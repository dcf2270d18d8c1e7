"""One client through its day: comes, works, waits, idles, loses the network, crashes, forgets, goes.

Owns the behaviour; uses `whosin.client` as any program would. Draws everything from its own random
source, so that a seed gives each client the same intentions whatever the others do.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Final

from whosin.client import LockRefused, Login, LoginRefused, NoAnswer, NotConnected, SessionEnded, State
from whosin.simulate.cast import task

if TYPE_CHECKING:
    from whosin.client import GatewayLogin, Lock
    from whosin.simulate.cast import Role, Task
    from whosin.simulate.day import Day

    AnyLogin = Login | GatewayLogin

SHORTEST_WAIT_S: Final = 2.0  # in a queue, in the daemon's seconds


class Person:
    """`live` is the whole day. `login`, `lock` and `idle` are looked at by whoever shows it."""

    def __init__(self, day: Day, role: Role) -> None:
        self.role = role
        self.login: AnyLogin | None = None
        self.lock: Lock | None = None
        self.idle = False
        self._day = day
        self._draw = Random(f"{day.options.seed}/{role.number}")  # noqa: S311 - a play, not a secret
        self._stir = asyncio.Event()  # the day or the session is over: stop pausing
        self._patience: asyncio.Timeout | None = None  # until the day is over
        self._busy_at = 0.0

    async def live(self) -> None:
        """Until the day is over."""
        await self._pause(self.role.arrives)
        while not self._day.over:
            back_in = await self._stay()
            await self._pause(back_in)

    def stir(self) -> None:
        self._stir.set()
        if self._patience is not None:
            self._patience.reschedule(0)

    # --- one login, from coming to going -----------------------------------------------------------------

    async def _stay(self) -> float:
        """Returns after how many users' minutes this one comes again."""
        try:
            login = self.login = await self._come()
            if login is None:
                return self._draw.uniform(1, 5)
            self._day.summary.logins += 1
            return await self._work_and_go(login)
        except asyncio.CancelledError:
            if self.login is not None:
                await self.login.abandon()
            raise
        finally:
            if self.login is not None:
                self._day.summary.beats += self.login.beats
            self.login, self.lock, self.idle = None, None, False
            if not self._day.over:
                self._stir.clear()

    async def _come(self) -> AnyLogin | None:
        tally = self._day.summary
        login: AnyLogin | None = None
        try:
            async with asyncio.timeout(None) as self._patience:
                login = await self._make_login()
                return await login.open()
        except LoginRefused as refused:
            tally.login_refusals[refused.code] += 1
        except (NoAnswer, NotConnected, TimeoutError):
            tally.unanswered += 1
            if login is not None:
                tally.gave_up.append(login.id)
        except SessionEnded as ended:
            tally.ended_by[ended.by or ended.status] += 1
        finally:
            self._patience = None
        return None

    async def _make_login(self) -> AnyLogin:
        role, options = self.role, self._day.options
        if role.client == "web":
            portal = await self._day.portal(role.site)
            return portal.login(
                user=role.user,
                company=role.company,
                address=role.address,
                app=role.app,
                on_message=self._told,
                on_state=self._changed,
            )
        return Login(
            options.url,
            site=role.site,
            company=role.company,
            user=role.user,
            client=role.client,
            machine=role.machine,
            app=role.app,
            os_session=role.os_session,
            username=options.username,
            password=options.password,
            idle_s=self._idle_s if role.client == "desktop" else None,
            on_message=self._told,
            on_state=self._changed,
        )

    async def _work_and_go(self, login: AnyLogin) -> float:
        """How it ends is decided when it begins, as in life."""
        options, draw = self._day.options, self._draw
        fate = draw.random()
        minutes = draw.uniform(0.1, 0.5) if self.role.client == "api" else draw.uniform(20, 90)
        if fate < options.crash:
            if await self._work_until(login, minutes, self._draw.uniform(0.1, 1.0) * minutes):
                return await self._crash(login)
        else:
            await self._work(login, minutes)
        if login.ended is not None:
            return self._thrown_out(login)
        if fate < options.crash + options.forget and not self._day.over:
            return await self._forget(login)
        await login.close("going home" if self._day.over else None)
        self._day.summary.logged_out.append(login.id)
        return draw.uniform(2, 15)

    async def _work_until(self, login: AnyLogin, minutes: float, crash: float) -> bool:
        """Work, and break off in the middle of it; False when it was over before."""
        working = asyncio.create_task(self._work(login, minutes))
        try:
            await asyncio.wait([working], timeout=self._day.seconds(crash))
            broken_off = not (working.done() or self._stir.is_set())
            if broken_off:
                await login.abandon()  # first: what is open stays open
                working.cancel()
            await asyncio.wait([working])
        finally:
            working.cancel()
        if not working.cancelled():
            working.result()
        return broken_off

    async def _crash(self, login: AnyLogin) -> float:
        """The same person is back soon, on the same machine."""
        self._day.summary.crashed.append(login.id)
        return self._draw.uniform(1, 6)

    async def _forget(self, login: AnyLogin) -> float:
        """A desktop program runs on without its user, and beats on; a browser tab falls silent."""
        if isinstance(login, Login):
            self.idle = True
            await self._pause(self._draw.uniform(120, 240))
            if login.ended is not None:
                return self._thrown_out(login)
            await login.close("closed the next time somebody looked")
            self._day.summary.logged_out.append(login.id)
        else:
            await login.abandon()
            self._day.summary.forgotten.append(login.id)
        return self._draw.uniform(5, 30)

    def _thrown_out(self, login: AnyLogin) -> float:
        tally, ended = self._day.summary, login.ended
        assert ended is not None
        tally.ended.append(login.id)
        tally.ended_by[ended.by or ended.status] += 1
        return self._draw.uniform(1, 10)

    # --- while in ------------------------------------------------------------------------------------------

    async def _work(self, login: AnyLogin, minutes: float) -> None:
        """Open, think, open again; now and then a pause, a network that goes away."""
        draw, day = self._draw, self._day
        outage = isinstance(login, Login) and draw.random() < day.options.outage
        left = minutes
        while left > 0 and not self._stir.is_set():
            self._touch()
            what = draw.random()
            if outage and left < minutes / 2:
                outage = False
                left -= await self._lose_network(login)
            elif what < 0.05 and self.role.client != "api":
                left -= await self._go_for_lunch(draw.uniform(5, 30))
            elif what < 0.65:
                left -= await self._open(login, task(draw))
            else:
                left -= await self._pause(draw.uniform(0.2, 2))

    async def _open(self, login: AnyLogin, job: Task) -> float:
        """One record or feature: opened, worked on, closed; or found in use."""
        patient = self._draw.random() < 0.5
        minutes = self._draw.uniform(*job.minutes) * (0.02 if self.role.client == "api" else 1)
        lock = login.lock(
            job.resource,
            mode="shared" if job.mode == "shared" else "exclusive",
            activity=job.activity,
            guidance=job.guidance,
            sticky=job.sticky,
            wait_s=max(SHORTEST_WAIT_S, self._day.seconds(3)) if patient else 0,
        )
        self.lock = lock
        try:
            if await self._acquire(lock):
                login.activity = job.activity
                await self._pause(minutes)
        finally:
            self.lock = None
            login.activity = None
            await lock.release()
        return minutes

    async def _acquire(self, lock: Lock) -> bool:
        tally = self._day.summary
        try:
            async with asyncio.timeout(None) as self._patience:
                await lock.acquire()
        except TimeoutError:
            return False  # the day is over
        except LockRefused as refused:
            tally.lock_refusals[refused.code] += 1
            if refused.holder is not None:
                tally.holders[refused.holder.user] += 1
            return False
        except NoAnswer:
            tally.unanswered += 1
            return False
        except SessionEnded:
            return False
        finally:
            self._patience = None
        tally.locks += 1
        tally.waits += lock.holder is not None
        return True

    async def _lose_network(self, login: AnyLogin) -> float:
        minutes = self._draw.uniform(0.2, 3)
        if isinstance(login, Login):
            self._day.summary.outages += 1
            await login.cut()
            await self._pause(minutes)
            await login.mend()
        return minutes

    async def _go_for_lunch(self, minutes: float) -> float:
        self.idle = True
        await self._pause(minutes)
        self.idle = False
        return minutes

    # --- time ----------------------------------------------------------------------------------------

    async def _pause(self, minutes: float) -> float:
        """So many users' minutes, less when the day or the session is over; returns them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._day.seconds(minutes)):
                await self._stir.wait()
        return minutes

    def _touch(self) -> None:
        self._busy_at = asyncio.get_running_loop().time()

    def _idle_s(self) -> float:
        """On the users' clock, as everything they do."""
        return (asyncio.get_running_loop().time() - self._busy_at) * self._day.options.speed

    def _told(self, _: str) -> None:
        self._day.summary.messages += 1

    def _changed(self, state: State) -> None:
        if state is State.ENDED:
            self._stir.set()
