"""A message to many: whom it reaches, and that nobody else waits for it."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine.bench import BOSS, Bench
from whosin.desk import messages

PEOPLE = 7


@pytest.fixture
async def bench(tmp_path, monkeypatch):
    """Seven people at work, told two at a time."""
    monkeypatch.setattr(messages, "STEP", 2)
    made = await Bench(tmp_path / "whosin.db").start()
    for n in range(PEOPLE):
        await made.login(f"s{n}", user=f"u{n}")
    yield made
    await made.close()


async def test_the_others_get_their_turn_while_many_are_told(bench):
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    result = await bench.desk.messages.send("Lunch", BOSS, sessions=[f"s{n}" for n in range(PEOPLE)])
    beside.cancel()
    assert result["reached"] == PEOPLE
    assert turns >= PEOPLE // 2
    told = [topic for topic, payload in bench.wire.log if topic.endswith("/message")]
    assert [topic.split("/")[-2] for topic in told] == [f"s{n}" for n in range(PEOPLE)]


async def test_who_leaves_meanwhile_is_neither_reached_nor_missed(bench):
    async def leave():
        await asyncio.sleep(0)
        await bench.desk.logoff(["s6"], BOSS, force=True)

    leaving = asyncio.create_task(leave())
    result = await bench.desk.messages.send("Lunch", BOSS, site="s1")
    await leaving
    assert (result["reached"], result["not_reached"]) == (PEOPLE - 1, 0)


async def test_it_is_told_which_of_the_named_are_unknown(bench):
    result = await bench.desk.messages.send("Lunch", BOSS, sessions=["s1", "nobody", "s1"])
    assert (result["reached"], result["users"], result["unknown"]) == (1, ["u1"], ["nobody"])


async def test_what_was_said_last_and_that_it_was_said_is_one_commit(bench, monkeypatch):
    commits: list[tuple[int, bool]] = []
    let_out = bench.engine.committer._let_out

    def noted(batch):
        said = any(event.type == "message.sent" for _, event in batch.events)
        if batch.answers or said:
            commits.append((len(batch.answers), said))
        let_out(batch)

    monkeypatch.setattr(bench.engine.committer, "_let_out", noted)
    await bench.desk.messages.send("Lunch", BOSS, sessions=["s1", "s2", "s3"])
    assert commits == [(2, False), (1, True)]
