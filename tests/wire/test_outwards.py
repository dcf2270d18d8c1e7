"""Answers and events as they leave."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whosin import wire
from whosin.model import Answer
from whosin.ports import EventRow

EPOCH_MS = 1_700_000_000_000


class Clock:
    """Its timeline is the wall clock less an hour."""

    def now_ms(self) -> int:
        return 0

    def wall_ms(self, at_ms: int) -> int:
        return at_ms + 3_600_000

    def timeline_ms(self, wall_ms: int) -> int:
        return wall_ms - 3_600_000


def row(**more) -> EventRow:
    given = {
        "seq": 7,
        "at": EPOCH_MS,
        "type": "session.disconnected",
        "site": "s",
        "company": "A",
        "session": "s1",
        "user": "anna",
        "actor": None,
        "reason": "silence",
        "data": b'{"client":"web"}',
    }
    return EventRow(**{**given, **more})


@pytest.mark.parametrize(
    ("wall_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (1_000, "1970-01-01T00:00:01.000Z"),
        (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_utc_with_milliseconds_and_z(wall_ms, text):
    assert wire.rfc3339(wall_ms) == text


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_written_is_the_time_read(wall_ms):
    assert wire.parse_rfc3339(wire.rfc3339(wall_ms)) == wall_ms


@pytest.mark.parametrize(
    "text",
    ["2026-11-21T08:15:00Z", "2026-11-21T09:15:00+01:00", "2026-11-21 08:15", "2026-11-21T08:15:00.000Z"],
)
def test_times_of_people_are_read_with_any_offset_and_utc_without_one(text):
    assert wire.parse_rfc3339(text) == round(datetime(2026, 11, 21, 8, 15, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be set here")
def test_a_time_without_an_offset_is_utc_wherever_the_daemon_runs(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert wire.rfc3339(wire.parse_rfc3339("2026-11-21 08:15")) == "2026-11-21T08:15:00.000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.text(max_size=30))
def test_what_is_no_time_is_a_value_error(text):
    with suppress(ValueError):
        wire.parse_rfc3339(text)


def test_moments_become_texts_at_any_depth_and_zero_becomes_null():
    data = {
        "at_ms": EPOCH_MS,
        "until_ms": 0,
        "holder": {"since_ms": EPOCH_MS},
        "held": [{"release_at_ms": EPOCH_MS}],
        "n": [1],
    }
    told = "2023-11-14T23:13:20.000Z"
    assert wire.outward(data, Clock()) == {
        "at": told,
        "until": None,
        "holder": {"since": told},
        "held": [{"release_at": told}],
        "n": [1],
    }


def test_what_is_no_moment_stays_as_it_is_and_a_moment_that_there_is_not_is_null():
    data = {"fallen": 12, "reason": None, "until_ms": None, "machine_ms": "PC", "share": 0.5, "told": True}
    assert wire.outward(data, Clock()) == {
        "fallen": 12, "reason": None, "until": None, "machine_ms": "PC", "share": 0.5, "told": True,
    }  # fmt: skip


def test_an_answer_goes_to_its_sessions_topic():
    topic, payload = wire.answer(
        Answer("door", "s", "A", "s1", "ended", {"status": "removed", "at_ms": EPOCH_MS}), Clock()
    )
    assert topic == "whosin/v1/down/s/A/s1/ended"
    assert json.loads(payload) == {"status": "removed", "at": "2023-11-14T23:13:20.000Z"}


def test_an_event_is_a_cloud_event_with_a_stable_id():
    topic, payload = wire.event(row(), "store", "whosin")
    assert topic == "whosin/v1/events/s/A/session.disconnected"
    assert json.loads(payload) == {
        "specversion": "1.0",
        "id": "store-7",
        "source": "/whosin/whosin",
        "type": "session.disconnected",
        "subject": "s1",
        "time": "2023-11-14T22:13:20.000Z",
        "datacontenttype": "application/json",
        "data": {
            "client": "web",
            "site": "s",
            "company": "A",
            "user": "anna",
            "by": None,
            "reason": "silence",
        },
    }
    assert wire.event(row(), "store", "whosin") == (topic, payload)


names = st.sampled_from(["client", "machine", "by", "site", "reason", "user", "company", "note"])
values = st.one_of(
    st.none(), st.integers(0, 9), st.text(max_size=8), st.just('"by":'), st.lists(st.text(max_size=3))
)


@given(st.dictionaries(names, st.one_of(values, st.dictionaries(names, values, max_size=2)), max_size=5))
def test_what_was_stored_of_an_event_goes_through_but_for_what_has_a_column_of_its_own(data):
    _, payload = wire.event(row(data=wire.encode_json(data), actor="olga"), "store", "whosin")
    whose = {"site": "s", "company": "A", "user": "anna", "by": "olga", "reason": "silence"}
    told = json.loads(payload, object_pairs_hook=once)
    assert told["data"] == {**data, **whose}


def once(pairs):
    assert len(dict(pairs)) == len(pairs), "a name stands there twice"
    return dict(pairs)


def test_an_event_says_who_did_it():
    _, payload = wire.event(row(type="session.removed", actor="admin", reason="power cut"), "store", "whosin")
    data = json.loads(payload)["data"]
    assert (data["by"], data["reason"], data["user"]) == ("admin", "power cut", "anna")


def test_an_event_of_a_whole_site_says_so_in_its_topic_and_has_no_subject():
    topic, payload = wire.event(row(company=None, session=None), "store", "whosin")
    assert topic == "whosin/v1/events/s/@all/session.disconnected"
    assert "subject" not in json.loads(payload)


def test_an_event_of_no_site_does_not_leave():
    assert wire.event(row(site=None), "store", "whosin") is None


@pytest.mark.parametrize("epoch_s", [0, 1_795_777_832, 4_102_444_799])
def test_where_the_system_cannot_tell_a_date_it_is_reckoned(monkeypatch, epoch_s: int) -> None:
    """Windows knows only the years 1970 to 3000."""
    known = wire._second.__wrapped__(epoch_s)

    def cannot(_seconds: float) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(wire.time, "gmtime", cannot)
    assert wire._second.__wrapped__(epoch_s) == known
