"""Where the program's event loop cannot watch sockets, MQTT runs on a selector thread."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.client.conftest import QUICK, ann
from tests.client.scripted_daemon import until
from tests.support.mosquitto import wait_for
from whosin.client import Gateway, Login, LoginRefused, SessionEnded, State
from whosin.client.line import Line, RemoteLine
from whosin.client.threads import LINES_PER_THREAD, Relay, has_readers, lease, release

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.client.scripted_daemon import ScriptedDaemon


class NoReaders(asyncio.SelectorEventLoop):
    """What Windows' Proactor loop looks like to a library that wants to watch a socket."""

    def add_reader(self, *_: Any) -> None:
        raise NotImplementedError

    remove_reader = add_writer = remove_writer = add_reader  # type: ignore[assignment]


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=NoReaders) as runner:
        runner.run(work())


def selector_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "whosin-mqtt"]


def test_a_login_works_on_such_a_loop_and_leaves_no_thread(daemon: ScriptedDaemon) -> None:
    daemon.heartbeat_every_s = 0.05
    texts: list[str] = []

    async def work() -> None:
        url = f"mqtt://127.0.0.1:{daemon.port}"
        async with (
            Login(url, **ann(on_message=texts.append)) as first,
            Login(url, **ann(user="bob")) as second,
            first.lock("stock") as held,
        ):
            assert isinstance(first._line, RemoteLine)
            assert len(selector_threads()) == 1
            waiting = asyncio.create_task(second.lock("stock", wait_s=30).acquire())
            await until(lambda: daemon.queue.get("stock"))
            await first.cut()
            await until(lambda: first.state is State.RECONNECTING)
            daemon.say(first.id, "message", text="hello")
            await first.mend()
            await until(lambda: texts == ["hello"])
            await until(lambda: first.state is State.CONNECTED)
            await held.release()
            await asyncio.wait_for(waiting, 5)
            await until(lambda: daemon.of("heartbeat", first.id))
        assert not selector_threads()
        assert len(asyncio.all_tasks()) == 1

    run(work)
    wait_for(lambda: len(daemon.of("logout")) == 2)


def test_refusals_ends_and_cancellations_cross_the_threads(daemon: ScriptedDaemon) -> None:
    daemon.refuse["bob"] = ("seats", "no seat left")

    async def work() -> None:
        url = f"mqtt://127.0.0.1:{daemon.port}"
        with pytest.raises(LoginRefused):
            await Login(url, **ann(user="bob")).open()
        async with Login(url, **ann()) as login:
            daemon.end(login.id, status="removed", by="kim")
            ended = await asyncio.wait_for(login.wait_ended(), 5)
            assert isinstance(ended, SessionEnded)
        daemon.mute = True
        entering = asyncio.create_task(Login(url, **ann()).open())
        await until(lambda: len(daemon.of("login")) == 3)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert not selector_threads()

    run(work)


def test_a_gateway_works_on_such_a_loop(daemon: ScriptedDaemon) -> None:
    async def work() -> None:
        async with (
            Gateway(
                f"mqtt://127.0.0.1:{daemon.port}", site="head-office", company="books", backoff=QUICK
            ) as gateway,
            gateway.login(user="ann") as ours,
        ):
            assert ours.state is State.CONNECTED

    run(work)
    assert not selector_threads()


async def test_an_ordinary_loop_needs_no_thread(login: Callable[..., Login]) -> None:
    assert has_readers(asyncio.get_running_loop())
    async with login() as ours:
        assert isinstance(ours._line, Line)
        assert not selector_threads()


def test_a_thread_takes_only_as_many_lines_as_select_can_watch() -> None:
    leases = [lease() for _ in range(LINES_PER_THREAD + 1)]
    assert len(set(map(id, leases))) == 2
    for each in leases:
        release(each)
    assert not selector_threads()


async def test_a_loop_that_does_not_keep_up_is_not_flooded() -> None:
    loop = asyncio.get_running_loop()
    calls: list[int] = []
    relay = Relay(loop, most=2)
    took = [relay.offer(lambda n=n: calls.append(n)) for n in range(3)]
    assert took == [True, True, False]
    assert relay.offer(lambda: calls.append(9), must=True)
    await until(lambda: calls)
    assert calls == [0, 1, 9]


def test_a_relay_to_a_closed_loop_is_silent() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    assert not Relay(loop).offer(lambda: None)
