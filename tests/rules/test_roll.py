"""What becomes of a session: coming, living, falling silent, being lost or idle, ending (rules 2 to 6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rules.driver import DEFAULTS, DOOR, LINK, START, Driver
from whosin.messages import BARE_HEARTBEAT, Heartbeat, LockRequest, Login, Logout, Lost, Unlock
from whosin.model import Account, ClientType, Company, Limits, MassSilence, Policy, Role, Session, Status
from whosin.rules.guidance import Guidance, Rule
from whosin.rules.roll import Sender
from whosin.rules.states import IllegalMove

S = 1_000  # a second
MINUTES_5 = 300 * S

IDLERS = Policy(
    types={
        "desktop": ClientType("desktop", idle_limit_s=600),
        "kiosk": ClientType("kiosk", idle_limit_s=600, idle_disconnects=True),
        "default": ClientType("default"),
    }
)


@pytest.fixture
def d() -> Driver:
    return Driver()


# --- rule 2: disconnect ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "timeout"), [("desktop", 300 * S), ("web", 1_200 * S), ("unheard-of", 300 * S)]
)
def test_a_session_is_disconnected_at_its_deadline_and_not_a_millisecond_before(d, client, timeout):
    d.login(0, "s1", client=client)
    assert d.deadline("s1") == timeout
    d.pass_to(timeout - 1)
    assert d.status("s1") is Status.ACTIVE
    d.pass_to(timeout)
    assert d.status("s1") is Status.DISCONNECTED
    (event,) = d.happened("session.disconnected")
    assert (event.at, event.reason) == (timeout, "silence")


def test_the_event_carries_the_deadline_however_late_somebody_looks(d):
    d.login(0, "s1")
    d.pass_to(10**9)
    assert d.happened("session.disconnected")[0].at == MINUTES_5
    assert d.session("s1").disconnected_ms == START + MINUTES_5


def test_a_beat_received_before_the_deadline_wins_even_if_nobody_swept(d):
    d.login(0, "s1")
    d.beat(MINUTES_5 - 1, "s1")
    d.pass_to(2 * MINUTES_5 - 2)
    assert d.types("s1") == ["session.logged_in"]
    assert d.deadline("s1") == 2 * MINUTES_5 - 1


@pytest.mark.parametrize("late", [0, 1, 10**8])
def test_a_beat_received_at_or_after_the_deadline_finds_the_session_disconnected_first(d, late):
    d.login(0, "s1")
    d.beat(MINUTES_5 + late, "s1")
    assert [(e.type, e.at) for e in d.events] == [
        ("session.logged_in", 0),
        ("session.disconnected", MINUTES_5),
        ("session.reconnected", MINUTES_5 + late),
    ]
    assert d.deadline("s1") == 2 * MINUTES_5 + late


@pytest.mark.parametrize(
    "message",
    [
        BARE_HEARTBEAT,
        Heartbeat(activity="x"),
        LockRequest("a"),
        Unlock("a"),
        Login("anna", "desktop"),
        LockRequest("//"),
    ],
)
def test_every_message_of_a_session_is_a_sign_of_life(d, message):
    d.login(0, "s1")
    d.hear(10 * S, "s1", message)
    assert d.deadline("s1") == MINUTES_5 + 10 * S


def test_a_lost_connection_is_no_sign_of_life(d):
    d.login(0, "s1")
    d.lost(299 * S, "s1")
    assert d.deadline("s1") == MINUTES_5


def test_a_logout_after_the_deadline_gives_disconnected_then_logged_off(d):
    d.login(0, "s1")
    d.logout(MINUTES_5, "s1")
    assert [(e.type, e.at) for e in d.events[1:]] == [
        ("session.disconnected", MINUTES_5),
        ("session.logged_off", MINUTES_5),
    ]


def test_a_logout_before_it_gives_logged_off_alone_with_its_reason(d):
    d.login(0, "s1")
    d.hear(MINUTES_5 - 1, "s1", Logout("lunch"))
    assert d.types("s1") == ["session.logged_in", "session.logged_off"]
    assert d.happened("session.logged_off")[0].reason == "lunch"


def test_bare_beats_of_the_hot_path_and_beats_through_the_front_door_do_the_same():
    hot, slow = Driver(), Driver()
    for driver, beat in ((hot, BARE_HEARTBEAT), (slow, Heartbeat())):
        driver.login(0, "s1")
        for at in (1, 299 * S, 599 * S, 1_500 * S):
            driver.hear(at, "s1", beat)
    assert hot.events == slow.events
    assert hot.deadline("s1") == slow.deadline("s1")


def test_a_hundred_thousand_fall_in_the_order_of_their_deadlines_in_steps_of_any_size(d):
    for n in range(500):
        d.login(n % 7, f"s{n}")
    d.prove(10**9)
    d.sweep(10**9, limit=33)
    falls = [event.at for event in d.happened("session.disconnected")]
    assert falls == sorted(falls)
    assert len(falls) == 500


def test_settings_that_change_while_running_count_at_once():
    d = Driver()
    d.login(0, "s1")
    d.login(0, "s2", client="kiosk")
    d.roll.set_policy(
        replace(
            DEFAULTS,
            types={**DEFAULTS.types, "desktop": ClientType("desktop", 120 * S), "kiosk": ClientType("kiosk")},
        )
    )
    d.pass_to(120 * S)
    assert d.status("s1") is Status.DISCONNECTED
    assert {label: n for label, n in d.roll.tally.items() if n} == {
        (Status.DISCONNECTED, "desktop"): 1,
        (Status.ACTIVE, "kiosk"): 1,
    }
    d.logout(121 * S, "s2")
    assert not d.roll.tally[Status.ACTIVE, "kiosk"]
    assert min(d.roll.tally.values()) == 0


def test_a_beat_too_late_for_a_patience_that_was_shortened_finds_the_session_disconnected_first(d):
    """Also where a sweep in steps has not come to it: the history says that it was silent for so long."""
    d.login(0, "s1")
    types = {**DEFAULTS.types, "desktop": ClientType("desktop", 120 * S)}
    d.roll.set_policy(replace(DEFAULTS, types=types))
    d.prove(130 * S)
    d.roll.beat(d.session("s1"), START + 130 * S, DOOR)
    d._collect()
    assert [(event.type, event.at) for event in d.events[1:]] == [
        ("session.disconnected", 120 * S), ("session.reconnected", 130 * S),
    ]  # fmt: skip


# --- rule 3: coming back, the end --------------------------------------------------------------------------


def test_a_disconnected_session_comes_back_with_its_locks(d):
    d.login(0, "s1")
    token = d.lock(1, "s1", "order/1")["token"]
    d.beat(400 * S, "s1")
    assert d.status("s1") is Status.ACTIVE
    assert [lock.token for lock in d.held()] == [token]
    (event,) = d.happened("session.reconnected")
    assert event.data["was"] == "silence"
    assert event.data["disconnected_at_ms"] == START + MINUTES_5 + 1


@pytest.mark.parametrize("how", ["logout", "remove"])
@pytest.mark.parametrize(
    "late",
    [
        Login("anna", "desktop"),
        BARE_HEARTBEAT,
        Heartbeat(user="anna", client="desktop"),
        Logout(),
        Lost(),
        LockRequest("a"),
        Unlock("a"),
    ],
)
def test_what_is_over_stays_over_and_every_message_gets_ended(d, how, late):
    d.login(0, "s1")
    (d.logout if how == "logout" else d.remove)(5, "s1")
    events, status = list(d.events), d.status("s1")
    d.hear(10, "s1", late)
    assert d.events == events
    assert d.status("s1") is status
    assert "s1" not in d.roll.sessions
    (answer,) = d.told("s1", "ended")
    assert answer["status"] == status
    assert answer["at_ms"] == START + 5
    assert answer["by"] == ("anna" if how == "logout" else "olga")


def test_ended_is_answered_at_most_once_in_ten_seconds(d):
    d.login(0, "s1")
    d.logout(0, "s1")
    for at in (1, 2, 9 * S, 10 * S, 10 * S + 1):
        d.beat(at, "s1")
    assert len(d.told("s1", "ended")) == 2


@pytest.mark.parametrize(
    "message", [BARE_HEARTBEAT, Heartbeat(user="anna"), Logout(), Lost(), LockRequest("a"), Unlock("a")]
)
def test_an_unknown_session_is_told_so_at_most_once_in_ten_seconds_and_nothing_else_happens(d, message):
    for at in (0, 1, 9_999):
        d.hear(at, "s1", message)
    assert [answer.kind for answer in d.answers] == ["unknown"]
    assert (d.events, d.roll.sessions, d.roll.companies) == ([], {}, {})
    d.hear(10_000, "s1", message)
    assert len(d.answers) == 2


def test_strangers_by_the_thousand_do_not_make_the_daemon_hold_anything(d):
    for n in range(30_000):
        d.roll.receive(Sender(DOOR, "s", f"c{n}", f"x{n}"), BARE_HEARTBEAT, START)
    assert not d.roll.companies
    assert len(d.roll.out.answers) <= 20_000


def test_a_login_is_accepted_with_what_the_client_must_know(d):
    d.login(0, "s1", client="web")
    assert d.told("s1", "login") == [
        {"accepted": True, "status": "active", "heartbeat_every_s": 240, "timeout_s": 1200}
    ]


def test_a_repeated_login_is_harmless(d):
    d.login(0, "s1", machine="PC1")
    d.lock(1, "s1", "a")
    d.login(2, "s1", machine="PC1", address="10.0.0.7")
    assert d.types("s1") == ["session.logged_in"]
    assert [a["accepted"] for a in d.told("s1", "login")] == [True, True]
    assert len(d.held()) == 1
    assert d.session("s1").told.address == "10.0.0.7"


@pytest.mark.parametrize(
    "other", [Login("ben", "desktop", "PC1"), Login("anna", "web", "PC1"), Login("anna", "desktop", "PC2")]
)
def test_a_login_with_another_identity_is_a_conflict_and_changes_nothing(d, other):
    d.login(0, "s1", machine="PC1")
    d.hear(10 * S, "s1", other)
    assert d.told("s1", "login")[-1]["code"] == "conflict"
    assert d.deadline("s1") == MINUTES_5, "it is no sign of life of the other"
    assert (d.session("s1").user, d.session("s1").client, d.session("s1").machine) == (
        "anna",
        "desktop",
        "PC1",
    )
    (event,) = d.happened("session.refused")
    assert event.data["code"] == "conflict"


def test_an_id_is_used_once_in_the_daemon_not_once_per_company(d):
    d.login(0, "s1", company="A")
    d.login(1, "s1", company="B")
    assert d.told("s1", "login")[-1]["code"] == "conflict"
    d.beat(2, "s1", company="B")
    assert d.told("s1", "unknown") == [{}]
    assert d.deadline("s1") == MINUTES_5
    d.logout(3, "s1")
    d.login(4, "s1", company="B")
    assert d.told("s1", "login")[-1]["code"] == "conflict"
    assert "s1" not in d.roll.sessions


def test_a_beat_with_identity_logs_an_unknown_session_in(d):
    d.beat(0, "s1", user="anna", client="web", machine="PC1", os_session=3, activity="reports", idle_s=12.4)
    assert d.types("s1") == ["session.logged_in"]
    session = d.session("s1")
    assert (session.user, session.client, session.machine, session.os_session) == ("anna", "web", "PC1", "3")
    assert (session.told.activity, session.told.idle_s) == ("reports", 12)


def test_a_removed_session_cannot_be_removed_again_and_nothing_happens_twice(d):
    d.login(0, "s1")
    session = d.session("s1")
    d.remove(1, "s1")
    before = list(d.events)
    with pytest.raises(IllegalMove):
        d.roll.remove(session, START + 2, actor="olga", cause="operator", reason=None)
    d.sweep(2)
    assert d.events == before
    assert d.status("s1") is Status.REMOVED


# --- who may, and how many ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "accepted"),
    [
        (Account("c", Role.CLIENT, "s", "anna"), True),
        (Account("c", Role.CLIENT, "s"), True),
        (Account("c", Role.CLIENT, "t", "anna"), False),
        (Account("c", Role.CLIENT, "s", "ben"), False),
        (Account("g", Role.GATEWAY, "s"), True),
        (None, True),
    ],
)
def test_a_login_that_names_another_site_or_user_than_its_accounts_is_forbidden(d, account, accepted):
    d.login(0, "s1", account=account)
    answer = d.told("s1", "login")[0]
    assert answer["accepted"] is accepted
    assert accepted or answer["code"] == "forbidden"
    assert ("s1" in d.roll.sessions) is accepted


def test_as_many_sessions_and_companies_as_the_limits_say_and_not_one_more():
    d = Driver(replace(DEFAULTS, limits=Limits(sessions=3, companies=2)))
    d.login(0, "s1", company="A")
    d.login(0, "s2", company="B")
    d.login(0, "s3", company="C")
    assert d.told("s3", "login")[0]["code"] == "limit"
    d.login(0, "s4", company="A")
    d.login(0, "s5", company="A")
    assert d.told("s5", "login")[0]["code"] == "limit"
    d.logout(1, "s1")
    d.login(2, "s6", company="A")
    assert d.told("s6", "login")[0]["accepted"]
    assert ("s", "C") not in d.roll.companies


# --- rule 4: lost connections ------------------------------------------------------------------------------


def test_a_lost_connection_shortens_the_deadline_to_its_grace(d):
    d.login(0, "s1")
    d.lost(10 * S, "s1")
    assert d.deadline("s1") == 85 * S
    d.pass_to(85 * S - 1)
    assert d.status("s1") is Status.ACTIVE
    d.pass_to(85 * S)
    (event,) = d.happened("session.disconnected")
    assert (event.at, event.reason) == (85 * S, "lost")


def test_it_never_makes_the_deadline_later(d):
    d.login(0, "s1")
    d.lost(225 * S + 1, "s1")
    assert d.deadline("s1") == MINUTES_5
    d.pass_to(MINUTES_5)
    assert d.happened("session.disconnected")[0].reason == "silence"


def test_a_second_lost_changes_nothing(d):
    d.login(0, "s1")
    d.lost(10 * S, "s1")
    d.lost(60 * S, "s1")
    assert d.deadline("s1") == 85 * S


def test_a_client_type_that_is_not_configured_has_the_grace_of_the_default(d):
    d.login(0, "s1", client="robot")
    d.lost(10 * S, "s1")
    d.pass_to(85 * S)
    assert [(event.at, event.reason) for event in d.happened("session.disconnected")] == [(85 * S, "lost")]


def test_the_next_sign_of_life_restores_the_deadline(d):
    d.login(0, "s1")
    d.lost(10 * S, "s1")
    d.beat(84 * S, "s1")
    assert d.deadline("s1") == 384 * S


@pytest.mark.parametrize(("conn", "heeded"), [(None, True), (6, True), (5, True), (4, False)])
def test_a_late_will_of_an_earlier_connection_is_ignored(d, conn, heeded):
    d.login(0, "s1", conn=3)
    d.beat(1, "s1", conn=5)
    d.beat(2, "s1", conn=4)
    d.lost(3, "s1", conn)
    assert (d.deadline("s1") < MINUTES_5) is heeded


def test_a_lost_is_a_sight_of_its_connection_too(d):
    d.login(0, "s1", conn=3)
    d.lost(1, "s1", 5)
    d.beat(2, "s1")
    d.lost(3, "s1", 4)
    assert d.deadline("s1") == MINUTES_5 + 2


def test_a_lost_of_a_disconnected_session_changes_nothing(d):
    d.login(0, "s1")
    d.lost(MINUTES_5, "s1")
    assert d.types("s1") == ["session.logged_in", "session.disconnected"]
    d.beat(400 * S, "s1")
    assert d.deadline("s1") == 700 * S


# --- rule 4: the same person again -------------------------------------------------------------------------

PERSON = {"machine": "PC1", "os_session": "1"}


def test_the_same_person_replaces_a_disconnected_session_at_once(d):
    d.login(0, "s1", **PERSON)
    d.lock(0, "s1", "order/1")
    d.login(400 * S, "s2", **PERSON)
    assert d.types("s1") == ["session.logged_in", "session.disconnected", "session.removed"]
    (event,) = d.happened("session.removed")
    assert (event.at, event.data["cause"], event.reason) == (400 * S, "replaced", "replaced by s2")
    assert d.lock(401 * S, "s2", "order/1")["granted"]


@pytest.mark.parametrize(
    "other",
    [
        {"machine": "PC2", "os_session": "1"},
        {"machine": "PC1", "os_session": "2"},
        {"machine": "PC1"},
        {"os_session": "1"},
        {**PERSON, "user": "ben"},
        {**PERSON, "client": "web"},
        {**PERSON, "company": "B"},
        {**PERSON, "site": "t"},
    ],
)
def test_anybody_else_replaces_nobody(d, other):
    d.login(0, "s1", **PERSON)
    d.login(400 * S, "s2", **other)
    assert d.status("s1") is Status.DISCONNECTED


def test_numbers_and_texts_name_the_same_os_session(d):
    d.login(0, "s1", machine="PC1", os_session=7)
    d.login(400 * S, "s2", machine="PC1", os_session="7")
    assert d.status("s1") is Status.REMOVED


def test_a_merely_lost_one_is_replaced_only_at_its_shortened_deadline(d):
    d.login(0, "s1", **PERSON)
    d.lost(10 * S, "s1")
    d.login(20 * S, "s2", **PERSON)
    d.pass_to(85 * S - 1)
    assert d.status("s1") is Status.ACTIVE
    d.pass_to(85 * S)
    assert [(e.type, e.at) for e in d.events if e.session == "s1"][1:] == [
        ("session.disconnected", 85 * S),
        ("session.removed", 85 * S),
    ]
    assert d.happened("session.removed")[0].data["cause"] == "replaced"


def test_unless_it_gives_a_sign_of_life_first(d):
    d.login(0, "s1", **PERSON)
    d.lost(10 * S, "s1")
    d.login(20 * S, "s2", **PERSON)
    d.beat(84 * S, "s1")
    d.pass_to(384 * S)
    assert d.status("s1") is Status.DISCONNECTED


def test_a_beat_that_comes_too_late_for_a_replaced_one_is_answered_ended(d):
    d.login(0, "s1", **PERSON)
    d.lost(10 * S, "s1")
    d.login(20 * S, "s2", **PERSON)
    d.beat(85 * S, "s1")
    assert d.status("s1") is Status.REMOVED
    assert d.told("s1", "ended")[0]["status"] == "removed"


def test_the_hot_path_too_finds_it_ended_when_a_sweep_in_steps_has_not_come_to_it(d):
    d.login(0, "s1", **PERSON)
    d.lost(10 * S, "s1")
    d.login(20 * S, "s2", **PERSON)
    session = d.session("s1")
    d.prove(85 * S)
    for second, told in ((85, 1), (86, 1), (95, 2)):
        d.roll.beat(session, START + second * S, DOOR)
        d._collect()
        assert len(d.told("s1", "ended")) == told
    assert d.status("s1") is Status.REMOVED


def test_one_whose_deadline_a_sweep_in_steps_has_not_come_to_is_replaced_at_once_too(d):
    d.login(0, "s1", **PERSON)
    d.prove(310 * S)
    again = Login("anna", "desktop", "PC1", os_session="1")
    d.roll.receive(Sender(DOOR, "s", "A", "s2"), again, START + 310 * S)
    d._collect()
    assert [(e.type, e.at) for e in d.events if e.session == "s1"][1:] == [
        ("session.disconnected", 300 * S),
        ("session.removed", 310 * S),
    ]


def test_an_active_one_that_is_not_known_lost_is_left_alone(d):
    d.login(0, "s1", **PERSON)
    d.login(1, "s2", **PERSON)
    d.beat(200 * S, "s1")
    assert d.status("s1") is d.status("s2") is Status.ACTIVE
    d.pass_to(500 * S)
    assert d.status("s1") is Status.DISCONNECTED


def test_replaced_while_recently_alive_it_holds_its_locks_on(d):
    d = Driver(
        replace(DEFAULTS, types={"default": ClientType("default", 12 * S, 5 * S, 6 * S)}, regain_grace_ms=0)
    )
    d.login(0, "s1", **PERSON)
    d.lock(0, "s1", "order/1")
    d.login(12 * S, "s2", **PERSON)
    assert d.status("s1") is Status.REMOVED
    assert not d.lock(15 * S - 1, "s2", "order/1")["granted"]
    assert d.lock(15 * S, "s2", "order/1")["granted"]


# --- rule 4: idle ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("idle_s", "idle"), [(599.9, False), (600, True), (10**6, True)])
def test_at_or_above_the_limit_a_session_is_marked_idle(idle_s, idle):
    d = Driver(IDLERS)
    d.login(0, "s1")
    d.beat(1, "s1", idle_s=idle_s)
    assert d.session("s1").told.idle is idle
    assert d.status("s1") is Status.ACTIVE
    assert len(d.happened("session.idle")) == idle


def test_a_smaller_idleness_a_lock_or_an_unlock_takes_the_mark_off_and_a_bare_beat_does_not():
    for message, idle in [
        (Heartbeat(idle_s=3), False),
        (LockRequest("a"), False),
        (Unlock("a"), False),
        (BARE_HEARTBEAT, True),
    ]:
        d = Driver(IDLERS)
        d.login(0, "s1")
        d.beat(1, "s1", idle_s=700)
        d.hear(2, "s1", message)
        assert d.session("s1").told.idle is idle


def test_where_the_site_wants_it_an_idle_session_is_disconnected_at_receipt():
    d = Driver(IDLERS)
    d.login(0, "s1", client="kiosk")
    d.beat(60 * S, "s1", idle_s=599)
    assert d.status("s1") is Status.ACTIVE
    d.beat(120 * S, "s1", idle_s=600)
    (event,) = d.happened("session.disconnected")
    assert (event.at, event.reason) == (120 * S, "idle")


@pytest.mark.parametrize(
    ("message", "revived"),
    [
        (BARE_HEARTBEAT, False),
        (Heartbeat(activity="x"), False),
        (Heartbeat(idle_s=600), False),
        (Login("anna", "kiosk"), False),
        (Heartbeat(idle_s=599), True),
        (LockRequest("a"), True),
        (Unlock("a"), True),
    ],
)
def test_only_the_person_revives_a_session_that_idleness_disconnected(message, revived):
    d = Driver(IDLERS)
    d.login(0, "s1", client="kiosk")
    d.beat(1, "s1", idle_s=600)
    d.hear(2, "s1", message)
    assert (d.status("s1") is Status.ACTIVE) is revived
    assert len(d.happened("session.reconnected")) == revived
    assert d.session("s1").told.idle is not revived


def test_who_was_revived_falls_silent_at_its_deadline_like_anybody():
    d = Driver(IDLERS)
    d.login(0, "s1", client="kiosk")
    d.beat(10 * S, "s1", idle_s=600)
    assert d.status("s1") is Status.DISCONNECTED
    d.pass_to(320 * S)  # past the deadline that it had
    d.beat(350 * S, "s1", idle_s=0)
    d.pass_to(650 * S)
    assert [event.at for event in d.happened("session.disconnected")] == [10 * S, 650 * S]


def test_a_second_of_idleness_can_be_a_limit():
    d = Driver(replace(DEFAULTS, types={"default": ClientType("default", idle_limit_s=1)}))
    d.login(0, "s1")
    d.beat(1, "s1", idle_s=1)
    assert d.session("s1").told.idle


def test_a_login_repeated_by_an_idle_program_is_told_the_truth():
    d = Driver(IDLERS)
    d.login(0, "s1", client="kiosk")
    d.beat(1, "s1", idle_s=600)
    d.login(2, "s1", client="kiosk")
    assert d.told("s1", "login")[-1]["status"] == "disconnected"


def test_a_type_without_a_limit_never_is_idle(d):
    d.login(0, "s1")
    d.beat(1, "s1", idle_s=10**9)
    assert not d.session("s1").told.idle
    assert d.session("s1").told.idle_s == 10**9


# --- rule 8: sight -----------------------------------------------------------------------------------------


def test_nothing_is_disconnected_before_something_received_after_its_deadline_proves_the_link():
    d = Driver(sources=(DOOR, LINK))
    d.login(0, "s1", source=LINK)
    d.prove(MINUTES_5 - 1, LINK)
    d.sweep(10**8)
    assert d.status("s1") is Status.ACTIVE
    assert list(d.roll.unproven(START + MINUTES_5)) == [LINK]
    d.prove(10**8, LINK)
    d.sweep(10**8)
    assert d.happened("session.disconnected")[0].at == MINUTES_5


def test_one_sources_proof_is_not_the_others():
    d = Driver(sources=(DOOR, LINK))
    d.login(0, "s1", source=LINK)
    d.login(400 * S, "s2", source=DOOR)
    assert d.status("s1") is Status.ACTIVE


def test_while_we_see_nothing_what_fell_before_stays_as_it_is():
    d = Driver()
    d.login(0, "s1")
    d.pass_to(300 * S)
    d.blind()
    d.sweep(9_000 * S)
    assert d.types("s1") == ["session.logged_in", "session.disconnected"]


def test_after_blindness_a_session_gets_the_grace_or_what_was_left_of_its_time():
    d = Driver()
    d.login(0, "s1")
    d.pass_to(10 * S)
    d.login(11 * S, "s2")
    d.blind()
    d.sweep(500 * S)
    d.regain(1_000 * S)
    assert d.deadline("s1") == (1_000 + 289) * S
    d.lost(1_001 * S, "s2")
    assert d.deadline("s2") == 1_090 * S, "not 1076: the grace is for everybody"


def test_the_grace_is_a_beat_and_a_quarter_where_that_is_longer():
    d = Driver()
    d.login(0, "s1", client="web")
    d.pass_to(1_199 * S)
    d.blind()
    d.regain(1_300 * S)
    assert d.deadline("s1") == 1_600 * S


def test_what_was_proven_silent_before_the_blindness_is_so_whenever_it_is_looked_at():
    for looked in (True, False):
        d = Driver()
        d.login(0, "s1")
        d.prove(MINUTES_5)
        if looked:
            d.sweep(MINUTES_5)
        d.blind()
        d.regain(2 * MINUTES_5)
        d.pass_to(2 * MINUTES_5)
        assert [e.at for e in d.happened("session.disconnected")] == [MINUTES_5]


def test_after_a_restart_nobody_falls_before_we_have_seen_again_whatever_moments_were_stored():
    """A session stored an hour before the proof it was stored with: the clock was set back between both."""
    d = Driver(sources=())
    d.roll.watch(LINK, START)
    session = Session(1, "s1", Company("s", "A"), "anna", "desktop", START - 3_600 * S)
    session.source = LINK
    d.roll.enter(session)
    d.roll.file(session)
    d.sweep(10 * S)
    d.hear(11 * S, "s1", Lost(), source=LINK)
    assert d.status("s1") is Status.ACTIVE
    d.regain(20 * S, LINK)
    assert d.deadline("s1") == 110 * S
    d.pass_to(110 * S)
    assert [e.at for e in d.happened("session.disconnected")] == [110 * S]


def test_a_session_heard_through_the_other_source_lives_on_with_that_one():
    d = Driver(sources=(DOOR, LINK))
    d.login(0, "s1", source=LINK)
    d.blind(LINK)
    d.beat(100 * S, "s1", source=DOOR)
    assert d.deadline("s1") == 400 * S
    d.pass_to(400 * S)
    assert d.status("s1") is Status.DISCONNECTED


def test_going_to_and_fro_between_sources_is_one_session_with_one_deadline():
    d = Driver(sources=(DOOR, LINK))
    d.login(0, "s1", source=LINK)
    for n in range(1, 50):
        d.beat(n, "s1", source=(DOOR, LINK)[n % 2])
    d.pass_to(10**7)
    assert [e.at for e in d.happened("session.disconnected")] == [MINUTES_5 + 49]


# --- rule 2 and the locks' clock ---------------------------------------------------------------------------


@pytest.mark.parametrize("sweeps", [(), (100 * S,), (60 * S, 90 * S, 299 * S, 300 * S, 302 * S)])
def test_waits_that_run_out_and_sessions_that_fall_do_so_in_the_order_of_their_dates(sweeps):
    d = Driver()
    d.login(0, "holder", user="hugo")
    d.lock(0, "holder", "a")
    d.login(1 * S, "first", user="ben")
    d.lock(2 * S, "first", "a", wait_s=298.5)  # runs out at 300.5, before its session falls at 302
    d.lock(3 * S, "holder", "b")
    for at in sweeps:
        d.pass_to(at)
    d.pass_to(400 * S)
    assert [a["code"] for a in d.told("first", "lock") if "code" in a] == ["timeout"]
    assert [(e.type, e.at) for e in d.events if e.type == "session.disconnected"] == [
        ("session.disconnected", 302 * S),
        ("session.disconnected", 303 * S),
    ]


def test_a_lock_asked_for_after_a_held_on_one_was_due_is_granted_without_anybody_ticking(d):
    d.login(0, "s1")
    d.lock(0, "s1", "a")
    d.login(1, "s2", user="ben")
    d.remove(2, "s1")
    assert d.lock(15 * S, "s2", "a")["granted"]
    assert d.happened("lock.released")[0].at == 15 * S


def test_who_is_served_by_a_fall_that_is_proven_late_is_granted_no_earlier_than_it_asked():
    d = Driver(sources=(DOOR, LINK))
    d.login(0, "holder", user="hugo", source=LINK)
    d.lock(0, "holder", "a", shared=True, source=LINK)
    d.login(0, "first", user="ben", source=LINK)
    d.lock(0, "first", "a", wait_s=3_000, source=LINK)
    d.login(250 * S, "second", user="cleo")
    assert d.lock(350 * S, "second", "a", shared=True, wait_s=100)["waiting"]
    d.prove(360 * S, LINK)
    d.sweep(360 * S)
    granted = d.happened("lock.granted", "second")
    assert [event.at for event in granted] == [350 * S]


# --- rule 7: what blocks somebody --------------------------------------------------------------------------

QUICK = replace(DEFAULTS, blocking_after_ms=60 * S)


def fallen_in_the_way(policy: Policy = QUICK) -> Driver:
    """s1 fell at 300 s, and s2 was refused because of it."""
    d = Driver(policy)
    d.login(0, "s1")
    d.lock(0, "s1", "a")
    d.login(290 * S, "s2", user="ben")
    d.lock(300 * S, "s2", "a")
    return d


def clear(d: Driver, at: int) -> int:
    removed = d.roll.clear_blocking(START + at)
    d._collect()
    return removed


def test_a_disconnected_login_that_blocks_somebody_goes_so_soon_after_its_deadline():
    d = fallen_in_the_way()
    assert clear(d, 360 * S - 1) == 0
    assert clear(d, 360 * S) == 1
    assert d.happened("session.removed")[0].data["cause"] == "blocking"
    assert clear(d, 361 * S) == 0


def test_one_that_blocks_nobody_stays_until_it_does():
    d = Driver(QUICK)
    d.login(0, "s1")
    d.lock(0, "s1", "a")
    d.pass_to(400 * S)
    assert clear(d, 400 * S) == 0
    d.login(500 * S, "s2", user="ben")
    d.lock(500 * S, "s2", "a/b")
    assert clear(d, 500 * S) == 1


@pytest.mark.parametrize("shared", [False, True])
def test_however_many_stand_in_the_way_of_one_who_waits_all_of_them_go(shared):
    d = Driver(replace(QUICK, mass=MassSilence(minimum=1_000)))
    for n in range(40):
        d.login(0, f"s{n}", user=f"user {n}")
        d.lock(0, f"s{n}", "a" if shared else f"a/{n}", shared=shared)
    d.pass_to(400 * S)
    assert clear(d, 400 * S) == 0, "they block nobody"
    d.login(500 * S, "waits", user="ben")
    d.lock(500 * S, "waits", "*", wait_s=60)
    for n in range(40):
        clear(d, 500 * S + n)
    assert d.told("waits", "lock")[-1]["granted"]
    assert len(d.happened("session.removed")) == 40


def test_one_that_fell_behind_others_who_are_alive_is_seen_when_these_have_gone():
    d = Driver(QUICK)
    alive = [f"s{n}" for n in range(40)]
    d.login(0, "fallen", user="fay")
    for ident in alive:
        d.login(299 * S, ident, user=ident)
        d.lock(299 * S, ident, "a", shared=True)
    d.lock(299 * S, "fallen", "a", shared=True)
    d.lost(299 * S, "fallen")
    d.pass_to(500 * S)
    assert clear(d, 500 * S) == 0
    d.login(500 * S, "waits", user="ben")
    d.lock(500 * S, "waits", "a", wait_s=60)
    for ident in alive:
        d.unlock(501 * S, ident, "a")
    assert clear(d, 501 * S) == 1
    assert d.told("waits", "lock")[-1]["granted"]


def test_nothing_is_cleared_or_kept_in_mind_while_it_is_switched_off():
    d = fallen_in_the_way(DEFAULTS)
    for n in range(20):
        d.lock((301 + n) * S, "s2", "a")
        assert clear(d, (301 + n) * S) == 0
    assert not d.roll._clearing._queue
    d.roll.set_policy(QUICK)
    assert clear(d, 360 * S) == 1


def test_whoever_came_back_and_fell_again_has_its_whole_time_again():
    d = fallen_in_the_way()
    clear(d, 301 * S)
    d.beat(310 * S, "s1")
    d.beat(550 * S, "s2")
    d.lost(310 * S, "s1")  # falls at 385 s
    d.lock(390 * S, "s2", "a")
    assert clear(d, 360 * S) == 0
    assert clear(d, 445 * S - 1) == 0
    assert clear(d, 445 * S) == 1


def test_who_has_critical_guidance_is_spared_until_that_is_not_critical_any_more():
    d = fallen_in_the_way()
    d.roll.set_guidance(Guidance([Rule("r", "critical", "Ask.", None, resource=("*",))]))
    assert clear(d, 400 * S) == 0
    assert d.status("s1") is Status.DISCONNECTED
    d.roll.set_guidance(Guidance([Rule("r", "normal", "Ask.", None, resource=("*",))]))
    assert clear(d, 400 * S) == 1


def test_sessions_that_ended_are_not_kept_in_mind():
    d = fallen_in_the_way(DEFAULTS)
    d.remove(301 * S, "s1")
    assert not d.roll.locks.blocking
    assert not d.roll.locks.stirred
