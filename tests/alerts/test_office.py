"""What is wrong becomes one message to whom it concerns, once, and a word when it is over."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from tests.alerts.house import House, blocking, channel
from tests.engine.bench import BOSS, TYPES
from whosin.alerts.conditions import Pace
from whosin.alerts.office import Plan
from whosin.alerts.targets import Undelivered
from whosin.model import MassSilence, Policy
from whosin.rules.guidance import Guidance, Rule


@pytest.fixture
async def house(tmp_path):
    made = await House(tmp_path / "whosin.db").start()
    yield made
    await made.close()


async def listed(house, **more):
    return (await house.desk.alerts.find(BOSS, **more)).items


async def test_who_fell_and_blocks_others_is_an_alert_that_says_all(house):
    await blocking(house, "anna")
    await house.go(27)
    assert house.notes().got == []  # others may follow, and she may come back
    await house.go(5)
    (message,) = house.notes().got
    assert message.subject == "[Whosin] 1 disconnected login keeps 1 person waiting in c1 (site s1)"
    assert "- anna on PC-anna (desktop), silent since 2025-11-24 16:05:00 UTC, login anna-1" in message.text
    assert "holds order/anna (amending)" in message.text
    assert "keeps waiting: ben on PC-ben since 2025-11-24 16:04:50 UTC" in message.text
    assert "What to do: Find out whether each of them is really gone" in message.text
    assert "See: http://127.0.0.1:8787/disconnected?site=s1&company=c1" in message.text
    (event,) = [it for it in house.events if it.type == "alert.raised"]
    assert (event.site, event.company) == ("s1", "c1")
    assert event.data["kind"] == "blocking"
    assert event.data["sessions"] == ["anna-1"]
    assert event.data["id"] == message.payload["id"]
    (cloud,) = house.published("alert.raised")
    assert cloud["data"]["message"] == message.subject.removeprefix("[Whosin] ")


async def test_who_comes_back_in_time_is_no_alert(house):
    await blocking(house, "anna")
    await house.go(10)
    await house.say("anna-1", "heartbeat")
    await house.beat_for(120, "anna-1", "ben-1")
    assert house.notes().got == []
    assert house.events
    assert not [it for it in house.events if it.type.startswith("alert.")]


async def test_many_of_one_company_are_one_alert_with_a_list_and_a_count(house):
    await blocking(house, *(f"u{number:02}" for number in range(25)))
    await house.go(35)
    (message,) = [one for one in house.notes().got if one.payload["kind"] == "blocking"]
    assert message.subject.startswith("[Whosin] 25 disconnected logins keep 1 person waiting")
    assert message.text.count("holds order/") == 20
    assert "- and 5 more" in message.text
    assert message.payload["count"] == 25


async def test_two_companies_are_two_alerts(house):
    for company in ("c1", "c2"):
        await house.login(f"a-{company}", company=company)
        await house.say(f"a-{company}", "lock", {"resource": "x"}, company=company)
    await house.go(290)
    for company in ("c1", "c2"):
        await house.login(f"b-{company}", company=company)
        await house.say(f"b-{company}", "lock", {"resource": "x", "wait_s": 900}, company=company)
    await house.go(45)
    assert sorted(message.payload["company"] for message in house.notes().got) == ["c1", "c2"]


async def test_it_is_told_once_told_again_after_a_while_and_told_when_over(house):
    house.office.adopt(Plan(house.plan.channels, Pace(30_000, 300_000, 600_000)))
    await blocking(house, "anna")
    await house.beat_for(35, "ben-1", every_s=30)
    await house.beat_for(560, "ben-1")
    assert len(house.notes().got) == 1
    await house.beat_for(60, "ben-1")
    assert [one.payload["phase"] for one in house.notes().got] == ["raised", "reminder"]
    assert house.notes().subjects[1].startswith("Still: 1 disconnected login")
    await house.desk.logoff(["anna-1"], BOSS)
    await house.go(3)
    assert house.notes().subjects[2].startswith("Over: 1 disconnected login")
    assert "What to do" not in house.notes().got[2].text
    assert [it.type for it in house.events if it.type.startswith("alert.")] == [
        "alert.raised",
        "alert.cleared",
    ]
    (item,) = await listed(house)
    assert (item["state"], item["reminders"]) == ("over", 1)
    assert house.office.entries == {}


async def test_it_can_alert_again_once_it_was_over_but_not_every_minute(house):
    await blocking(house, "anna")
    await house.beat_for(40, "ben-1", every_s=20)
    await house.say("anna-1", "heartbeat")
    await house.beat_for(20, "ben-1", every_s=10)
    assert [one.payload["phase"] for one in house.notes().got] == ["raised", "cleared"]
    raised = house.clock.now
    await house.say("ben-1", "lock", {"resource": "order/anna", "wait_s": 3000})
    while house.status("anna-1") == "active":
        await house.beat_for(10, "ben-1", every_s=10)
    await house.beat_for(35, "ben-1", every_s=20)
    assert house.clock.now - raised > 300_000
    assert [one.payload["phase"] for one in house.notes().got] == ["raised", "cleared", "raised"]
    assert len({one.id for one in house.notes().got}) == 3


async def test_guidance_alone_is_an_alert_and_blocking_takes_it_over(house):
    await house.login("anna-1")
    await house.say("anna-1", "lock", {"resource": "vat-return", "guidance": "check-vat"})
    await house.go(335)
    (message,) = house.notes().got
    assert message.payload["kind"] == "guidance"
    assert "before it is removed (check-vat)" in message.text
    await house.login("ben-1", user="ben")
    await house.say("ben-1", "lock", {"resource": "vat-return"})
    await house.go(35)
    assert [(one.payload["kind"], one.payload["phase"]) for one in house.notes().got[1:]] == [
        ("guidance", "cleared"), ("blocking", "raised"),
    ]  # fmt: skip


async def test_what_the_guidance_says_is_told_and_makes_it_grave(house):
    rule = Rule("vat", "critical", "Ask Eve.", None, resource=("vat-return",))
    login = Rule("import", "normal", "Look at the import.", None, activity=("*import*",))
    house.engine.roll.set_guidance(Guidance([rule, login]))
    await house.login("anna-1")
    await house.say("anna-1", "lock", {"resource": "vat-return"})
    await house.login("carl-1", user="carl", company="c2")
    await house.say("carl-1", "heartbeat", {"activity": "bank import"}, company="c2")
    await house.login("dora-1", user="dora", company="c2")
    await house.go(335)
    vat, bank = sorted(house.notes().got, key=lambda one: one.payload["company"])
    assert (vat.severity, bank.severity) == ("warning", "info")
    assert "before it is removed (critical, vat): Ask Eve." in vat.text
    assert "before it is removed (import): Look at the import." in bank.text
    assert "dora" not in bank.text
    await house.login("ben-1", user="ben")
    await house.say("ben-1", "lock", {"resource": "vat-return"})
    await house.go(35)
    assert house.notes().got[-1].severity == "critical"


async def test_a_lock_that_blocks_nobody_is_no_alert(house):
    await house.login("anna-1")
    await house.say("anna-1", "lock", {"resource": "order/1"})
    await house.go(400)
    assert house.status("anna-1") == "disconnected"
    assert house.notes().got == []


async def test_nobody_is_called_for_what_the_cleanup_clears_in_a_minute(tmp_path):
    policy = Policy(TYPES, blocking_after_ms=60_000, mass=MassSilence())
    house = await House(tmp_path / "whosin.db", policy=policy).start(enabled=True)
    await blocking(house, "anna")
    await house.go(70)
    assert house.status("anna-1") is None
    await house.go(60)
    assert house.notes().got == []
    await house.close()


async def test_a_mass_silence_of_a_site_is_one_message_and_one_event_a_hold(house):
    for company in ("c1", "c2"):
        for number in range(10):
            await house.login(f"{company}-{number}", user=f"u{number}", company=company)
    await house.go(340)
    (message,) = house.notes().got
    assert message.subject == "[Whosin] 20 logins fell silent together at site s1"
    assert "c1: 10 logins (desktop), held back until" in message.text
    assert len(house.published("alert.raised")) == 2
    await house.desk.confirm("s1", None, None, BOSS)
    await house.go(2)
    assert house.notes().subjects[-1].startswith("Over: ")
    assert len(house.published("alert.cleared")) == 1


async def test_a_channel_of_a_company_reads_nothing_of_another(tmp_path):
    plan = Plan((channel("one", companies=("s1/c1",)), channel("none", companies=("c3",)), channel("all")))
    house = await House(tmp_path / "whosin.db", plan).start()
    for company in ("c1", "c2"):
        for number in range(10):
            await house.login(f"{company}-{number}", user=f"u{number}", company=company)
    await house.go(340)
    assert "c2" not in json.dumps(house.notes("one").got[0].payload) + house.notes("one").got[0].text
    assert "c2" in house.notes("all").got[0].text
    assert house.notes("none").got == []
    await house.close()


async def test_companies_that_a_pass_could_not_do_are_told_until_a_pass_could(house, monkeypatch):
    await house.login("anna-1", company="c1")
    await house.go(310)
    monkeypatch.setattr(house.engine.roll, "remove", lambda *_a, **_k: 1 / 0)
    await house.desk.run_cleanup(BOSS)
    await house.go(35)
    (message,) = house.notes().got
    assert message.payload["kind"] == "cleanup"
    assert "- c1: ZeroDivisionError" in message.text
    monkeypatch.undo()
    await house.desk.run_cleanup(BOSS)
    await house.go(2)
    assert house.notes().got[-1].payload["phase"] == "cleared"


async def test_blindness_is_told_after_a_while(house):
    await house.login("anna-1")
    house.engine.blinded("door")
    await house.go(55)
    assert house.notes().got == []
    await house.go(40)
    (message,) = house.notes().got
    assert message.subject == "[Whosin] The daemon does not hear clients through door"
    house.engine.sighted("door", house.clock.now)
    await house.go(2)
    assert house.notes().got[-1].payload["phase"] == "cleared"


async def test_a_target_that_says_no_is_tried_again_with_the_same_id_and_later_each_time(house):
    house.notes().answers = [Undelivered("not now") for _ in range(4)]
    await blocking(house, "anna")
    await house.beat_for(30, "ben-1", every_s=15)
    tries = []
    while not house.notes().got:
        before = house.notes().tried
        await house.beat_for(1, "ben-1", every_s=1)
        if house.notes().tried > before:
            tries.append(house.clock.now)
    waits = [(later - sooner) / 1000 for sooner, later in pairwise(tries)]
    assert len(tries) >= 4
    assert waits == sorted(waits)
    assert waits[-1] >= 10
    (item,) = await listed(house)
    (target,) = item["targets"]
    assert (target["state"], target["tries"], target["error"]) == ("sent", 5, None)
    assert house.counts.deliveries == {("office", "retried"): 4, ("office", "sent"): 1}


async def test_what_is_over_before_a_target_takes_it_is_told_as_over(house):
    house.notes().always = Undelivered("away")
    await blocking(house, "anna")
    await house.beat_for(40, "ben-1", every_s=20)
    await house.desk.logoff(["anna-1"], BOSS)
    await house.go(2)
    house.notes().always = None
    await house.beat_for(60, "ben-1", every_s=20)
    (first,) = house.notes().got  # and no second one says the same
    assert first.payload["phase"] == "raised"
    assert first.payload["cleared"] is not None
    assert first.subject.startswith("[Whosin] Over: ")
    assert "What to do" not in first.text


async def test_what_nobody_takes_is_given_up_and_said_so(house):
    house.office.outbox.give_up_ms = 60_000
    house.notes().always = Undelivered("full")
    await blocking(house, "anna")
    await house.beat_for(150, "ben-1", every_s=30)
    (item,) = await listed(house)
    (target,) = item["targets"]
    assert target["state"] == "given_up"
    assert target["error"].startswith("full (tried ")
    assert house.office.outbox.pending == 0
    assert house.counts.deliveries["office", "given_up"] == 1
    (event,) = [it for it in house.events if it.type == "alert.given_up"]
    assert event.data["channel"] == "office"


async def test_what_is_refused_for_good_is_not_tried_again(house):
    house.notes().answers = [Undelivered("no such person", for_good=True)]
    await blocking(house, "anna")
    await house.go(60)
    assert house.notes().tried == 1
    assert house.office.outbox.pending == 0


async def test_a_channel_that_hangs_back_holds_up_no_other(tmp_path):
    plan = Plan((channel("bad"), channel("good")))
    house = await House(tmp_path / "whosin.db", plan).start()
    house.notes("bad").always = Undelivered("no")
    await blocking(house, "anna")
    await house.go(40)
    assert len(house.notes("good").got) == 1
    assert house.office.outbox.pending == 1
    await house.close()


async def test_after_a_crash_what_was_not_delivered_is_and_nothing_is_told_twice(house):
    house.notes().always = Undelivered("away")
    await blocking(house, "anna")
    await house.beat_for(40, "ben-1", every_s=20)
    (before,) = await listed(house)
    house.notes().always = None
    await house.office.close()
    await house.crash()
    await house.beat_for(400, "ben-1", every_s=30)
    (message,) = house.notes().got
    assert message.payload["id"] == before["id"]
    assert "anna on PC-anna" in message.text
    (item,) = await listed(house)
    assert (item["id"], item["state"]) == (before["id"], "open")
    await house.desk.logoff(["anna-1"], BOSS)
    await house.go(2)
    assert house.notes().got[-1].payload["phase"] == "cleared"


async def test_who_was_removed_while_we_were_away_is_over(house):
    await blocking(house, "anna")
    await house.beat_for(40, "ben-1", every_s=20)
    await house.desk.logoff(["anna-1"], BOSS)
    await house.settle()  # removed, and no tick has seen it
    await house.office.close()
    await house.crash()
    await house.go(2)
    assert [one.payload["phase"] for one in house.notes().got] == ["raised", "cleared"]


async def test_a_channel_that_goes_takes_its_messages_with_it_and_says_so(house):
    house.notes().always = Undelivered("away")
    await blocking(house, "anna")
    await house.go(35)
    house.office.adopt(Plan((channel("other"),)))
    await house.go(2)
    (item,) = await listed(house)
    assert item["targets"][0]["state"] == "given_up"
    assert "no more in the settings" in item["targets"][0]["error"]


async def test_another_department_has_its_own_told(house):
    house.office.tellers["seats"] = lambda key: {"company": None, "problem": f"{key}: 50 of 50 are used"}
    house.office.conditions.on("seats", "desktop", "s1", None, "warning", house.clock.now)
    await house.go(32)
    (message,) = house.notes().got
    assert message.subject == "[Whosin] Seats are running out at site s1"
    assert "- desktop: 50 of 50 are used" in message.text
    house.office.conditions.off("seats", "desktop", house.clock.now)
    await house.go(2)
    assert house.notes().got[-1].payload["phase"] == "cleared"


async def test_a_channel_that_goes_while_much_is_owed_leaves_nothing_behind(house):
    house.notes().always = Undelivered("away")
    await blocking(house, "anna")
    await house.beat_for(40, "ben-1", every_s=20)
    await house.desk.logoff(["anna-1"], BOSS)
    await house.go(2)
    assert len(house.office.outbox.owed("office")) == 1
    house.office.adopt(Plan((channel("other"),)))
    await house.go(2)
    assert house.office.entries == {}
    assert house.office.outbox.pending == 0


async def test_a_flood_of_alerts_reaches_a_channel_at_a_pace_that_people_can_bear(house):
    for number in range(100):
        await house.login(f"a{number}", company=f"c{number}")
        await house.say(f"a{number}", "lock", {"resource": "x", "guidance": "g"}, company=f"c{number}")
    await house.go(330 + 58)
    first = len(house.notes().got)
    assert 25 <= first <= 30
    await house.go(60)
    assert first + 25 <= len(house.notes().got) <= first + 32
