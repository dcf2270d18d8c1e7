"""The queue of deadlines: exact, lazy, never late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whosin.model import Company, Session
from whosin.rules.deadlines import GRAIN_MS, NEVER, Deadlines

BASE = 1_700_000_000_000


class Board:
    """Sessions with a due moment that tests move about."""

    def __init__(self) -> None:
        self.due: dict[Session, int | None] = {}
        self.queue = Deadlines(self.due.get)
        self.company = Company("s", "A")

    def add(self, due: int) -> Session:
        session = Session(len(self.due) + 1, f"s{len(self.due)}", self.company, "anna", "desktop", BASE)
        self.due[session] = BASE + due
        self.queue.file(session, BASE + due)
        return session

    def move(self, session: Session, due: int) -> None:
        """Its deadline is another one now; only if it came sooner must it be filed."""
        sooner = BASE + due < (self.due[session] or NEVER)
        self.due[session] = BASE + due
        if sooner:
            self.queue.file(session, BASE + due)

    def take(self, until: int, limit: int = 1_000) -> list[tuple[int, str]]:
        taken = self.queue.take(BASE + until, limit)
        for _, session in taken:
            self.due[session] = None
        return [(due - BASE, session.id) for due, session in taken]


def test_nothing_is_due_in_an_empty_queue():
    board = Board()
    assert board.queue.next_ms == NEVER
    assert board.take(10**9) == []


def test_a_session_is_taken_at_its_deadline_and_not_a_millisecond_before():
    board = Board()
    board.add(1_000)
    assert board.take(999) == []
    assert board.take(1_000) == [(1_000, "s0")]
    assert board.take(1_001) == []


def test_sessions_are_taken_in_order_of_their_deadlines_and_then_of_their_keys():
    board = Board()
    for due in (900, 400, 900, 399, 10_000):
        board.add(due)
    assert board.take(1_000) == [(399, "s3"), (400, "s1"), (900, "s0"), (900, "s2")]


def test_of_one_moment_the_lower_key_is_first_however_it_got_there():
    board, grain = begun()
    low, high = board.add(grain + 768), board.add(grain + 600)
    board.move(high, grain + 768)  # where the next bucket begins
    assert board.take(grain + 9_000) == [(grain + 768, low.id), (grain + 768, high.id)]


def test_a_deadline_that_moved_on_costs_nothing_until_its_old_moment_comes():
    board = Board()
    session = board.add(1_000)
    board.move(session, 5_000)
    assert board.take(4_999) == []
    assert board.take(5_000) == [(5_000, "s0")]


def test_a_deadline_that_comes_sooner_is_not_late_even_within_a_bucket_that_has_begun():
    board = Board()
    grain = GRAIN_MS - BASE % GRAIN_MS  # a bucket begins here
    session = board.add(grain + 200)
    assert board.take(grain + 50) == []
    board.move(session, grain + 100)
    assert board.queue.next_ms <= BASE + grain + 100
    assert board.take(grain + 99) == []
    assert board.take(grain + 100) == [(grain + 100, "s0")]
    assert board.take(grain + 300) == []


def begun() -> tuple[Board, int]:
    """A board whose bucket at the returned moment has begun, 50 ms ago, and holds nothing any more."""
    board, grain = Board(), GRAIN_MS - BASE % GRAIN_MS
    board.add(grain + 10)
    assert board.take(grain + 50) == [(grain + 10, "s0")]
    return board, grain


def test_a_deadline_may_move_on_a_little_within_a_bucket_that_has_begun():
    board, grain = begun()
    session = board.add(grain + 100)
    board.move(session, grain + 150)
    assert board.take(grain + 149) == []
    assert board.take(grain + 150) == [(grain + 150, "s1")]
    assert board.take(grain + 1_000) == []


@pytest.mark.parametrize("later", [255, 256, 257, 700])
def test_a_deadline_that_moved_on_is_found_in_the_same_call_if_it_has_come_too(later):
    board, grain = begun()
    session = board.add(grain + 100)
    board.move(session, grain + later)
    assert board.take(grain + 800) == [(grain + later, "s1")]
    assert board.take(grain + 9_000) == []


@pytest.mark.parametrize("later", [255, 256, 257, 700])
def test_a_deadline_that_moved_on_is_not_taken_before_it(later):
    board, grain = begun()
    session = board.add(grain + 100)
    board.move(session, grain + later)
    assert board.take(grain + later - 1) == []
    assert board.queue.next_ms <= BASE + grain + later
    assert board.take(grain + later) == [(grain + later, "s1")]


def test_a_deadline_that_comes_sooner_into_a_bucket_that_has_begun_is_not_lost():
    board, grain = begun()
    session = board.add(grain + 5_000)
    board.move(session, grain + 100)
    assert board.take(grain + 100) == [(grain + 100, "s1")]
    assert board.take(grain + 9_000) == []


def test_filing_under_a_later_moment_does_not_undo_the_earlier_one():
    board = Board()
    session = board.add(1_000)
    board.queue.file(session, BASE + 9_000)
    assert board.take(1_000) == [(1_000, "s0")]


def test_a_session_that_was_taken_can_come_again():
    board = Board()
    session = board.add(1_000)
    for due in (1_000, 2_000, 300_000):
        board.due[session] = BASE + due
        board.queue.file(session, BASE + due)
        assert board.take(due - 1) == []
        assert board.take(due) == [(due, "s0")]


@pytest.mark.parametrize("opened", [False, True])
def test_those_that_went_elsewhere_do_not_hide_the_others(opened):
    board, grain = begun()
    ended, sooner, _, late = (board.add(grain + 600 + nth) for nth in range(4))
    if opened:
        assert board.take(grain + 599) == []
    board.due[ended] = None
    board.move(sooner, grain + 300)
    board.move(late, grain + 900)
    assert board.take(grain + 700) == [(grain + 300, "s2"), (grain + 602, "s3")]
    assert board.take(grain + 900) == [(grain + 900, "s4")]


def test_the_next_moment_is_that_of_the_first_in_the_queue():
    board, grain = begun()
    assert board.queue.next_ms == NEVER
    for due in (100, 90, 80):
        board.add(grain + due)
    assert board.queue.next_ms == BASE + grain + 80
    board.take(grain + 100, 1)
    assert board.queue.next_ms == BASE + grain + 90
    board.take(grain + 100)
    assert board.queue.next_ms == NEVER
    board.add(grain + 1_000)
    board.add(grain + 700)
    begins = BASE + grain + 512  # that bucket: who is in it is looked at when it begins
    assert board.queue.next_ms == begins
    board.take(grain + 600)
    assert board.queue.next_ms == BASE + grain + 700


def test_a_session_that_went_elsewhere_is_not_taken():
    board = Board()
    session = board.add(1_000)
    board.due[session] = None
    assert board.take(2_000) == []


def test_a_limit_leaves_the_rest_for_the_next_call():
    board = Board()
    for due in (3, 1, 2):
        board.add(due)
    assert board.take(10, 2) == [(1, "s1"), (2, "s2")]
    assert board.take(10, 2) == [(3, "s0")]


def test_filing_again_after_being_taken_out_does_not_take_twice():
    board = Board()
    session = board.add(1_000)
    session.filed_ms = 0  # taken out by somebody else, and back
    board.queue.file(session, BASE + 1_000)
    assert board.take(1_000) == [(1_000, "s0")]
    assert board.take(9_000) == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 3_000)),
        st.tuples(st.just("move"), st.integers(0, 20), st.integers(0, 3_000)),
        st.tuples(st.just("take"), st.integers(0, 700), st.sampled_from([1, 2, 1_000])),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_is_filed_comes_when_it_is_due_as_a_scan_of_all_would_say(steps):
    board, now = Board(), 0
    for step in steps:
        match step:
            case "add", due:
                board.add(now + due)
            case "move", nth, due:
                alive = [session for session, at in board.due.items() if at is not None]
                if alive:
                    board.move(alive[nth % len(alive)], now + due)
            case "take", after, limit:
                now += after
                expected = sorted(
                    (at - BASE, session.key, session.id)
                    for session, at in board.due.items()
                    if at is not None and at <= BASE + now
                )[:limit]
                assert board.take(now, limit) == [(at, ident) for at, _, ident in expected]
        waiting = [at for at in board.due.values() if at is not None]
        assert not waiting or board.queue.next_ms <= min(waiting)


def test_a_sign_of_life_files_nothing_so_each_session_is_looked_at_about_once_per_timeout():
    looks = 0
    board = Board()
    sessions = [board.add(300_000) for _ in range(100)]

    def counted(session: Session) -> int | None:
        nonlocal looks
        looks += 1
        return board.due[session]

    board.queue._due = counted
    for second in range(3_000):
        for session in sessions:
            board.due[session] = BASE + second * 1_000 + 300_000
        board.take(second * 1_000)
    assert looks <= 100 * 10 * 3
