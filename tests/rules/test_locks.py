"""Who holds what, who waits, whom it blocks, and what becomes of locks at the end (rules 5 and 6)."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.rules.driver import DEFAULTS, START, Driver, crowd
from whosin.messages import Heartbeat, LockRequest
from whosin.model import ClientType, Limits, Lock
from whosin.rules import book, locks
from whosin.rules.locks import blocked_by, blocks_somebody, book_of

S = 1_000


@pytest.fixture
def d() -> Driver:
    return crowd()


def held(d: Driver) -> set[tuple[str, str]]:
    return {(lock.session.id, lock.resource) for lock in d.held()}


def waiting(d: Driver) -> list[str]:
    return [
        f"{want.session.id} {want.resource}"
        for want in sorted(book_of(d.company()).wanted.everything(), key=lambda w: w.order)
    ]


# --- granting and refusing ---------------------------------------------------------------------------------


def test_a_free_resource_is_granted_with_a_token(d):
    assert d.lock(1, "anna", "order/1") == {"resource": "order/1", "granted": True, "token": 1}
    (event,) = d.happened("lock.granted")
    assert (event.session, event.at, event.data["resource"], event.data["mode"]) == (
        "anna",
        1,
        "order/1",
        "exclusive",
    )


def test_tokens_grow_per_company_and_never_come_again(d):
    d.login(0, "zoe", user="zoe", company="B")
    tokens = [d.lock(n, "anna", "a")["token"] for n in range(3) if d.unlock(n, "anna", "a") in (True, False)]
    assert tokens == [1, 2, 3]
    assert d.lock(9, "zoe", "a", company="B")["token"] == 1


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (("a", False), ("a", False), False),
        (("a", True), ("a", True), True),
        (("a", True), ("a", False), False),
        (("a", False), ("a", True), False),
        (("a", False), ("a/b", False), False),
        (("a/b", False), ("a", False), False),
        (("a/b", False), ("a", True), False),
        (("a/b", True), ("a", True), True),
        (("a/b", False), ("a/c", False), True),
        (("a", False), ("ab", False), True),
        (("*", False), ("x/y/z", False), False),
        (("x/y/z", False), ("*", False), False),
        (("*", True), ("x", True), True),
        (("a", False), ("A", False), True),
    ],
)
def test_two_locks_conflict_when_one_path_covers_the_other_and_not_both_are_shared(d, first, second, both):
    d.lock(0, "anna", first[0], shared=first[1])
    assert d.lock(1, "ben", second[0], shared=second[1])["granted"] is both


def test_the_same_resource_in_another_company_is_another_resource(d):
    d.login(0, "zoe", user="zoe", company="B")
    d.lock(0, "anna", "*")
    assert d.lock(1, "zoe", "*", company="B")["granted"]


def test_a_session_does_not_stand_in_its_own_way(d):
    d.lock(0, "anna", "a")
    assert d.lock(1, "anna", "a/b")["granted"]
    assert d.lock(1, "anna", "*")["granted"]


def test_a_refusal_names_its_holder_alive_or_not(d):
    d.lock(7, "anna", "order/1", activity="amends order 1")
    answer = d.lock(8, "ben", "order/1")
    assert answer == {
        "resource": "order/1",
        "granted": False,
        "waiting": False,
        "holder": {
            "user": "anna",
            "machine": "PC of anna",
            "client": "desktop",
            "status": "active",
            "since_ms": START + 7,
            "activity": "amends order 1",
        },
    }
    d.beat(200 * S, "ben")
    d.pass_to(301 * S)
    assert d.lock(302 * S, "ben", "order/1")["holder"]["status"] == "disconnected"


@pytest.mark.parametrize("path", ["/", "a//b", "a/*", "x\n", "a/" * 17 + "a"])
def test_what_is_no_path_is_refused_with_a_reason(d, path):
    answer = d.lock(0, "anna", path)
    assert (answer["granted"], answer["code"]) == (False, "resource")
    assert not d.held()


def test_asking_for_a_held_lock_returns_its_token(d):
    d.lock(0, "anna", "a")
    assert d.lock(1, "anna", "a")["token"] == 1
    assert d.lock(2, "anna", "a", shared=True)["token"] == 1
    assert len(d.happened("lock.granted")) == 1


def test_an_upgrade_ignores_ones_own_shared_lock_and_gets_a_new_token(d):
    d.lock(0, "anna", "a", shared=True)
    assert d.lock(1, "anna", "a") == {"resource": "a", "granted": True, "token": 2}
    assert [(lock.token, lock.shared) for lock in d.held()] == [(2, False)]
    assert d.happened("lock.released")[0].reason == "upgraded"


def test_an_upgrade_waits_for_the_other_readers_and_keeps_the_shared_lock_meanwhile(d):
    d.lock(0, "anna", "a", shared=True)
    d.lock(0, "ben", "a", shared=True)
    assert d.lock(1, "anna", "a", wait_s=60)["waiting"]
    assert held(d) == {("anna", "a"), ("ben", "a")}
    d.unlock(2, "ben", "a")
    assert [(lock.session.id, lock.shared) for lock in d.held()] == [("anna", False)]


def test_as_many_locks_as_the_limit_says_those_waited_for_included():
    d = crowd(replace(DEFAULTS, limits=Limits(locks_per_session=2)))
    d.lock(0, "ben", "b")
    d.lock(0, "anna", "a")
    assert d.lock(1, "anna", "b", wait_s=60)["waiting"]
    assert d.lock(2, "anna", "c")["code"] == "limit"
    assert d.lock(3, "anna", "b", wait_s=60)["waiting"], "asking again is not one more"
    assert d.lock(3, "anna", "a")["granted"]
    d.unlock(4, "ben", "b")
    assert held(d) == {("anna", "a"), ("anna", "b")}
    assert d.lock(5, "anna", "b", shared=True)["granted"]


def test_as_many_waiters_as_the_limit_says():
    d = crowd(replace(DEFAULTS, limits=Limits(waiters=1)))
    d.lock(0, "anna", "a")
    assert d.lock(1, "ben", "a", wait_s=60)["waiting"]
    assert d.lock(1, "cleo", "a", wait_s=60)["code"] == "limit"
    assert not d.lock(1, "cleo", "a")["waiting"]


# --- unlocking ---------------------------------------------------------------------------------------------


def test_unlock_is_exact(d):
    d.lock(0, "anna", "a")
    assert not d.unlock(1, "anna", "a/b")
    assert not d.unlock(1, "anna", "*")
    assert not d.unlock(1, "ben", "a")
    assert held(d) == {("anna", "a")}
    assert d.unlock(2, "anna", "a")
    assert not d.unlock(3, "anna", "a")
    assert len(d.happened("lock.released")) == 1


def test_with_an_older_token_it_releases_nothing_and_leaves_no_queue(d):
    d.lock(0, "anna", "a")
    d.unlock(1, "anna", "a")
    d.lock(2, "ben", "a")
    d.lock(3, "anna", "a", wait_s=60)
    assert not d.unlock(4, "anna", "a", token=1), "a late duplicate of the first unlock"
    assert waiting(d) == ["anna a"]
    d.unlock(5, "ben", "a")
    assert not d.unlock(6, "anna", "a", token=1)
    assert d.unlock(7, "anna", "a", token=3)


# --- waiting -----------------------------------------------------------------------------------------------


def test_first_come_first_served(d):
    d.lock(0, "anna", "a")
    for n, user in enumerate(("cleo", "ben", "dora")):
        answer = d.lock(n, user, "a", wait_s=60)
        assert (answer["granted"], answer["waiting"], answer["holder"]["user"]) == (False, True, "anna")
    for at, (leaves, next_one) in enumerate([("anna", "cleo"), ("cleo", "ben"), ("ben", "dora")]):
        d.unlock(10 + at, leaves, "a")
        assert held(d) == {(next_one, "a")}
    assert [event.at for event in d.happened("lock.granted")[1:]] == [10, 11, 12]


@pytest.mark.parametrize(("at", "granted"), [(4_999, True), (5_000, False), (5_001, False)])
def test_a_wait_runs_out_at_its_moment(d, at, granted):
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "a", wait_s=5)
    d.unlock(at, "anna", "a")
    assert (("ben", "a") in held(d)) is granted
    if not granted:
        answer = d.told("ben", "lock")[-1]
        assert (answer["granted"], answer["code"], answer["holder"]["user"]) == (False, "timeout", "anna")


@pytest.mark.parametrize("again", [(), ("ben",), ("ben", "cleo"), ("cleo", "ben")])
def test_nobody_gets_what_another_gives_up_in_the_moment_at_which_its_own_wait_runs_out(d, again):
    """Whoever's timer was set first: asking again sets it anew."""
    d.lock(0, "anna", "a/b")
    d.lock(0, "ben", "a", wait_s=60)
    d.lock(0, "cleo", "a/c", wait_s=60)
    for user in again:
        assert d.lock(0, user, "a" if user == "ben" else "a/c", wait_s=60)["waiting"]
    d.lock(0, "dora", "a/c/d", wait_s=61)
    d.pass_to(60 * S)
    for user in ("ben", "cleo"):
        answer = d.told(user, "lock")[-1]
        assert (answer["code"], answer["holder"]["user"]) == ("timeout", "anna")
    assert held(d) == {("anna", "a/b"), ("dora", "a/c/d")}
    assert blocked(d, "anna") == {("ben", False), ("cleo", False)}


