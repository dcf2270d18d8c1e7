"""What stands in whose way: who is named, who may pass, what is a cycle (rule 5), mode by mode."""

from __future__ import annotations

import random
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rules.driver import Driver
from whosin.model import Session
from whosin.rules import book as book_room
from whosin.rules.locks import Book, blocked_by, blocks_somebody, book_of
from whosin.rules.paths import overlap

WAIT = 600


@pytest.fixture
def d() -> Driver:
    d = Driver()
    for user in ("anna", "ben", "cleo", "dora", "emil", "fred"):
        d.login(0, user, user=user, machine=f"PC of {user}")
    return d


def held(d: Driver) -> set[tuple[str, str]]:
    return {(lock.session.id, lock.resource) for lock in d.held()}


def blocks(d: Driver, ident: str) -> set[str]:
    """Whom this session's locks block."""
    return {want.session.id for lock in d.held() if lock.session.id == ident for want in blocked_by(lock)}


# --- one who waits for you does not stand in your way ----------------------------------------------------


def test_one_who_waits_for_one_of_your_locks_does_not_stand_in_your_way_whatever_else_you_hold(d):
    d.lock(0, "anna", "a")
    d.lock(1, "anna", "b")
    d.lock(2, "ben", "a", wait_s=WAIT)
    assert d.lock(3, "anna", "a/1")["granted"]


@pytest.mark.parametrize(("mine", "theirs"), [(False, True), (True, False), (False, False)])
def test_one_waits_for_you_unless_you_both_only_read(d, mine, theirs):
    d.lock(0, "anna", "a", shared=mine)
    d.lock(1, "ben", "a", shared=theirs, wait_s=WAIT)
    assert d.lock(2, "anna", "a/1")["granted"]


def test_one_who_reads_beside_you_stands_in_your_way_if_somebody_else_keeps_it_waiting(d):
    d.lock(0, "anna", "a", shared=True)
    d.lock(1, "dora", "b")
    d.lock(2, "cleo", "*", wait_s=WAIT)  # for anna and dora
    d.lock(3, "ben", "a", shared=True, wait_s=WAIT)  # for cleo alone
    answer = d.lock(4, "anna", "a/1", wait_s=WAIT)
    assert (answer["granted"], answer["code"]) == (False, "deadlock")


def test_of_two_waiters_the_earlier_one_is_in_the_way_wherever_it_waits(d):
    d.lock(0, "anna", "r/1/x")
    d.lock(1, "ben", "r/2/x")
    d.lock(2, "cleo", "r/1", wait_s=WAIT)  # for anna
    d.lock(3, "dora", "r", wait_s=WAIT)  # for anna, ben and cleo
    d.lock(4, "emil", "r/2", wait_s=WAIT)  # for ben, behind dora
    d.unlock(5, "ben", "r/2/x")
    assert held(d) == {("anna", "r/1/x")}
    d.unlock(6, "anna", "r/1/x")
    assert held(d) == {("cleo", "r/1")}
    d.unlock(7, "cleo", "r/1")
    assert held(d) == {("dora", "r")}
    d.unlock(8, "dora", "r")
    assert held(d) == {("emil", "r/2")}


# --- who is named --------------------------------------------------------------------------------------


def test_a_reader_is_told_of_the_writer_not_of_another_reader(d):
    d.lock(0, "anna", "a/1", shared=True)
    d.lock(1, "ben", "a/2")
    assert d.lock(2, "cleo", "a", shared=True)["holder"]["user"] == "ben"
    assert blocks(d, "anna") == set()
    assert blocks(d, "ben") == {"cleo"}


def test_one_whom_a_lock_keeps_waiting_is_not_blocked_by_what_keeps_others_before_it_waiting(d):
    d.lock(0, "anna", "a")
    d.lock(1, "ben", "b")
    d.lock(2, "cleo", "*", wait_s=WAIT)
    d.lock(3, "dora", "a")
    assert blocks(d, "anna") == {"cleo", "dora"}
    assert blocks(d, "ben") == {"cleo"}


def test_a_reader_behind_a_writer_is_told_what_keeps_that_writer_not_what_keeps_an_earlier_reader(d):
    d.lock(0, "anna", "a/1")
    d.lock(1, "ben", "a/2", shared=True)
    d.lock(2, "cleo", "a", shared=True, wait_s=WAIT)  # for anna
    d.lock(3, "dora", "a/2", wait_s=WAIT)  # for ben, and behind cleo
    assert d.lock(4, "emil", "a/2", shared=True)["holder"]["user"] == "ben"


def test_a_writer_behind_a_reader_is_told_what_keeps_that_reader_and_no_reader_beside_it(d):
    d.lock(0, "anna", "a/1")
    d.lock(1, "ben", "a/2", shared=True)
    d.lock(2, "cleo", "a", shared=True, wait_s=WAIT)  # for anna
    assert d.lock(3, "dora", "a/3")["holder"]["user"] == "anna"
    assert blocks(d, "anna") == {"cleo", "dora"}
    assert blocks(d, "ben") == set()


