"""The cleanup on a real file: schedule, switch, passes that wait, fail in part, are cut short by a crash."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import whosin.cleanup
from tests.engine.bench import BOSS, TYPES, Bench
from whosin.model import MassSilence, Policy, Session
from whosin.ports import HistoryQuery


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = await Bench(tmp_path / "whosin.db").start()
    yield made
    await made.close()


async def _fallen(bench: Bench, *places: tuple[str, str], each: int = 1) -> None:
    for site, company in places:
        for number in range(each):
            await bench.login(f"{site}.{company}.{number}", f"user{number}", site=site, company=company)
    await bench.go(301, step_s=0.6)


async def test_the_first_pass_comes_every_s_after_switching_on(bench: Bench) -> None:
    await _fallen(bench, ("s1", "c1"))
    await bench.desk.switch_cleanup(True, BOSS)
    await bench.go(1_799.9, step_s=0.6)
    assert bench.status("s1.c1.0") == "disconnected"
    await bench.go(0.1)
    assert bench.status("s1.c1.0") is None


async def test_switching_is_recorded_with_its_actor_and_survives(bench: Bench) -> None:
    await bench.desk.switch_cleanup(True, BOSS)
    again = await bench.crash()
    assert again.cleanup.enabled is True
    event = next(one for one in await _history(again) if one["type"] == "cleanup.switched")
    assert (event["actor"], event["data"]) == ("boss", {"enabled": True, "was": False})


async def _history(bench: Bench) -> list[Any]:
    return (await bench.desk.history(HistoryQuery(), BOSS)).items


async def test_switched_off_during_a_pass_it_finishes_for_all_companies(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _fallen(bench, ("s1", "a"), ("s1", "b"), ("s2", "a"), each=3)
    monkeypatch.setattr(whosin.cleanup, "STEP", 2)
    await bench.desk.switch_cleanup(True, BOSS)
    bench.clock.now += 1_800_000
    bench.engine._pulse_ms = bench.clock.now
    bench.engine.tick()
    assert bench.cleanup.current is not None
    await bench.desk.switch_cleanup(False, BOSS)
    await bench.go(10)
    assert bench.cleanup.current is None
    assert bench.engine.roll.sessions == {}
    (report,) = await bench.desk.passes(5, BOSS)
    assert [(one["site"], one["company"], one["removed"]) for one in report["companies"]] == [
        ("s1", "a", 3), ("s1", "b", 3), ("s2", "a", 3),
    ]  # fmt: skip


async def test_a_failing_company_is_reported_and_stops_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _fallen(bench, ("s1", "a"), ("s1", "b"))
    remove = bench.engine.roll.remove

    def fails_in_a(session: Session, *args: Any, **named: Any) -> Any:
        if session.company.name == "a":
            raise RuntimeError("no access")
        return remove(session, *args, **named)

    monkeypatch.setattr(bench.engine.roll, "remove", fails_in_a)
    report = await bench.desk.run_cleanup(BOSS)
    assert [(one["company"], one["removed"], one["failed"]) for one in report["companies"]] == [
        ("a", 0, "RuntimeError: no access"), ("b", 1, None),
    ]  # fmt: skip
    await bench.settle()
    assert [event.data["result"] for event in bench.events if event.type == "cleanup.finished"] == [
        "failed"
    ] * 2


async def test_a_pass_cut_short_by_a_crash_is_taken_up_and_counts_right(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _fallen(bench, ("s1", "a"), ("s1", "b"), ("s1", "c"), each=2)
    monkeypatch.setattr(whosin.cleanup, "STEP", 4)
    bench.cleanup.start("boss")
    bench.engine.tick()
    await bench.settle()
    assert 0 < len(bench.engine.roll.sessions) < 6
    again = await bench.crash()
    assert again.cleanup.current is not None
    await again.go(400, step_s=0.6)
    assert again.engine.roll.sessions == {}
    (report,) = await again.desk.passes(5, BOSS)
    assert (report["removed"], report["state"], report["by"]) == (6, "finished", "boss")
    removed = [one for one in await _history(again) if one["type"] == "session.removed"]
    assert len({one["session"] for one in removed}) == len(removed) == 6


async def test_passes_missed_while_down_run_once(bench: Bench) -> None:
    await bench.desk.switch_cleanup(True, BOSS)
    await _fallen(bench, ("s1", "a"))
    bench.clock.now += 4 * 1_800_000
    again = await bench.crash()
    await again.go(600, step_s=0.6)
    assert len(await again.desk.passes(9, BOSS)) == 1


async def test_no_pass_starts_while_blind_or_in_the_grace_after_it(bench: Bench) -> None:
    await bench.login("alive", "anna")
    await _fallen(bench, ("s1", "a"))
    await bench.say("alive", "heartbeat", qos=0)
    bench.engine.blinded("door")
    report = await bench.desk.run_cleanup(BOSS)
    assert report["state"] == "waiting"
    await bench.go(5)
    assert bench.status("s1.a.0") == "disconnected"
    bench.engine.sighted("door", bench.clock.now)
    await bench.go(89)
    assert bench.status("s1.a.0") == "disconnected"
    assert (await bench.desk.cleanup(BOSS))["waiting_for"] == ["grace"]
    await bench.go(2)
    assert bench.status("s1.a.0") is None


async def test_after_a_restart_a_pass_waits_out_the_grace_also_where_nobody_was_known(bench: Bench) -> None:
    again = await bench.crash()
    await again.login("a", client="web")
    report = await again.desk.run_cleanup(BOSS)
    assert report["state"] == "waiting"
    await again.go(299, step_s=0.6)  # the web's grace
    assert (await again.desk.cleanup(BOSS))["waiting_for"] == ["grace"]
    await again.go(2)
    assert (await again.desk.cleanup(BOSS))["waiting_for"] == []


async def test_the_very_first_start_is_no_blindness(bench: Bench) -> None:
    await bench.login("a", client="web")
    assert (await bench.desk.run_cleanup(BOSS))["state"] == "finished"


async def test_a_blocking_login_goes_soon_after_its_deadline_where_the_site_wants_it(tmp_path: Path) -> None:
    policy = replace(Policy(TYPES), blocking_after_ms=20_000)
    bench = await Bench(tmp_path / "whosin.db", policy=policy).start(enabled=True)
    await bench.login("dead", "dora")
    await bench.say("dead", "lock", {"resource": "vat-return"})
    await bench.login("idle", "ida")  # disconnected as well, but in nobody's way
    await bench.go(250)
    await bench.login("waits", "wim")
    await bench.say("waits", "lock", {"resource": "vat-return", "wait_s": 600})
    await bench.go(69.9)
    assert bench.status("dead") == "disconnected"
    await bench.go(0.2)
    assert bench.status("dead") is None
    assert bench.status("idle") == "disconnected"
    assert bench.answers("lock")[-1]["granted"] is True
    assert bench.published("session.removed")[0]["data"]["cause"] == "blocking"
    await bench.close()


async def test_somebody_blocked_only_later_is_freed_at_once(tmp_path: Path) -> None:
    policy = replace(Policy(TYPES), blocking_after_ms=20_000)
    bench = await Bench(tmp_path / "whosin.db", policy=policy).start(enabled=True)
    await bench.login("dead", "dora")
    await bench.say("dead", "lock", {"resource": "vat-return"})
    await bench.go(400)
    assert bench.status("dead") == "disconnected"
    await bench.login("waits", "wim")
    await bench.say("waits", "lock", {"resource": "vat-return", "wait_s": 600})
    await bench.go(0.5)
    assert bench.status("dead") is None
    await bench.close()


async def test_a_dry_run_sees_a_mass_silence_coming_as_the_pass_does_and_tells_nobody(tmp_path: Path) -> None:
    policy = replace(Policy(TYPES), mass=MassSilence(minimum=3))
    bench = await Bench(tmp_path / "whosin.db", policy=policy).start()
    for number in range(4):
        await bench.login(f"s{number}", f"user{number}")
        await bench.go(20)
    await bench.go(225)  # the first has fallen, the others are about to
    assert [bench.status(f"s{number}") for number in range(4)] == ["disconnected", *["active"] * 3]
    dry = await bench.desk.run_cleanup(BOSS, dry_run=True)
    assert (dry["removed"], dry["held_back"]) == (0, 1)
    assert (await bench.desk.cleanup(BOSS))["holds"] == []
    assert bench.published("alert.raised") == []
    report = await bench.desk.run_cleanup(BOSS)
    assert (report["removed"], report["held_back"]) == (0, 1)
    assert len(bench.published("alert.raised")) == 1
    await bench.close()


async def test_a_mass_silence_is_held_back_until_confirmed_and_the_dry_run_says_so(tmp_path: Path) -> None:
    policy = replace(Policy(TYPES), mass=MassSilence(minimum=3))
    bench = await Bench(tmp_path / "whosin.db", policy=policy).start()
    await _fallen(bench, ("s1", "a"), each=4)
    (alert,) = bench.published("alert.raised")
    assert alert["data"]["kind"] == "mass_silence"
    dry = await bench.desk.run_cleanup(BOSS, dry_run=True)
    assert (dry["removed"], dry["held_back"]) == (0, 4)
    report = await bench.desk.run_cleanup(BOSS)
    assert (report["removed"], report["held_back"]) == (0, 4)
    again = await bench.crash()
    (hold,) = (await again.desk.cleanup(BOSS))["holds"]
    assert (hold["site"], hold["company"], hold["client"], hold["sessions"]) == ("s1", "a", "desktop", 4)
    assert await again.desk.confirm("s1", "a", "desktop", BOSS) == {"confirmed": 1}
    await again.go(91)
    report = await again.desk.run_cleanup(BOSS)
    assert (report["removed"], report["held_back"]) == (4, 0)
    await again.close()