@pytest.mark.parametrize("first", ["ask", "remove"])
def test_a_wait_that_runs_out_when_the_lock_delay_does_is_over(d, first):
    d.lock(0, "anna", "a")
    d.lock(0, "cleo", "a", wait_s=4_000)
    if first == "ask":
        d.lock(1, "ben", "a", wait_s=14.999)
    d.remove(2, "anna")
    if first == "remove":
        d.lock(10 * S, "ben", "a", wait_s=5)
    assert d.unlock(11 * S, "cleo", "a") is False, "cleo leaves the queue: ben is next"
    d.sweep(15 * S)
    assert d.told("ben", "lock")[-1]["code"] == "timeout"
    assert held(d) == set()
    assert d.roll.locks.refusals == 0, "what was in its way has gone in the same moment"


def test_locks_held_on_go_together_and_whoever_asked_first_is_served_first(d):
    d.lock(0, "anna", "a")
    d.lock(0, "anna", "b")
    d.lock(1, "ben", "b", wait_s=60)
    d.lock(2, "cleo", "a", wait_s=60)
    d.remove(3, "anna")
    d.sweep(15 * S)
    assert [(lock.session.id, lock.token) for lock in sorted(d.held(), key=lambda it: it.token)] == [
        ("ben", 3),
        ("cleo", 4),
    ]


