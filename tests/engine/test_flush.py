"""What only heartbeats changed is written behind: soon enough, in bearable pieces, never behind its proof."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.bench import Bench
from whosin.engine import engine as room

MANY = 100
PIECE = 10


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(room, "CHUNK", PIECE)
    bench = await Bench(tmp_path / "whosin.db").start()
    yield bench
    await bench.close()


async def _everybody(bench: Bench, verb: str, **payload: object) -> None:
    for number in range(MANY):
        await bench.say(f"S{number}", verb, payload or None, wait=False)
    await bench.settle()


async def _tick(bench: Bench) -> tuple[int, str | None]:
    """A quarter of a second later: how many beats that wrote, and how far it said that we had seen."""
    bench.clock.now += 250
    bench.engine.tick()
    committer = bench.engine.committer
    batches = [it.changes for it in (committer._under_way, committer.open) if it is not None]
    proofs = [it.meta["proof.door"] for it in batches if "proof.door" in it.meta]
    await bench.settle()
    return sum(len(it.beats) for it in batches), proofs[-1] if proofs else None


async def test_many_beats_are_written_in_pieces_and_none_waits_longer_than_the_interval(bench: Bench) -> None:
    await _everybody(bench, "login", user="anna", client="desktop")
    await bench.go(10)
    await _everybody(bench, "heartbeat", activity="posting")
    pieces = [(await _tick(bench))[0] for _ in range(20)]  # 5 s, the interval of a flush
    assert sum(pieces) == MANY
    assert max(pieces) <= MANY // 10  # 2.5 s are ten ticks
    assert not bench.engine.roll.beats


async def test_few_beats_are_written_at_once_every_interval(bench: Bench) -> None:
    await bench.login("S1")
    await bench.go(10)
    await bench.say("S1", "heartbeat", {"activity": "posting"})
    assert [count for _ in range(20) if (count := (await _tick(bench))[0])] == [1]


async def test_how_far_we_saw_is_stored_with_the_last_piece_and_as_of_the_first(bench: Bench) -> None:
    await _everybody(bench, "login", user="anna", client="desktop")
    await bench.go(10)
    await _everybody(bench, "heartbeat", activity="posting")
    begun: list[int] = []
    for _ in range(20):
        written, proof = await _tick(bench)
        if written:
            begun.append(bench.clock.now)
            assert (proof is not None) == (not bench.engine._unwritten)
        if written and proof is not None:
            assert int(proof) <= begun[0]  # later beats may not be stored yet
            return
    pytest.fail("nothing was written")
