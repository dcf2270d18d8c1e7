"""Messages and planned closing, through the engine and over crashes (rule 17)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.bench import BOSS, TYPES, Bench
from whosin import wire
from whosin.desk.messages import AT_ONCE
from whosin.errors import Refused
from whosin.model import Policy
from whosin.operations import Caller

NORTH = Caller("nora", "operator", "s1")
SOUTH = Caller("sue", "administrator", "s2")
MINUTE = 60_000


@pytest.fixture
async def bench(tmp_path: Path) -> Any:
    made = await Bench(tmp_path / "b.db", policy=Policy(TYPES, administrators=("olga",))).start()
    yield made
    await made.close()


async def plan(bench: Bench, begins_in_s: float | None, lasts_s: float = 600, **more: Any) -> dict[str, Any]:
    wall = bench.clock.wall_ms(bench.clock.now)
    begins = None if begins_in_s is None else wall + round(begins_in_s * 1000)
    ends = (begins or wall) + round(lasts_s * 1000)
    asked: dict[str, Any] = {"site": "s1", "company": None, "text": "New version.", "force": False, **more}
    made: dict[str, Any] = await bench.desk.maintenance.plan(BOSS, begins=begins, ends=ends, **asked)
    await bench.settle()
    return made


def messages(bench: Bench, session: str) -> list[dict[str, Any]]:
    return [it[1] for it in bench.wire.log if str(it[0]).endswith(f"/{session}/message")]


def heads(bench: Bench, session: str) -> list[str]:
    """How the messages to a session begin."""
    return [told["text"].split(",")[0] for told in messages(bench, session)]


async def send(bench: Bench, text: str, caller: Caller = BOSS, **to: Any) -> dict[str, Any]:
    sent: dict[str, Any] = await bench.desk.messages.send(text, caller, **to)
    await bench.settle()
    return sent


async def going(bench: Bench, seconds: float, *sessions: str) -> None:
    await bench.beat_for(seconds, *sessions, every_s=30)


# --- messages ------------------------------------------------------------------------------------------


async def test_a_message_goes_to_all_active_sessions_that_fit_and_counts_them(bench: Bench) -> None:
    await bench.login("gone", "dora")
    await bench.go(301)
    await bench.login("a", "anna")
    await bench.login("b", "ben", company="c2")
    await bench.login("x", "anna", site="s2")
    sent = await send(bench, " Please leave. ", site="s1")
    assert sent == {"reached": 2, "not_reached": 1, "users": ["anna", "ben"], "unknown": []}
    (told,) = messages(bench, "a")
    assert told == {"text": "Please leave.", "from": "boss", "at": wire.rfc3339(bench.clock.now)}
    assert messages(bench, "gone") == messages(bench, "x") == []
    (event,) = bench.published("message.sent")
    assert (event["data"]["text"], event["data"]["reached"], event["data"]["by"]) == (
        "Please leave.",
        2,
        "boss",
    )


async def test_a_message_goes_to_a_user_a_company_or_sessions_and_all_that_is_given_holds(
    bench: Bench,
) -> None:
    await bench.login("a", "anna")
    await bench.login("b", "anna", company="c2")
    await bench.login("c", "carl", company="c2")
    assert (await send(bench, "1", user="ANNA"))["reached"] == 2
    assert (await send(bench, "2", company="c2"))["reached"] == 2
    assert (await send(bench, "3", company="c2", user="anna"))["users"] == ["anna"]
    assert (await send(bench, "4", sessions=["c", "c", "nobody"])) == {
        "reached": 1, "not_reached": 0, "users": ["carl"], "unknown": ["nobody"],
    }  # fmt: skip
    assert [told["text"] for told in messages(bench, "b")] == ["1", "2", "3"]


async def test_who_is_limited_to_a_site_reaches_only_that_site(bench: Bench) -> None:
    await bench.login("a", "anna")
    await bench.login("x", "anna", site="s2")
    assert (await send(bench, "t", NORTH, user="anna"))["reached"] == 1
    assert (await send(bench, "t", NORTH, sessions=["x"])) == {
        "reached": 0, "not_reached": 0, "users": [], "unknown": ["x"],
    }  # fmt: skip


async def test_messages_have_bounds(bench: Bench) -> None:
    for text, to in (
        ("t", {}),
        (" ", {"site": "s1"}),
        ("x" * 1001, {"site": "s1"}),
        ("a\x1b[2J", {"site": "s1"}),
    ):
        with pytest.raises(Refused):
            await bench.desk.messages.send(text, BOSS, **to)
    for _ in range(AT_ONCE):
        await bench.desk.messages.send("t", BOSS, site="s1")
    with pytest.raises(Refused, match="within a minute"):
        await bench.desk.messages.send("t", BOSS, site="s1")
    assert (await bench.desk.messages.send("t", NORTH, site="s1"))["reached"] == 0
    await bench.go(61)
    assert (await bench.desk.messages.send("t", BOSS, site="s1"))["reached"] == 0


# --- maintenance ---------------------------------------------------------------------------------------


async def test_users_are_warned_kept_out_and_let_in_again_by_themselves(bench: Bench) -> None:
    await bench.login("a", "anna")
    await bench.login("o", "olga")
    await plan(bench, 20 * 60, company="c1")
    await going(bench, 21 * 60, "a", "o")
    assert heads(bench, "a") == [
        "c1 closes in 15 minutes", "c1 closes in 5 minutes", "c1 closes in 1 minute",
    ]  # fmt: skip
    assert messages(bench, "a")[0]["from"] == "boss"
    assert messages(bench, "o") == []
    await bench.login("b", "ben")
    await bench.login("c", "carl", company="c2")
    await bench.login("o2", "Olga")
    assert [bench.status(it) for it in ("a", "b", "c", "o2")] == ["active", None, "active", "active"]
    assert {it["code"] for it in bench.answers("login") if not it["accepted"]} == {"maintenance"}
    await bench.go(10 * 60)
    await bench.login("b", "ben")
    assert bench.status("b") == "active"
    kinds = [it["type"] for it in bench.published() if it["type"].startswith("maintenance.")]
    assert kinds == [
        f"maintenance.{it}" for it in ("planned", "warned", "warned", "warned", "started", "ended")
    ]
    assert bench.desk.maintenance.windows(BOSS) == []


async def test_those_left_are_forced_out_at_the_beginning_if_wished(bench: Bench) -> None:
    await bench.login("fallen", "dora")
    await bench.say("fallen", "lock", {"resource": "x"})
    await bench.go(301)
    await bench.login("a", "anna")
    await bench.say("a", "lock", {"resource": "y"})
    await bench.login("o", "olga")
    await plan(bench, 60, force=True)
    await bench.go(61)
    assert [bench.status(it) for it in ("fallen", "a", "o")] == [None, None, "active"]
    removed = {it["subject"]: it["data"] for it in bench.published("session.removed")}
    assert (removed["a"]["cause"], removed["a"]["by"]) == ("maintenance", "boss")
    assert removed["a"]["reason"] == "maintenance: New version."
    assert removed["fallen"]["released"] == ["x"]


async def test_a_window_that_begins_now_closes_at_once_and_is_shown(bench: Bench) -> None:
    made = await plan(bench, None)
    assert (made["id"], made["state"]) == (1, "started")
    assert (await bench.desk.stats(BOSS))["maintenance"] == bench.desk.maintenance.windows(NORTH) == [made]
    assert bench.desk.maintenance.windows(SOUTH) == []
    await bench.login("a", "anna")
    assert bench.status("a") is None


async def test_it_is_cancelled_before_and_ended_after_its_beginning(bench: Bench) -> None:
    await plan(bench, 300)
    await plan(bench, None)
    assert (await bench.desk.maintenance.end(1, BOSS))["state"] == "cancelled"
    assert (await bench.desk.maintenance.end(2, BOSS))["state"] == "ended"
    await bench.login("a", "anna")
    assert bench.status("a") == "active"
    for ident in (1, 2, 3):
        with pytest.raises(Refused, match="no maintenance"):
            await bench.desk.maintenance.end(ident, BOSS)
    assert (await plan(bench, 300))["id"] == 3
    with pytest.raises(Refused, match="no maintenance"):
        await bench.desk.maintenance.end(3, SOUTH)


@pytest.mark.parametrize(
    ("begins", "lasts"), [(10, 0), (10, -1), (-100, 50), (10, 32 * 86_400), (400 * 86_400, 10)]
)
async def test_times_that_make_no_sense_are_refused(bench: Bench, begins: float, lasts: float) -> None:
    with pytest.raises(Refused):
        await plan(bench, begins, lasts)


async def test_a_crash_loses_neither_the_plan_nor_the_closing(bench: Bench) -> None:
    await plan(bench, 600, company="c1")
    await plan(bench, None, site="s2")
    await bench.crash()
    await bench.login("x", "anna", site="s2")
    assert bench.status("x") is None
    await bench.login("a", "anna")
    await going(bench, 601, "a")
    assert heads(bench, "a")[-2:] == [
        "c1 closes in 5 minutes", "c1 closes in 1 minute",
    ]  # fmt: skip
    await bench.login("b", "ben")
    assert bench.status("b") is None


async def test_after_downtime_only_what_is_still_useful_is_done(bench: Bench) -> None:
    await bench.login("a", "anna")
    await plan(bench, 20 * 60)
    await plan(bench, 3_000, 10, site="s2")
    before = len(messages(bench, "a"))
    bench.clock.now += 17 * MINUTE
    await bench.crash()
    await bench.say("a", "heartbeat")
    await bench.go(10)
    assert messages(bench, "a")[before:] == [], "they need a moment to come back"
    await bench.go(10)
    assert heads(bench, "a")[before:] == ["s1 closes in 3 minutes"]
    bench.clock.now += 60 * MINUTE
    await bench.crash()
    await bench.go(1)
    assert bench.desk.maintenance.windows(BOSS) == []
    missed = bench.published("maintenance.cancelled")
    assert [(it["data"]["site"], it["data"]["reason"]) for it in missed] == [
        ("s1", "the daemon was down"), ("s2", "the daemon was down"),
    ]  # fmt: skip


async def test_a_crash_in_the_middle_of_forcing_out_goes_on_with_it(bench: Bench) -> None:
    await bench.login("a", "anna")
    await plan(bench, None, force=False)
    bench.desk.maintenance._closures.windows[0].force = True  # as if it had stopped right behind
    bench.desk.maintenance._remember()
    await bench.engine.durable()
    await bench.crash()
    await bench.go(1)
    assert bench.status("a") is None


async def test_nobody_is_forced_out_once_it_is_over(bench: Bench) -> None:
    await bench.login("a", "anna")
    await plan(bench, None, 60)
    bench.desk.maintenance._closures.windows[0].force = True  # as if it had not come to that yet
    bench.clock.now += 61_000
    await bench.say("a", "heartbeat")
    bench.engine.tick()
    await bench.settle()
    assert bench.status("a") == "active"
    assert bench.desk.maintenance.windows(BOSS) == []


async def test_a_clock_that_is_stepped_brings_the_window_when_it_says_so(bench: Bench) -> None:
    await plan(bench, 3600)
    bench.clock.step = 3_600_000
    await bench.go(1)
    await bench.login("a", "anna")
    assert bench.status("a") is None
    bench.clock.step = 0
    await bench.go(1)
    await bench.login("b", "ben")
    assert bench.status("b") is None, "what has begun does not open because the clock was put back"