@pytest.mark.parametrize("how", ["logout", "remove", "unlock", "replaced"])
def test_a_wait_that_runs_out_when_the_holder_goes_is_over(how):
    d = crowd(replace(DEFAULTS, lock_delay_ms=0))
    d.login(0, "old", user="fay", machine="PC", os_session=1)
    d.lock(0, "old", "a")
    d.lost(0, "old")
    d.lock(0, "ben", "a", wait_s=75)
    if how == "replaced":
        d.login(1, "new", user="fay", machine="PC", os_session=1)
        d.pass_to(75 * S)
        assert d.status("old") == "removed"
    else:
        d.beat(1, "old")
        match how:
            case "logout":
                d.logout(75 * S, "old")
            case "remove":
                d.remove(75 * S, "old")
            case "unlock":
                d.unlock(75 * S, "old", "a")
    assert d.told("ben", "lock")[-1]["code"] == "timeout"
    assert held(d) == set()


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_nobody_gets_what_another_gives_up_in_the_moment_at_which_it_falls_silent_itself(d, limit):
    d.lock(0, "anna", "a/x", shared=True)
    d.lock(1, "ben", "a", wait_s=4_000)
    d.lock(1, "cleo", "a", shared=True, wait_s=4_000)
    d.lock(1, "dora", "a/x", shared=True, wait_s=4_000)
    for user in ("anna", "dora"):
        d.beat(10 * S, user)
    d.prove(305 * S)
    d.sweep(305 * S, limit=limit)
    assert held(d) == {("anna", "a/x"), ("dora", "a/x")}
    assert d.happened("lock.granted", "dora")[0].at == 300 * S + 1
    assert blocked(d, "anna") == {("ben", False)}, "nothing was in cleo's way any more"
    assert d.roll.locks.refusals == 1
    answer = d.told("cleo", "lock")[-1]
    assert (answer["granted"], answer["waiting"]) == (False, False)


def test_a_wait_that_is_over_gets_nothing_though_its_timer_has_not_run_yet(d):
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "a", wait_s=5)
    (lock,) = d.held()
    d.roll.locks.release(lock, START + 5 * S, "freed", "olga")
    assert held(d) == set()


def test_however_many_waits_run_out_in_one_moment_all_are_over_before_what_comes_then(d):
    d.lock(0, "anna", "a")
    for session in many(d, 6_000):
        d.roll.locks.request(session, _ask("a", 60), START)
    d.lock(1, "ben", "a", wait_s=59.999)
    d.unlock(60 * S, "anna", "a")
    assert d.told("ben", "lock")[-1]["code"] == "timeout"
    assert held(d) == set()
    assert d.roll.locks.waiting == 0


def test_asking_again_keeps_the_place_and_starts_the_time_anew(d):
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "a", wait_s=5)
    d.lock(0, "cleo", "a", wait_s=60)
    assert d.lock(4 * S, "ben", "a", wait_s=5)["waiting"]
    d.unlock(8 * S, "anna", "a")
    assert held(d) == {("ben", "a")}
    assert waiting(d) == ["cleo a"]


def test_asking_again_without_a_time_keeps_place_and_time(d):
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "a", wait_s=5)
    assert d.lock(4 * S, "ben", "a")["waiting"]
    d.pass_to(5 * S)
    assert d.told("ben", "lock")[-1]["code"] == "timeout"


def test_a_shared_request_does_not_overtake_a_conflicting_waiter_and_the_refusal_names_the_holder(d):
    d.lock(0, "anna", "a", shared=True)
    d.lock(1, "ben", "a", wait_s=60)
    answer = d.lock(2, "cleo", "a", shared=True)
    assert (answer["granted"], answer["holder"]["user"]) == (False, "anna")
    assert d.lock(3, "dora", "a/b", shared=True, wait_s=60)["waiting"]
    d.unlock(4, "anna", "a")
    assert held(d) == {("ben", "a")}
    d.unlock(5, "ben", "a")
    assert held(d) == {("dora", "a/b")}


def test_somebody_behind_somebody_behind_the_holder_is_told_the_holder(d):
    d.lock(0, "anna", "a/x", shared=True)
    d.lock(1, "ben", "a/x", wait_s=60)
    d.lock(2, "cleo", "a", shared=True, wait_s=60)
    assert d.lock(3, "dora", "a/y", wait_s=60)["holder"]["user"] == "anna"


def test_readers_are_served_together(d):
    d.lock(0, "anna", "a")
    for user in ("ben", "cleo", "dora"):
        d.lock(1, user, "a", shared=True, wait_s=60)
    d.lock(2, "emil", "a", wait_s=60)
    d.unlock(3, "anna", "a")
    assert held(d) == {("ben", "a"), ("cleo", "a"), ("dora", "a")}
    assert waiting(d) == ["emil a"]


def test_one_who_holds_what_the_waiter_waits_for_may_still_go_deeper(d):
    d.lock(0, "anna", "a/1")
    d.lock(1, "ben", "a", wait_s=60)
    assert d.lock(2, "anna", "a/2")["granted"], "ben waits for anna anyway"
    assert not d.lock(3, "cleo", "a/3")["granted"]


