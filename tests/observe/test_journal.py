"""Each committed event is counted, and told in one line."""

from __future__ import annotations

import logging

import pytest

from tests.observe.helpers import Clock, Lines, event
from whosin.model import Event
from whosin.observe.counts import Counts
from whosin.observe.journal import TABLE, BadInputLog, Journal
from whosin.observe.logs import Flood

KNOWN = [
    "session.logged_in", "session.refused", "session.disconnected", "session.reconnected", "session.idle",
    "session.logged_off", "session.removed", "lock.granted", "lock.released", "lock.left_behind",
    "followup.opened", "followup.done", "guidance.changed", "backup.made", "settings.changed", "message.sent",
    "maintenance.planned", "maintenance.warned", "maintenance.started", "maintenance.ended",
    "maintenance.cancelled",
    "cleanup.switched", "cleanup.started", "cleanup.finished", "cleanup.confirmed", "alert.raised",
    "alert.cleared", "alert.given_up", "alert.tested",
    "source.blind", "source.regained", "store.degraded", "store.recovered", "token.created", "token.revoked",
    "operator.added", "operator.changed", "operator.removed", "operator.link_made",
    "operator.password_changed", "operator.signed_in", "operator.sign_in_failed", "operator.signed_out",
    "database.upgraded", "database.restored",
    "account.added", "account.removed", "settings.reloaded", "daemon.started", "daemon.stopped",
]  # fmt: skip


@pytest.fixture
def counts():
    return Counts()


@pytest.fixture
def lines():
    return Lines()


@pytest.fixture
def journal(counts, lines):
    return Journal(counts, lines)


def test_the_table_knows_every_type_of_event():
    assert sorted(TABLE) == sorted(KNOWN)


def test_a_disconnect_tells_who_where_when_and_why(journal, lines, counts):
    fact = event(client="desktop", machine="pc-17", locks=["so-1"], last_seen_ms=5)
    fact.reason = "silence"
    journal.record([fact])
    assert lines.lines == [
        (
            logging.INFO,
            "session.disconnected",
            {
                "at": "2023-11-14T22:13:20.042Z",
                "site": "north",
                "company": "acme",
                "session": "s-1",
                "user": "jane",
                "reason": "silence",
                "client": "desktop",
                "machine": "pc-17",
                "locks": ["so-1"],
            },
        )
    ]
    assert counts.disconnected == {("desktop", "silence"): 1}


@pytest.mark.parametrize(
    ("kind", "data", "counter", "found"),
    [
        ("session.logged_in", {"client": "web"}, "logged_in", {"web": 1}),
        ("session.refused", {"client": "web", "code": "conflict"}, "refused", {"conflict": 1}),
        ("session.disconnected", {"client": "web", "reason": "lost"}, "disconnected", {("web", "lost"): 1}),
        ("session.reconnected", {"client": "web"}, "reconnected", {"web": 1}),
        ("session.removed", {"client": "web", "cause": "cleanup"}, "removed", {"cleanup": 1}),
    ],
)
def test_events_are_counted(journal, counts, kind, data, counter, found):
    journal.record([event(kind, **data)])
    assert getattr(counts, counter) == found


@pytest.mark.parametrize("client", ["kiosk", None, ["list"]])
def test_types_that_are_not_configured_count_as_default(journal, counts, client):
    journal.record([event("session.logged_in", client=client)])
    assert counts.logged_in == {"default": 1}
    journal.types = {"kiosk"}
    journal.record([event("session.logged_in", client="kiosk")])
    assert counts.logged_in == {"default": 1, "kiosk": 1}


