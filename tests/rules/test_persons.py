"""The same person's sessions are found, nobody else's, and nothing is kept of who has gone."""

from __future__ import annotations

from sys import getsizeof

import pytest

from whosin.model import Company, Session
from whosin.rules import persons as room
from whosin.rules.admission import person
from whosin.rules.persons import Persons

HERE, THERE = Company("s1", "c1"), Company("s1", "c2")


def session(key, user="anna", *, company=HERE, client="desktop", machine="PC-7", os_session="3"):
    it = Session(key, f"id-{key}", company, user, client, 1)
    it.machine, it.os_session = machine, os_session
    return it


@pytest.fixture(params=["hashes", "one hash for all"])
def persons(request, monkeypatch):
    if request.param != "hashes":
        monkeypatch.setattr(room, "hash", lambda _who: 7, raising=False)
    return Persons()


def test_others_are_those_of_the_same_person_in_the_order_of_their_logins(persons):
    mine = [session(1), session(2), session(3)]
    strangers = [
        session(4, "bert"), session(5, company=THERE), session(6, client="web"), session(7, machine="PC-8"),
        session(8, os_session="4"),
    ]  # fmt: skip
    for one in (mine[0], *strangers, *mine[1:]):
        persons.add(one)
    assert persons.others(session(9)) == mine
    assert persons.others(mine[1]) == [mine[0], mine[2]]
    assert [persons.others(one) for one in strangers] == [[]] * 5


@pytest.mark.parametrize("unknown", ["machine", "os_session"])
def test_a_person_who_is_not_known_has_no_others(persons, unknown):
    first, second = session(1, **{unknown: None}), session(2, **{unknown: None})
    persons.add(first)
    assert persons.others(second) == []
    assert not persons._found
    persons.remove(first)


def test_who_has_gone_is_not_found_again_and_may_go_twice(persons):
    all_of_them = [session(key) for key in range(4)]
    for one in all_of_them:
        persons.add(one)
    left = list(all_of_them)
    for one in (all_of_them[1], all_of_them[3], all_of_them[0], all_of_them[2]):
        persons.remove(one)
        persons.remove(one)
        left.remove(one)
        assert persons.others(session(9)) == left
    assert not persons._found


def test_at_a_login_few_are_looked_at_however_many_are_logged_in(monkeypatch):
    """Else a morning on which thousands log in has each of them compared with all who came before."""
    persons, looked = Persons(), []
    for key in range(200):
        persons.add(session(key, f"user {key}"))
    monkeypatch.setattr(room, "person", lambda one: looked.append(one) or person(one))
    assert [one.key for one in persons.others(session(300, "user 7"))] == [7]
    assert len(looked) < 10


def test_where_somebody_is_filed_is_a_number_that_takes_32_bytes():
    """A whole hash takes 48 of the allocator, for each of a hundred thousand who are logged in."""
    persons = Persons()
    for key in range(200):
        persons.add(session(key, f"user {key}"))
    assert max(getsizeof(place) for place in persons._found) <= 32
