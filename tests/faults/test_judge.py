"""The judge finds each kind of wrong, and nothing where all is right: told with made-up records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.facts import Facts, Row
from tests.faults.judge import Judge, Verdict
from tests.faults.record import Event, Heard, Member, Ordered, Record, Said, Window
from tests.faults.when import Terms, When

BASE = 1_000_000.0
TERMS = Terms(timeout_s={"desktop": (3.0, 3.0)}, lost_s={"desktop": (1.0, 1.0)}, grace_s=2.0)


@dataclass
class Story:
    """A round in which all went well, to be spoilt: `anna` stays, `dora` dies at 2 s, the marker ends it."""

    record: Record
    facts: Facts

    @property
    def verdict(self) -> Verdict:
        return Judge(self.record, self.facts, TERMS).verdict()

    @property
    def wrong(self) -> str:
        return "\n".join(self.verdict.wrong)

    def add(self, at: float, kind: str, session: str | None, **data: Any) -> Row:
        """One more row of the history, heard by the observer."""
        rows = self.facts.rows
        site = None if session is None else "s1"
        row = Row(len(rows) + 1, BASE + at, kind, site, "c1", session, None, data.pop("reason", None), data)
        rows.append(row)
        if session is not None:
            self.hear(at, row)
        return row

    def hear(self, at: float, row: Row, way: str = "door") -> None:
        body = {"id": f"store-{row.seq}", "type": row.type, "subject": row.session, "data": row.data}
        self.record.events[way].append(Event(at, f"whosin/v1/events/s1/c1/{row.type}", body))

    def say(self, session: str, verb: str, at: float, acked: float | None) -> None:
        self.record.said.append(Said(session, verb, {}, self.record.members[session].way, at, acked))

    def answer(self, session: str, kind: str, payload: dict[str, Any]) -> None:
        self.record.heard.append(Heard(5.0, "door", session, kind, payload))


def member(ident: str, way: str = "door", role: str = "stays") -> Member:
    beats = [0.2 + 0.5 * nth for nth in range(18)]
    return Member(ident, ident, "desktop", "c1", way, role, False, beats)


@pytest.fixture
def story() -> Story:
    record = Record(began=0.0, base=BASE)
    record.events["door"] = []
    record.members = {"anna": member("anna"), "dora": member("dora", role="dies")}
    record.members["dora"].beats = [0.2, 0.7, 1.2, 1.7, 2.0]
    record.members["dora"].died = 2.1
    it = Story(record, Facts("store", [], {}, {}, set(), None, []))
    for nth, session in enumerate(("anna", "dora")):
        it.add(0.1 + nth / 100, "session.logged_in", session)
        it.say(session, "login", 0.1, 0.15)
    it.say("dora", "heartbeat", 2.0, 2.05)
    it.add(5.0, "session.disconnected", "dora", reason="silence")
    it.add(9.0, "session.logged_in", "marker")
    it.facts.live = {"anna": "active", "dora": "disconnected", "marker": "active"}
    return it


def lock(resource: str, token: int, mode: str = "exclusive") -> dict[str, Any]:
    return {"resource": resource, "token": token, "mode": mode}


def test_a_good_round_is_good(story: Story) -> None:
    verdict = story.verdict
    assert not verdict.wrong
    assert (verdict.found, verdict.excused) == (1, 0)


# --- who is taken for silent ---


def test_one_who_beats_and_is_disconnected_is_a_false_disconnect(story: Story) -> None:
    story.add(6.0, "session.disconnected", "anna", reason="silence")
    story.facts.live["anna"] = "disconnected"
    assert "anna: disconnected at 6.00 s" in story.wrong
    assert "it was beating" in story.wrong


def test_one_who_was_kept_from_beating_by_a_fault_is_innocent_all_the_same(story: Story) -> None:
    story.record.members["anna"].beats = [0.2, 0.7, 1.2, 4.3, 4.8, 5.3, 5.8]
    story.record.windows.append(Window("down", 1.3, 4.0))
    story.add(6.0, "session.disconnected", "anna", reason="silence")
    story.facts.live["anna"] = "disconnected"
    assert "it was beating" in story.wrong


def test_one_who_did_not_beat_for_no_reason_is_excused(story: Story) -> None:
    story.record.members["anna"].beats = [0.2, 0.7, 1.2, 5.8]
    story.add(4.2, "session.disconnected", "anna", reason="silence")
    story.facts.live["anna"] = "disconnected"
    assert story.verdict.excused == 1
    assert not story.wrong
    story.record.members["anna"].beats = [0.2]
    story.facts.rows[-1] = story.facts.rows[-1]._replace(at=BASE + 14.0)
    assert story.verdict.excused == 1


def test_one_that_logged_out_beats_no_more_and_may_fall_if_its_logout_went_with_the_broker(
    story: Story,
) -> None:
    anna = story.record.members["anna"]
    anna.beats = [0.2, 0.7, 1.2]
    anna.end(1.3)
    story.add(4.2, "session.disconnected", "anna", reason="silence")
    story.facts.live["anna"] = "disconnected"
    assert not story.wrong
    assert story.verdict.excused == 0


def test_a_dead_one_dated_before_its_time_is_wrong(story: Story) -> None:
    story.facts.rows[2] = story.facts.rows[2]._replace(at=BASE + 4.7)
    assert "0.30 s before its time" in story.wrong


def test_a_dead_one_dated_later_than_explained_is_wrong(story: Story) -> None:
    story.facts.rows[2] = story.facts.rows[2]._replace(at=BASE + 8.0)
    assert "later than explained" in story.wrong
    story.record.windows.append(Window("stop", 3.0, 5.0))
    assert not story.wrong


def test_a_dead_one_that_was_not_found_is_wrong(story: Story) -> None:
    del story.facts.rows[2]
    story.facts.live["dora"] = "active"
    assert "dora: died at 2.10 s and was never found" in story.wrong


def test_a_date_is_told_from_a_clock_that_was_stepped(story: Story) -> None:
    story.facts.rows[2] = story.facts.rows[2]._replace(at=BASE + 5.0 + 3600)
    assert "which is not in this round" in story.wrong
    story.record.offsets.append(3600.0)
    assert not story.wrong


# --- what was promised ---


@pytest.mark.parametrize(("verb", "words"), [("login", "its login was"), ("logout", "its logout was")])
def test_a_command_that_was_acknowledged_and_left_no_trace_is_lost(
    story: Story, verb: str, words: str
) -> None:
    story.record.members["eve"] = member("eve")
    if verb == "logout":
        story.add(0.3, "session.logged_in", "eve")
    story.say("eve", verb, 3.0, 3.1)
    assert words in story.wrong


def test_a_logout_whose_login_went_with_the_broker_has_nothing_to_end(story: Story) -> None:
    story.record.members["eve"] = member("eve", way="link")
    story.say("eve", "login", 3.0, 3.1)
    story.say("eve", "logout", 3.2, 6.0)
    story.record.windows.append(Window("broker_kill", 3.15, 4.0))
    assert not story.wrong
    assert story.verdict.gone == 1


def test_one_that_was_not_acknowledged_is_not(story: Story) -> None:
    story.record.members["eve"] = member("eve")
    story.say("eve", "login", 3.0, None)
    assert not story.wrong


def test_what_a_broker_acknowledged_is_lost_only_if_it_was_not_killed_then(story: Story) -> None:
    story.record.members["eve"] = member("eve", way="link")
    story.say("eve", "login", 3.0, 3.1)
    assert "its login was acknowledged" in story.wrong
    story.record.windows.append(Window("broker_kill", 3.5, 4.0))
    assert not story.wrong
    story.record.windows[0].start = 6.0  # it had all the time to hand it on
    assert "its login was acknowledged" in story.wrong


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("lock", {"resource": "a", "granted": True, "token": 3}),
        ("unlock", {"resource": "a", "released": True}),
        ("ended", {"status": "removed"}),
        ("login", {"accepted": False, "code": "conflict"}),
    ],
)
def test_an_answer_that_is_not_written_down_is_lost(story: Story, kind: str, payload: dict[str, Any]) -> None:
    story.answer("anna", kind, payload)
    assert "anna: answered at 5.00 s" in story.wrong


def test_what_operators_were_told_or_shown_must_be_true(story: Story) -> None:
    story.record.ordered = [
        Ordered(3.0, "POST", "sessions/logoff", {}, 200, {"results": [{"id": "anna", "result": "removed"}]}),
        Ordered(3.0, "GET", "sessions?", None, 200, {"items": [{"id": "anna", "status": "disconnected"}]}),
        Ordered(3.0, "PUT", "cleanup", {"enabled": True}, 200, {}),
    ]
    for words in ("logged off", "shown as disconnected", "switched on"):
        assert words in story.wrong
    story.record.ordered.append(Ordered(4.0, "PUT", "cleanup", {"enabled": False}))  # nobody knows
    assert "switched" not in story.wrong


# --- events ---


def test_an_event_that_was_not_heard_is_lost(story: Story) -> None:
    del story.record.events["door"][1]
    assert "the observer (door) never heard seq 2, session.logged_in of dora" in story.wrong


def test_an_event_that_a_broker_was_handed_and_could_not_hand_on_is_not_ours(story: Story) -> None:
    story.record.events = {"link": story.record.events["door"]}
    del story.record.events["link"][1]
    assert "never heard" in story.wrong
    story.record.handed = ["whosin/v1/events/s1/c1/session.logged_in"]
    assert "never heard" not in story.wrong
    assert story.verdict.gone == 1


def test_what_a_broker_was_handed_excuses_one_event_each_in_order_and_none_of_the_door(story: Story) -> None:
    story.record.events = {"link": story.record.events["door"]}
    logged_in, fell = (f"whosin/v1/events/s1/c1/session.{it}" for it in ("logged_in", "disconnected"))
    del story.record.events["link"][:3]
    story.record.handed = [logged_in, logged_in, fell]
    assert not story.wrong
    for handed in ([logged_in, fell], [fell, logged_in, logged_in], [logged_in, logged_in]):
        story.record.handed = handed
        assert "never heard" in story.wrong
    story.record.events = {"door": story.record.events["link"]}
    story.record.handed = [logged_in, logged_in, fell]
    assert "never heard" in story.wrong


def test_an_event_heard_twice_is_fine_but_not_with_another_content(story: Story) -> None:
    again = story.record.events["door"][1]
    story.record.events["door"].append(again)
    assert not story.wrong
    story.record.events["door"][-1] = Event(again.at, again.topic, {**again.body, "subject": "anna"})
    assert "two events with the id of seq 2" in story.wrong


def test_events_of_one_session_out_of_order_are_wrong(story: Story) -> None:
    events = story.record.events["door"]
    events[1], events[2] = events[2], events[1]
    assert "heard seq 2 of dora after 3" in story.wrong


# --- locks and lives ---


def test_a_lock_held_by_two_is_found(story: Story) -> None:
    story.add(2.0, "lock.granted", "anna", **lock("order", 1))
    story.add(2.1, "lock.granted", "dora", **lock("order/1", 2))
    story.facts.locks = {("c1", 1, "order"), ("c1", 2, "order/1")}
    assert "order/1 (token 2) was granted to dora while anna held order (token 1)" in story.wrong


def test_shared_locks_do_not_conflict(story: Story) -> None:
    story.add(2.0, "lock.granted", "anna", **lock("order", 1, "shared"))
    story.add(2.1, "lock.granted", "dora", **lock("order/1", 2, "shared"))
    story.facts.locks = {("c1", 1, "order"), ("c1", 2, "order/1")}
    assert "was granted" not in story.wrong


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s: s.add(2.2, "lock.granted", "dora", **lock("b", 1)), "token 1 was given after 1"),
        (lambda s: s.add(2.2, "lock.released", "dora", **lock("b", 9)), "token 9 of b was released"),
        (lambda s: s.facts.locks.clear(), "as stored differ"),
        (lambda s: s.add(2.2, "session.reconnected", "anna"), "session.reconnected (seq 6) after active"),
        (lambda s: s.facts.live.update(anna="disconnected"), "stored as disconnected"),
        (lambda s: s.facts.live.update(eve="active"), "not in the history"),
        (lambda s: s.facts.bugs.append("engine.bug"), "tells of a defect"),
        (lambda s: s.record.exits.append("exit code 1"), "ended by itself"),
        (lambda s: s.record.unsettled.append("this"), "not settled: this"),
    ],
)
def test_histories_that_cannot_be_are_found(
    story: Story, spoil: Callable[[Story], object], words: str
) -> None:
    story.add(2.0, "lock.granted", "anna", **lock("a", 1))
    story.facts.locks = {("c1", 1, "a")}
    spoil(story)
    assert words in story.wrong


# --- what is allowed at most ---


def test_a_kill_blinds_from_the_last_proof_that_a_failing_disk_let_through() -> None:
    record = Record(0.0, BASE, windows=[Window("failing_disk", 2.0, 6.0), Window("down", 5.0, 7.0)])
    assert When(record, TERMS).blind("door") == [(1.0, 7.5)]


def test_the_link_is_blind_when_its_broker_is_and_the_door_is_not() -> None:
    record = Record(0.0, BASE, windows=[Window("broker_pause", 2.0, 3.0)])
    when = When(record, TERMS)
    assert when.blind("door") == []
    assert when.blind("link") == [(2.0, 4.5)]
