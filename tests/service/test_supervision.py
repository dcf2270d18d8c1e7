"""What a supervisor is told: why it is not ready yet, ready once it is, signs of life, reloads, the end."""

from __future__ import annotations

import asyncio

import pytest

from whosin import supervision
from whosin.supervision import Supervision


class Listener:
    """A supervisor that writes down what it hears, and lets a test wait for it."""

    def __init__(self, alive_every_s: float | None = None) -> None:
        self.alive_every_s = alive_every_s
        self.heard: list[str] = []
        self.orders = {}
        self._new = asyncio.Event()

    def attach(self, stop, reload) -> None:
        self.orders = {"stop": stop, "reload": reload}

    def _hear(self, text: str) -> None:
        self.heard.append(text)
        self._new.set()

    def starting(self, why: str) -> None:
        self._hear(f"starting: {why}")

    def ready(self, text: str) -> None:
        self._hear(f"ready: {text}")

    def alive(self, text: str) -> None:
        self._hear(f"alive: {text}")

    def reloading(self) -> None:
        self._hear("reloading")

    def stopping(self) -> None:
        self._hear("stopping")

    def failed(self, text: str) -> None:
        self._hear(f"failed: {text}")

    async def until(self, text: str) -> None:
        async with asyncio.timeout(10):
            while text not in self.heard:
                self._new.clear()
                await self._new.wait()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(supervision, "LOOK_EVERY_S", 0.001)
    monkeypatch.setattr(supervision, "SAY_EVERY_S", 0.003)


def nothing() -> None:
    pass


async def test_it_says_why_it_is_not_ready_and_then_that_it_is():
    problems = ["loading"]
    listener = Listener(alive_every_s=0.001)
    its = Supervision(listener, lambda: list(problems), lambda: "3 active")
    its.begin(nothing, nothing)
    assert listener.heard == ["starting: loading"]
    problems[:] = ["blind: nothing is received through the link", "storage: full"]
    await listener.until("starting: blind: nothing is received through the link; storage: full")
    problems.clear()
    await listener.until("alive: 3 active")
    assert listener.heard.count("ready: 3 active") == 1
    its.stopping()


async def test_while_it_is_not_ready_it_says_so_again_and_again():
    listener = Listener()
    its = Supervision(listener, lambda: ["blind"], lambda: "")
    its.begin(nothing, nothing)
    for _ in range(3):
        await listener.until("starting: blind")
        listener.heard.remove("starting: blind")
    assert not any(text.startswith(("ready", "alive")) for text in listener.heard)
    its.stopping()


async def test_signs_of_life_name_what_is_wrong_later():
    problems: list[str] = []
    listener = Listener(alive_every_s=0.001)
    its = Supervision(listener, lambda: list(problems), lambda: "3 active")
    its.begin(nothing, nothing)
    await listener.until("alive: 3 active")
    problems.append("blind")
    await listener.until("alive: 3 active; not ready: blind")
    its.stopping()


async def test_orders_may_come_from_any_thread_and_after_the_end():
    stopped = asyncio.Event()
    listener = Listener()
    its = Supervision(listener, list, str)
    its.begin(stopped.set, nothing)
    await asyncio.to_thread(listener.orders["stop"])
    async with asyncio.timeout(10):
        await stopped.wait()
    its.stopping()
    other = asyncio.new_event_loop()
    order = supervision._from_anywhere(other, nothing)
    other.close()
    order()


async def test_a_reload_is_framed_also_when_it_is_refused():
    listener = Listener()
    its = Supervision(listener, list, lambda: "fine")
    its.begin(nothing, nothing)
    await listener.until("ready: fine")
    with pytest.raises(ValueError, match="no"), its.reloading():
        raise ValueError("no")
    assert [text for text in listener.heard if not text.startswith("alive")][-2:] == [
        "reloading",
        "ready: fine",
    ]
    its.stopping()


async def test_a_reload_before_it_is_ready_says_nothing():
    listener = Listener()
    its = Supervision(listener, lambda: ["loading"], str)
    its.begin(nothing, nothing)
    with its.reloading():
        pass
    assert "reloading" not in listener.heard
    its.stopping()


async def test_after_stopping_nothing_more_is_said():
    listener = Listener(alive_every_s=0.001)
    its = Supervision(listener, list, lambda: "fine")
    its.begin(nothing, nothing)
    await listener.until("alive: fine")
    its.stopping()
    heard = len(listener.heard)
    assert its._task is not None
    await asyncio.wait([its._task])
    assert listener.heard[heard - 1 :] == ["stopping"]


async def test_without_a_supervisor_all_is_silent():
    its = Supervision(None, list, str)
    its.begin(nothing, nothing)
    with its.reloading():
        pass
    its.failed("no")
    its.stopping()
