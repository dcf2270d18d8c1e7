"""One sign that something changed: at once, then together, for those whom it concerns, until the end."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine.bench import BOSS
from whosin.desk.stirs import PACE_S, stirs
from whosin.operations import Caller

NORTH = Caller("north-boss", "viewer", "north")


class Pages:
    """A page that listens; its pauses end when told to."""

    def __init__(self, bench, caller=BOSS):
        self.stopping = asyncio.Event()
        self.pauses: list[float] = []
        self._go_on = asyncio.Event()
        self.signs = stirs(bench.engine, caller, self.stopping, self._pause)
        self.next: asyncio.Future | None = None

    async def _pause(self, seconds):
        self.pauses.append(seconds)
        await self._go_on.wait()
        self._go_on.clear()

    async def listen(self):
        self.next = asyncio.ensure_future(anext(self.signs))
        await turns()
        return self

    async def sign(self):
        return await asyncio.wait_for(self.next, 20)

    async def rested(self):
        self._go_on.set()
        await turns()

    async def close(self):
        if self.next is not None and not self.next.done():
            self.next.cancel()
            await turns()
        await self.signs.aclose()


async def turns():
    """Whatever can go on without anything happening has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def page(bench):
    made = await Pages(bench).listen()
    yield made
    await made.close()


async def test_it_comes_at_once_and_says_only_what_kind_of_thing_changed(bench, page):
    assert not page.next.done()
    await bench.login("a")
    assert await page.sign() == ("", "changed", {"what": ["session"]})


async def test_all_that_follows_within_the_pace_comes_together(bench, page):
    await bench.login("a")
    await page.sign()
    await page.listen()
    assert page.pauses == [PACE_S]
    for resource in ("x", "y"):
        await bench.say("a", "lock", {"resource": resource})
    await bench.login("b", user="ben")
    await turns()
    assert not page.next.done(), "the pause is not over"
    await page.rested()
    assert await page.sign() == ("", "changed", {"what": ["lock", "session"]})


async def test_without_an_event_there_is_no_sign_however_long_it_takes(bench, page):
    await bench.login("a")
    await page.sign()
    await page.listen()
    await page.rested()
    await bench.say("a", "heartbeat", qos=0)
    await turns()
    assert not page.next.done(), "a heartbeat is no event"
    await bench.say("a", "logout")
    assert (await page.sign())[2] == {"what": ["session"]}


async def test_who_may_see_one_site_hears_of_that_and_of_what_concerns_all(bench):
    page = await Pages(bench, NORTH).listen()
    await bench.login("a", site="south")
    await turns()
    assert not page.next.done()
    await bench.desk.switch_cleanup(True, BOSS)
    await bench.settle()
    assert (await page.sign())[2] == {"what": ["cleanup"]}
    await page.listen()
    await page.rested()
    await bench.login("b", site="north")
    assert (await page.sign())[2] == {"what": ["session"]}
    await page.close()


async def test_each_listener_has_its_own_pace(bench, page):
    await bench.login("a")
    await page.sign()
    late = await Pages(bench).listen()
    await page.listen()
    await bench.login("b", user="ben")
    assert (await late.sign())[2] == {"what": ["session"]}
    assert not page.next.done()
    await late.close()


@pytest.mark.parametrize("at", ["waiting", "paused"])
async def test_it_ends_when_the_daemon_stops_and_is_told_of_nothing_more(bench, page, at):
    assert len(bench.engine.listeners) == 1
    if at == "paused":
        await bench.login("a")
        await page.sign()
        await page.listen()
    page.stopping.set()
    if at == "paused":
        await page.rested()
    with pytest.raises(StopAsyncIteration):
        await page.sign()
    assert bench.engine.listeners == []


async def test_a_page_that_goes_away_is_told_of_nothing_more(bench):
    page = await Pages(bench).listen()
    await bench.login("a")
    await page.sign()
    await page.close()
    assert bench.engine.listeners == []
