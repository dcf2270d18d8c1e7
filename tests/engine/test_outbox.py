"""What a way out could not take goes on as soon as it can, not with the next tick."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.engine.bench import Bench
from whosin.engine import outbox as room


async def test_when_half_of_what_was_handed_over_has_arrived_the_next_events_follow_at_once(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(room, "WINDOW", 10)
    bench = await Bench(tmp_path / "whosin.db").start()
    bench.wire.hold_events = True
    for number in range(30):
        await bench.login(f"S{number}")
    assert len(bench.published("session.logged_in")) <= 10
    for _ in range(10):
        pending, bench.wire.pending = bench.wire.pending, []
        for done in pending:
            done()
        await asyncio.sleep(0)  # no tick: only a turn of the loop
        await asyncio.sleep(0)
    heard = [event["subject"] for event in bench.published("session.logged_in")]
    assert heard == [f"S{number}" for number in range(30)]
    await bench.close()


async def test_the_more_hear_an_event_the_fewer_are_told_in_one_turn(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(room, "AT_ONCE", 100)
    bench = await Bench(tmp_path / "whosin.db").start()
    bench.wire.hearers = 25
    bench.wire.ready = False
    for number in range(30):
        await bench.login(f"S{number}")
    bench.wire.ready = True
    turns = await told_by_turn(bench, 30)
    assert max(turns) == 4  # each takes 25 of the 100
    assert sum(turns) == 30
    await bench.close()


@pytest.mark.parametrize("fresh", [40, 5])
async def test_nothing_is_lost_or_told_twice_where_it_is_read_back_in_parts(
    tmp_path: Path, monkeypatch, fresh: int
) -> None:
    monkeypatch.setattr(room, "AT_ONCE", 100)
    bench = await Bench(tmp_path / "whosin.db").start()
    monkeypatch.setattr(room, "FRESH", fresh)
    bench.wire.hearers = 25
    bench.wire.ready = False
    for number in range(30):
        await bench.login(f"S{number}")
    bench.wire.ready = True
    assert max(await told_by_turn(bench, 30)) <= 4
    heard = [event["subject"] for event in bench.published("session.logged_in")]
    assert heard == [f"S{number}" for number in range(30)]
    await bench.close()


async def told_by_turn(bench: Bench, count: int) -> list[int]:
    """How many events each turn of the loop told, until so many are told, though others ask for it, too."""
    turns = []
    told = 0
    end = time.monotonic() + 20
    while told < count:
        bench.engine.outbox.pump()
        now = len(bench.published("session.logged_in"))
        turns.append(now - told)
        told = now
        assert time.monotonic() < end, f"{told} told"
        await asyncio.sleep(0)
    return turns


async def test_what_many_hear_is_told_from_memory_however_much_came_at_once(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(room, "AT_ONCE", 100)
    monkeypatch.setattr(room, "FRESH", 5)
    bench = await Bench(tmp_path / "whosin.db").start()
    bench.wire.hearers = 25
    for number in range(30):
        await bench.say(f"S{number}", "login", {"user": "u", "client": "desktop"}, wait=False)
    monkeypatch.setattr(bench.store, "events_after", None)  # nothing is read back
    await bench.settle()
    await told_by_turn(bench, 30)
    heard = [event["subject"] for event in bench.published("session.logged_in")]
    assert heard == [f"S{number}" for number in range(30)]
    assert not bench.engine.outbox._fresh
    await bench.close()


async def test_more_than_a_wave_is_not_kept_in_memory_and_told_all_the_same(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(room, "AT_ONCE", 100)
    monkeypatch.setattr(room, "FRESH", 5)
    monkeypatch.setattr(room, "WAVE", 10)
    bench = await Bench(tmp_path / "whosin.db").start()
    bench.wire.hearers = 25
    for number in range(30):
        await bench.say(f"S{number}", "login", {"user": "u", "client": "desktop"}, wait=False)
    outbox = bench.engine.outbox
    kept = []
    hand_on = outbox._pump

    def pump() -> None:
        hand_on()
        kept.append(len(outbox._fresh))

    monkeypatch.setattr(outbox, "_pump", pump)
    await bench.settle()
    await told_by_turn(bench, 30)
    heard = [event["subject"] for event in bench.published("session.logged_in")]
    assert heard == [f"S{number}" for number in range(30)]
    assert 5 < max(kept) <= 10
    await bench.close()
