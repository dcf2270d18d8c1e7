"""Whose turn it is: locks go to who asked first, also where an id has to be looked up before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.bench import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = await Bench(tmp_path / "whosin.db").start()
    yield made
    await made.close()


async def _say_all(bench: Bench, *said: tuple[str, str, dict[str, object]]) -> None:
    """Without waiting for anything in between, as a fast sender or a broker's backlog does."""
    for session, verb, payload in said:
        await bench.say(session, verb, payload, wait=False)
    await bench.settle()


def _granted(bench: Bench) -> list[str]:
    return [event["subject"] for event in bench.published("lock.granted")]


def _who(user: str) -> dict[str, object]:
    return {"user": user, "client": "desktop"}


async def test_a_known_session_does_not_overtake_one_that_has_just_logged_in(bench: Bench) -> None:
    await bench.login("old")
    await _say_all(
        bench,
        ("new", "login", _who("nina")),
        ("new", "lock", {"resource": "x"}),
        ("old", "lock", {"resource": "x"}),
        ("old", "unlock", {"resource": "y"}),
    )
    assert _granted(bench) == ["new"]


async def test_of_two_new_sessions_the_first_to_ask_is_the_first_to_get(bench: Bench) -> None:
    await _say_all(
        bench,
        ("a", "login", _who("anna")),
        ("b", "login", _who("bert")),
        ("b", "lock", {"resource": "x"}),
        ("a", "lock", {"resource": "x"}),
    )
    assert _granted(bench) == ["b"]


async def test_what_one_session_says_keeps_its_order_while_another_is_looked_up(bench: Bench) -> None:
    await bench.login("old")
    await _say_all(
        bench,
        ("new", "login", _who("nina")),
        ("old", "lock", {"resource": "x"}),
        ("old", "heartbeat", {"activity": "amending"}),
        ("old", "logout", {}),
    )
    assert _granted(bench) == ["old"]
    assert [event["type"] for event in bench.published() if event["subject"] == "old"] == [
        "session.logged_in", "lock.granted", "lock.released", "session.logged_off",
    ]  # fmt: skip
