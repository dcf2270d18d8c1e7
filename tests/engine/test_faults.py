"""A store that fails, a loop that stalls, a source that hangs: what the engine promises then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.bench import BOSS, Bench, Line, Said
from tests.engine.moody import Moody, moody, recovered, turns, until
from whosin.engine import engine as engine_room
from whosin.errors import StoreError
from whosin.operations import SessionQuery

FULL = StoreError("full", "no space left")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = await Bench(tmp_path / "whosin.db", store=Moody(tmp_path / "whosin.db")).start()
    yield made
    if isinstance(made.store, Moody):
        made.store.problem = None
    await made.close()


async def test_while_the_disk_is_full_nothing_is_answered_acknowledged_or_announced(bench: Bench) -> None:
    await bench.login("a")
    moody(bench).problem = FULL
    bench.wire.log.clear()
    await bench.say("b", "login", {"user": "bert", "client": "web"})
    await bench.go(301, step_s=0.6)
    assert bench.status("a") == "disconnected"
    assert bench.wire.log == []
    assert any("full" in problem for problem in bench.desk.problems())
    with pytest.raises(StoreError):
        await bench.desk.logoff(["a"], BOSS)
    assert [one["id"] for one in (await bench.desk.sessions(SessionQuery(), BOSS)).items] == ["a", "b"]
    await recovered(bench)
    kinds = [it[0].rsplit("/", 1)[1] if "/" in str(it[0]) else it[0] for it in bench.wire.log]
    assert kinds[:2] == ["login", "ack"]
    (event,) = bench.published("session.disconnected")
    assert event["time"] == "2025-11-24T16:05:00.000Z"
    again = await bench.crash()
    assert (again.status("a"), again.status("b")) == ("disconnected", "active")


@pytest.mark.parametrize("fails", [False, True])
async def test_a_beat_while_a_login_waits_for_the_disk_is_stored_with_it(bench: Bench, fails: bool) -> None:
    """Whether both wait in one batch, or in two that a failure makes one."""
    store = moody(bench)
    store.hangs = asyncio.Event()
    for ident in ("a", "b"):  # the first is on its way to the disk, the second waits for the next batch
        await bench.say(ident, "login", {"user": "anna", "client": "web"}, wait=False)
        bench.engine.drain()
        await until(lambda one=ident: bench.engine.live(one) is not None and bench.engine.committer.busy)
    bench.clock.now += 1_000
    ident = "a" if fails else "b"
    await bench.say(ident, "heartbeat", {"activity": "typing"}, qos=0, wait=False)
    bench.engine.drain()
    bench.engine.flush(bench.clock.now)
    store.problem = FULL if fails else None
    store.hangs.set()
    if fails:
        await until(lambda: bench.engine.committer.problem is not None)
    await recovered(bench)
    await bench.settle()
    live, row = bench.engine.live(ident), await bench.store.session(ident)
    assert live is not None
    assert row == bench.engine.rows.session(live)


async def test_beats_that_wait_behind_a_look_up_of_others_are_signs_of_life_as_soon_as_they_can(
    bench: Bench,
) -> None:
    """A login waited for its look-up; its lock waits on, for somebody else's, and its beats behind that."""
    store = moody(bench)
    first, second = asyncio.Event(), asyncio.Event()
    store.late = first
    await bench.say("a", "login", {"user": "anna", "client": "desktop"}, wait=False)
    bench.engine.drain()
    await asyncio.sleep(0)  # its look-up has begun
    store.late = second
    await bench.say("b", "login", {"user": "bert", "client": "desktop"}, wait=False)
    await bench.say("a", "lock", {"resource": "x"}, wait=False)
    bench.engine.drain()
    for nth in range(601):
        bench.clock.now += 500
        if nth == 590:
            await bench.say("a", "heartbeat", qos=0, wait=False)
        bench.engine.tick()
    first.set()
    await until(lambda: bench.engine.live("a") is not None)
    bench.clock.now += 500
    bench.engine.proof("door", bench.clock.now)
    bench.engine.tick()
    assert bench.status("a") == "active"
    second.set()
    await bench.settle()