def test_one_behind_a_blocked_waiter_is_served_if_that_waiter_waits_for_it(d):
    d.lock(0, "anna", "a/x")
    d.lock(0, "cleo", "a/z")
    d.lock(1, "anna", "a/z", wait_s=60)
    d.lock(2, "ben", "a", wait_s=60)
    d.lock(3, "dora", "a/z", wait_s=60)
    d.unlock(4, "cleo", "a/z")
    assert held(d) == {("anna", "a/x"), ("anna", "a/z")}
    d.unlock(5, "anna", "a/z")
    assert waiting(d) == ["ben a", "dora a/z"], "dora does not pass ben"


def test_one_who_asked_after_the_blocked_waiter_is_served_too_if_that_waiter_waits_for_it(d):
    d.lock(0, "anna", "a/x")
    d.lock(0, "cleo", "a/z")
    d.lock(1, "ben", "a", wait_s=60)
    assert d.lock(2, "anna", "a/z", wait_s=60)["waiting"]
    d.unlock(3, "cleo", "a/z")
    assert held(d) == {("anna", "a/x"), ("anna", "a/z")}


@pytest.mark.parametrize("leaves", ["unlock", "logout", "remove", "falls", "time"])
def test_a_waiter_that_leaves_lets_those_behind_it_through(d, leaves):
    d.lock(0, "anna", "a/x", shared=True)
    d.lock(1, "ben", "a", wait_s=250 if leaves == "time" else 4_000)
    d.lock(2, "cleo", "a", shared=True, wait_s=4_000)
    d.beat(10 * S, "anna")
    d.beat(10 * S, "cleo")
    match leaves:
        case "unlock":
            d.unlock(20 * S, "ben", "a")
        case "logout":
            d.logout(20 * S, "ben")
        case "remove":
            d.remove(20 * S, "ben")
        case "falls" | "time":
            d.pass_to(305 * S)
    assert held(d) == {("anna", "a/x"), ("cleo", "a")}
    assert waiting(d) == []
    at = d.happened("lock.granted", "cleo")[0].at
    assert at == {"falls": 300 * S + 1, "time": 250 * S + 1}.get(leaves, 20 * S)


def test_a_waiter_that_disconnects_is_told_that_it_waits_no_longer(d):
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "a", wait_s=4_000)
    d.beat(200 * S, "anna")
    d.beat(400 * S, "ben")
    answer = d.told("ben", "lock")[-1]
    assert (answer["granted"], answer["waiting"], answer["holder"]["user"]) == (False, False, "anna")
    d.unlock(401 * S, "anna", "a")
    assert held(d) == set()


def test_turning_into_a_reader_keeps_the_place_and_lets_other_readers_through(d):
    d.lock(0, "anna", "a/x", shared=True)
    d.lock(0, "emil", "a/y")
    d.lock(1, "ben", "a", wait_s=60)
    d.lock(2, "cleo", "a/z", shared=True, wait_s=60)
    assert d.lock(3, "ben", "a", shared=True, wait_s=60)["waiting"], "emil writes below it"
    assert ("cleo", "a/z") in held(d)


def test_turning_into_a_writer_keeps_the_place_before_those_who_came_later(d):
    d.lock(0, "anna", "a")
    d.lock(1, "ben", "a", shared=True, wait_s=60)
    d.lock(2, "cleo", "a", wait_s=60)
    d.lock(3, "dora", "a", shared=True, wait_s=60)
    assert d.lock(4, "ben", "a", wait_s=60)["waiting"]
    d.unlock(5, "anna", "a")
    assert held(d) == {("ben", "a")}
    assert waiting(d) == ["cleo a", "dora a"]


def test_turning_into_a_writer_must_not_close_a_cycle_and_then_stays_a_reader(d):
    d.lock(0, "anna", "a/1", shared=True)
    d.lock(0, "ben", "b")
    d.lock(0, "cleo", "a/c")
    d.lock(1, "anna", "b", wait_s=60)
    assert d.lock(2, "ben", "a", shared=True, wait_s=60)["waiting"], "it waits for cleo alone"
    assert d.lock(3, "ben", "a", wait_s=60)["code"] == "deadlock", "anna waits for ben"
    d.unlock(4, "cleo", "a/c")
    assert ("ben", "a") in held(d)


# --- deadlocks ---------------------------------------------------------------------------------------------


def test_a_wait_that_would_close_a_cycle_is_refused_and_the_others_go_on_waiting(d):
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "b")
    d.lock(1, "anna", "b", wait_s=60)
    answer = d.lock(2, "ben", "a", wait_s=60)
    assert (answer["granted"], answer["code"], answer["holder"]["user"]) == (False, "deadlock", "anna")
    assert waiting(d) == ["anna b"]
    assert d.lock(3, "ben", "a")["waiting"] is False, "who does not wait closes no cycle"


def test_a_cycle_of_many_is_seen(d):
    people = ["anna", "ben", "cleo", "dora", "emil"]
    for user in people:
        d.lock(0, user, f"of {user}")
    for user, next_one in pairwise(people):
        assert d.lock(1, user, f"of {next_one}", wait_s=60)["waiting"]
    assert d.lock(2, "emil", "of anna", wait_s=60)["code"] == "deadlock"
    assert d.lock(3, "emil", "of anna/deeper", wait_s=60)["code"] == "deadlock"


