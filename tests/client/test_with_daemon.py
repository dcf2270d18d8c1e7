"""The client library against the real daemon: at its door, and through a real Mosquitto."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.client.conftest import QUICK, ann
from tests.client.scripted_daemon import until
from tests.support.daemon import Daemon
from tests.support.mosquitto import Mosquitto, needs_mosquitto, wait_for
from tests.support.ports import free_port
from whosin.client import Gateway, LockRefused, Login, LoginRefused, State, SyncLogin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Site:
    """A running daemon and the address clients use."""

    def __init__(self, daemon: Daemon, port: int) -> None:
        self.daemon = daemon
        self.url = f"mqtt://127.0.0.1:{port}"

    def login(self, **about: Any) -> Login:
        return Login(self.url, **ann(**about))

    def item(self, login: Any) -> dict[str, Any]:
        return self.daemon.api("GET", f"sessions/{login.id}")


@contextmanager
def at_the_door(folder: Path) -> Iterator[Site]:
    port = free_port()
    daemon = Daemon(folder, f'listen = "127.0.0.1:{port}"')
    try:
        yield Site(daemon.start(), port)
    finally:
        daemon.stop()


@contextmanager
def behind_a_broker(folder: Path) -> Iterator[Site]:
    broker = Mosquitto(folder).start()
    daemon = Daemon(folder, f'url = "mqtt://127.0.0.1:{broker.port}"')
    try:
        yield Site(daemon.start(), broker.port)
    finally:
        daemon.stop()
        broker.stop()


@pytest.fixture(params=["door", pytest.param("broker", marks=needs_mosquitto)])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with (at_the_door if request.param == "door" else behind_a_broker)(tmp_path) as running:
        yield running


async def test_a_day_at_work_as_the_daemon_sees_it(site: Site) -> None:
    async with site.login(app="Ledger 4.2", activity="looking around") as ours:
        assert (ours.heartbeat_every_s, ours.timeout_s) == (1, 3)
        async with ours.lock("sales-order/SO-1", activity="amending") as held, site.login(user="bob") as bob:
            with pytest.raises(LockRefused, match="in use by ann on PC-7") as refused:
                await bob.lock("sales-order").acquire()
            assert refused.value.code == "held"
            assert site.item(ours)["locks"]
            second = bob.lock("sales-order/SO-1", wait_s=30)
            waiting = asyncio.create_task(second.acquire())
            await until(lambda: second.waiting)
            first_token = held.token
            assert await held.release()
            await asyncio.wait_for(waiting, 5)
            assert second.token > first_token
            with pytest.raises(LockRefused) as late:
                await ours.lock("sales-order/SO-1", wait_s=0.2).acquire()
            assert late.value.code == "timeout"
        await until(lambda: ours.beats)
        await until(lambda: site.item(ours)["activity"] == "looking around")
    await until(lambda: site.item(ours)["status"] == "logged_off")


async def test_beats_keep_a_silent_user_in_beyond_the_timeout(site: Site) -> None:
    async with (
        site.login() as ours,
        Gateway(site.url, site="head-office", company="books", backoff=QUICK) as gateway,
        gateway.login(user="bob", client="desktop") as bob,
    ):
        await until(lambda: ours.beats >= 5 and bob.beats >= 5, limit_s=20)  # 4 s: the timeout is 3
        assert site.item(ours)["status"] == site.item(bob)["status"] == "active"
        assert not site.daemon.history(session=ours.id, type="session.disconnected")


async def test_an_operator_can_end_it_and_the_program_learns_by_whom(site: Site) -> None:
    async with site.login() as ours, ours.lock("stock") as held:
        order = {"ids": [ours.id], "force": True, "reason": "month end"}
        results = site.daemon.api("POST", "sessions/logoff", order)["results"]
        assert results[0]["result"] == "removed"
        ended = await asyncio.wait_for(ours.wait_ended(), 10)
        assert ended is not None
        assert (ended.status, ended.reason) == ("removed", "month end")
        assert ended.by
        assert held.lost


async def test_it_survives_kill_9_of_the_daemon_with_its_locks(site: Site) -> None:
    async with site.login(answer_s=0.5) as ours, ours.lock("payroll") as held:
        token = held.token
        await asyncio.to_thread(site.daemon.kill)
        await asyncio.to_thread(site.daemon.start)
        beats = ours.beats
        await until(lambda: ours.state is State.CONNECTED and ours.beats > beats, limit_s=20)
        assert held.token == token
        item = await asyncio.to_thread(site.item, ours)
        assert item["status"] == "active"
        assert item["locks"]


async def test_who_crashed_comes_back_at_once_and_replaces_the_old_login(site: Site) -> None:
    crashed = await site.login(os_session="console").open()
    await crashed.lock("stock").acquire()
    await crashed.abandon()
    await until(lambda: site.item(crashed)["status"] == "disconnected")
    async with site.login(os_session="console") as again:
        await until(lambda: site.item(crashed)["status"] == "removed")
        assert site.item(again)["status"] == "active"


async def test_another_user_cannot_take_a_session_over(site: Site) -> None:
    async with site.login(session="the-session"):
        pass
    other = site.login(session="the-session", user="bob")
    with pytest.raises(Exception, match=r"conflict|logged_off"):
        await other.open()


async def test_the_door_tells_who_was_taken_over_and_it_stops(tmp_path: Path) -> None:
    with at_the_door(tmp_path) as site:
        async with site.login(session="the-session") as first, site.login(session="the-session") as second:
            ended = await asyncio.wait_for(first.wait_ended(), 10)
            assert ended is not None
            assert ended.status == "taken_over"
            assert second.state is State.CONNECTED
            assert site.item(second)["status"] == "active"


async def test_a_gateway_of_many(site: Site) -> None:
    async with Gateway(site.url, site="head-office", company="books", backoff=QUICK) as gateway:
        many = [gateway.login(user=f"user-{number}") for number in range(600)]
        await asyncio.gather(*(each.open() for each in many))
        assert site.daemon.metric('whosin_sessions{client="web",status="active"}') == 600
        await asyncio.gather(*(each.close() for each in many))
    await until(lambda: not site.daemon.sessions())


async def test_sign_in_at_the_door(tmp_path: Path) -> None:
    port = free_port()
    daemon = Daemon(tmp_path, f'listen = "127.0.0.1:{port}"\nsign_in = "on"')
    daemon.start()
    url = f"mqtt://127.0.0.1:{port}"
    try:
        secret = daemon.whosin("clients", "add", "anns-pc", "--role", "client", "--site", "head-office",
                               "--user", "ann").strip()  # fmt: skip
        async with Login(url, **ann(username="anns-pc", password=secret)) as ours:
            assert ours.state is State.CONNECTED
        with pytest.raises(LoginRefused) as refused:
            await Login(url, **ann(user="bob", username="anns-pc", password=secret)).open()
        assert refused.value.code == "forbidden"
        with pytest.raises(LoginRefused) as wrong:
            await Login(url, **ann(username="anns-pc", password="guess")).open()
        assert wrong.value.code == "not_authorized"
    finally:
        daemon.stop()


def test_a_plain_program(site: Site) -> None:
    with SyncLogin(site.url, **ann()) as login, login.lock("vat-return") as held:
        assert held.token > 0
        assert site.item(login)["status"] == "active"
    wait_for(lambda: site.item(login)["status"] == "logged_off")
