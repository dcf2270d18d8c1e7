"""More falls due than one go takes: they are stored and told in parts, and what was said meanwhile waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.bench import Bench
from whosin.engine import engine as room

SILENT = [f"silent-{nth}" for nth in range(10)]


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch) -> AsyncIterator[Bench]:
    """Ten who fall silent at 300 s, and two who have beaten since, at 302 s."""
    monkeypatch.setattr(room, "CHUNK", 3)
    made = await Bench(tmp_path / "whosin.db").start()
    for ident in [*SILENT, "clerk", "other"]:
        await made.login(ident)
    await made.go(1.75)
    for ident in ("clerk", "other"):
        await made.say(ident, "heartbeat", qos=0)
    made.clock.now += 299_000  # the loop was busy for so long, as far as this goes
    made.engine._pulse_ms = made.clock.now
    yield made
    await made.close()


def fallen(bench: Bench) -> int:
    return sum(bench.status(ident) == "disconnected" for ident in SILENT)


async def test_a_request_waits_for_those_who_fell_before_it_and_they_are_told_in_parts(bench: Bench) -> None:
    await bench.say("clerk", "lock", {"resource": "order/1"}, wait=False)
    parts = []
    while bench.engine.depth:
        bench.engine.tick()
        bench.engine.collect()
        parts.append(fallen(bench))
        assert bool(bench.engine.live("clerk").locks) == (bench.engine.depth == 0)
        assert bench.engine.more or not bench.engine.depth
    assert parts[:3] == [3, 6, 9]
    await bench.settle()
    told = [it["type"] for it in bench.published() if it["type"] in ("session.disconnected", "lock.granted")]
    assert told == ["session.disconnected"] * 10 + ["lock.granted"]


async def test_who_spoke_in_time_is_safe_though_it_waits_behind_them(bench: Bench) -> None:
    await bench.say("clerk", "lock", {"resource": "order/1"}, wait=False)
    await bench.say("other", "heartbeat", qos=0, wait=False)
    bench.clock.now += 1_500  # behind the other's deadline
    bench.engine.proof("door", bench.clock.now)
    while bench.engine.depth:
        bench.engine.tick()
    await bench.go(1)
    assert bench.status("other") == "active"
    assert fallen(bench) == 10


async def test_nothing_that_time_brings_comes_before_what_was_said_before_it(bench: Bench) -> None:
    passed = []
    bench.engine.before_commit.append(passed.append)
    await bench.say("clerk", "lock", {"resource": "order/1"}, wait=False)
    bench.engine.tick()
    assert bench.engine.depth
    assert not passed
    while bench.engine.more:
        bench.engine.tick()
    assert not bench.engine.depth
    assert passed


async def test_all_of_it_is_taken_where_somebody_asks_how_things_are(bench: Bench) -> None:
    await bench.say("clerk", "lock", {"resource": "order/1"}, wait=False)
    bench.engine.settle()
    assert fallen(bench) == 10
    assert bench.engine.live("clerk").locks
