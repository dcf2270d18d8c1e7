"""At the limit of companies an empty one makes room for another, and tokens grow all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rules.driver import DEFAULTS, Driver
from whosin.model import Limits
from whosin.rules.room import LOOK_EVERY_MS


@pytest.fixture
def d():
    return Driver(replace(DEFAULTS, limits=Limits(companies=2)))


def names(d):
    return {name for _, name in d.roll.companies}


def accepted(d, session):
    return d.told(session, "login")[0]["accepted"]


def test_a_company_in_which_nothing_is_left_makes_room_for_another(d):
    d.login(0, "a", company="A")
    d.login(0, "b", company="B")
    d.logout(1, "a", company="A")
    d.login(2, "c", company="C")
    assert accepted(d, "c")
    assert names(d) == {"B", "C"}


def test_it_goes_only_when_another_wants_in(d):
    d.login(0, "a", company="A")
    d.logout(1, "a", company="A")
    d.login(2, "b", company="B")
    assert names(d) == {"A", "B"}


def test_a_company_stays_while_somebody_is_in_it_or_something_locked(d):
    d.login(0, "a", company="A")
    d.login(0, "b", company="B")
    d.lock(1, "b", "menu-editor", sticky=True, company="B")
    d.logout(2, "b", company="B")  # its lock is left behind
    d.login(3, "c", company="C")
    assert not accepted(d, "c")
    assert names(d) == {"A", "B"}


@pytest.mark.parametrize("busy", ["A", "B"])
def test_where_least_was_locked_goes_first(d, busy):
    for company in ("A", "B"):
        d.login(0, f"{company}1", company=company)
        for n in range(3 if company == busy else 1):
            d.lock(1 + n, f"{company}1", f"r{n}", company=company)
    for company in ("A", "B"):
        d.logout(5, f"{company}1", company=company)
    d.login(6, "c", company="C")
    assert names(d) == {busy, "C"}


def test_tokens_of_a_company_that_went_and_came_back_go_on_growing(d):
    d.login(0, "a", company="A")
    last = [d.lock(n, "a", f"r{n}", company="A")["token"] for n in range(1, 8)][-1]
    d.logout(9, "a", company="A")
    d.login(10, "b", company="B")
    d.logout(11, "b", company="B")
    d.login(12, "c", company="C")  # B goes, which has given no token
    assert d.roll.room.floor == 0
    d.login(13, "x", company="D")  # A goes
    assert names(d) == {"C", "D"}
    d.logout(14, "x", company="D")
    d.login(14 + LOOK_EVERY_MS, "again", company="A")
    assert d.lock(15 + LOOK_EVERY_MS, "again", "r0", company="A")["token"] > last


def test_a_company_that_was_found_empty_and_is_not_any_more_stays(d):
    d = Driver(replace(DEFAULTS, limits=Limits(companies=3)))
    for company in "ABC":
        d.login(0, company, company=company)
    d.logout(1, "A", company="A")
    d.logout(1, "B", company="B")
    d.login(2, "D", company="D")  # A and B are found, one of them goes
    (left,) = names(d) & {"A", "B"}
    d.login(3, "back", company=left)
    d.login(4, "E", company="E")
    assert not accepted(d, "E")
    assert left in names(d)


def test_refused_logins_do_not_have_all_companies_looked_at_each_time(d):
    d.login(0, "a", company="A")
    d.login(0, "b", company="B")
    d.login(1, "c", company="C")  # looks, and finds none
    d.logout(2, "a", company="A")
    d.login(LOOK_EVERY_MS, "d", company="D")
    assert not accepted(d, "d")
    d.login(LOOK_EVERY_MS + 1, "e", company="E")
    assert accepted(d, "e")


def test_who_is_refused_for_another_reason_costs_no_company(d):
    d = Driver(replace(DEFAULTS, limits=Limits(sessions=1, companies=1)))
    d.login(0, "a", company="A")
    d.logout(1, "a", company="A")
    d.login(2, "b", company="A")
    d.login(3, "c", company="C")
    assert not accepted(d, "c")
    assert names(d) == {"A"}


def test_who_is_one_session_too_many_costs_no_company_either():
    d = Driver(replace(DEFAULTS, limits=Limits(sessions=1, companies=2)))
    d.login(0, "a", company="A")
    d.logout(1, "a", company="A")
    d.login(2, "b", company="B")
    d.login(3, "c", company="C")
    assert not accepted(d, "c")
    assert names(d) == {"A", "B"}


def test_the_engine_is_told_what_went_and_what_came_whatever_the_order(d):
    out = d.roll.out
    out.companies.clear()
    d.login(0, "a", company="A")
    d.login(0, "b", company="B")
    d.logout(1, "a", company="A")
    d.login(2, "c", company="C")
    assert list(out.gone) == [("s", "A")]
    assert [company.name for company in out.companies] == ["B", "C"]
    d.logout(3, "b", company="B")
    d.login(3 + LOOK_EVERY_MS, "back", company="A")
    assert list(out.gone) == [("s", "B")]
    assert [company.name for company in out.companies] == ["C", "A"]


def test_a_new_site_in_the_place_of_another_is_looked_at_for_a_mass_silence():
    policy = replace(DEFAULTS, limits=Limits(companies=1), blocking_after_ms=1_000)
    d = Driver(policy)
    d.login(0, "a", company="A", site="one")
    d.lock(1, "a", "x", company="A", site="one")
    d.login(1, "b", company="A", site="one", user="bob")
    d.lock(2, "b", "x", company="A", site="one", wait_s=900)
    d.logout(3, "a", company="A", site="one")
    d.logout(4, "b", company="A", site="one")
    d.login(5, "c", company="B", site="two")
    assert d.roll.companies.keys() == {("two", "B")}
    session = d.roll.sessions["c"]
    assert d.roll._clearing._of_site("two") == [session.company]