async def test_a_failing_disk_cannot_fill_the_memory(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_room, "PENDING_BOUND", 50)
    await bench.login("a")
    moody(bench).problem = FULL
    freed: list[bool] = []
    for number in range(100):
        if bench.engine.full:
            bench.engine.when_free(lambda: freed.append(True))
            break
        await bench.say("a", "lock", {"resource": f"order/{number}"}, qos=0)
    assert bench.engine.full
    assert freed == []
    await recovered(bench)
    await bench.settle()
    assert freed == [True]


async def test_an_inbox_at_its_bound_is_worked_off_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_room, "INBOX_BOUND", 100)
    await bench.login("a")
    beat = Said(b"whosin/v1/up/s1/c1/a/heartbeat", b"", 0)
    depths = []
    for _ in range(500):
        bench.engine.deliver("door", bench.clock.now, Line([]), [beat] * 7)
        depths.append(bench.engine.depth)
    assert max(depths) <= 107
    await bench.settle()
    assert bench.counts.heartbeats == 3_500


async def test_messages_of_unknown_ids_wait_in_order_while_the_store_cannot_be_read(bench: Bench) -> None:
    moody(bench).unreadable = True
    first = await bench.say("a", "login", {"user": "anna", "client": "desktop"}, wait=False)
    second = await bench.say("a", "lock", {"resource": "x"}, wait=False)
    bench.engine.drain()
    await until(lambda: moody(bench).asked > 0)
    await turns()
    assert bench.status("a") is None
    assert bench.wire.log == []
    moody(bench).unreadable = False
    bench.engine.tick()
    await bench.settle()
    assert bench.status("a") == "active"
    assert [it for it in bench.wire.log if it[0] == "ack"] == [("ack", first), ("ack", second)]


async def test_a_short_stall_is_forgiven_and_a_long_one_gives_a_grace(bench: Bench) -> None:
    await bench.login("a")
    await bench.go(250)
    bench.clock.now += 1_500  # a stall of 1.5 s does not count, and no more than that
    bench.engine.tick()
    await bench.go(49.9)
    assert bench.status("a") == "active"
    await bench.go(0.1)
    assert bench.status("a") == "disconnected"
    await bench.say("a", "heartbeat", qos=0)
    await bench.go(290)
    bench.clock.now += 60_000  # stopped for a minute: a grace of 90 s
    bench.engine.tick()
    await bench.go(89.9)
    assert bench.status("a") == "active"
    await bench.go(0.2)
    assert bench.status("a") == "disconnected"


async def test_without_a_proof_after_its_deadline_nobody_is_disconnected(tmp_path: Path) -> None:
    bench = await Bench(tmp_path / "w.db", sources=("link",)).start()
    await bench.login("a")
    bench.wire.proves = False
    await bench.go(400)
    assert bench.status("a") == "active"
    assert bench.wire.asked > 0
    bench.engine.proof("link", bench.clock.now)
    await bench.settle()
    assert bench.status("a") == "disconnected"
    (event,) = bench.published("session.disconnected")
    assert event["time"] == "2025-11-24T16:05:00.000Z"
    await bench.close()


async def test_a_broker_that_hangs_makes_blind_and_gives_a_grace(tmp_path: Path) -> None:
    bench = await Bench(tmp_path / "w.db", sources=("link",)).start()
    await bench.login("a")
    bench.engine.proof("link", bench.clock.now)
    bench.wire.proves = False
    bench.wire.asked_ms = bench.clock.now
    await bench.go(2)
    assert bench.engine.blind == ["link"]
    assert bench.desk.problems() == ["blind: nothing is received through the link"]
    await bench.go(400)
    bench.wire.asked_ms = 0
    bench.wire.proves = True
    bench.engine.proof("link", bench.clock.now)
    assert bench.engine.blind == []
    await bench.go(89)
    assert bench.status("a") == "active"
    await bench.close()