class TestPasses:
    def whole(self, result: str) -> Event:
        data = {"pass": 3, "result": result, "removed": 2, "seconds": 0.2}
        return Event("cleanup.finished", 1_700_000_000_000, None, None, None, None, data, "cleanup")

    def test_one_that_was_done_is_counted_dated_and_timed(self, journal, counts, lines):
        journal.record([self.whole("done")])
        assert (counts.passes, counts.last_pass_s, counts.pass_seconds.sum) == (
            {"done": 1},
            1_700_000_000.0,
            0.2,
        )
        assert lines.lines[0][0] == logging.INFO
        assert lines.lines[0][2]["actor"] == "cleanup"

    def test_one_that_failed_is_a_warning_and_no_success(self, journal, counts, lines):
        journal.record([self.whole("failed")])
        assert (counts.passes, counts.last_pass_s) == ({"failed": 1}, 0)
        assert lines.lines[0][0] == logging.WARNING

    def test_its_part_of_a_site_is_not_counted_again(self, journal, counts, lines):
        part = self.whole("failed")
        part.site = "north"
        journal.record([part])
        assert counts.passes == {}
        assert lines.lines[0][0] == logging.DEBUG


def test_moments_are_shown_by_the_wall_clock(counts, lines):
    Journal(counts, lines, wall_ms=lambda at_ms: at_ms + 1000).record([event()])
    assert lines.lines[0][2]["at"] == "2023-11-14T22:13:21.042Z"


def test_what_was_said_when_it_happened_is_not_said_again(journal, lines):
    journal.record([event("source.blind", source="link"), event("store.recovered")])
    assert lines.lines == []


def test_an_unknown_type_is_told_with_all_its_data(journal, lines):
    journal.record([event("new.thing", a=1, event="x", level="y", site="z", exc_info=True)])
    ((level, kind, fields),) = lines.lines
    assert (level, kind, fields["a"], fields["site"]) == (logging.INFO, "new.thing", 1, "north")
    assert not {"event", "level", "exc_info"} & set(fields)


def test_what_the_level_leaves_out_is_still_counted(counts):
    lines = Lines(logging.WARNING)
    Journal(counts, lines).record([event("session.logged_in", client="web")])
    assert lines.lines == []
    assert counts.logged_in == {"web": 1}


def test_a_flood_is_counted_in_full_and_told_in_part(counts, lines):
    flood = Flood(3, Clock())
    lines.log = lambda level, event, **fields: flood.admit(event) and Lines.log(lines, level, event, **fields)
    Journal(counts, lines, flood=flood).record([event(reason="silence", client="web")] * 1000)
    assert len(lines.lines) == 3
    assert counts.disconnected == {("web", "silence"): 1000}
    assert flood.suppressed(now=True) == {"session.disconnected": 997}


class TestBadInput:
    @pytest.fixture
    def clock(self):
        return Clock()

    @pytest.fixture
    def bad_input(self, lines, clock):
        return BadInputLog(lines, clock)

    def test_the_first_is_told_with_a_short_sample(self, bad_input, lines):
        bad_input("schema", b"x" * 1000, "expected an object")
        assert lines.lines == [
            (
                logging.WARNING,
                "input.rejected",
                {
                    "reason": "schema",
                    "sample": b"x" * 80,
                    "bytes": 1000,
                    "count": 1,
                    "why": "expected an object",
                },
            )
        ]

    def test_the_same_reason_is_told_again_after_ten_seconds_with_the_count(self, bad_input, lines, clock):
        bad_input("topic", b"a")
        clock.now += 9.999
        bad_input("topic", b"b")
        assert len(lines.lines) == 1
        clock.now += 0.001
        bad_input("topic", b"c")
        assert lines.lines[1][2] == {"reason": "topic", "sample": b"c", "bytes": 1, "count": 2}

    def test_reasons_do_not_silence_each_other(self, bad_input, lines):
        bad_input("topic", b"a")
        bad_input("size", b"a")
        assert len(lines.lines) == 2

    def test_what_came_last_is_told_when_asked_for(self, bad_input, lines, clock):
        for _ in range(4):
            bad_input("topic", b"a")
        clock.now += 9
        bad_input.flush()
        assert len(lines.lines) == 1
        clock.now += 1
        bad_input.flush()
        bad_input.flush()
        assert [fields.get("count") for _, _, fields in lines.lines] == [1, 3]