# --- cycles ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "theirs", "cycle"), [(False, True, True), (True, False, True), (True, True, False)]
)
def test_waiting_behind_somebody_who_waits_for_you_is_a_cycle_unless_you_both_only_read(
    d, mine, theirs, cycle
):
    d.lock(0, "cleo", "r/c")
    d.lock(1, "dora", "r/a")
    d.lock(2, "anna", "x")
    d.lock(3, "ben", "r", shared=theirs, wait_s=WAIT)  # for cleo and dora
    d.lock(4, "ben", "x", wait_s=WAIT)  # for anna
    answer = d.lock(5, "anna", "r/a", shared=mine, wait_s=WAIT)
    assert (answer.get("code") == "deadlock") is cycle
    assert answer["holder"]["user"] == "dora"


def test_a_cycle_over_two_ways_of_waiting_is_seen(d):
    d.lock(0, "anna", "a")
    d.lock(1, "ben", "b")
    d.lock(2, "cleo", "c")
    d.lock(3, "ben", "a", wait_s=WAIT)
    d.lock(4, "cleo", "a", wait_s=WAIT)  # behind ben, and for anna
    d.lock(5, "cleo", "b", wait_s=WAIT)
    assert d.lock(6, "anna", "c", wait_s=WAIT)["code"] == "deadlock"
    assert d.lock(7, "anna", "b", wait_s=WAIT)["code"] == "deadlock"


def test_a_cycle_is_seen_behind_a_queue_that_was_looked_through_already(d):
    d.lock(0, "anna", "left")
    d.lock(0, "ben", "middle")
    d.lock(0, "dora", "right")
    d.lock(0, "fred", "r")
    d.lock(0, "fred", "s")
    d.lock(1, "ben", "left", wait_s=WAIT)  # for anna
    d.lock(2, "ben", "r", wait_s=WAIT)
    d.lock(3, "cleo", "middle", wait_s=WAIT)  # for ben
    d.lock(4, "cleo", "r", wait_s=WAIT)  # behind ben
    d.lock(5, "cleo", "s", wait_s=WAIT)
    d.lock(6, "dora", "s", wait_s=WAIT)  # behind cleo
    assert d.lock(7, "anna", "right", wait_s=WAIT)["code"] == "deadlock"
    assert d.lock(8, "emil", "right", wait_s=WAIT)["waiting"]


def test_a_reader_whom_somebody_else_keeps_waiting_does_not_wait_for_the_reader_beside_it(d):
    d.lock(0, "anna", "r/1", shared=True)
    d.lock(0, "ben", "z")
    d.lock(0, "cleo", "r/2")
    d.lock(1, "ben", "r", shared=True, wait_s=WAIT)  # for cleo
    assert d.lock(2, "anna", "z", wait_s=WAIT)["waiting"]


# --- whom a lock blocks ----------------------------------------------------------------------------------


def test_a_lock_blocks_neither_its_own_session_nor_readers_beside_it(d):
    d.lock(0, "anna", "a", shared=True)
    d.lock(1, "ben", "a/1", shared=True)
    d.lock(2, "anna", "a/1", wait_s=WAIT)  # anna herself, for ben
    d.lock(3, "cleo", "a/2", shared=True)
    assert blocks(d, "anna") == set()
    assert blocks(d, "ben") == {"anna"}
    assert blocks_somebody(d.session("ben"))
    assert not blocks_somebody(d.session("anna"))
    assert not blocks_somebody(d.session("dora"))  # who holds nothing


def test_a_lock_left_behind_does_not_block_its_own_user_there_but_everybody_else_and_elsewhere(d):
    d.lock(0, "anna", "menu", sticky=True)
    d.logout(1, "anna")
    d.login(2, "anna-2", user="anna")
    d.lock(3, "ben", "menu", shared=True, wait_s=WAIT)
    d.lock(4, "anna-2", "menu/file", wait_s=WAIT)
    (left,) = book_of(d.company()).left["menu"]
    assert [want.session.id for want in blocked_by(left)] == ["anna-2", "ben"]
    assert d.lock(5, "ben", "x")["granted"]


def test_a_lock_left_behind_does_not_block_its_own_user_whom_somebody_else_keeps_waiting_there(d):
    d.lock(0, "anna", "menu", shared=True, sticky=True)
    d.logout(1, "anna")
    d.lock(2, "ben", "menu", shared=True)
    d.login(3, "anna-2", user="anna")
    d.lock(4, "anna-2", "menu", wait_s=WAIT)
    (left,) = book_of(d.company()).left["menu"]
    assert blocked_by(left) == []
    assert blocks(d, "ben") == {"anna-2"}


def test_a_holder_is_named_with_what_it_does_by_its_lock_or_else_by_its_session(d):
    d.beat(0, "anna", activity="sits there")
    d.lock(1, "anna", "a")
    d.lock(2, "anna", "b", activity="amends b")
    assert d.lock(3, "ben", "a")["holder"]["activity"] == "sits there"
    assert d.lock(4, "ben", "b")["holder"]["activity"] == "amends b"


# --- cycles, against a search without any short cut -------------------------------------------------------

