"""While nothing can be stored: the alert about that goes out from memory, and everything else waits."""

from __future__ import annotations

import pytest

from tests.alerts.house import House, blocking, channel
from tests.engine.bench import BOSS
from tests.engine.moody import Moody, moody, recovered
from whosin.alerts.conditions import Pace
from whosin.alerts.office import Plan
from whosin.errors import StoreError

FULL = StoreError("full", "/data/whosin.db: no space left for it")


@pytest.fixture
async def house(tmp_path):
    path = tmp_path / "whosin.db"
    plan = Plan((channel(),), Pace(5_000, 300_000, 0))
    made = await House(path, plan, store=Moody(path)).start()
    yield made
    moody(made).problem = None
    await made.close()


async def test_it_is_told_at_once_from_memory_and_stored_when_the_store_is_back(house):
    moody(house).problem = FULL
    await house.login("anna-1")
    await house.go(12)
    assert house.notes().got == []
    await house.go(8)
    (message,) = house.notes().got
    assert message.subject == "[Whosin] Nothing can be stored: the database or its disk is in trouble"
    assert "no space left for it" in message.text
    (item,) = (await house.desk.alerts.find(BOSS)).items
    assert (item["kind"], item["state"], item["targets"][0]["state"]) == ("storage", "open", "sent")
    assert not house.published("alert.raised")  # nothing is announced before it is stored
    await recovered(house)
    await house.go(2)
    assert [one.payload["phase"] for one in house.notes().got] == ["raised", "cleared"]
    (item,) = (await house.desk.alerts.find(BOSS)).items
    assert (item["id"], item["state"]) == (message.payload["id"], "over")
    assert [(one["phase"], one["state"]) for one in item["targets"]] == [
        ("raised", "sent"), ("cleared", "sent"),
    ]  # fmt: skip
    assert [it.type for it in house.events if it.type.startswith("alert.")] == [
        "alert.raised",
        "alert.cleared",
    ]


async def test_what_a_crash_could_undo_is_told_only_once_it_is_stored(house):
    await blocking(house, "anna")
    moody(house).problem = FULL
    await house.go(20)
    assert [one.payload["kind"] for one in house.notes().got] == ["storage"]
    await recovered(house)
    await house.go(3)
    assert sorted(one.payload["kind"] for one in house.notes().got) == ["blocking", "storage", "storage"]


async def test_a_short_trouble_is_no_alert(house):
    moody(house).problem = FULL
    await house.login("anna-1")
    await house.go(8)
    await recovered(house)
    await house.go(30)
    assert house.notes().got == []
