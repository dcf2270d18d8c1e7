"""Locks of a login: asked, waited for, lost, given back, over a real broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.client.scripted_daemon import Held, until
from whosin.client import LockLost, LockRefused, NoAnswer, SessionEnded, State

if TYPE_CHECKING:
    from tests.client.scripted_daemon import ScriptedDaemon

ORDER = "sales-order/SO-1001"
Make = "Callable[..., Login]"


async def test_a_lock_is_held_inside_and_given_back_after(daemon: ScriptedDaemon, login: Make) -> None:
    async with login() as ours:
        lock = ours.lock(ORDER, mode="shared", activity="amending", guidance="order-check", sticky=True)
        async with lock as held:
            assert held.token == 1
            assert list(ours.locks) == [ORDER]
            assert daemon.held[ORDER] == [Held(ours.id, 1, shared=True)]
        assert not daemon.held[ORDER]
        assert not ours.locks
        with pytest.raises(LockLost):
            lock.token  # noqa: B018
    assert daemon.of("lock")[0].payload == {
        "resource": ORDER,
        "mode": "shared",
        "activity": "amending",
        "guidance": "order-check",
        "sticky": True,
    }


async def test_a_refusal_names_the_holder(daemon: ScriptedDaemon, login: Make) -> None:
    async with login() as ann, login(user="bob", machine="PC-9") as bob, ann.lock(ORDER):
        with pytest.raises(LockRefused) as refused:
            await bob.lock(ORDER).acquire()
        assert refused.value.code == "held"
        assert refused.value.holder is not None
        assert refused.value.holder.user == "ann"
        assert (
            str(refused.value)
            == f"{ORDER}: in use by ann on PC-7 (desktop, active) since 2026-01-05T08:00:00.000Z"
        )
        assert not bob.locks


async def test_a_waiter_gets_the_lock_when_it_is_given_back(daemon: ScriptedDaemon, login: Make) -> None:
    async with login() as ann, login(user="bob") as bob:
        first = await ann.lock(ORDER).acquire()
        second = bob.lock(ORDER, wait_s=30)
        waiting = asyncio.create_task(second.acquire())
        await until(lambda: second.waiting)
        assert second.holder is not None
        assert second.holder.user == "ann"
        assert await first.release()
        await asyncio.wait_for(waiting, 5)
        assert second.token > 1
        assert not second.waiting


async def test_the_daemon_says_when_the_wait_is_over(daemon: ScriptedDaemon, login: Make) -> None:
    async with login() as ann, login(user="bob") as bob, ann.lock(ORDER):
        second = bob.lock(ORDER, wait_s=30)
        waiting = asyncio.create_task(second.acquire())
        await until(lambda: second.waiting)
        daemon.say(bob.id, "lock", resource=ORDER, granted=False, code="timeout", message="30 s are over")
        with pytest.raises(LockRefused, match="30 s are over") as refused:
            await asyncio.wait_for(waiting, 5)
        assert refused.value.code == "timeout"
        assert refused.value.holder is not None


async def test_cancelling_a_wait_gives_the_place_back(daemon: ScriptedDaemon, login: Make) -> None:
    async with login() as ann, login(user="bob") as bob, ann.lock(ORDER):
        waiting = asyncio.create_task(bob.lock(ORDER, wait_s=30).acquire())
        await until(lambda: daemon.queue.get(ORDER))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await until(lambda: not daemon.queue[ORDER])
        await until(lambda: not bob.locks)


async def test_asking_again_at_once_is_not_confused_by_answers_to_the_cancelled_request(
    daemon: ScriptedDaemon, login: Make
) -> None:
    async with login() as ours:
        waiting = asyncio.create_task(ours.lock(ORDER).acquire())
        while ORDER not in ours.locks:  # noqa: ASYNC110 - before the answer, so polled without a pause
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        async with ours.lock(ORDER) as again:
            assert daemon.held[ORDER] == [Held(ours.id, again.token)]


async def test_a_session_asks_for_one_resource_once_at_a_time(daemon: ScriptedDaemon, login: Make) -> None:
    async with login() as ours, ours.lock(ORDER) as held:
        with pytest.raises(RuntimeError, match="held by this session already"):
            await ours.lock(ORDER).acquire()
        with pytest.raises(RuntimeError, match="already held"):
            await held.acquire()
        assert held.held


async def test_silence_is_no_answer_and_the_request_is_taken_back(
    daemon: ScriptedDaemon, login: Make
) -> None:
    async with login(answer_s=0.1) as ours:
        daemon.mute = True
        with pytest.raises(NoAnswer):
            await ours.lock(ORDER).acquire()
        await until(lambda: daemon.of("unlock", ours.id))


async def test_after_unknown_the_locks_are_taken_again(daemon: ScriptedDaemon, login: Make) -> None:
    daemon.heartbeat_every_s = 0.05
    async with login() as ours, ours.lock(ORDER) as held:
        before = held.token
        daemon.forget(ours.id)
        await until(lambda: daemon.held.get(ORDER))
        await until(lambda: held.held and held.token > before)


async def test_a_lock_that_somebody_else_got_meanwhile_is_lost_and_says_so(
    daemon: ScriptedDaemon, login: Make
) -> None:
    daemon.heartbeat_every_s = 0.05
    async with login() as ann, login(user="bob") as bob:
        async with ann.lock(ORDER) as held:
            waiting = asyncio.create_task(bob.lock(ORDER, wait_s=30).acquire())
            await until(lambda: daemon.queue.get(ORDER))
            daemon.forget(ann.id)
            await asyncio.wait_for(waiting, 5)
            await until(lambda: held.lost)
            with pytest.raises(LockLost):
                held.token  # noqa: B018
            assert held.holder is not None
            assert held.holder.user == "bob"
        assert daemon.held[ORDER][0].session == bob.id


async def test_locks_and_waits_survive_a_break_of_the_line(daemon: ScriptedDaemon, login: Make) -> None:
    async with login() as ann, login(user="bob") as bob:
        first = await ann.lock(ORDER).acquire()
        second = bob.lock(ORDER, wait_s=30)
        waiting = asyncio.create_task(second.acquire())
        await until(lambda: second.waiting)
        for each in (ann, bob):
            await each.cut()
            await until(lambda each=each: each.state is State.RECONNECTING)
            await each.mend()
        await until(lambda: bob.state is State.CONNECTED and ann.state is State.CONNECTED)
        assert first.held
        await first.release()
        await asyncio.wait_for(waiting, 5)


async def test_a_release_without_a_connection_is_made_good_later(daemon: ScriptedDaemon, login: Make) -> None:
    async with login(answer_s=0.2) as ours:
        held = await ours.lock(ORDER).acquire()
        await ours.cut()
        await until(lambda: ours.state is State.RECONNECTING)
        assert not await held.release()
        assert daemon.held[ORDER]
        await ours.mend()
        await until(lambda: not daemon.held[ORDER])
        await until(lambda: not ours.locks)


async def test_the_end_of_the_session_ends_its_waits_and_loses_its_locks(
    daemon: ScriptedDaemon, login: Make
) -> None:
    async with login() as ann, login(user="bob") as bob, ann.lock(ORDER), bob.lock("stock") as stock:
        waiting = asyncio.create_task(bob.lock(ORDER, wait_s=30).acquire())
        await until(lambda: daemon.queue.get(ORDER))
        daemon.end(bob.id, status="removed", by="kim")
        with pytest.raises(SessionEnded, match="by kim"):
            await asyncio.wait_for(waiting, 5)
        assert stock.lost
        assert not bob.locks


async def test_leaving_loses_what_was_still_held(daemon: ScriptedDaemon, login: Make) -> None:
    async with login() as ours:
        held = await ours.lock(ORDER).acquire()
    assert held.lost
    assert not await held.release()
    with pytest.raises(SessionEnded):
        await held.acquire()


@pytest.mark.parametrize(
    "about", [{"resource": ""}, {"resource": "x" * 600}, {"wait_s": -1}, {"guidance": "x" * 300}]
)
async def test_what_cannot_be_asked_is_refused_at_once(login: Make, about: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|allowed"):
        login().lock(**{"resource": ORDER, **about})
