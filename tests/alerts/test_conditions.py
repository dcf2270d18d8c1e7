"""Grouping, re-arming and reminding, on moments that are passed in."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whosin.alerts.conditions import Alert, Conditions, Group, Pace
from whosin.alerts.kinds import CRITICAL, KINDS, WARNING

PACE = Pace(group_ms=30, again_ms=300, remind_ms=1_000)


@pytest.fixture
def book():
    numbers = count(1)
    return Conditions(PACE, lambda: f"id{next(numbers)}")


def on(book, key, at, *, kind="blocking", company="c", severity=WARNING):
    book.on(kind, key, "s", company, severity, at)


def told(book, at):
    return [(step.phase, step.alert.id, sorted(step.alert.on)) for step in book.due(at)]


def test_what_comes_within_the_window_is_one_alert(book):
    on(book, "a", 0)
    on(book, "b", 29)
    assert told(book, 29) == []
    assert told(book, 30) == [("raised", "id1", ["a", "b"])]
    assert told(book, 30) == []


def test_what_is_over_within_the_window_is_not_told(book):
    on(book, "a", 0)
    on(book, "b", 0)
    book.off("blocking", "a", 10)
    assert told(book, 30) == [("raised", "id1", ["b"])]
    on(book, "c", 0, company="d")
    book.off("blocking", "c", 1)
    assert told(book, 99) == []


def test_repeating_it_is_harmless(book):
    for at in (0, 10, 40, 50):
        on(book, "a", at)
        book.due(at)
    assert len(book.open) == 1
    assert told(book, 100) == []


def test_companies_and_kinds_are_apart_and_sites_together_where_the_table_says_so(book):
    on(book, "a", 0)
    on(book, "b", 0, company="d")
    on(book, "a", 0, kind="guidance")
    on(book, "x", 0, kind="mass_silence")
    on(book, "y", 0, kind="mass_silence", company="d")
    groups = [(step.alert.group, sorted(step.alert.on)) for step in book.due(30)]
    assert groups == [
        (Group("blocking", "s", "c"), ["a"]), (Group("blocking", "s", "d"), ["b"]),
        (Group("guidance", "s", "c"), ["a"]), (Group("mass_silence", "s", None), ["x", "y"]),
    ]  # fmt: skip


def test_it_is_over_when_nothing_of_it_is_left_and_then_it_may_come_again(book):
    on(book, "a", 0)
    on(book, "b", 0)
    book.due(30)
    book.off("blocking", "a", 50)
    assert told(book, 50) == []
    book.off("blocking", "b", 60)
    assert told(book, 60) == [("cleared", "id1", [])]
    on(book, "a", 400)
    assert told(book, 430) == [("raised", "id2", ["a"])]


def test_the_next_alert_of_a_group_comes_not_too_soon(book):
    on(book, "a", 0)
    book.due(30)
    on(book, "b", 40)
    assert told(book, 329) == []
    on(book, "c", 329)
    assert told(book, 330) == [("raised", "id2", ["b", "c"])]
    on(book, "d", 340, company="other")
    assert told(book, 370) == [("raised", "id3", ["d"])]


def test_what_is_still_so_is_told_again_and_again(book):
    on(book, "a", 0)
    book.due(30)
    assert told(book, 1_029) == []
    assert told(book, 1_030) == [("reminder", "id1", ["a"])]
    assert told(book, 2_030) == [("reminder", "id1", ["a"])]
    assert book.open[1].reminders == 2
    book.set_pace(PACE._replace(remind_ms=0))
    assert told(book, 99_999) == []


def test_the_worst_severity_counts(book):
    on(book, "a", 0)
    on(book, "b", 0, severity=CRITICAL)
    on(book, "c", 0)
    (step,) = book.due(30)
    assert step.alert.severity == CRITICAL


def test_after_a_restart_what_was_told_is_not_told_again(book):
    group = Group("blocking", "s", "c")
    book.number = 7
    book.restore(Alert(7, "old", group, WARNING, 100, 100, 2, {"a": WARNING, "b": WARNING}))
    on(book, "a", 200)
    on(book, "b", 200)
    assert told(book, 1_000) == []
    on(book, "n", 1_000)
    assert told(book, 1_100) == [("raised", "id1", ["n"]), ("reminder", "old", ["a", "b"])]
    assert book.open[8].id == "id1"


def test_an_alert_of_which_nothing_is_left_after_a_restart_is_over(book):
    book.restore(Alert(7, "old", Group("cleanup", "s", None), WARNING, 100, 100, 0, {}))
    assert told(book, 100) == [("cleared", "old", [])]


def test_with_no_pace_at_all_it_is_told_at_once():
    book = Conditions(Pace(0, 0, 0), lambda: "x")
    on(book, "a", 5)
    assert told(book, 5) == [("raised", "x", ["a"])]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(), st.sampled_from(sorted(KINDS)), st.sampled_from("abcd"), st.sampled_from("cd"),
            st.integers(0, 400),
        ),
        max_size=60,
    )
)  # fmt: skip
def test_each_condition_is_told_once_while_it_is_on_and_everything_ends(steps):
    """Whatever happens: each is raised once and cleared once, no key is in two open alerts, groups keep their
    distance, and when all is over nothing is left."""
    numbers = count(1)
    book = Conditions(PACE, lambda: f"id{next(numbers)}")
    now, seen, last = 0, {}, {}

    def check():
        for step in book.due(now):
            number = step.alert.number
            if step.phase == "raised":
                assert number not in seen
                group = step.alert.group
                assert step.alert.on
                assert group not in last or now >= last[group] + PACE.again_ms
                last[group] = now
            else:
                assert seen[number] != "cleared"
            seen[number] = step.phase
        keys = [(alert.group.kind, key) for alert in book.open.values() for key in alert.on]
        assert len(keys) == len(set(keys))

    for is_on, kind, key, company, pause in steps:
        now += pause
        if is_on:
            book.on(kind, key, "s", company, WARNING, now)
        else:
            book.off(kind, key, now)
        check()
    for kind in KINDS:
        for key in "abcd":
            book.off(kind, key, now)
    now += 10_000
    check()
    assert book.open == {}
    assert not book._gathering
    assert not book._where
    assert all(phase == "cleared" for phase in seen.values())