def test_two_readers_who_both_want_to_write_are_a_deadlock(d):
    d.lock(0, "anna", "a", shared=True)
    d.lock(0, "ben", "a", shared=True)
    assert d.lock(1, "anna", "a", wait_s=60)["waiting"]
    assert d.lock(2, "ben", "a", wait_s=60)["code"] == "deadlock"


def test_a_cycle_through_a_place_in_the_queue_is_seen(d):
    d.lock(0, "emil", "a")
    d.lock(0, "ben", "b")
    d.lock(1, "anna", "a", wait_s=60)
    d.lock(2, "anna", "b", wait_s=60)
    assert d.lock(3, "ben", "a", wait_s=60)["code"] == "deadlock", "anna comes before it and waits for it"


def test_a_cycle_through_the_seventeenth_reader_is_seen():
    d = crowd()
    for n in range(20):
        d.login(0, f"r{n}", user=f"reader {n}")
        d.lock(0, f"r{n}", "a", shared=True)
    d.lock(1, "anna", "x")
    d.lock(2, "r18", "x", wait_s=60)
    assert d.lock(3, "anna", "a", wait_s=60)["code"] == "deadlock"


def test_no_cycle_no_deadlock(d):
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "b")
    d.lock(0, "cleo", "c")
    assert d.lock(1, "ben", "a", wait_s=60)["waiting"]
    assert d.lock(1, "cleo", "a", wait_s=60)["waiting"]
    assert d.lock(1, "cleo", "b", wait_s=60)["waiting"]


# --- whom it blocks ----------------------------------------------------------------------------------------


def blocked(d: Driver, ident: str) -> set[tuple[str, bool]]:
    locks = (d.session(ident).locks or {}).values()
    found = {(want.session.id, want.waiting) for lock in locks for want in blocked_by(lock)}
    assert blocks_somebody(d.session(ident)) == bool(found)
    return found


def test_for_every_session_one_can_see_whom_it_blocks_waiting_or_refused(d):
    d.lock(0, "anna", "a")
    d.lock(1, "ben", "a/b", wait_s=60)
    d.lock(2, "cleo", "*")
    d.lock(3, "dora", "ab")
    assert blocked(d, "anna") == {("ben", True), ("cleo", False)}
    assert d.roll.locks.refused_total == 1


@pytest.mark.parametrize(("at", "kept"), [(899_999, True), (900_000, False)])
def test_a_refusal_is_remembered_for_900_seconds(at, kept):
    d = crowd(replace(DEFAULTS, types={"default": ClientType("default", 10**8, 10**7, 2 * 10**7)}))
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "a")
    d.sweep(at)
    assert blocked(d, "anna") == ({("ben", False)} if kept else set())
    assert d.roll.locks.refusals == kept


def test_it_is_forgotten_when_it_is_granted_when_either_ends_and_when_nothing_is_in_the_way_any_more(d):
    d.lock(0, "anna", "a")
    for user in ("ben", "cleo", "dora"):
        d.lock(1, user, "a")
    d.unlock(2, "ben", "a")
    assert len(blocked(d, "anna")) == 3, "giving up is not being granted"
    d.logout(3, "dora")
    assert len(blocked(d, "anna")) == 2
    d.unlock(4, "anna", "a")
    assert d.roll.locks.refusals == 0
    d.lock(5, "anna", "a")
    d.lock(6, "ben", "a")
    d.remove(7, "anna")
    assert d.roll.locks.refusals == 0
    assert not blocked(d, "ben")


def test_an_upgrade_goes_on_blocking_whom_the_shared_lock_blocked(d):
    d.lock(0, "anna", "a", shared=True)
    d.lock(1, "ben", "a")
    d.lock(2, "anna", "a")
    assert blocked(d, "anna") == {("ben", False)}


def test_a_waiter_that_gave_up_or_fell_is_still_known_to_be_blocked(d):
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "a", wait_s=5)
    d.lock(0, "cleo", "a", wait_s=5_000)
    d.beat(200 * S, "anna")
    d.pass_to(301 * S)
    assert blocked(d, "anna") == {("ben", False), ("cleo", False)}


def test_refusals_are_remembered_in_bounded_number():
    d = crowd(replace(DEFAULTS, limits=Limits(refusals=2, locks_per_session=2)))
    d.lock(0, "anna", "*")
    for user in ("ben", "cleo", "dora"):
        assert not d.lock(1, user, "a")["granted"]
    assert d.roll.locks.refusals == 2
    assert blocked(d, "anna") == {("ben", False), ("cleo", False)}
    for user in ("cleo", "ben"):
        d.logout(2, user)
    for n in range(5):
        d.lock(3, "emil", f"e{n}")
    assert d.roll.locks.refusals == 2


