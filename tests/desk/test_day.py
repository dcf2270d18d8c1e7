"""The last day in slots of five minutes: what each look adds, and what a restart leaves."""

from __future__ import annotations

import pytest

from tests.engine.bench import BOSS, T0
from whosin.desk.day import META, SLOT_MS, SLOTS, Day

SLOT_S = SLOT_MS // 1_000
FIRST = T0 // 1_000  # a slot begins there


async def slots(bench):
    shown = await bench.desk.day(BOSS)
    assert shown["slot_s"] == SLOT_S
    return shown["slots"]


async def numbers(bench, *names):
    return [tuple(slot[name] for name in names) for slot in await slots(bench)]


async def test_a_slot_has_the_most_who_were_in_at_any_look(bench):
    for session in ("a", "b", "c"):
        await bench.login(session, user=session)
    await bench.go(10)
    await bench.say("a", "logout")
    await bench.say("b", "logout")
    await bench.go(10)
    assert await slots(bench) == [
        {"at": FIRST, "active": 3, "disconnected": 0, "fell": 0, "came_back": 0, "lag_s": None}
    ]


def count(bench, *, fell=0, came_back=0):
    """As what happens is counted for the metrics."""
    counts = bench.counts
    for client in ("desktop", "web"):
        counts.disconnected[client, "silence"] = counts.disconnected.get((client, "silence"), 0) + fell
        counts.reconnected[client] = counts.reconnected.get(client, 0) + came_back


async def test_who_fell_and_came_back_is_counted_in_the_slot_in_which_that_was(bench):
    for session in ("a", "b"):
        await bench.login(session, user=session)
    count(bench, fell=1)
    await bench.go(SLOT_S + 10)  # they fall at 300 s
    count(bench, fell=2, came_back=1)
    await bench.go(10)
    count(bench, fell=1)
    await bench.say("a", "heartbeat", qos=0)
    await bench.go(10)
    assert await numbers(bench, "at", "active", "disconnected", "fell", "came_back") == [
        (FIRST, 2, 0, 2, 0), (FIRST + SLOT_S, 1, 2, 6, 2),
    ]  # fmt: skip
    await bench.go(SLOT_S)
    assert (await numbers(bench, "fell", "came_back"))[2] == (0, 0)


async def test_how_late_falls_were_noticed_is_told_as_the_mean_of_each_slot(bench):
    for late_s in (2.0, 4.0):
        bench.counts.detection_lag.observe(late_s)
    await bench.go(10)
    bench.clock.now += SLOT_MS
    bench.counts.detection_lag.observe(0.5)
    await bench.go(10)
    assert await numbers(bench, "lag_s") == [(3.0,), (0.5,)]


async def test_slots_in_which_nobody_looked_are_missing(bench):
    await bench.go(10)
    bench.clock.now += 3 * SLOT_MS
    await bench.go(10)
    assert await numbers(bench, "at") == [(FIRST,), (FIRST + 3 * SLOT_S,)]


async def test_after_a_day_the_oldest_slots_go(bench):
    for _ in range(SLOTS + 12):
        await bench.go(SLOT_S, step_s=SLOT_S)
    found = [at for (at,) in await numbers(bench, "at")]
    newest = FIRST + (SLOTS + 12) * SLOT_S
    assert found == [*range(newest - (SLOTS - 1) * SLOT_S, newest + 1, SLOT_S)]


async def test_a_restart_keeps_what_was_up_to_the_last_full_slot_and_counts_nothing_twice(bench):
    for fell in (0, 1, 2):
        count(bench, fell=fell)
        await bench.go(10)
        bench.clock.now += SLOT_MS
    before = await slots(bench)
    assert [slot["fell"] for slot in before] == [0, 2, 4]
    await bench.crash()
    assert await slots(bench) == before[:2]
    await bench.go(10)
    assert [slot["fell"] for slot in await slots(bench)] == [0, 2, 0]


async def test_a_clock_that_is_set_back_leaves_no_slots_of_the_future(bench):
    await bench.go(SLOT_S + 10, step_s=5)
    bench.clock.step = -10 * SLOT_MS
    await bench.go(10)
    assert await numbers(bench, "at") == [(FIRST - 9 * SLOT_S,)]


@pytest.mark.parametrize("stored", ["", "{}", "[[1", '[["x"]]'])
async def test_what_cannot_be_read_is_no_loss(bench, stored):
    day = Day(bench.engine)
    day.restore({META: stored})
    assert day.show()["slots"] == []
    day.restore({})
    assert day.show()["slots"] == []
