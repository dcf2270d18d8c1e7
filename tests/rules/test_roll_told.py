"""What the roll tells and stores, field by field, and time brought in steps from several sources."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rules.driver import DEFAULTS, DOOR, LINK, START, Driver
from whosin.messages import BARE_HEARTBEAT, Heartbeat, LockRequest, Login, Logout, Unlock
from whosin.model import Account, ClientType, Company, Lock, Role, Session, Status
from whosin.rules.guidance import Guidance, Rule
from whosin.rules.roll import Sender

S = 1_000
WHO = {"client": "desktop", "machine": "PC-07"}
IDLERS = replace(DEFAULTS, types={"default": ClientType("default", idle_limit_s=60, idle_disconnects=True)})
FLAGGED = replace(DEFAULTS, types={"default": ClientType("default", idle_limit_s=60)})


def come(d: Driver, at: int = 0, ident: str = "s1", **more) -> None:
    said = more.pop("said", None)
    d.hear(at, ident, Login("anna", "desktop", machine="PC-07", at=said, **more))


def last(d: Driver, kind: str):
    event = d.happened(kind)[-1]
    return event.at, event.session, event.data, event.reason, event.actor


# --- events ------------------------------------------------------------------------------------------------


def test_an_event_says_of_whom_it_is():
    d = Driver()
    now = START + 5
    d.roll.receive(sender(), Login("anna", "desktop", "PC-07"), now)
    (event,) = d.roll.out.events
    assert (event.type, event.at_ms, event.site, event.company) == ("session.logged_in", now, "s", "A")
    assert (event.session, event.user, event.actor, event.reason) == ("s1", "anna", None, None)
    assert d.roll.out.sessions == {1: d.session("s1")}
    assert list(d.roll.out.companies) == [d.company()]
    assert d.roll.out.entered == {1: d.session("s1")}


def sender():
    return Sender(DOOR, "s", "A", "s1")


def test_a_login_tells_where_it_came_from():
    d = Driver()
    come(d, address="10.0.0.7", app="sales 4", os_session=3, conn=1, said="now")
    assert last(d, "session.logged_in") == (
        0, "s1", {**WHO, "address": "10.0.0.7", "app": "sales 4", "os_session": "3", "source": "door"},
        None, None,
    )  # fmt: skip
    session = d.session("s1")
    assert (session.told.address, session.told.app, session.os_session) == ("10.0.0.7", "sales 4", "3")
    assert (session.told.conn, session.told.at, session.source, session.key) == (1, "now", "door", 1)


def test_a_fall_tells_since_when_and_what_it_holds():
    d = Driver()
    come(d)
    d.lock(10 * S, "s1", "a")
    d.beat(20 * S, "s1", idle_s=7.4)
    d.pass_to(320 * S)
    assert last(d, "session.disconnected") == (
        320 * S, "s1",
        {**WHO, "last_seen_ms": START + 20 * S, "locks": ["a"], "idle_s": 7}, "silence", None,
    )  # fmt: skip
    d.beat(330 * S, "s1")
    assert last(d, "session.reconnected") == (
        330 * S, "s1", {**WHO, "disconnected_at_ms": START + 320 * S, "was": "silence"}, None, None,
    )  # fmt: skip
    session = d.session("s1")
    assert (session.disconnected_ms, session.reason) == (0, None)


def test_idleness_is_told_with_how_long():
    d = Driver(FLAGGED)
    come(d)
    d.beat(5, "s1", idle_s=61)
    assert last(d, "session.idle") == (5, "s1", {**WHO, "idle": True, "idle_s": 61}, None, None)
    d.beat(6, "s1", idle_s=1)
    assert last(d, "session.idle") == (6, "s1", {**WHO, "idle": False, "idle_s": 1}, None, None)


def test_idleness_that_disconnects_is_told_as_a_fall():
    d = Driver(IDLERS)
    come(d)
    d.lock(1, "s1", "a")
    d.beat(5, "s1", idle_s=60)
    assert last(d, "session.disconnected") == (
        5, "s1", {**WHO, "last_seen_ms": START + 5, "locks": ["a"], "idle_s": 60}, "idle", None,
    )  # fmt: skip
    assert d.session("s1").told.idle
    assert list(d.roll.locks.blocking) == [d.session("s1")]


def test_a_goodbye_tells_what_it_gave_back():
    d = Driver()
    come(d)
    d.lock(1, "s1", "a")
    d.lock(1, "s1", "b")
    d.lock(1, "s1", "menu", sticky=True)
    d.hear(2, "s1", Logout("lunch"))
    assert last(d, "session.logged_off") == (
        2,
        "s1",
        {**WHO, "was": "active", "released": ["a", "b"]},
        "lunch",
        "anna",
    )
    tomb = d.roll.tombs["s1"]
    assert (tomb.id, tomb.site, tomb.company, tomb.status, tomb.at_ms, tomb.by, tomb.reason) == (
        "s1", "s", "A", Status.LOGGED_OFF, START + 2, "anna", "lunch",
    )  # fmt: skip


def test_a_removal_tells_what_it_was_what_went_and_what_stays():
    d = Driver()
    come(d)
    d.lock(1, "s1", "a")
    d.lock(2, "s1", "menu", sticky=True)
    d.remove(5 * S, "s1", actor="olga")
    at, ident, data, reason, actor = last(d, "session.removed")
    assert (at, ident, reason, actor) == (5 * S, "s1", None, "olga")
    assert data == {
        **WHO, "cause": "operator", "was": "active", "last_seen_ms": START + 2, "released": [],
        "held": [{"resource": "a", "release_at_ms": START + 15 * S + 2}], "sticky": ["menu"],
    }  # fmt: skip
    tomb = d.roll.tombs["s1"]
    assert (tomb.status, tomb.by, tomb.reason) == (Status.REMOVED, "olga", "operator")


def test_one_that_is_replaced_says_by_whom():
    d = Driver()
    come(d, os_session=1)
    d.pass_to(300 * S)
    come(d, 310 * S, "s2", os_session=1)
    at, ident, data, reason, actor = last(d, "session.removed")
    assert (at, ident, reason, actor) == (310 * S, "s1", "replaced by s2", "anna")
    assert (data["cause"], data["was"]) == ("replaced", "disconnected")


def test_a_lost_one_that_a_newer_login_waits_for_is_removed_at_its_deadline_by_its_own_user():
    d = Driver()
    come(d, os_session=1)
    older = d.session("s1")
    d.lost(10 * S, "s1")
    d.roll.out.sessions.clear()
    come(d, 20 * S, "s2", os_session=1)
    assert older.replaced_by == "s2"
    assert d.roll.out.sessions[older.key] is older
    d.beat(60 * S, "s2")
    d.pass_to(310 * S)
    _, ident, data, reason, actor = last(d, "session.removed")
    assert (ident, reason, actor, data["cause"]) == ("s1", "replaced by s2", "anna", "replaced")
    assert older.replaced_by is None


def test_that_a_connection_broke_is_stored_and_so_is_which_one_when_it_was_known_to_be_broken():
    d = Driver()
    come(d, conn=1)
    stored = d.roll.out.sessions
    stored.clear()
    d.lost(10 * S, "s1")
    assert stored == {1: d.session("s1")}
    stored.clear()
    d.roll.beats.clear()
    d.session("s1").dirty = False
    d.lost(11 * S, "s1", 2)
    assert stored == {1: d.session("s1")}
    assert d.session("s1").told.conn == 2
    assert d.roll.beats == [d.session("s1")], "which one is written with the next flush"
    stored.clear()
    d.beat(12 * S, "s1")
    assert stored == {1: d.session("s1")}, "it is not broken any more"


def test_one_that_is_over_keeps_when_by_whom_and_why_and_is_nobodys_other_session():
    d = Driver()
    come(d, os_session=1)
    older = d.session("s1")
    d.remove(5, "s1")
    assert (older.ended.at_ms, older.ended.by, older.reason) == (START + 5, "olga", "operator")
    come(d, 10, "s2", os_session=1)
    assert d.roll._persons.others(d.session("s2")) == []


def test_as_many_locks_are_named_as_fit():
    d = Driver()
    come(d)
    for n in range(300):
        d.hear(1, "s1", LockRequest(f"a/{n}"))
    d.hear(2, "s1", Logout())
    released = last(d, "session.logged_off")[2]["released"]
    assert released == [f"a/{n}" for n in range(len(released))]
    assert 0 < len(released) < 300


def test_an_answer_goes_to_where_the_session_is_heard():
    d = Driver(sources=(DOOR, LINK))
    come(d)
    d.roll.receive(Sender(LINK, "s", "A", "s1"), LockRequest("a"), START + 1)
    (answer,) = d.roll.out.answers
    assert (answer.source, answer.site, answer.company, answer.session) == (LINK, "s", "A", "s1")
    assert (answer.kind, answer.payload["resource"]) == ("lock", "a")


# --- answers -----------------------------------------------------------------------------------------------


def test_who_is_over_is_told_when_by_whom_and_why():
    d = Driver()
    come(d)
    d.hear(5, "s1", Logout("lunch"))
    d.beat(6, "s1")
    assert d.told("s1", "ended") == [
        {"status": "logged_off", "at_ms": START + 5, "by": "anna", "reason": "lunch"}
    ]


def test_an_id_of_another_company_is_a_conflict_for_a_login_and_unknown_for_all_else():
    d = Driver()
    come(d)
    d.login(1, "s1", company="B")
    assert d.told("s1", "login")[-1]["code"] == "conflict"
    d.beat(2, "s1", company="B", activity="x")
    assert d.told("s1", "unknown") == [{}]
    d.logout(3, "s1")
    d.login(20 * S, "s1", company="B")
    assert [told.get("code") for told in d.told("s1", "login")] == [None, "conflict", "conflict"]
    d.beat(20 * S, "s1", company="B", activity="x")
    assert d.told("s1", "unknown") == [{}, {}]
    assert d.told("s1", "ended") == []


def test_a_refusal_is_answered_each_time_and_told_to_others_once_in_a_while():
    d = Driver()
    come(d)
    for at in (1, 2, 10 * S + 1):
        d.login(at, "s1", user="ben")
    answers = d.told("s1", "login")[1:]
    assert [(answer["accepted"], answer["code"], bool(answer["message"])) for answer in answers] == [
        (False, "conflict", True)
    ] * 3
    assert [event.at for event in d.happened("session.refused")] == [1, 10 * S + 1]


def test_one_who_is_refused_hides_no_other_who_is():
    d = Driver()
    for ident in ("s1", "s2"):
        come(d, ident=ident)
    for ident in ("s1", "s2"):
        d.login(1, ident, user="ben")
    assert [event.session for event in d.happened("session.refused")] == ["s1", "s2"]


def test_a_repeated_login_updates_what_may_change():
    d = Driver()
    come(d, address="10.0.0.7", app="sales 4")
    d.roll.out.entered.clear()
    come(d, 1, address="10.0.0.8")
    assert d.roll.out.entered == {1: d.session("s1")}, "it is stored"
    session = d.session("s1")
    assert (session.told.address, session.told.app) == ("10.0.0.8", "sales 4")
    come(d, 2, app="sales 5", conn=9, said="later")
    assert (session.told.address, session.told.app, session.told.conn, session.told.at) == (
        "10.0.0.8",
        "sales 5",
        9,
        "later",
    )
    assert len(d.told("s1", "login")) == 3


def test_a_beat_with_identity_brings_all_that_a_login_would():
    d = Driver()
    message = Heartbeat(
        user="anna", client="desktop", machine="PC-07", address="10.0.0.7", app="sales 4", os_session=2,
        conn=5, at="now", activity="amends", idle_s=3,
    )  # fmt: skip
    d.hear(1, "s1", message)
    session = d.session("s1")
    found = session.user, session.client, session.machine, session.told.address
    assert found == ("anna", "desktop", "PC-07", "10.0.0.7")
    assert (session.told.app, session.os_session, session.told.conn, session.told.at) == (
        "sales 4",
        "2",
        5,
        "now",
    )
    assert (session.told.activity, session.told.idle_s) == ("amends", 3)


@pytest.mark.parametrize("who", [{"user": "anna"}, {"client": "desktop"}])
def test_a_beat_with_half_an_identity_logs_nobody_in(who):
    d = Driver()
    d.hear(1, "s1", Heartbeat(**who))
    assert d.told("s1", "unknown") == [{}]


# --- signs of life -----------------------------------------------------------------------------------------


def test_what_a_beat_does_not_say_stays_and_an_empty_activity_is_none():
    d = Driver()
    come(d, conn=3, said="first")
    d.hear(1, "s1", Heartbeat("amends", 5, at="second"))
    d.beat(2, "s1", conn=2)
    session = d.session("s1")
    assert (session.told.activity, session.told.idle_s, session.told.conn, session.told.at) == (
        "amends",
        5,
        3,
        "second",
    )
    d.beat(3, "s1", activity="", conn=4)
    assert (session.told.activity, session.told.conn) == (None, 4)


def test_a_beat_that_was_overtaken_does_not_set_the_last_sign_back():
    d = Driver()
    come(d, 10 * S)
    d.roll.receive(sender(), Heartbeat(activity="x"), START + 5 * S)
    assert d.session("s1").seen_ms == START + 10 * S


@pytest.mark.parametrize("beat", [BARE_HEARTBEAT, Heartbeat(activity="x")])
def test_a_session_is_noted_once_for_the_next_flush(beat):
    d = Driver()
    come(d)
    d.roll.beats.clear()
    d.session("s1").dirty = False
    d.hear(1, "s1", beat)
    d.hear(2, "s1", beat)
    assert d.roll.beats == [d.session("s1")]
    assert d.session("s1").dirty


# --- counts, settings, time in steps -----------------------------------------------------------------------


def test_sessions_are_counted_by_status_and_client_type_also_when_the_types_change():
    d = Driver()
    for n, client in enumerate(["desktop", "desktop", "web", "robot", "robot"]):
        d.login(0, f"s{n}", user=f"user {n}", client=client)
    d.pass_to(300 * S)
    d.beat(301 * S, "s0")
    found = {label: count for label, count in d.roll.tally.items() if count}
    assert found == {
        (Status.ACTIVE, "desktop"): 1, (Status.DISCONNECTED, "desktop"): 1, (Status.ACTIVE, "web"): 1,
        (Status.DISCONNECTED, "default"): 2,
    }  # fmt: skip
    d.roll.set_policy(
        replace(DEFAULTS, types={"default": ClientType("default"), "robot": ClientType("robot")})
    )
    assert d.roll.tally == {
        (Status.ACTIVE, "default"): 2, (Status.DISCONNECTED, "default"): 1, (Status.DISCONNECTED, "robot"): 2,
    }  # fmt: skip


def test_when_settings_change_the_fallen_who_hold_something_are_looked_at_again():
    d = Driver()
    for ident in ("s1", "s2"):
        d.login(0, ident, user=ident)
    d.lock(0, "s1", "a")
    d.pass_to(400 * S)
    d.roll.locks.blocking.clear()
    d.roll.set_policy(DEFAULTS)
    assert list(d.roll.locks.blocking) == [d.session("s1")]


PAYROLL = Guidance([Rule("payroll", "normal", "Ask.", None, activity=("payroll",))])


def test_who_falls_while_it_did_something_with_guidance_is_told_of_though_it_holds_nothing():
    d = Driver()
    d.roll.set_guidance(PAYROLL)
    for ident in ("s1", "s2"):
        d.login(0, ident, user=ident)
    d.beat(1, "s1", activity="payroll")
    d.pass_to(301 * S)
    assert list(d.roll.locks.stirred) == [d.session("s1")]
    assert not d.roll.locks.blocking


def restored(d: Driver, number: int, status: Status, activity: str | None = None) -> Session:
    company = d.roll.companies.setdefault(("s", "A"), Company("s", "A"))
    session = Session(number, f"s{number}", company, f"user {number}", "desktop", START)
    session.source, session.status = DOOR, status
    session.tell(activity=activity)
    if status is Status.DISCONNECTED:
        session.disconnected_ms = START + 1
    return session


def test_the_fallen_are_told_of_again_after_a_restart():
    d = Driver()
    d.roll.set_guidance(PAYROLL)
    holds = restored(d, 1, Status.DISCONNECTED)
    holds.locks = {"a": Lock(holds.company, holds, "a", 1, START)}
    found = [
        holds,
        restored(d, 2, Status.DISCONNECTED, "payroll"),
        restored(d, 3, Status.DISCONNECTED),
        restored(d, 4, Status.ACTIVE, "payroll"),
    ]
    for session in found:
        d.roll.enter(session)
    assert list(d.roll.locks.stirred) == found[:2]
    assert list(d.roll.locks.blocking) == found[:1]


def test_an_active_session_has_a_deadline_after_a_restart_once_it_is_filed():
    d = Driver()
    session = restored(d, 1, Status.ACTIVE)
    d.roll.enter(session)
    d.roll.file(session)
    d.pass_to(300 * S)
    assert [(event.session, event.at) for event in d.happened("session.disconnected")] == [("s1", 300 * S)]


def both() -> Driver:
    """Four fall a second apart, heard through the door and the link in turn."""
    d = Driver(sources=(DOOR, LINK))
    for n in range(4):
        d.login(n * S, f"s{n}", user=f"user {n}", source=LINK if n % 2 else DOOR)
    return d


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_sessions_of_several_sources_fall_in_the_order_of_their_deadlines_in_steps_of_any_size(limit):
    d = both()
    for source in (DOOR, LINK):
        d.prove(400 * S, source)
    steps = []
    while (done := d.roll.expire(START + 400 * S, limit)) >= limit:
        steps.append(done)
    d._collect()
    assert [event.session for event in d.happened("session.disconnected")] == ["s0", "s1", "s2", "s3"]
    assert sum(steps) + done == 4
    assert all(step == limit for step in steps)


def test_time_in_steps_runs_no_timer_before_those_who_fell_earlier():
    d = both()
    d.lock(1, "s3", "a")  # and so s3 falls at 300.001 s
    d.beat(3 * S, "s3", source=LINK)
    d.lock(4 * S, "s2", "a", wait_s=298, source=DOOR)  # until 302 s; s2 falls at 304 s
    for source in (DOOR, LINK):
        d.prove(400 * S, source)
    assert d.roll.expire(START + 400 * S, 1) == 1
    d._collect()
    assert [(event.type, event.at) for event in d.events[-1:]] == [("session.disconnected", 300 * S)]
    assert d.roll.locks.waiting == 1, "time has come to 300 s, not to 400"


def test_keys_rise_by_one():
    d = Driver()
    for ident in ("a", "b", "c"):
        d.login(0, ident, user=ident)
    assert [d.session(ident).key for ident in ("a", "b", "c")] == [1, 2, 3]


def test_time_alone_runs_the_locks_timers_too():
    d = Driver()
    come(d)
    d.login(0, "s2", user="ben")
    d.lock(0, "s1", "a")
    d.lock(0, "s2", "a", wait_s=5)
    d.roll.tick(START + 5 * S)
    assert d.roll.locks.waiting == 0


@pytest.mark.parametrize(("proven", "asked"), [(300 * S - 1, [DOOR]), (300 * S, [])])
def test_a_proof_is_asked_for_where_it_does_not_reach_up_to_what_may_be_due(proven, asked):
    d = Driver()
    come(d)
    d.prove(proven)
    assert list(d.roll.unproven(START + 300 * S)) == asked


# --- who speaks for whom -----------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [Heartbeat(activity="x"), LockRequest("a"), Unlock("a"), Logout()])
def test_an_account_of_one_user_moves_nobody_elses_session(message):
    d = Driver()
    come(d)
    before = len(d.events)
    d.hear(10, "s1", message, account=Account("bens", Role.CLIENT, "s", "ben"))
    session = d.session("s1")
    assert (session.seen_ms, session.told.activity, session.locks, session.status) == (
        START,
        None,
        None,
        Status.ACTIVE,
    )
    assert len(d.events) == before
    d.hear(11, "s1", message, account=Account("portal", Role.GATEWAY, "s"))
    assert d.status("s1") is (Status.LOGGED_OFF if isinstance(message, Logout) else Status.ACTIVE)
    assert isinstance(message, Logout) or d.session("s1").seen_ms == START + 11


def test_but_its_login_is_told_so():
    d = Driver()
    come(d)
    d.login(1, "s1", machine="PC-07", account=Account("bens", Role.CLIENT, "s", "ben"))
    assert d.told("s1", "login")[-1]["code"] == "forbidden"


# --- the hot path ------------------------------------------------------------------------------------------


def test_an_ordinary_beat_takes_the_short_way_and_any_other_the_long_one(monkeypatch):
    d = Driver(sources=(DOOR, LINK))
    come(d)
    session, taken = d.session("s1"), []
    monkeypatch.setattr(d.roll, "receive", lambda *said: taken.append(said))
    d.roll.beats.clear()
    session.dirty = False
    d.roll.beat(session, START + 300 * S - 1, DOOR)
    assert taken == []
    assert session.seen_ms == START + 300 * S - 1
    assert (session.dirty, d.roll.beats) == (True, [session])
    d.roll.beat(session, START + 301 * S, DOOR)
    assert d.roll.beats == [session]
    d.roll.beat(session, START + 601 * S, DOOR)  # at its deadline
    session.lost_ms = 1
    d.roll.beat(session, START + 302 * S, DOOR)
    session.lost_ms = 0
    d.roll.beat(session, START + 302 * S, LINK)
    session.status = Status.DISCONNECTED
    d.roll.beat(session, START + 302 * S, DOOR)
    assert [(said[0].source, said[1], said[2] - START) for said in taken] == [
        (DOOR, BARE_HEARTBEAT, 601 * S), (DOOR, BARE_HEARTBEAT, 302 * S), (LINK, BARE_HEARTBEAT, 302 * S),
        (DOOR, BARE_HEARTBEAT, 302 * S),
    ]  # fmt: skip
    sender_ = taken[0][0]
    assert (sender_.site, sender_.company, sender_.session) == ("s", "A", "s1")
    assert session.seen_ms == START + 301 * S


def test_a_beat_of_another_type_has_that_types_patience(monkeypatch):
    d = Driver()
    d.login(0, "s1", client="web")
    taken = []
    monkeypatch.setattr(d.roll, "receive", lambda *said: taken.append(said))
    d.roll.beat(d.session("s1"), START + 1_000 * S, DOOR)
    assert taken == []