async def test_the_late_reply_of_a_broker_that_hung_proves_the_past_and_ends_the_blindness_now(
    tmp_path: Path,
) -> None:
    bench = await Bench(tmp_path / "w.db", sources=("link",)).start()
    await bench.login("a")
    bench.engine.proof("link", bench.clock.now)
    bench.wire.proves = False
    asked = bench.wire.asked_ms = bench.clock.now
    await bench.go(400)
    bench.wire.asked_ms = 0
    bench.engine.proof("link", asked)  # as the link says it: of when the ping left
    bench.engine.proof("link", bench.clock.now)
    bench.wire.proves = True
    assert bench.engine.blind == []
    assert bench.engine.counts.blind_ms == pytest.approx(400_000, abs=1_000)
    await bench.go(89)
    assert bench.status("a") == "active"
    await bench.go(302)
    assert bench.status("a") == "disconnected"
    await bench.close()


async def test_a_wall_clock_that_is_stepped_moves_no_deadline_and_is_shown(bench: Bench) -> None:
    await bench.login("a")
    await bench.go(100)
    bench.clock.step = 3_600_000
    await bench.go(199.9)
    assert bench.status("a") == "active"
    await bench.go(0.1)
    assert bench.status("a") == "disconnected"
    (event,) = bench.published("session.disconnected")
    assert event["time"] == "2025-11-24T17:05:00.000Z"


async def test_a_bug_in_one_message_costs_the_others_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = bench.engine.roll.receive

    def breaks(sender: Any, message: Any, at_ms: int) -> None:
        if sender.session == "bad":
            raise RuntimeError("a bug")
        receive(sender, message, at_ms)

    monkeypatch.setattr(bench.engine.roll, "receive", breaks)
    first = await bench.say("bad", "login", {"user": "x", "client": "web"}, wait=False)
    second = await bench.say("a", "login", {"user": "anna", "client": "web"}, wait=False)
    await bench.settle()
    assert bench.status("a") == "active"
    assert [it for it in bench.wire.log if it[0] == "ack"] == [("ack", first), ("ack", second)]


async def test_a_row_that_can_never_be_stored_is_left_out_and_the_rest_kept(bench: Bench) -> None:
    await bench.login("a")
    lone = "\ud800"
    bench.engine.roll.sessions["a"].machine = lone
    await bench.say("a", "lost", {})
    await bench.login("b", "bert")
    await until(lambda: bench.status("b") is not None and not bench.engine.committer.busy)
    assert bench.answers("login")[-1]["accepted"] is True
    bench.engine.roll.sessions["a"].machine = None
    again = await bench.crash()
    assert (again.status("a"), again.status("b")) == ("active", "active")


async def test_events_that_every_way_out_has_taken_leave_the_memory(tmp_path: Path) -> None:
    bench = await Bench(tmp_path / "w.db", sources=("door", "link")).start()
    bench.wires["link"].ready = False
    for ident in ("a", "b"):
        await bench.login(ident)
    assert len(bench.engine.outbox._fresh) >= 2  # the link has still to get them
    bench.wires["link"].ready = True
    await bench.go(1)
    assert not bench.engine.outbox._fresh
    assert [event["subject"] for event in bench.published("session.logged_in")] == ["a", "b"] * 2
    await bench.close()


async def test_a_way_out_that_is_no_more_keeps_no_history_back(tmp_path: Path) -> None:
    both = await Bench(tmp_path / "w.db", sources=("door", "link")).start()
    both.wires["link"].ready = False
    await both.login("a")
    await both.go(6)
    await both.store.close()
    one = await Bench(tmp_path / "w.db").start()
    one.clock.now = both.clock.now
    await one.login("b")
    await one.close()
    back = await Bench(tmp_path / "w.db", sources=("link",)).start()
    assert [event["subject"] for event in back.published("session.logged_in")] == ["b"]
    await back.close()


async def test_a_late_proof_ends_blindness_when_it_comes_not_when_it_was_asked_for(tmp_path: Path) -> None:
    """The answer to a ping proves what was sent before it; the hang after it was blindness all the same."""
    bench = await Bench(tmp_path / "w.db", sources=("link",)).start()
    await bench.login("a")
    await bench.go(290)
    bench.engine.proof("link", bench.clock.now)
    bench.wire.proves = False
    asked_ms = bench.wire.asked_ms = bench.clock.now + 100
    await bench.go(60)
    assert bench.engine.blind == ["link"]
    bench.wire.asked_ms = 0
    bench.engine.proof("link", asked_ms)
    await bench.settle()
    bench.wire.proves = True
    await bench.go(89.9)
    assert bench.status("a") == "active"
    await bench.go(0.2)
    assert bench.status("a") == "disconnected"
    await bench.close()


