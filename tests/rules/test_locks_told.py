"""What is told and stored of locks: events with their actors and reasons, answers, counts, changed rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rules.driver import DEFAULTS, START, Driver, crowd
from whosin.model import ClientType, Limits, Lock, Want
from whosin.rules.locks import book_of

S = 1_000
WAIT = 600


@pytest.fixture
def d() -> Driver:
    return crowd()


def changed(d: Driver, act) -> tuple[set[tuple[str, str]], dict[tuple[str, str], bool]]:
    """The locks and wants whose rows `act` changes; of a want, whether it is still one."""
    out = d.roll.out
    out.locks.clear()
    out.wants.clear()
    act()
    locks = {(lock.session.id, lock.resource) for lock in out.locks}
    return locks, {(want.session.id, want.resource): kept for want, kept in out.wants.items()}


# --- events ------------------------------------------------------------------------------------------------


def test_a_grant_tells_all_about_the_lock(d):
    d.lock(5, "anna", "order/1", activity="amends it", guidance="prove", sticky=True)
    (event,) = d.happened("lock.granted")
    assert event == (
        "lock.granted", 5, "anna",
        {
            "client": "desktop", "machine": "PC of anna", "resource": "order/1", "mode": "exclusive",
            "token": 1, "sticky": True, "activity": "amends it", "guidance": "prove",
        },
        None, None,
    )  # fmt: skip
    d.lock(6, "ben", "vat", shared=True)
    assert {**d.happened("lock.granted")[1].data, "client": None, "machine": None} == {
        "client": None, "machine": None, "resource": "vat", "mode": "shared", "token": 2, "sticky": False,
        "activity": None, "guidance": None,
    }  # fmt: skip


def test_a_release_tells_why_and_by_whom(d):
    d.lock(0, "anna", "a", shared=True, activity="reads")
    d.lock(1, "anna", "a", activity="writes")
    d.unlock(2, "anna", "a")
    d.lock(3, "ben", "b")
    d.logout(4, "ben")
    d.lock(5, "cleo", "c")
    d.remove(20 * S, "cleo", actor="olga")
    d.lock(20 * S, "dora", "d", sticky=True)
    d.remove(20 * S, "dora", cause="cleanup", actor="service")
    told = [
        (event.data["resource"], event.reason, event.actor, event.at) for event in d.happened("lock.released")
    ]
    assert told == [
        ("a", "upgraded", "anna", 1),
        ("a", "unlocked", "anna", 2),
        ("b", "logged_off", "ben", 4),
        ("c", "operator", "olga", 20 * S),
    ]
    first, second, *_ = (event.data for event in d.happened("lock.released"))
    assert (first["mode"], first["activity"], first["token"]) == ("shared", "reads", 1)
    assert (second["mode"], second["activity"], second["token"]) == ("exclusive", "writes", 2)
    (left,) = d.happened("lock.left_behind")
    assert (left.at, left.session, left.reason, left.actor) == (20 * S, "dora", "cleanup", "service")
    assert (left.data["resource"], left.data["sticky"], left.data["token"]) == ("d", True, 5)
    d.login(21 * S, "dora-2", user="dora")
    d.lock(22 * S, "dora-2", "d")
    again = d.happened("lock.released")[-1]
    assert (again.session, again.reason, again.actor) == ("dora", "taken up again", "dora")


def test_a_lock_held_on_goes_by_itself_when_its_delay_is_over(d):
    d.lock(0, "anna", "a")
    d.remove(S, "anna")
    d.sweep(15 * S)
    (event,) = d.happened("lock.released")
    assert (event.at, event.reason, event.actor) == (15 * S, "lock delay over", None)


# --- what a request brings along ---------------------------------------------------------------------------


def the_lock(d: Driver, ident: str):
    (lock,) = [lock for lock in d.held() if lock.session.id == ident]
    return lock


def test_of_one_session_they_go_in_the_order_in_which_they_were_taken(d):
    for resource in ("c", "a", "b"):
        d.lock(0, "anna", resource)
    d.remove(1, "anna")
    d.pass_to(20 * S)
    assert [event.data["resource"] for event in d.happened("lock.released")] == ["c", "a", "b"]


def test_a_session_that_waits_for_nothing_leaves_no_queue(d):
    d.lock(0, "anna", "a")
    assert changed(d, lambda: d.roll.locks.leave_queue(d.session("anna"), START)) == (set(), {})
    assert d.told("anna", "lock")[-1]["granted"]


def test_what_a_waiter_asked_for_is_what_it_gets(d):
    d.lock(0, "anna", "a")
    d.lock(1, "ben", "a", wait_s=WAIT, activity="posts", guidance="prove", sticky=True)
    d.unlock(2, "anna", "a")
    lock = the_lock(d, "ben")
    assert (lock.activity, lock.guidance, lock.sticky, lock.shared) == ("posts", "prove", True, False)


@pytest.mark.parametrize(
    ("again", "expected"),
    [
        ({}, ("posts", "prove", True)),
        ({"activity": "prints"}, ("prints", "prove", True)),
        ({"guidance": "count"}, ("posts", "count", True)),
        ({"sticky": False}, ("posts", "prove", False)),
        ({"sticky": True}, ("posts", "prove", True)),
    ],
)
def test_asking_again_while_waiting_changes_what_is_said_anew(d, again, expected):
    d.lock(0, "anna", "a")
    d.lock(1, "ben", "a", wait_s=WAIT, activity="posts", guidance="prove", sticky=True)
    locks, wants = changed(d, lambda: d.lock(2, "ben", "a", **again))
    assert (locks, wants) == (set(), {("ben", "a"): True})
    d.unlock(3, "anna", "a")
    lock = the_lock(d, "ben")
    assert (lock.activity, lock.guidance, lock.sticky) == expected


def test_asking_again_for_what_one_holds_tells_what_one_does_now(d):
    d.lock(0, "anna", "a", activity="reads")
    locks, wants = changed(d, lambda: d.lock(1, "anna", "a", activity="writes"))
    assert (locks, wants) == ({("anna", "a")}, {})
    assert the_lock(d, "anna").activity == "writes"
    d.lock(2, "anna", "a")
    assert the_lock(d, "anna").activity == "writes"


def test_a_lock_taken_up_again_or_upgraded_stays_sticky(d):
    d.lock(0, "anna", "a", sticky=True, shared=True)
    d.lock(1, "anna", "a")
    assert the_lock(d, "anna").sticky
    d.logout(2, "anna")
    d.login(3, "anna-2", user="anna")
    d.lock(4, "anna-2", "a")
    assert the_lock(d, "anna-2").sticky
    d.lock(5, "ben", "b", shared=True)
    d.lock(6, "ben", "b")
    assert not the_lock(d, "ben").sticky


# --- answers -----------------------------------------------------------------------------------------------


def test_each_refusal_has_its_code_and_says_why(d):
    d = crowd(replace(DEFAULTS, limits=Limits(locks_per_session=2, waiters=1)))
    d.lock(0, "anna", "a")
    d.lock(0, "anna", "b")
    assert d.lock(1, "anna", "c").keys() == {"resource", "granted", "code", "message"}
    assert (d.lock(1, "anna", "c")["code"], d.lock(1, "anna", "c")["resource"]) == ("limit", "c")
    assert d.lock(2, "ben", "a", wait_s=WAIT) == {
        "resource": "a", "granted": False, "waiting": True, "holder": d.told("ben", "lock")[-1]["holder"],
    }  # fmt: skip
    full = d.lock(3, "cleo", "a", wait_s=WAIT)
    assert (full["resource"], full["granted"], full["code"], bool(full["message"])) == (
        "a",
        False,
        "limit",
        True,
    )
    strange = d.lock(4, "cleo", "a//b")
    assert (strange["resource"], strange["granted"], strange["code"]) == ("a//b", False, "resource")
    assert strange["message"]


def test_a_deadlock_and_a_wait_run_out_say_so_and_name_the_holder(d):
    d.lock(0, "anna", "a")
    d.lock(0, "ben", "b")
    d.lock(1, "anna", "b", wait_s=5)
    answer = d.lock(2, "ben", "a", wait_s=5)
    assert (answer["code"], answer["resource"], answer["granted"]) == ("deadlock", "a", False)
    assert answer["message"]
    assert answer["holder"]["user"] == "anna"
    d.sweep(5 * S + 1)
    over = d.told("anna", "lock")[-1]
    assert (over["code"], over["resource"], over["granted"], over["holder"]["user"]) == (
        "timeout", "b", False, "ben",
    )  # fmt: skip
    assert over["message"]


# --- counts ------------------------------------------------------------------------------------------------


def counts(d: Driver) -> tuple[int, int, int, int]:
    locks = d.roll.locks
    return locks.count, locks.waiting, locks.refusals, locks.refused_total


def test_locks_waiters_and_refusals_are_counted(d):
    d.lock(0, "anna", "a")
    assert counts(d) == (1, 0, 0, 0)
    d.lock(1, "ben", "a", wait_s=5)
    assert counts(d) == (1, 1, 0, 0), "who waits is not refused yet"
    d.lock(2, "cleo", "a")
    assert counts(d) == (1, 1, 1, 1)
    d.lock(3, "cleo", "a")
    assert counts(d) == (1, 1, 1, 2), "refused twice, remembered once"
    d.sweep(5 * S + 1)
    assert counts(d) == (1, 0, 2, 3), "a wait that ran out is a refusal"
    d.lock(6 * S, "dora", "//")
    assert counts(d) == (1, 0, 2, 4)
    d.unlock(7 * S, "anna", "a")
    assert counts(d) == (0, 0, 0, 4)


def test_a_mode_that_would_close_a_circle_is_counted_as_a_refusal(d):
    d.lock(0, "anna", "a/1", shared=True)
    d.lock(0, "ben", "b")
    d.lock(0, "cleo", "a/c")
    d.lock(1, "anna", "b", wait_s=WAIT)
    d.lock(1, "dora", "b")
    d.lock(2, "ben", "a", shared=True, wait_s=WAIT)
    assert counts(d) == (3, 2, 1, 1)
    assert d.lock(3, "ben", "a", wait_s=WAIT)["code"] == "deadlock"
    assert counts(d) == (3, 2, 1, 2), "ben goes on waiting for what he asked for before"


# --- what is stored ----------------------------------------------------------------------------------------


def test_every_change_of_a_lock_or_want_is_stored(d):
    assert changed(d, lambda: d.lock(0, "anna", "a")) == ({("anna", "a")}, {})
    assert changed(d, lambda: d.lock(1, "ben", "a")) == (set(), {("ben", "a"): True})
    assert changed(d, lambda: d.lock(2, "cleo", "a", wait_s=5)) == (set(), {("cleo", "a"): True})
    assert changed(d, lambda: d.lock(3, "cleo", "a", wait_s=9)) == (set(), {("cleo", "a"): True})
    assert changed(d, lambda: d.sweep(9 * S + 3)) == (set(), {("cleo", "a"): True})
    assert changed(d, lambda: d.lock(10 * S, "cleo", "a", wait_s=9)) == (set(), {("cleo", "a"): True})
    assert changed(d, lambda: d.unlock(11 * S, "cleo", "a")) == (set(), {("cleo", "a"): False})
    assert changed(d, lambda: d.unlock(12 * S, "anna", "a")) == ({("anna", "a")}, {("ben", "a"): False})
    d.lock(13 * S, "anna", "a", sticky=True)
    assert changed(d, lambda: d.logout(14 * S, "anna")) == ({("anna", "a")}, {})
    d.lock(15 * S, "ben", "b")
    assert changed(d, lambda: d.remove(16 * S, "ben")) == ({("ben", "b")}, {})


def test_a_grant_stores_the_companys_last_token(d):
    d.roll.out.companies.clear()
    d.lock(0, "anna", "a")
    assert list(d.roll.out.companies) == [d.company()]
    assert d.company().token == 1


def test_a_refusal_that_loses_one_of_its_locks_is_stored_with_the_others(d):
    d.lock(0, "anna", "a/1")
    d.lock(0, "ben", "a/2")
    d.lock(1, "cleo", "a")
    (want,) = d.session("cleo").wants.values()
    assert [lock.session.id for lock in want.refused_by] == ["anna", "ben"]
    assert changed(d, lambda: d.unlock(2, "anna", "a/1")) == ({("anna", "a/1")}, {("cleo", "a"): True})
    assert [lock.session.id for lock in want.refused_by] == ["ben"]


def test_a_refusal_follows_a_lock_that_is_upgraded_and_is_stored_so(d):
    d.lock(0, "anna", "a", shared=True)
    d.lock(1, "ben", "a")
    locks, wants = changed(d, lambda: d.lock(2, "anna", "a"))
    assert (locks, wants) == ({("anna", "a")}, {("ben", "a"): True})
    (want,) = d.session("ben").wants.values()
    assert [lock.token for lock in want.refused_by] == [2]
    d.unlock(3, "anna", "a")
    assert d.session("ben").wants is None


def test_nothing_is_kept_of_sessions_and_resources_that_are_gone(d):
    d.lock(0, "anna", "a", sticky=True)
    d.lock(0, "ben", "b")
    d.lock(1, "ben", "a", wait_s=WAIT)
    d.lock(1, "cleo", "b")
    d.lock(1, "anna", "b", wait_s=0)
    book = book_of(d.company())
    assert list(book.torn) == [d.session("ben")]
    d.logout(2, "ben")
    assert not book.torn
    d.logout(3, "anna")
    d.login(4, "anna-2", user="anna")
    assert list(book.left) == ["a"]
    d.lock(5, "anna-2", "a")
    assert not book.left
    d.unlock(6, "anna-2", "a")
    d.logout(7, "cleo")
    assert (book.refused, book.torn, len(book.held), len(book.wanted)) == ({}, {}, 0, 0)
    assert d.session("anna-2").locks is None
    assert d.roll.locks.next_ms > START  # timers of what is gone run, and do nothing
    d.sweep(10**9)
    assert d.roll.locks.next_ms is None


def test_who_holds_and_waits_at_once_is_known_as_long_as_it_does_both(d):
    torn = book_of(d.company()).torn
    d.lock(0, "ben", "b")
    d.lock(1, "anna", "b", wait_s=WAIT)
    assert not torn, "she holds nothing"
    d.lock(2, "anna", "a")
    assert list(torn) == [d.session("anna")]
    d.unlock(3, "anna", "a")
    assert not torn
    d.lock(4, "anna", "a")
    d.unlock(5, "anna", "b")
    assert not torn, "she waits for nothing"


@pytest.mark.parametrize("after", [900 * S + 1, 2_000 * S])
def test_nothing_is_kept_of_a_refusal_that_is_forgotten(after):
    d = crowd(replace(DEFAULTS, types={"default": ClientType("default", 10**8, 10**7, 2 * 10**7)}))
    d.lock(0, "anna", "a")
    d.lock(1, "ben", "a")
    d.lock(1, "cleo", "a/b")
    assert len(book_of(d.company()).refused) == 1
    d.sweep(after)
    assert not book_of(d.company()).refused
    assert d.session("ben").wants is None


def test_a_waiter_that_turns_into_a_reader_and_gets_it_lets_the_readers_behind_it_through(d):
    d.lock(0, "anna", "a", shared=True)
    d.lock(1, "ben", "a", wait_s=WAIT)
    d.lock(2, "cleo", "a", shared=True, wait_s=WAIT)
    assert d.lock(3, "ben", "a", shared=True, wait_s=WAIT)["granted"]
    assert {lock.session.id for lock in d.held()} == {"anna", "ben", "cleo"}


def test_what_is_restored_after_a_restart_stands_as_it_stood(d):
    company, dora = d.company(), d.session("dora")
    d.logout(1, "dora")
    read, left = Lock(company, d.session("anna"), "a", 5, START), Lock(company, dora, "menu", 6, START)
    read.shared, left.sticky = True, True
    for lock in (read, left):
        d.roll.locks.restore_lock(lock)
    assert (d.roll.locks.count, d.session("anna").locks) == (2, {"a": read})
    assert d.lock(2, "ben", "a", shared=True)["granted"]
    assert d.lock(3, "ben", "menu")["holder"]["user"] == "dora"
    d.login(4, "dora-2", user="dora")
    assert d.lock(5, "dora-2", "menu")["granted"]
    assert d.unlock(6, "dora-2", "menu")
    assert d.lock(7, "ben", "menu")["granted"], "it was taken up, and given back"


def test_waiters_are_restored_to_their_places_and_refusals_without_a_lock_are_forgotten(d):
    d.lock(0, "anna", "a")
    waits, refused = (
        Want(d.session("cleo"), "a", False, 7, START),
        Want(d.session("ben"), "x", False, 3, START),
    )
    waits.until_ms = START + 60 * S
    locks, wants = changed(d, lambda: [d.roll.locks.restore_want(want) for want in (waits, refused)])
    assert (locks, wants) == (set(), {("ben", "x"): False})
    assert (d.roll.locks.waiting, d.session("ben").wants, book_of(d.company()).order) == (1, None, 7)
    d.lock(1, "ben", "a", wait_s=WAIT)
    d.unlock(2, "anna", "a")
    assert [lock.session.id for lock in d.held()] == ["cleo"]


@pytest.mark.parametrize(("wait_s", "until"), [(0.0004, 1), (0.001, 1), (0.0015, 2), (2.5, 2_500)])
def test_a_wait_is_counted_in_milliseconds(d, wait_s, until):
    d.lock(0, "anna", "a")
    d.lock(10, "ben", "a", wait_s=60)
    d.lock(10, "ben", "a", wait_s=wait_s)  # renewed: one at least
    (want,) = d.session("ben").wants.values()
    assert want.until_ms == START + 10 + until
    d.lock(10, "cleo", "a", wait_s=wait_s)
    wants = list(d.session("cleo").wants.values())
    assert wants[0].until_ms == (START + 10 + until if round(wait_s * 1_000) else 0)
