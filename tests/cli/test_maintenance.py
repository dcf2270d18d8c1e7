"""`whosin message` and `whosin maintenance`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.cli.fake_daemon import ago, stats, window
from whosin.cli import moments

SENT = {"reached": 2, "not_reached": 1, "users": ["anna", "ben"], "unknown": []}
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture
def noon(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    for module in ("whosin.cli.moments", "whosin.cli.maintenance"):
        monkeypatch.setattr(f"{module}.now", lambda: NOON)
    return moments


def test_a_message_is_sent_and_who_was_reached_is_told(daemon, whosin):
    daemon.answers["POST messages"] = SENT
    found = whosin("message", "--company", "main", "--user", "anna", "Please leave.")
    assert found.stdout == "2 sessions reached: anna, ben.\n1 fallen session cannot read it.\n"
    expected = {"text": "Please leave.", "site": None, "company": "main", "user": "anna", "sessions": None}
    assert daemon.bodies("POST messages") == [expected]
    assert whosin.json("message", "--session", "a", "--session", "b", "t") == SENT
    assert daemon.bodies("POST messages")[-1]["sessions"] == ["a", "b"]


def test_when_nobody_is_reached_the_exit_code_says_so(daemon, whosin):
    daemon.answers["POST messages"] = {**SENT, "reached": 0, "users": [], "unknown": ["x"]}
    found = whosin("message", "--session", "x", "t")
    assert (found.exit_code, "Not known: x." in found.stdout) == (1, True)


def test_a_message_to_nobody_is_not_sent(daemon, whosin):
    assert whosin("message", "t").exit_code == 2
    assert daemon.asked == []


@pytest.mark.parametrize(
    ("given", "begins", "until"),
    [
        (["--for", "1h"], None, "2026-11-25T13:00:00.000Z"),
        (["--from", "17:00", "--for", "90min"], "2026-11-25T17:00:00.000Z", "2026-11-25T18:30:00.000Z"),
        (["--from", "+20min", "--until", "13:30"], "2026-11-25T12:20:00.000Z", "2026-11-25T13:30:00.000Z"),
        (["--from", "9:15", "--for", "1h"], "2026-11-26T09:15:00.000Z", "2026-11-26T10:15:00.000Z"),
        (["--until", "2026-12-01T06:00Z"], None, "2026-12-01T06:00:00.000Z"),
    ],
)
def test_a_closing_is_planned_with_times_as_people_say_them(daemon, whosin, noon, given, begins, until):
    daemon.answers["POST maintenance"] = window()
    found = whosin("maintenance", "plan", "--site", "vienna", "--force", "New version.", *given)
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith("3: site vienna closes in")
    assert daemon.bodies("POST maintenance") == [
        {
            "site": "vienna",
            "company": None,
            "from": begins,
            "until": until,
            "text": "New version.",
            "force": True,
        }
    ]


@pytest.mark.parametrize(
    "wrong", ["", "--for 1h --until 13:00", "--for long", "--until soon", "--from 25:00 --for 1h"]
)
def test_a_closing_without_a_proper_end_is_not_planned(daemon, whosin, wrong):
    assert whosin("maintenance", "plan", "--site", "vienna", "x", *wrong.split()).exit_code == 2
    assert daemon.asked == []


def test_windows_are_listed_and_ended(daemon, whosin):
    daemon.answers["GET maintenance"] = [window(company="main", state="started")]
    text = whosin("maintenance").stdout
    for words in ("started", "vienna", "main", "New version."):
        assert words in text
    daemon.answers["DELETE maintenance/3"] = window(state="ended")
    assert whosin("maintenance", "end", "3").stdout == "3: open again: site vienna.\n"
    daemon.answers["DELETE maintenance/3"] = window(state="cancelled", company="main")
    assert whosin("maintenance", "cancel", "3").stdout == "3: cancelled: main.\n"
    assert whosin("maintenance", "cancel", "4").exit_code == 1
    daemon.answers["GET maintenance"] = []
    assert whosin("maintenance", "list").stdout == "No maintenance is planned.\n"


def test_status_tells_what_is_closed(daemon, whosin):
    daemon.answers["GET stats"] = stats(
        maintenance=[window(state="started", until=ago(-600)), window(4, company="main")]
    )
    text = whosin("status").stdout
    assert "site vienna until" in text
    assert "main in " in text