async def test_who_waits_for_a_look_up_while_we_are_blind_is_spared_that_time(bench: Bench) -> None:
    """Nobody is on the roll yet when we see again: what the first to come said waits for the store."""
    store = moody(bench)
    store.unreadable = True
    await bench.say("a", "login", {"user": "anna", "client": "desktop"})
    bench.engine.blinded("door")
    bench.wire.proves = False
    await bench.go(301, step_s=0.6)
    bench.wire.proves = True
    bench.engine.sighted("door", bench.clock.now)
    await bench.say("a", "heartbeat", qos=0)
    store.unreadable = False
    await bench.go(1)
    assert bench.status("a") == "active"
    assert bench.published("session.disconnected") == []


# --- unread bytes of one connection ------------------------------------------------------------------------


async def _two(bench: Bench) -> None:
    """`a` speaks through connection 1, of which something is unread from now on, `b` through connection 2."""
    for number, ident in ((1, "a"), (2, "b")):
        bench.line.line = number
        await bench.login(ident, ident)
    bench.engine.behind("door", 1, bench.clock.now)


async def test_nobody_falls_silent_while_bytes_of_its_connection_are_unread_and_all_others_do(
    bench: Bench,
) -> None:
    await _two(bench)
    await bench.go(301, step_s=0.6)
    assert (bench.status("a"), bench.status("b")) == ("active", "disconnected")
    bench.line.line = 1
    await bench.say("a", "heartbeat", qos=0, wait=False)  # it was among them
    bench.engine.caught_up("door", 1)
    await bench.go(299, step_s=0.6)
    assert bench.status("a") == "active"
    await bench.go(2)
    assert bench.status("a") == "disconnected"
    assert [event["subject"] for event in bench.published("session.disconnected")] == ["b", "a"]


async def test_once_all_is_read_and_nothing_was_of_it_its_silence_is_dated_at_its_deadline(
    bench: Bench,
) -> None:
    await _two(bench)
    await bench.go(310, step_s=0.6)
    bench.engine.caught_up("door", 1)
    await bench.settle()
    fallen = {event["subject"]: event["time"] for event in bench.published("session.disconnected")}
    assert fallen["a"] == fallen["b"] == "2025-11-24T16:05:00.000Z"


async def test_who_always_has_more_to_read_falls_as_far_as_it_was_read(bench: Bench) -> None:
    await _two(bench)
    await bench.go(301, step_s=0.6)
    bench.engine.behind("door", 1, bench.clock.now - 1_001)
    await bench.settle()
    assert bench.status("a") == "active"
    bench.engine.behind("door", 1, bench.clock.now - 1_000)
    await bench.settle()
    assert bench.status("a") == "disconnected"


async def test_a_beat_behind_its_deadline_is_in_time_while_more_was_unread(bench: Bench) -> None:
    await _two(bench)
    await bench.go(301, step_s=0.6)
    bench.line.line = 1
    await bench.say("a", "heartbeat", {"activity": "typing"}, qos=0)
    bench.engine.caught_up("door", 1)
    await bench.go(1)
    assert [event["subject"] for event in bench.published("session.disconnected")] == ["b"]


async def test_of_many_held_and_many_due_in_one_go_all_fall_in_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_room, "CHUNK", 3)
    for nth in range(20):
        bench.line.line = 1 + nth % 2
        await bench.login(f"s{nth}", f"user{nth}")
    bench.engine.behind("door", 1, bench.clock.now)
    await bench.go(301, step_s=0.6)
    assert {nth % 2 for nth in range(20) if bench.status(f"s{nth}") == "active"} == {0}
    assert sum(bench.status(f"s{nth}") == "disconnected" for nth in range(20)) == 10
    bench.engine.caught_up("door", 1)
    await bench.go(1)
    assert {bench.status(f"s{nth}") for nth in range(20)} == {"disconnected"}
