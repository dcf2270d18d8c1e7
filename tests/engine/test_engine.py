"""The engine on a real SQLite file: what holds from a message in to an answer out, and over crashes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.bench import BOSS, T0, Bench
from whosin.model import Account, Role
from whosin.operations import Caller, SessionQuery


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = await Bench(tmp_path / "whosin.db").start()
    yield made
    await made.close()


async def test_a_login_is_answered_announced_and_acknowledged_in_that_order_once_it_is_durable(
    bench: Bench,
) -> None:
    packet = await bench.say("a", "login", {"user": "anna", "client": "desktop"}, wait=False)
    bench.engine.drain()
    assert bench.wire.log == []  # nothing is out before the commit
    await bench.settle()
    (topic, answer), ack, (event_topic, event) = bench.wire.log
    assert topic == "whosin/v1/down/s1/c1/a/login"
    assert answer == {"accepted": True, "status": "active", "heartbeat_every_s": 60.0, "timeout_s": 300.0}
    assert ack == ("ack", packet)
    assert event_topic == "whosin/v1/events/s1/c1/session.logged_in"
    assert event["subject"] == "a"
    assert event["data"]["user"] == "anna"


async def test_a_silent_desktop_is_disconnected_at_its_deadline_and_not_a_moment_sooner(bench: Bench) -> None:
    await bench.login("a")
    await bench.go(299.999)
    assert bench.status("a") == "active"
    await bench.go(0.001)
    assert bench.status("a") == "disconnected"
    (event,) = bench.published("session.disconnected")
    assert event["time"] == "2025-11-24T16:05:00.000Z"
    assert event["data"]["reason"] == "silence"


async def test_a_session_survives_a_crash_and_gets_its_grace(bench: Bench) -> None:
    await bench.login("a")
    await bench.go(280)
    bench.clock.now += 60_000
    again = await bench.crash()
    assert again.status("a") == "active"
    await again.go(89.9)
    assert again.status("a") == "active"
    await again.go(65)
    assert again.status("a") == "disconnected"


async def test_a_heartbeat_is_forgiven_by_the_grace_when_the_crash_loses_it(bench: Bench) -> None:
    await bench.login("a")
    await bench.go(200)
    await bench.say("a", "heartbeat", qos=0)
    await bench.go(1)
    again = await bench.crash()
    await again.go(91)
    await again.say("a", "heartbeat", qos=0)
    await again.go(200)
    assert again.status("a") == "active"
    assert again.published("session.disconnected") == []


async def test_an_ended_id_is_never_opened_again_even_after_a_crash(bench: Bench) -> None:
    await bench.login("a")
    await bench.say("a", "logout")
    again = await bench.crash()
    await again.login("a")
    assert again.status("a") is None
    assert again.answers("ended")[0]["status"] == "logged_off"


async def test_a_lock_blocks_is_left_by_logoff_and_goes_to_who_waits(bench: Bench) -> None:
    await bench.login("a", "anna", machine="PC1")
    await bench.say("a", "lock", {"resource": "sales-order/SO-1"})
    await bench.go(300)
    await bench.login("b", "bert", machine="PC2")
    await bench.say("b", "lock", {"resource": "sales-order/SO-1", "wait_s": 600})
    refused = bench.answers("lock")[-1]
    assert refused["granted"] is False
    assert refused["waiting"] is True
    assert refused["holder"]["user"] == "anna"
    assert refused["holder"]["status"] == "disconnected"
    page = await bench.desk.sessions(SessionQuery(statuses=("disconnected",)), BOSS)
    assert page.items[0]["blocks"][0]["user"] == "bert"
    (result,) = await bench.desk.logoff(["a"], BOSS, reason="gone home")
    assert result["result"] == "removed"
    assert result["released"] == ["sales-order/SO-1"]
    assert result["freed"][0]["user"] == "bert"
    await bench.settle()
    assert bench.answers("lock")[-1] == {"resource": "sales-order/SO-1", "granted": True, "token": 2}


async def test_the_switched_on_cleanup_removes_the_disconnected_of_all_companies(bench: Bench) -> None:
    await bench.login("a")
    await bench.login("b", "bert", company="c2")
    await bench.desk.switch_cleanup(True, BOSS)
    await bench.go(1799.5, step_s=0.6)
    assert bench.status("a") == "disconnected"
    await bench.go(1)
    assert bench.status("a") is None
    reports = await bench.desk.passes(5, BOSS)
    assert [one["removed"] for one in reports[0]["companies"]] == [1, 1]


async def test_events_that_could_not_be_published_are_published_after_a_crash(bench: Bench) -> None:
    bench.wire.ready = False
    await bench.login("a")
    assert bench.published() == []
    again = await bench.crash()
    assert [event["type"] for event in again.published("session.logged_in")] == ["session.logged_in"]


async def test_acknowledgements_keep_the_order_of_receipt(bench: Bench) -> None:
    await bench.login("a")
    bench.wire.log.clear()
    first = await bench.say("new", "login", {"user": "bert", "client": "web"}, wait=False)
    second = await bench.say("a", "unlock", {"resource": "x"}, wait=False)
    await bench.settle()
    assert [it[1] for it in bench.wire.log if it[0] == "ack"] == [first, second]


async def test_bad_input_is_counted_acknowledged_and_changes_nothing(bench: Bench) -> None:
    await bench.say("a", "login", {"user": 7, "client": "desktop"})
    await bench.say("a", "dance")
    await bench.say("a", "login", {"user": "x", "client": "web"}, retain=True)
    assert bench.counts.rejected == {"schema": 1, "unknown_verb": 1, "retained": 1}
    assert [it[0] for it in bench.wire.log] == ["ack"] * 3
    assert bench.clock.now == T0


async def test_tokens_and_accounts_are_listed_with_the_time_they_were_made(bench: Bench) -> None:
    made = await bench.desk.create_token("ops", "operator", None, BOSS)
    await bench.desk.add_account("portal", "gateway", "s1", None, BOSS)
    assert bench.desk.authenticate(made["token"]) is not None
    assert bench.desk.authenticate(made["token"] + "x") is None
    assert [(one["name"], one["created"]) for one in await bench.desk.list_tokens(BOSS)] == [
        ("ops", "2025-11-24T16:00:00.000Z")
    ]
    assert (await bench.desk.list_accounts(BOSS))[0]["created"] == "2025-11-24T16:00:00.000Z"
    again = await bench.crash()
    assert again.desk.authenticate(made["token"]) is not None


async def test_a_session_that_came_after_the_first_start_is_not_taken_for_silent_after_a_crash(
    bench: Bench,
) -> None:
    await bench.login("a")
    bench.clock.now += 400_000
    again = await bench.crash()
    await again.go(80)
    assert again.status("a") == "active"


async def test_a_caller_of_one_site_is_told_of_that_site_alone(bench: Bench) -> None:
    for site in ("s1", "s2"):
        await bench.login(f"a-{site}", "anna", site=site)
        await bench.login(f"b-{site}", "bert", site=site)
        await bench.say(f"a-{site}", "lock", {"resource": "vat-return"}, site=site)
        await bench.say(f"b-{site}", "lock", {"resource": "vat-return", "wait_s": 900}, site=site)
    keeper = Caller("keeper", "operator", "s1")
    stats = await bench.desk.stats(keeper)
    assert (stats["locks"], stats["waiting"], stats["sites"], stats["sessions"]["active"]) == (1, 1, 1, 2)
    await bench.go(301)
    dry = await bench.desk.run_cleanup(keeper, dry_run=True)
    assert {one["site"] for one in dry["companies"]} == {"s1"}
    assert dry["removed"] == 2
    await bench.desk.run_cleanup(BOSS)
    last = (await bench.desk.cleanup(keeper))["last"]
    assert ({one["site"] for one in last["companies"]}, last["removed"]) == ({"s1"}, 2)
    assert [one["id"] for one in (await bench.desk.sessions(SessionQuery(site="s2"), keeper)).items] == []
    assert await bench.desk.session("a-s2", keeper) is None


async def test_an_account_of_one_user_moves_nobody_elses_session(bench: Bench) -> None:
    bert = Account("bert-pc", Role.CLIENT, "s1", "bert")
    await bench.login("a", "anna")
    await bench.say("a", "lock", {"resource": "vat-return"})
    bench.wire.log.clear()
    for verb, payload in (
        ("heartbeat", None),
        ("heartbeat", {"activity": "mine"}),
        ("lock", {"resource": "payroll"}),
        ("unlock", {"resource": "vat-return"}),
        ("lost", {}),
        ("logout", {}),
    ):
        await bench.say("a", verb, payload, account=bert)
    await bench.say("@batch", "heartbeat", {"sessions": ["a"]}, account=bert)
    item = await bench.desk.session("a", BOSS)
    assert item is not None
    assert (item["status"], item["lost"], item["activity"]) == ("active", False, None)
    assert [lock["resource"] for lock in item["locks"]] == ["vat-return"]
    assert bench.counts.rejected == {"forbidden": 7}
    assert bench.answers() == []
    await bench.go(300)
    assert bench.status("a") == "disconnected"
    await bench.say("a", "login", {"user": "anna", "client": "desktop"}, account=bert)
    assert bench.answers("login")[-1]["code"] == "forbidden"


async def test_stats_name_every_client_type_up_to_a_bound(bench: Bench) -> None:
    for number in range(40):
        await bench.login(f"s{number}", client=f"type{number:02}")
    await bench.login("d")
    by_client = (await bench.desk.stats(BOSS))["by_client"]
    assert by_client["type00"] == by_client["desktop"] == {"active": 1, "disconnected": 0}
    assert sum(one["active"] for one in by_client.values()) == 41
    assert len(by_client) <= 33
    assert by_client["other"]["active"] > 5