USERS = ("anna", "ben", "cleo", "dora", "emil", "fred")
PATHS = ("*", "a", "a/1", "a/2", "a/1/x", "b", "b/1", "c", "d")


def waits_for(everybody: list[Session], who: Session, path: str, shared: bool, order: int) -> set[str]:
    """All who hold or ask before it what the request needs, but for those who wait for its own locks."""
    found = set()
    for other in everybody:
        if other is who:
            continue
        for lock in (other.locks or {}).values():
            if overlap(lock.resource, path) and not (shared and lock.shared):
                found.add(other.id)
        for want in (other.wants or {}).values():
            if not want.waiting or want.order >= order or not overlap(want.resource, path):
                continue
            for_me = any(
                overlap(own.resource, want.resource) and not (own.shared and want.shared)
                for own in (who.locks or {}).values()
            )
            if not (shared and want.shared) and not for_me:
                found.add(other.id)
    return found


def leads_back(d: Driver, session: Session, path: str, shared: bool, order: int) -> bool:
    everybody = [d.session(user) for user in USERS]
    seen: set[str] = set()
    todo = waits_for(everybody, session, path, shared, order)
    while todo:
        ident = todo.pop()
        if ident == session.id:
            return True
        if ident not in seen:
            seen.add(ident)
            one = d.session(ident)
            for want in (one.wants or {}).values():
                if want.waiting:
                    todo |= waits_for(everybody, one, want.resource, want.shared, want.order)
    return False


def compare(steps, few: int, stride: int) -> list[bool]:
    """Both searches, each alone and in turns, with the plain one; what they all found."""
    d = Driver()
    for user in USERS:
        d.login(0, user, user=user, machine=f"PC of {user}")
    real = book_room.closes_cycle
    compared = []

    def judged(book: Book, session: Session, path: str, shared: bool, order: int) -> bool:
        found = real(book, session, path, shared, order)
        for search in (book_room._from_those_behind, book_room._from_those_before):
            alone = next(it for it in search(book, session, path, shared, order) if it is not None)
            assert alone is found, search
        assert found is leads_back(d, session, path, shared, order)
        compared.append(found)
        return found

    with (
        patch.object(book_room, "FEW", few),
        patch.object(book_room, "STRIDE", stride),
        patch("whosin.rules.locks.closes_cycle", judged),
    ):
        for nth, (user, path, shared, wait_s) in enumerate(steps, 1):
            if wait_s is None:
                d.unlock(nth, user, path)
            else:
                d.lock(nth, user, path, shared=shared, wait_s=wait_s)
    return compared


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(USERS), st.sampled_from(PATHS), st.booleans(),
            st.sampled_from((0, WAIT, WAIT, None)),
        ),
        min_size=8,
        max_size=40,
    ),
    st.sampled_from((0, 8)),
    st.sampled_from((1, 2, 16)),
)  # fmt: skip
def test_a_cycle_is_found_exactly_where_looking_everywhere_finds_one(steps, few, stride):
    compare(steps, few, stride)


@pytest.mark.parametrize("few", [0, 1, 8])
def test_it_is_found_in_histories_that_are_always_the_same(few):
    draw = random.Random(few)
    found = []
    for _ in range(12):
        steps = [
            (
                draw.choice(USERS), draw.choice(PATHS), draw.random() < 0.4,
                None if draw.random() < 0.2 else draw.choice((0, WAIT, WAIT)),
            )
            for _ in range(60)
        ]  # fmt: skip
        found += compare(steps, few, stride=2)
    assert sum(found) > 30
    assert len(found) > 4 * sum(found) / 3


def test_one_that_reads_beside_many_writers_is_not_waited_for_by_a_reader(d):
    for user, path in (("cleo", "a/1"), ("dora", "a/2"), ("emil", "a/3")):
        d.lock(0, user, path)
    d.lock(0, "anna", "a/4", shared=True)
    d.lock(0, "ben", "b")
    d.lock(1, "anna", "b", wait_s=WAIT)
    asked = book_of(d.company()), d.session("ben"), "a", True, 99
    for search in (book_room._from_those_behind, book_room._from_those_before):
        assert True not in search(*asked)
    assert d.lock(2, "ben", "a", shared=True, wait_s=WAIT)["waiting"]


def test_who_is_waited_for_by_thousands_asks_as_fast_as_anybody(d):
    """Its hundreds of locks and their waiters are looked through only where it may close a cycle."""
    for nth in range(300):
        d.lock(0, "anna", f"a/{nth}")
    d.lock(0, "ben", "b")
    for nth in range(2_000):
        d.login(1, f"w{nth}", user=f"w{nth}")
        d.lock(1, f"w{nth}", f"a/{nth % 300}", wait_s=WAIT)
    steps = []
    for search in (book_room._from_those_behind, book_room._from_those_before):

        def counted(*args, search=search):
            for found in search(*args):
                steps.append(found)
                yield found

        with patch.object(book_room, search.__name__, counted):
            assert d.lock(2, "anna", "b", wait_s=WAIT)["waiting"]
            d.unlock(3, "anna", "b")
    assert len(steps) <= 4 * book_room.STRIDE