# --- the end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["logout", "remove"])
def test_when_a_session_ends_its_locks_are_released_exactly_once_and_the_next_gets_them(d, how):
    for path in ("a", "b", "c/d"):
        d.lock(0, "anna", path)
    d.lock(1, "ben", "a", wait_s=4_000)
    d.beat(20 * S, "ben")
    if how == "logout":
        d.logout(20 * S, "anna")
    else:
        assert [lock.resource for lock in d.remove(20 * S, "anna")] == ["a", "b", "c/d"]
    released = d.happened("lock.released")
    assert sorted(event.data["resource"] for event in released) == ["a", "b", "c/d"]
    assert held(d) == {("ben", "a")}
    d.pass_to(1_000 * S)
    assert len(d.happened("lock.released")) == 3


def test_an_operators_removal_says_what_went_what_stays_and_until_when(d):
    d.lock(0, "anna", "a")
    d.lock(0, "anna", "menu", sticky=True)
    assert d.remove(10 * S, "anna") == []
    (event,) = d.happened("session.removed")
    assert event.data["released"] == []
    assert event.data["held"] == [{"resource": "a", "release_at_ms": START + 15 * S}]
    assert event.data["sticky"] == ["menu"]


@pytest.mark.parametrize(
    ("removed_at", "free_at"), [(0, 15 * S), (14_999, 15 * S), (15_000, 15_000), (20 * S, 20 * S)]
)
def test_one_forced_out_while_recently_alive_holds_its_locks_on_until_the_delay_after_its_last_sign(
    d, removed_at, free_at
):
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "a", wait_s=60)
    d.remove(removed_at, "anna")
    d.sweep(free_at - 1)
    d.sweep(free_at)
    assert d.happened("lock.released")[0].at == free_at
    assert d.happened("lock.granted", "ben")[0].at == free_at
    assert d.happened("session.removed")[0].data["released"] == (["a"] if removed_at == free_at else [])


def test_a_held_on_lock_still_refuses_and_names_its_removed_holder(d):
    d.lock(0, "anna", "a")
    d.remove(1, "anna")
    assert d.lock(2, "ben", "a")["holder"]["status"] == "removed"
    (lock,) = d.held()
    assert (lock.release_ms, lock.left_behind) == (START + 15 * S, False)


def test_not_even_the_same_user_gets_a_held_on_lock_sooner(d):
    d.login(0, "anna2", user="anna")
    d.lock(0, "anna", "a")
    d.lock(0, "anna", "b", wait_s=60)
    d.lock(0, "anna2", "a", wait_s=60)
    d.remove(1, "anna")
    assert held(d) == {("anna", "a"), ("anna", "b")}
    d.sweep(15 * S)
    assert held(d) == {("anna2", "a")}


def test_a_sticky_lock_is_left_behind_and_refuses_others(d):
    d.lock(0, "anna", "menu", sticky=True)
    d.logout(1, "anna")
    (lock,) = d.held()
    assert lock.left_behind
    assert d.happened("lock.left_behind")[0].data["resource"] == "menu"
    assert not d.happened("lock.released")
    assert d.lock(2, "ben", "menu")["holder"]["user"] == "anna"
    d.sweep(10**8)
    assert len(d.held()) == 1


def test_the_same_user_takes_it_up_again_and_an_unlock_then_frees_it(d):
    d.lock(0, "anna", "menu", sticky=True)
    d.logout(1, "anna")
    d.login(2, "anna2", user="anna")
    assert not d.lock(3, "anna2", "*")["granted"], "only that resource"
    assert d.lock(4, "anna2", "menu")["granted"]
    assert [event.reason for event in d.happened("lock.released")] == ["taken up again"]
    assert d.unlock(5, "anna2", "menu")
    assert d.lock(6, "ben", "menu")["granted"]


def test_who_takes_it_up_again_and_crashes_leaves_it_behind_again(d):
    d.lock(0, "anna", "menu", sticky=True)
    d.logout(1, "anna")
    d.login(2, "anna2", user="anna")
    d.lock(3, "anna2", "menu")
    d.logout(4, "anna2")
    assert d.lock(5, "ben", "menu")["holder"]["user"] == "anna"
    d.login(6, "anna3", user="anna")
    d.lock(7, "anna3", "menu")
    assert d.unlock(8, "anna3", "menu")
    assert d.lock(9, "ben", "menu")["granted"]


def test_an_upgraded_sticky_lock_is_still_sticky(d):
    d.lock(0, "anna", "menu", shared=True, sticky=True)
    assert d.lock(1, "anna", "menu")["granted"]
    d.logout(2, "anna")
    assert not d.lock(3, "ben", "menu")["granted"]


def test_another_session_of_the_same_user_that_waits_gets_it_when_it_is_left_behind(d):
    d.login(0, "anna2", user="anna")
    d.lock(0, "anna", "menu", sticky=True)
    d.lock(0, "anna2", "menu", wait_s=60)
    d.logout(1, "anna")
    assert held(d) == {("anna2", "menu")}


def test_a_shared_lock_in_place_of_one_left_behind_lets_readers_through(d):
    d.lock(0, "anna", "menu", sticky=True)
    d.logout(1, "anna")
    d.lock(2, "ben", "menu", shared=True, wait_s=60)
    d.login(3, "anna2", user="anna")
    assert d.lock(4, "anna2", "menu", shared=True)["granted"]
    assert held(d) == {("ben", "menu"), ("anna2", "menu")}
    assert waiting(d) == []


