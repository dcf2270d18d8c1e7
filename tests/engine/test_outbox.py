"""What a way out could not take goes on as soon as it can, not with the next tick."""

from __future__ import annotations

import asyncio
from pathlib import Path

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
