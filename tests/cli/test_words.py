"""How single values read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whosin.cli.words import age, clean, count, local, short_ids, size, some, span, until

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"),
        (3660, "1 h 1 min"),
        (86_399, "23 h 59 min"), (86_400, "1 d"), (90_000, "1 d 1 h"),
    ],
)  # fmt: skip
def test_a_span_has_at_most_two_units_and_changes_them_at_the_boundary(seconds, text):
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59, "59 s"), (3599, "59 min"), (8000, "2 h"), (86_399, "23 h"), (100_000_000, "1,157 d")],
)
def test_a_brief_span_has_one_unit(seconds, text):
    assert span(seconds, brief=True) == text


def test_a_clock_that_is_behind_gives_no_negative_age():
    assert age("2026-03-02T12:00:09.000Z", AT) == "0 s"
    assert age("2026-03-02T11:56:00.000Z", AT) == "4 min"
    assert age(None, AT) == ""


def test_what_is_due_reads_as_now():
    assert until("2026-03-02T12:10:00.000Z", AT) == "in 10 min"
    assert until("2026-03-02T12:00:00.000Z", AT) == "now"
    assert until(None, AT) == ""


def test_the_date_is_shown_only_when_it_is_not_today_here():
    today = AT.astimezone().replace(hour=12)
    assert local((today - timedelta(minutes=1)).isoformat(), today) == "11:59:00"
    assert len(local((today - timedelta(days=3)).isoformat(), today)) == len("2026-02-27 12:00:00")


@given(st.text())
def test_no_text_can_steer_a_terminal(text):
    assert clean(text).isprintable()


def test_escapes_and_turned_text_are_shown_as_what_they_are():
    assert clean("a\x1b[2Jb\u202ec\x9b\n") == "a\\x1b[2Jb\\u202ec\\x9b\\n"
    assert clean("Zoë Łukasz 山田") == "Zoë Łukasz 山田"
    assert clean(None) == ""


def test_counts_and_sizes_read_naturally():
    assert [count(1, "lock"), count(2, "lock"), count(1200, "person", "people")] == [
        "1 lock",
        "2 locks",
        "1,200 people",
    ]
    assert [size(999), size(1000), size(2_500_000)] == ["999 bytes", "1.0 kB", "2.5 MB"]
    assert some(["anna", "ben", "anna", "", "carl", "dora"], 2) == "anna, ben +2"


@given(st.lists(st.text("abc", min_size=1, max_size=20), unique=True))
def test_shortened_ids_stay_distinct(idents):
    length = short_ids(idents, least=3)
    assert len({ident[:length] for ident in idents}) == len(idents)