def test_what_was_in_the_way_of_its_own_user_elsewhere_is_free_once_it_is_taken_up_again(d):
    d.lock(0, "anna", "a/c", shared=True)
    d.login(0, "cleo2", user="cleo")
    d.lock(0, "cleo", "*", shared=True, sticky=True)
    d.logout(1, "cleo")
    d.lock(2, "cleo2", "a/b", wait_s=60)
    d.lock(3, "cleo2", "*", wait_s=60)
    d.unlock(4, "anna", "a/c")
    assert held(d) == {("cleo2", "*"), ("cleo2", "a/b")}


def test_an_administrator_frees_it_and_the_next_in_the_queue_gets_it(d):
    d.lock(0, "anna", "menu", sticky=True)
    d.logout(1, "anna")
    d.lock(2, "ben", "menu", wait_s=60)
    (lock,) = d.held()
    d.roll.locks.release(lock, START + 3, "freed", "olga")
    d.roll.locks.release(lock, START + 4, "freed", "olga")
    d.sweep(4)
    assert held(d) == {("ben", "menu")}
    (event,) = d.happened("lock.released")
    assert (event.reason, event.actor) == ("freed", "olga")


def test_an_idle_session_that_is_disconnected_leaves_the_queue_too():
    d = crowd(
        replace(DEFAULTS, types={"default": ClientType("default", idle_limit_s=60, idle_disconnects=True)})
    )
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "a", wait_s=600)
    d.hear(1, "ben", Heartbeat(idle_s=60))
    assert waiting(d) == []


# --- counting ----------------------------------------------------------------------------------------------


def test_timers_of_waits_long_gone_do_not_pile_up(d):
    d.lock(0, "anna", "a")
    for n in range(5_000):
        d.roll.locks.request(d.session("ben"), _ask("a", 86_400), START + n)
        d.roll.locks.unlock(d.session("ben"), "a", None, START + n)
    assert len(d.roll.locks._timers) < 2_000


def test_when_timers_are_sorted_out_those_that_count_still_run_in_their_order(d, monkeypatch):
    monkeypatch.setattr(locks, "STALE_TIMERS", 5)
    draw = random.Random(1)
    for n in range(40):
        d.lock(0, "anna", f"a/{n}")
    due = {f"a/{n}": draw.randrange(2_000, 100_000) for n in range(40)}
    for resource in draw.sample(sorted(due), len(due)):
        for wait_s in (due[resource] / 1_000 + 50, due[resource] / 1_000 - 1, due[resource] / 1_000):
            d.lock(0, "ben", resource, wait_s=wait_s)
    d.lock(0, "cleo", "a/0")
    d.login(0, "fred", user="fred")
    d.lock(0, "fred", "held-on")
    d.remove(1, "fred")
    for _ in range(200):  # what is given up leaves its timers lying about
        d.lock(1, "dora", "a/0", wait_s=draw.randrange(1, 90))
        d.unlock(1, "dora", "a/0")
    assert len(d.roll.locks._timers) < 3 * 45
    d.sweep(100 * S)
    timeouts = [(answer["resource"]) for answer in d.told("ben", "lock") if answer.get("code") == "timeout"]
    assert timeouts == sorted(due, key=lambda it: due[it])
    assert [event.at for event in d.happened("lock.released")] == [15 * S]
    d.sweep(899 * S)
    assert d.roll.locks.refusals == 41, "cleo was refused at once"
    d.sweep(900 * S)
    assert d.roll.locks.refusals == 40
    d.sweep(1_000 * S)
    assert d.roll.locks.refusals == 0


@pytest.mark.parametrize(("held", "waiting", "refused"), [(1, 0, 100), (1, 100, 0), (150, 60, 60)])
def test_timers_are_not_sorted_out_while_they_all_count(d, monkeypatch, held, waiting, refused):
    monkeypatch.setattr(locks, "STALE_TIMERS", 5)
    sorted_out = []
    monkeypatch.setattr(locks, "heapify", sorted_out.append)
    for n in range(held):
        d.lock(0, "anna", f"held/{n}" if n else "a")
    for n in range(waiting):
        d.lock(0, "ben", f"a/{n}", wait_s=60)
    for n in range(refused):
        d.lock(0, "cleo", f"a/{n}")
    assert len(d.roll.locks._timers) == waiting + refused
    assert not sorted_out


def _ask(resource, wait_s=None, mode=None):
    return LockRequest(resource, mode=mode, wait_s=wait_s)


class Counted:
    """Counts how often the rules look whether something is free."""

    def __init__(self, monkeypatch) -> None:
        self.looks = 0
        real = book.conflicts

        def conflicts(*args):
            self.looks += 1
            for lock in real(*args):
                self.looks += 1
                yield lock

        monkeypatch.setattr(book, "conflicts", conflicts)
        monkeypatch.setattr(locks, "conflicts", conflicts)


MANY = 10_000


def many(d: Driver, count: int = MANY) -> list:
    for n in range(count):
        d.login(0, f"m{n}", user=f"user {n}")
    return [d.session(f"m{n}") for n in range(count)]


def test_ten_thousand_waiters_for_one_thing_are_served_one_by_one_without_looking_at_all_each_time(
    d, monkeypatch
):
    sessions, locks = many(d), d.roll.locks
    counted = Counted(monkeypatch)
    for session in sessions:
        locks.request(session, _ask("vat-return", 3_600), START)
    assert locks.waiting == MANY - 1
    for session in sessions:
        locks.unlock(session, "vat-return", None, START + 1)
    assert (locks.waiting, locks.count) == (0, 0)
    granted = [event.session for event in d.roll.out.events if event.type == "lock.granted"]
    assert granted == [session.id for session in sessions]
    assert counted.looks < 20 * MANY


