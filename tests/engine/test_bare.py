"""Messages with nothing but a topic, many together: each counts as if it had come alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.bench import Bench, Said
from whosin.model import Account, Role

TOPICS = {
    "known": "whosin/v1/up/s1/c1/a/heartbeat",
    "its neighbour": "whosin/v1/up/s1/c1/b/heartbeat",
    "disconnected": "whosin/v1/up/s1/c1/fallen/heartbeat",
    "never seen": "whosin/v1/up/s1/c1/nobody/heartbeat",
    "over": "whosin/v1/up/s1/c1/gone/heartbeat",
    "in another company": "whosin/v1/up/s1/c2/a/heartbeat",
    "of another site": "whosin/v1/up/s2/c1/a/heartbeat",
    "logs out": "whosin/v1/up/s1/c1/a/logout",
    "lost": "whosin/v1/up/s1/c1/b/lost",
    "says too little": "whosin/v1/up/s1/c1/a/login",
    "unknown verb": "whosin/v1/up/s1/c1/a/beat",
    "too long": "whosin/v1/up/s1/c1/a/heartbeat/a/heartbeat",
    "too short": "a",
    "a batch of none": "whosin/v1/up/s1/c1/@batch/heartbeat",
}

RUNS = [
    ["known"],
    ["known", "its neighbour", "known"],
    ["never seen", "known", "never seen", "its neighbour"],
    ["known", "logs out", "known", "its neighbour"],
    ["lost", "its neighbour", "lost"],
    ["disconnected", "known", "disconnected"],
    ["over", "known", "over"],
    list(TOPICS),
    list(reversed(TOPICS)),
]


async def heard(path: Path, run: list[str], account: Account | None, *, together: bool) -> list[Any]:
    """All that one can tell of what became of these messages."""
    bench = await Bench(path).start()
    for session in ("gone", "fallen"):
        await bench.login(session, session)
    await bench.say("gone", "logout", {})
    await bench.go(310)
    await bench.login("a", "anna")
    await bench.login("b", "bert")
    await bench.go(20)
    bench.wire.log.clear()
    topics = [TOPICS[name] for name in run]
    bench.line.account = account
    if together:
        bench.engine.deliver_bare("door", bench.clock.now, bench.line, topics)
    else:
        bench.engine.deliver("door", bench.clock.now, bench.line, [Said(it.encode(), qos=0) for it in topics])
    assert bench.engine.depth == len(topics)
    await bench.settle()
    counts = bench.counts
    seen = {name: (it.seen_ms, it.status, it.lost_ms) for name, it in bench.engine.roll.sessions.items()}
    said = [(topic, body) for topic, body in bench.wire.log if "/events/" not in str(topic)]
    events = [(it["type"], it["subject"]) for it in bench.published()]
    await bench.close()
    return [seen, said, events, counts.heartbeats, dict(counts.messages), dict(counts.rejected)]


@pytest.mark.parametrize("run", RUNS, ids=" ".join)
async def test_together_or_one_by_one_the_same_becomes_of_them(tmp_path: Path, run: list[str]) -> None:
    together = await heard(tmp_path / "1.db", run, None, together=True)
    assert together == await heard(tmp_path / "2.db", run, None, together=False)


async def test_an_account_of_one_user_is_heard_for_its_own_sessions_alone(tmp_path: Path) -> None:
    anna = Account("anna-pc", Role.CLIENT, "s1", "anna")
    together = await heard(tmp_path / "1.db", ["known", "its neighbour"], anna, together=True)
    assert together == await heard(tmp_path / "2.db", ["known", "its neighbour"], anna, together=False)
    (a_ms, *_), (b_ms, *_) = together[0]["a"], together[0]["b"]
    assert a_ms - b_ms == 20_000
    assert together[5] == {"forbidden": 1}
