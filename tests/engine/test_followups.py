"""Guidance as operators see it, and follow-ups from their opening to their end (rule 16)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engine.bench import BOSS, TYPES, Bench
from whosin.errors import Refused
from whosin.model import MassSilence, Policy
from whosin.operations import Caller, SessionQuery
from whosin.ports import FollowupQuery
from whosin.rules.guidance import Guidance, Rule

ORDER = Rule("order", "normal", "Ask.", "Look.", resource=("sales-order/*",))
LEDGER = Rule("ledger", "critical", "Ask.", "Prove.", resource=("nominal-ledger/*",))
NORTH = Caller("nora", "operator", "s1")
SOUTH = Caller("sue", "operator", "s2")


@pytest.fixture
async def bench(tmp_path: Path) -> Any:
    made = await Bench(
        tmp_path / "b.db",
        policy=Policy(TYPES, blocking_after_ms=30_000, mass=MassSilence(minimum=100)),
        guidance=[ORDER, LEDGER],
    ).start()
    yield made
    await made.close()


async def locked(bench: Bench, session: str, *resources: str, user: str = "anna", **more: Any) -> None:
    await bench.login(session, user, **more)
    for resource in resources:
        await bench.say(session, "lock", {"resource": resource}, site=more.get("site", "s1"))


async def found(bench: Bench, caller: Caller = BOSS, **query: Any) -> list[dict[str, Any]]:
    return (await bench.desk.followups.find(FollowupQuery(**query), caller)).items


async def test_a_session_tells_which_rules_apply_to_it_and_each_lock_its_own(bench: Bench) -> None:
    await locked(bench, "a", "sales-order/1", "sales-order/2", "nominal-ledger/4000", "x")
    item = await bench.desk.session("a", BOSS)
    assert item is not None
    assert item["guidance"] == ["order", "ledger"]
    assert [lock["rule"] for lock in item["locks"]] == ["order", "order", "ledger", None]
    assert [lock["rule"] for lock in await bench.desk.locks(BOSS, resource="x")] == [None]


async def test_a_dry_run_tells_what_to_do_before_and_after_and_opens_nothing(bench: Bench) -> None:
    await locked(bench, "a", "sales-order/1")
    await bench.go(301)
    (result,) = await bench.desk.logoff(["a"], BOSS, dry_run=True)
    assert result["guidance"] == [
        {"id": "order", "severity": "normal", "before": "Ask.", "after": "Look.", "resource": "sales-order/1"}
    ]
    assert result["followups"] == [
        {"id": None, "rule": "order", "severity": "normal", "resource": "sales-order/1", "text": "Look."}
    ]
    assert await found(bench) == []


async def test_a_removal_opens_its_follow_ups_and_names_them(bench: Bench) -> None:
    await locked(bench, "a", "sales-order/1", "nominal-ledger/4000", machine="PC-7")
    await bench.go(301)
    (result,) = await bench.desk.logoff(["a"], BOSS, reason="power cut")
    assert [it["id"] for it in result["followups"]] == [1, 2]
    newest, oldest = await found(bench, open=True)
    assert oldest == {
        "id": 1, "status": "open", "created": newest["created"], "site": "s1", "company": "c1",
        "session": "a", "user": "anna", "client": "desktop", "machine": "PC-7",
        "resource": "sales-order/1", "rule": "order", "severity": "normal", "text": "Look.", "done": None,
        "done_by": None, "note": None,
    }  # fmt: skip
    assert (await bench.desk.stats(BOSS))["followups"] == {"open": 2, "critical": 1}
    published = bench.published("followup.opened")
    assert [(it["subject"], it["data"]["rule"], it["data"]["by"]) for it in published] == [
        ("a", "order", "boss"), ("a", "ledger", "boss"),
    ]  # fmt: skip


async def test_a_follow_up_is_ticked_off_once_however_often_it_is_asked(bench: Bench) -> None:
    await locked(bench, "a", "sales-order/1")
    await bench.desk.logoff(["a"], BOSS, force=True)
    first, second = await asyncio.gather(
        bench.desk.followups.tick_off(1, "two lines", BOSS), bench.desk.followups.tick_off(1, None, NORTH)
    )
    assert first == second
    assert (first["status"], first["done_by"], first["note"]) == ("done", "boss", "two lines")
    assert await bench.desk.followups.tick_off(1, "again", NORTH) == first
    assert await found(bench, open=True) == []
    assert await found(bench, open=False) == [first]
    (event,) = bench.published("followup.done")
    assert (event["data"]["by"], event["data"]["reason"]) == ("boss", "two lines")
    assert (await bench.desk.stats(BOSS))["followups"] == {"open": 0, "critical": 0}


async def test_who_is_limited_to_a_site_sees_and_ticks_off_only_that_site_s(bench: Bench) -> None:
    await locked(bench, "a", "sales-order/1")
    await bench.desk.logoff(["a"], BOSS, force=True)
    assert len(await found(bench, NORTH)) == 1
    assert await found(bench, SOUTH) == []
    assert await found(bench, SOUTH, site="s1") == []
    assert bench.desk.followups.counts(SOUTH) == {"open": 0, "critical": 0}
    for ident, caller in ((1, SOUTH), (2, BOSS)):
        with pytest.raises(Refused, match="there is no follow-up"):
            await bench.desk.followups.tick_off(ident, None, caller)


async def test_follow_ups_and_their_counts_survive_a_crash_right_behind_the_removal(bench: Bench) -> None:
    await locked(bench, "a", "sales-order/1", "nominal-ledger/4000")
    await bench.desk.logoff(["a"], BOSS, force=True)
    await bench.desk.followups.tick_off(1, None, BOSS)
    before = await found(bench)
    await bench.crash()
    assert await found(bench) == before
    assert (await bench.desk.stats(BOSS))["followups"] == {"open": 1, "critical": 1}
    await locked(bench, "b", "sales-order/9", user="ben")
    await bench.desk.logoff(["b"], BOSS, force=True)
    assert [it["id"] for it in await found(bench)] == [3, 2, 1]


async def test_a_pass_opens_them_too(bench: Bench) -> None:
    await locked(bench, "a", "sales-order/1")
    await bench.go(301)
    running = asyncio.ensure_future(bench.desk.run_cleanup(BOSS))
    await asyncio.sleep(0)
    await bench.go(1)
    await running
    assert [(it["session"], it["rule"]) for it in await found(bench)] == [("a", "order")]


async def test_who_blocks_somebody_goes_soon_but_not_with_critical_guidance(bench: Bench) -> None:
    bench.cleanup.switch(True, "boss")
    await locked(bench, "a", "sales-order/1")
    await locked(bench, "b", "nominal-ledger/4000", user="ben")
    await bench.login("web", "wanda", "web")
    await bench.go(100)
    for resource in ("sales-order/1", "nominal-ledger/4000"):
        await bench.say("web", "lock", {"resource": resource})
    await bench.go(240)
    assert (bench.status("a"), bench.status("b")) == (None, "disconnected")


async def test_what_hurts_most_comes_first(bench: Bench) -> None:
    await bench.login("plain", "zoe")
    await locked(bench, "order", "sales-order/1")
    await bench.go(10)
    await locked(bench, "ledger", "nominal-ledger/1", user="ben")
    await bench.go(10)
    await locked(bench, "waited", "x", user="carl")
    await bench.go(200)
    await bench.login("wanting", "wanda", "web")
    await bench.say("wanting", "lock", {"resource": "x"})
    await bench.go(121)

    async def order(**more: Any) -> list[str]:
        page = await bench.desk.sessions(SessionQuery(("disconnected",), **more), BOSS)
        return [it["id"] for it in page.items]

    assert await order(sort="hurt") == ["waited", "ledger", "plain", "order"]
    assert await order(sort="-hurt") == ["order", "plain", "ledger", "waited"]
    first = await bench.desk.sessions(SessionQuery(("disconnected",), sort="hurt", limit=2), BOSS)
    assert await order(sort="hurt", cursor=first.next) == ["plain", "order"]


async def test_other_rules_count_at_once_and_their_change_is_in_the_history(bench: Bench) -> None:
    await locked(bench, "a", "sales-order/1", "x")
    new = [replace(ORDER, severity="critical"), Rule("any", "normal", "Ask.", resource=("*",))]
    assert bench.desk.followups.put_in_force(Guidance(new), "other.toml", "boss")
    assert not bench.desk.followups.put_in_force(Guidance(new), "other.toml", "boss")
    await bench.settle()
    item = await bench.desk.session("a", BOSS)
    assert item is not None
    assert item["guidance"] == ["order", "any"]
    (event,) = [it for it in bench.events if it.type == "guidance.changed"]
    assert event.actor == "boss"
    assert event.data == {
        "source": "other.toml", "rules": 2, "added": ["any"], "removed": ["ledger"], "changed": ["order"],
    }  # fmt: skip
    rules = bench.desk.followups.rules(BOSS)
    assert (rules["source"], [it["id"] for it in rules["items"]]) == ("other.toml", ["order", "any"])