def test_ten_thousand_waiting_readers_fall_all_at_once(d, monkeypatch):
    d.lock(0, "anna", "a/b")
    sessions = many(d)
    counted = Counted(monkeypatch)
    for n, session in enumerate(sessions):
        d.roll.locks.request(session, _ask("a", 3_600, "shared" if n % 10 else None), START)
    for n in range(0, 300, 100):
        d.beat(n * S, "anna")
    d.pass_to(300 * S)
    assert d.roll.locks.waiting == 0
    assert d.roll.locks.refusals == MANY
    assert counted.looks < 200 * MANY


def test_ten_thousand_readers_before_a_writer_and_readers_behind_it(d, monkeypatch):
    sessions = many(d)
    counted = Counted(monkeypatch)
    readers, behind = sessions[: MANY // 2], sessions[MANY // 2 :]
    for session in readers:
        d.roll.locks.request(session, _ask("a", mode="shared"), START)
    d.roll.locks.request(d.session("anna"), _ask("a", 3_600), START)
    for session in behind:
        d.roll.locks.request(session, _ask("a", 3_600, "shared"), START)
    for session in readers:
        d.roll.locks.unlock(session, "a", None, START + 1)
    assert {lock.session.id for lock in d.held()} == {"anna"}
    d.roll.locks.unlock(d.session("anna"), "a", None, START + 2)
    assert d.roll.locks.count == len(behind)
    assert counted.looks < 200 * MANY


def test_thousands_who_wait_below_a_thing_that_some_read_are_not_told_of_each_time(d, monkeypatch):
    sessions = many(d, 3_000)
    readers, below = sessions[:20], sessions[20:]
    for session in readers:
        d.roll.locks.request(session, _ask("a", mode="shared"), START)
    for n, session in enumerate(below):
        d.roll.locks.request(session, _ask(f"a/{n}", 3_600), START)
    counted = Counted(monkeypatch)
    for session in readers:
        d.roll.locks.unlock(session, "a", None, START + 1)
    assert d.roll.locks.waiting == 0
    assert counted.looks < 3 * len(readers) * len(below)


def test_ten_thousand_who_hold_one_thing_each_and_wait_for_another_are_no_cycle(d, monkeypatch):
    sessions = many(d, 3_000)
    counted = Counted(monkeypatch)
    for n, session in enumerate(sessions):
        d.roll.locks.request(session, _ask(f"mine/{n}"), START)
    for session in sessions:
        d.roll.locks.request(session, _ask("vat-return", 3_600), START)
    assert d.roll.locks.waiting == len(sessions) - 1
    assert counted.looks < 40 * len(sessions)


def test_a_session_with_a_thousand_locks_ends_in_one_go(d):
    for n in range(1_000):
        d.roll.locks.request(d.session("anna"), _ask(f"order/{n}"), START)
    for n in range(1_000):
        d.roll.locks.request(d.session("ben"), _ask(f"order/{n}", 60), START)
    d.logout(1, "anna")
    assert {lock.session.id for lock in d.held()} == {"ben"}
    assert len(d.held()) == 1_000


def restarted(d: Driver) -> Driver:
    """Another daemon that was told what this one knew: anna's lock, held on, and who waits for it."""
    again = crowd()
    (lock,) = d.held()
    taken = Lock(again.company(), again.session("anna"), lock.resource, lock.token, lock.since_ms)
    again.company().token = d.company().token
    again.remove(1, "anna")
    taken.release_ms = lock.release_ms
    again.roll.locks.restore_lock(taken)
    wants = sorted(
        (want for session in d.roll.sessions.values() for want in (session.wants or {}).values()),
        key=lambda w: w.order,
    )
    for want in wants:
        want.company, want.session = again.company(), again.session(want.session.id)
        want.refused_by = (taken,) if want.refused_by else ()
        again.roll.locks.restore_want(want)
    return again


def test_after_a_restart_the_queue_is_as_it_was(d):
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "a", wait_s=60)
    d.lock(0, "cleo", "a", wait_s=50)
    d.lock(0, "dora", "a")
    d.remove(1, "anna")
    again = restarted(d)
    assert again.roll.locks.waiting == 2
    again.sweep(15 * S)
    assert [(lock.session.id, lock.token) for lock in again.held()] == [("ben", 2)]
    again.sweep(50 * S)
    assert again.told("cleo", "lock")[-1]["code"] == "timeout"


def test_after_a_restart_nobody_gets_what_goes_in_the_moment_at_which_its_own_wait_runs_out(d):
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "a", wait_s=15)
    d.lock(0, "cleo", "a/b", wait_s=15)
    d.lock(0, "dora", "a/c", wait_s=16)
    d.remove(1, "anna")
    again = restarted(d)
    again.sweep(100 * S)
    for user in ("ben", "cleo"):
        assert again.told(user, "lock")[-1]["code"] == "timeout"
    assert held(again) == {("dora", "a/c")}
    assert again.happened("lock.granted")[0].at == 15 * S
