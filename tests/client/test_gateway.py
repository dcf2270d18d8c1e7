"""One connection that speaks for many sessions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.client.conftest import QUICK
from tests.client.scripted_daemon import until
from tests.support.mosquitto import free_port
from whosin.client import Gateway, LockRefused, LoginRefused, NotConnected, State
from whosin.client.gateway import BATCH

if TYPE_CHECKING:
    from tests.client.scripted_daemon import ScriptedDaemon


def portal(daemon: ScriptedDaemon, **about: object) -> Gateway:
    return Gateway(
        f"mqtt://127.0.0.1:{daemon.port}", site="head-office", company="books", backoff=QUICK, **about
    )


async def test_its_sessions_log_in_lock_and_log_out_like_others(daemon: ScriptedDaemon) -> None:
    async with (
        portal(daemon, app="Portal 3") as gateway,
        gateway.login(user="ann", address="203.0.113.7") as ann,
        gateway.login(user="bob", company="trust") as bob,
        gateway.login(user="cat") as cat,
    ):
        assert set(gateway.sessions) == {ann.id, bob.id, cat.id}
        heard = daemon.of("login", ann.id)[0]
        assert heard.payload == {
            "user": "ann",
            "client": "web",
            "address": "203.0.113.7",
            "app": "Portal 3",
        }
        assert daemon.of("login", bob.id)[0].company == "trust"
        async with ann.lock("vat-return"):
            with pytest.raises(LockRefused, match="in use by ann"):
                await cat.lock("vat-return").acquire()
    await until(lambda: len(daemon.of("logout")) == 3)
    assert not gateway.sessions
    assert ann.state is State.CLOSED
    assert len(asyncio.all_tasks()) == 1


async def test_sessions_beat_in_batches_per_company_and_alone_when_they_have_something_to_say(
    daemon: ScriptedDaemon,
) -> None:
    daemon.heartbeat_every_s = 0.05
    async with portal(daemon) as gateway:
        many = [gateway.login(user=f"user-{number}") for number in range(BATCH + 1)]
        await asyncio.gather(*(each.open() for each in many))
        other = await gateway.login(user="bob", company="trust").open()
        idler = await gateway.login(user="cat", idle_s=900).open()
        closed_tab = await gateway.login(user="dan", alive=lambda: False).open()
        daemon.heard.clear()
        await until(lambda: len(daemon.of("heartbeat", idler.id)) >= 2)
        batches = daemon.of("heartbeat", "@batch")
        books = [set(each.payload["sessions"]) for each in batches if each.company == "books"]
        assert max(len(each) for each in books) == BATCH
        assert set().union(*books) == {each.id for each in many}
        assert {each.id for each in many} > books[0]
        assert [other.id] in [each.payload["sessions"] for each in batches if each.company == "trust"]
        assert daemon.of("heartbeat", idler.id)[0].payload == {"idle_s": 900}
        assert closed_tab.beats == 0
        assert all(each.size < 32 * 1024 for each in batches)
        assert gateway.beats >= len(many)


async def test_after_a_break_it_beats_at_once_and_forgotten_sessions_log_in_again(
    daemon: ScriptedDaemon,
) -> None:
    daemon.heartbeat_every_s = 0.1
    async with portal(daemon) as gateway, gateway.login(user="ann") as ann:
        await gateway.cut()
        await until(lambda: ann.state is State.RECONNECTING)
        await gateway.mend()
        await until(lambda: ann.state is State.CONNECTED)
        assert ann.logins == 1
        daemon.forget(ann.id)
        ann.hear("unknown", b"")
        await until(lambda: ann.logins == 2)


async def test_an_ended_session_leaves_the_batches_and_a_refused_one_never_joins(
    daemon: ScriptedDaemon,
) -> None:
    daemon.refuse["bob"] = ("locked", "The account is locked")
    async with portal(daemon) as gateway:
        ann = await gateway.login(user="ann").open()
        with pytest.raises(LoginRefused, match="locked"):
            await gateway.login(user="bob").open()
        daemon.end(ann.id, status="removed", by="kim")
        await asyncio.wait_for(ann.wait_ended(), 5)
        assert not gateway.sessions
        await ann.close()
    assert not daemon.of("logout")


async def test_leaving_the_gateway_logs_nobody_out_and_a_new_one_takes_them_up(
    daemon: ScriptedDaemon,
) -> None:
    async with portal(daemon) as gateway:
        ann = await gateway.login(user="ann", session="tab-1").open()
    assert ann.state is State.CLOSED
    async with portal(daemon) as restarted, restarted.login(user="ann", session="tab-1") as again:
        assert again.state is State.CONNECTED
        with pytest.raises(RuntimeError, match="open already"):
            await restarted.login(user="ann", session="tab-1").open()
    await until(lambda: len(daemon.of("logout")) == 1)


async def test_an_abandoned_session_falls_silent(daemon: ScriptedDaemon) -> None:
    async with portal(daemon) as gateway:
        ann = await gateway.login(user="ann").open()
        await ann.abandon()
        assert not gateway.sessions
    assert not daemon.of("logout")


async def test_without_a_broker_it_says_so(daemon: ScriptedDaemon) -> None:
    gateway = Gateway(
        f"mqtt://127.0.0.1:{free_port()}", site="s", company="c", backoff=QUICK, connect_timeout_s=0.2
    )
    with pytest.raises(NotConnected, match="cannot connect"):
        await gateway.open()
    with pytest.raises(NotConnected, match="closed"):
        await gateway.login(user="ann").open()
    await until(lambda: len(asyncio.all_tasks()) == 1)
