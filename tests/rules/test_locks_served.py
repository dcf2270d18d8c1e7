"""Who is served when something goes away: all who can be, in order of asking, however that came about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rules.driver import DEFAULTS, START, Driver, crowd
from whosin.model import Limits, Lock
from whosin.rules import locks
from whosin.rules.locks import BLOCKERS_KEPT

S = 1_000
WAIT = 600


@pytest.fixture
def d() -> Driver:
    return crowd()


def held(d: Driver) -> set[tuple[str, str]]:
    return {(lock.session.id, lock.resource) for lock in d.held()}


def restored(d: Driver, ident: str, resource: str, *, sticky: bool = False) -> Lock:
    """A lock from before a restart. No order of asking is known of that time."""
    company = d.company()
    company.token += 1
    lock = Lock(company, d.session(ident), resource, company.token, START)
    lock.sticky = sticky
    d.roll.locks.restore_lock(lock)
    return lock


# --- who is behind what stays ------------------------------------------------------------------------------


def test_a_lock_over_one_of_several_things_that_go_keeps_nobody_from_the_others(d):
    d.lock(0, "ben", "a")
    d.lock(0, "cleo", "b", shared=True)
    d.lock(1, "dora", "a", wait_s=WAIT)
    d.lock(2, "dora", "b", wait_s=WAIT)
    d.lock(3, "emil", "b", shared=True, wait_s=WAIT)
    d.logout(4, "dora")
    assert held(d) == {("ben", "a"), ("cleo", "b"), ("emil", "b")}


def test_readers_of_one_thing_are_all_served_when_that_and_what_is_above_it_go_together(d):
    d.lock(0, "anna", "a/b")
    d.lock(0, "anna", "a")
    for user in ("ben", "cleo", "dora"):
        d.lock(1, user, "a/b", shared=True, wait_s=WAIT)
    d.logout(2, "anna")
    assert held(d) == {("ben", "a/b"), ("cleo", "a/b"), ("dora", "a/b")}


def test_one_who_made_its_lock_another_meanwhile_still_passes_a_waiter_for_the_whole_company(d):
    d.lock(0, "anna", "a", shared=True)
    d.lock(0, "ben", "b")
    d.lock(1, "cleo", "*", wait_s=WAIT)
    assert d.lock(2, "anna", "b", wait_s=WAIT)["waiting"]
    assert d.lock(3, "anna", "a")["granted"], "cleo waits for anna anyway"
    d.unlock(4, "ben", "b")
    assert held(d) == {("anna", "a"), ("anna", "b")}


def test_what_a_waiter_keeps_back_is_served_when_its_way_is_freed_behind_a_waiter_for_the_whole_company(d):
    """dora takes up again, to read, what her first login left behind to write: cleo can read below it."""
    d.login(0, "dora2", user="dora")
    d.lock(0, "dora", "m", sticky=True)
    d.logout(1, "dora")
    d.lock(2, "dora2", "mine")
    d.lock(2, "cleo", "hers")
    d.lock(2, "emil", "z")
    d.lock(3, "ben", "m/1", wait_s=WAIT)  # for what was left behind
    d.lock(4, "ben", "z", wait_s=WAIT)
    d.lock(5, "anna", "*", wait_s=WAIT)  # for dora2, cleo and emil
    assert d.lock(6, "cleo", "m/2", shared=True, wait_s=WAIT)["waiting"]
    assert d.lock(7, "dora2", "m", shared=True, wait_s=WAIT)["waiting"]  # behind ben
    d.logout(8, "ben")
    assert {("dora2", "m"), ("cleo", "m/2")} <= held(d)


def test_the_first_who_asks_after_a_restart_is_served_too_when_its_own_user_leaves_the_lock_behind(d):
    restored(d, "anna", "menu", sticky=True)
    d.login(0, "anna2", user="anna")
    assert d.lock(1, "anna2", "menu", wait_s=WAIT)["waiting"]
    d.logout(2, "anna")
    assert held(d) == {("anna2", "menu")}


def test_the_first_who_asks_after_a_restart_is_served_too_when_it_takes_up_what_was_in_its_way(d):
    restored(d, "anna", "menu", sticky=True)
    d.logout(0, "anna")
    d.login(1, "anna2", user="anna")
    d.lock(2, "anna2", "menu/file", wait_s=WAIT)
    assert d.lock(3, "anna2", "menu")["granted"]
    assert held(d) == {("anna2", "menu"), ("anna2", "menu/file")}


# --- whom those who wait are told of -----------------------------------------------------------------------


def test_a_reader_who_asks_again_is_told_whom_it_really_waits_for(d):
    d.lock(0, "emil", "a/b", shared=True)
    d.lock(0, "dora", "a/c")
    d.lock(1, "ben", "a", wait_s=WAIT)
    for at in (2, 3):
        told = d.lock(at, "cleo", "a/b", shared=True, wait_s=WAIT)
        assert told["holder"]["user"] == "dora", "emil only reads, too"


def test_a_fallen_reader_stands_in_no_readers_way(d):
    d.lock(0, "cleo", "a/1", shared=True)
    d.lock(0, "dora", "a/2")
    d.beat(200 * S, "dora")
    d.beat(200 * S, "ben")
    d.pass_to(300 * S)
    d.roll.locks.stirred.clear()
    assert d.lock(301 * S, "ben", "a", shared=True, wait_s=WAIT)["waiting"]
    assert not d.roll.locks.stirred
    d.lock(302 * S, "ben", "a", wait_s=WAIT)
    d.unlock(303 * S, "dora", "a/2")
    assert list(d.roll.locks.stirred) == [d.session("cleo")]


def test_in_one_walk_along_the_queue_so_many_are_looked_for_who_stand_in_the_way(d, monkeypatch):
    """The first who asked first; with each walk anew."""
    monkeypatch.setattr(locks, "BLOCKERS_NOTED", 4)
    for n in range(8):
        d.login(0, f"f{n}", user=f"fallen {n}")
        d.lock(0, f"f{n}", f"a/{n}")
    for user in ("anna", "ben"):
        d.beat(200 * S, user)
    for n in range(8):
        d.lock(201 * S, "ben", f"a/{n}", wait_s=WAIT)
    d.pass_to(300 * S)
    d.beat(301 * S, "ben")
    for at in (302 * S, 303 * S):
        d.lock(at, "anna", "a", wait_s=WAIT)
        d.roll.locks.stirred.clear()
        d.unlock(at, "anna", "a")
        assert list(d.roll.locks.stirred) == [d.session(f"f{n}") for n in range(4)]


def test_of_very_many_in_the_way_some_are_named(d):
    for n in range(20):
        d.login(0, f"r{n}", user=f"reader {n}")
        d.lock(1, f"r{n}", "a", shared=True)
    d.lock(2, "ben", "a")
    (refused,) = d.session("ben").wants.values()
    assert [lock.session.id for lock in refused.refused_by] == [f"r{n}" for n in range(BLOCKERS_KEPT)]


# --- bounds ------------------------------------------------------------------------------------------------


def test_remembered_refusals_are_no_locks_and_leave_room_for_some():
    d = crowd(replace(DEFAULTS, limits=Limits(locks_per_session=4)))
    d.lock(0, "anna", "*")
    for n in range(2):
        d.lock(1, "ben", f"waits/{n}", wait_s=WAIT)
        d.lock(1, "ben", f"refused/{n}")
    assert d.lock(2, "ben", "another", wait_s=WAIT)["waiting"]
    assert d.lock(3, "ben", "and/another", wait_s=WAIT)["waiting"]
    assert d.lock(4, "ben", "too/many", wait_s=WAIT)["code"] == "limit"


def test_a_wait_of_a_millisecond_is_a_wait():
    d = crowd(replace(DEFAULTS, limits=Limits(waiters=2)))
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "b")
    d.lock(1, "anna", "b", wait_s=WAIT)
    assert d.lock(2, "ben", "a", wait_s=0.001)["code"] == "deadlock"
    d.lock(3, "cleo", "a", wait_s=WAIT)
    assert d.lock(4, "dora", "a", wait_s=0.001)["code"] == "limit", "two wait already"


def test_a_wait_that_ran_out_is_remembered_in_its_own_place_however_full_it_is():
    d = crowd(replace(DEFAULTS, limits=Limits(locks_per_session=2)))
    d.lock(0, "anna", "*")
    for n in range(2):
        d.lock(0, "ben", f"b/{n}", wait_s=5)
    d.sweep(5 * S)
    assert {want.resource: want.waiting for want in d.session("ben").wants.values()} == {
        "b/0": False, "b/1": False,
    }  # fmt: skip
    assert d.roll.locks.refusals == 2
    d.lock(6 * S, "ben", "b/2")
    assert list(d.session("ben").wants) == ["b/0", "b/1"], "there is no room for a third"
    assert d.roll.locks.refusals == 2


def test_a_wait_that_ran_out_is_forgotten_where_there_is_no_room_to_remember_it():
    d = crowd(replace(DEFAULTS, limits=Limits(refusals=1)))
    d.lock(0, "anna", "a")
    d.lock(0, "anna", "b")
    d.lock(1, "cleo", "b")
    d.lock(2, "ben", "a", wait_s=5)
    (want,) = d.session("ben").wants.values()
    d.sweep(6 * S)
    assert d.told("ben", "lock")[-1]["code"] == "timeout"
    assert (d.session("ben").wants, d.roll.out.wants[want]) == (None, False)
    assert (d.roll.locks.refusals, d.roll.locks.waiting) == (1, 0)
    d.lock(7 * S, "dora", "a")
    assert d.session("dora").wants is None
    assert d.roll.locks.refusals == 1
