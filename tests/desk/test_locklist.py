"""The list of locks: which, in which order, page by page."""

from __future__ import annotations

import pytest

from tests.engine.bench import BOSS, Bench
from whosin.desk import locklist
from whosin.errors import Refused
from whosin.operations import Caller, LockQuery

PEOPLE = {  # session: user, site, company
    "a": ("Anna", "south", "books"), "b": ("ben", "south", "books"), "c": ("cleo", "south", "payroll"),
    "d": ("dora", "north", "books"),
}  # fmt: skip
HELD = [("b", "order/2"), ("a", "order/1"), ("c", "vat"), ("a", "bank"), ("d", "menu")]


@pytest.fixture
async def bench(tmp_path):
    """Six locks, taken a second apart; two want the first of anna's, one wants ben's; dora has left hers."""
    made = await Bench(tmp_path / "whosin.db").start()
    for session, (user, site, company) in PEOPLE.items():
        await made.login(session, user=user, machine=f"PC-{user}", site=site, company=company)
    for session, resource in HELD:
        await said(made, session, "lock", resource=resource, sticky=session == "d")
        await made.go(1)
    await said(made, "a", "lock", resource="vat-return", activity="Prepares the return", mode="shared")
    for n, resource in enumerate(("order/1", "order/1", "order/2")):
        await made.login(f"w{n}", user=f"waiter {n}", site="south", company="books")
        await made.say(
            f"w{n}", "lock", {"resource": resource, "wait_s": 60 * n}, site="south", company="books"
        )
    await said(made, "d", "logout")
    yield made
    await made.close()


async def said(bench, session, verb, **payload):
    _, site, company = PEOPLE[session]
    await bench.say(session, verb, payload, site=site, company=company)


async def listed(bench, caller=BOSS, **query):
    page = await bench.desk.find_locks(LockQuery(**query), caller)
    assert page.total >= len(page.items)
    return [item["resource"] for item in page.items]


async def test_those_that_keep_most_people_waiting_come_first_and_then_the_oldest(bench):
    assert await listed(bench) == ["order/1", "order/2", "vat", "bank", "menu", "vat-return"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("resource", ["bank", "menu", "order/1", "order/2", "vat", "vat-return"]),
        ("-resource", ["vat-return", "vat", "order/2", "order/1", "menu", "bank"]),
        ("since", ["order/2", "order/1", "vat", "bank", "menu", "vat-return"]),
        ("-since", ["vat-return", "menu", "bank", "vat", "order/1", "order/2"]),
    ],
)
async def test_they_are_sorted_as_asked_for_either_way(bench, sort, expected):
    assert await listed(bench, sort=sort) == expected


async def test_users_are_sorted_in_any_case_companies_with_their_sites_and_the_blocking_by_how_many(bench):
    for sort, field in (("user", "user"), ("company", "site"), ("-blocks", "blocks")):
        page = await bench.desk.find_locks(LockQuery(sort=sort), BOSS)
        found = [item[field] for item in page.items]
        match sort:
            case "user":
                assert found == ["Anna", "Anna", "Anna", "ben", "cleo", "dora"]
            case "company":
                assert found == ["north", *["south"] * 5]
                assert [item["company"] for item in page.items] == ["books"] * 5 + ["payroll"]
            case _:
                assert [len(blocked) for blocked in found] == [2, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"site": "north"}, {"menu"}),
        ({"company": "payroll"}, {"vat"}),
        ({"site": "north", "company": "payroll"}, set()),
        ({"blocking": True}, {"order/1", "order/2"}),
        ({"left_behind": True}, {"menu"}),
        ({"text": "ORDER/"}, {"order/1", "order/2"}),
        ({"text": "anna"}, {"order/1", "bank", "vat-return"}),
        ({"text": "pc-Ben"}, {"order/2"}),
        ({"text": "payr"}, {"vat"}),
        ({"text": "the return"}, {"vat-return"}),
        ({"text": "order", "blocking": True, "site": "north"}, set()),
        ({"text": "nobody's"}, set()),
    ],
)
async def test_all_filters_that_are_given_hold_together(bench, query, expected):
    assert set(await listed(bench, **query)) == expected


async def test_who_may_see_one_site_sees_its_locks_alone(bench):
    north = Caller("north-boss", "viewer", "north")
    assert await listed(bench, north) == ["menu"]
    assert await listed(bench, north, site="south") == []


async def test_an_item_says_who_holds_it_and_whom_it_keeps_waiting(bench):
    page = await bench.desk.find_locks(LockQuery(limit=1), BOSS)
    (item,) = page.items
    assert (item["site"], item["company"], item["session"], item["user"]) == ("south", "books", "a", "Anna")
    assert (item["machine"], item["status"], item["left_behind"]) == ("PC-Anna", "active", False)
    assert {(one["user"], one["waiting"]) for one in item["blocks"]} == {
        ("waiter 0", False), ("waiter 1", True),
    }  # fmt: skip


@pytest.mark.parametrize("limit", [1, 2, 4, 6, 100])
async def test_page_by_page_each_comes_once(bench, limit):
    found, cursor, pages = [], None, 0
    while True:
        page = await bench.desk.find_locks(LockQuery(sort="resource", limit=limit, cursor=cursor), BOSS)
        assert page.total == 6
        assert len(page.items) <= limit
        found += [item["resource"] for item in page.items]
        pages += 1
        if page.next is None:
            break
        cursor = page.next
    assert found == ["bank", "menu", "order/1", "order/2", "vat", "vat-return"]
    assert pages == -(-6 // limit)


async def test_a_page_behind_the_last_is_empty(bench):
    page = await bench.desk.find_locks(LockQuery(cursor="600"), BOSS)
    assert (page.items, page.next, page.total) == ([], None, 6)


async def test_a_sort_that_there_is_not_is_refused_with_those_there_are(bench):
    with pytest.raises(Refused, match="sort is '-colour'; allowed are resource, user, company") as caught:
        await bench.desk.find_locks(LockQuery(sort="-colour"), BOSS)
    assert caught.value.code == "bad_sort"


async def test_others_have_their_turn_while_many_are_looked_at_and_what_goes_meanwhile_is_no_harm(
    bench, monkeypatch
):
    turns = []

    async def turn(_seconds):
        turns.append(len(turns))
        if len(turns) == 1:
            await said(bench, "b", "logout")
            await said(bench, "c", "logout")

    monkeypatch.setattr(locklist, "CHUNK", 1)
    monkeypatch.setattr(locklist.asyncio, "sleep", turn)
    page = await bench.desk.find_locks(LockQuery(sort="resource"), BOSS)
    monkeypatch.undo()
    assert len(turns) >= 4
    assert [(item["resource"], item["user"]) for item in page.items] == [
        ("bank", "Anna"), ("menu", "dora"), ("order/1", "Anna"), ("order/2", "waiter 2"),
        ("vat-return", "Anna"),
    ]  # fmt: skip
