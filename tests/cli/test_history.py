"""`whosin history`: days and moments as people say them, and export."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import UTC, datetime

import pytest

from tests.cli.fake_daemon import event
from whosin.cli import moments

WEDNESDAY = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)


@pytest.fixture
def vienna(monkeypatch):
    """The reader sits where it is an hour later, two in summer."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    monkeypatch.setattr(moments, "now", lambda: WEDNESDAY)
    yield
    monkeypatch.undo()
    time.tzset()


def asked(daemon, whosin, *args):
    daemon.answers["GET history"] = []
    assert whosin("history", *args).exit_code == 0
    (query,) = daemon.queries("GET history")
    return query.get("since"), query.get("until")


@pytest.mark.parametrize(
    ("said", "since", "until"),
    [
        ("friday", "2026-11-19T23:00:00.000Z", "2026-11-20T23:00:00.000Z"),
        ("Fri", "2026-11-19T23:00:00.000Z", "2026-11-20T23:00:00.000Z"),
        ("wednesday", "2026-11-24T23:00:00.000Z", "2026-11-25T23:00:00.000Z"),
        ("thursday", "2026-11-18T23:00:00.000Z", "2026-11-19T23:00:00.000Z"),
        ("yesterday", "2026-11-23T23:00:00.000Z", "2026-11-24T23:00:00.000Z"),
        ("today", "2026-11-24T23:00:00.000Z", "2026-11-25T23:00:00.000Z"),
        ("2026-10-25", "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"),
    ],
)
def test_a_day_is_that_of_the_reader_even_where_it_has_25_hours(daemon, whosin, vienna, said, since, until):
    assert asked(daemon, whosin, "--on", said) == (since, until)


@pytest.mark.parametrize(
    ("said", "since"),
    [
        ("2h", "2026-11-25T12:30:00.000Z"),
        ("friday", "2026-11-19T23:00:00.000Z"),
        ("2026-07-01", "2026-06-30T22:00:00.000Z"),
        ("2026-07-01T08:30", "2026-07-01T06:30:00.000Z"),
        ("2026-07-01T08:30Z", "2026-07-01T08:30:00.000Z"),
    ],
)
def test_a_moment_is_how_long_ago_a_day_or_a_time(daemon, whosin, vienna, said, since):
    assert asked(daemon, whosin, "--since", said) == (since, None)


@pytest.mark.parametrize("wrong", ["--on=fr", "--on=2h", "--since=soon", "--on=2026-02-30"])
def test_what_is_no_time_is_refused(whosin, wrong):
    assert whosin("history", wrong).exit_code == 2


def test_a_day_is_by_itself(whosin):
    found = whosin("history", "--on", "friday", "--since", "2h")
    assert (found.exit_code, "--on is a day by itself" in found.stderr) == (2, True)


def test_what_happened_to_an_order_is_one_search(daemon, whosin):
    daemon.answers["GET history"] = []
    whosin("history", "--resource", "sales-order/SO-1001", "--actor", "olga", "--search", "phone")
    (query,) = daemon.queries("GET history")
    assert (query["resource"], query["actor"], query["q"]) == ("sales-order/SO-1001", "olga", "phone")


EVIL = [
    event(3, user="=HYPERLINK(1)", reason="+1", data={"resource": "-x", "note": "a,b"}),
    event(2, user="@x", company="\tc"),
    event(1),
]


def test_a_spreadsheet_finds_no_formula_in_the_export(daemon, whosin):
    daemon.answers["GET history"] = EVIL
    head, *lines = csv.reader(io.StringIO(whosin("history", "--csv").stdout))
    assert head[-2:] == ["resource", "data"]
    assert not [cell for line in lines for cell in line if cell[:1] in tuple("=+-@\t\r")]
    assert lines[0][head.index("user")] == "'=HYPERLINK(1)"
    assert json.loads(lines[0][-1]) == {"resource": "-x", "note": "a,b"}


def test_an_export_is_whole_unless_it_is_limited(daemon, whosin):
    daemon.answers["GET history"] = [event(n) for n in range(2_500, 0, -1)]
    lines = whosin("history", "--jsonl").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(2_500, 0, -1))
    assert len(whosin("history", "--jsonl", "--limit", "7").stdout.splitlines()) == 7


def test_one_form_at_a_time(daemon, whosin):
    assert whosin("history", "--csv", "--jsonl").exit_code == 2
    assert whosin("history", "--csv", "--json").exit_code == 2
