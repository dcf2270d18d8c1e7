"""Who may log in, who speaks for whom, and what a login is told (rules 4, 12 and 13)."""

from __future__ import annotations

import json

import pytest

from whosin.messages import Login
from whosin.model import Account, ClientType, Company, Limits, Role, Session, Status
from whosin.rules import admission
from whosin.rules.admission import Sender

SENDER = Sender("door", "s", "A", "s1")


def session(user: str = "anna", client: str = "desktop", **more: object) -> Session:
    made = Session(1, "s1", Company("s", "A"), user, client, 0)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def account(user: str | None = None, site: str = "s") -> Account:
    return Account("till", Role.CLIENT, site, user)


def test_an_answer_goes_where_the_message_came_from():
    told = SENDER.answer("login", {"accepted": True})
    assert (told.source, told.site, told.company, told.session) == ("door", "s", "A", "s1")
    assert (told.kind, told.payload) == ("login", {"accepted": True})


@pytest.mark.parametrize(
    ("who", "may"), [(None, True), (account(), True), (account("anna"), True), (account("ben"), False)]
)
def test_an_account_of_one_user_speaks_for_that_user_alone(who, may):
    assert admission.speaks_for(who, session("anna")) is may


@pytest.mark.parametrize(
    ("who", "may"),
    [
        (None, True),
        (account(), True),
        (account("anna"), True),
        (account("ben"), False),
        (account(site="t"), False),
        (account("anna", site="t"), False),
    ],
)
def test_an_account_logs_in_its_own_site_and_user(who, may):
    refusal = admission.forbidden(Sender("door", "s", "A", "s1", who), Login("anna", "desktop"))
    assert (refusal is None) is may
    if refusal:
        assert refusal[0] == "forbidden"
        assert "till" in refusal[1]


@pytest.mark.parametrize(
    ("sessions", "companies", "new", "limit"),
    [
        (9, 4, True, None),
        (10, 0, False, "limits.sessions"),
        (11, 0, False, "limits.sessions"),
        (0, 5, True, "limits.companies"),
        (0, 6, True, "limits.companies"),
        (0, 6, False, None),
    ],
)
def test_a_full_roll_takes_no_more(sessions, companies, new, limit):
    limits = Limits(sessions=10, companies=5)
    refusal = admission.over_limit(limits, sessions, companies, new_company=new)
    assert (refusal is None) is (limit is None)
    if refusal:
        assert refusal[0] == "limit"
        assert limit in refusal[1]


@pytest.mark.parametrize(
    ("message", "same"),
    [
        (Login("anna", "desktop", "PC-07"), True),
        (Login("anna", "desktop", "PC-07", "10.0.0.1", "app 2", "7"), True),
        (Login("ben", "desktop", "PC-07"), False),
        (Login("anna", "web", "PC-07"), False),
        (Login("anna", "desktop", "PC-08"), False),
        (Login("anna", "desktop"), False),
    ],
)
def test_user_client_and_machine_are_the_identity_of_a_login(message, same):
    assert admission.same_identity(session(machine="PC-07"), message) is same


def test_a_person_is_known_by_machine_and_session_of_the_system_and_by_nothing_less():
    known = session(machine="PC-07", os_session="2")
    assert admission.person(known) == (known.company, "anna", "PC-07", "2", "desktop")
    for less in (session(machine="PC-07"), session(os_session="2"), session()):
        assert admission.person(less) is None


@pytest.mark.parametrize(
    ("ms", "told"),
    [(60_000, "60"), (1_000, "1"), (1_500, "1.5"), (999, "0.999"), (1_001, "1.001"), (500, "0.5")],
)
def test_an_accepted_login_is_told_its_times_in_seconds_whole_where_they_are(ms, told):
    kind = ClientType("desktop", timeout_ms=300_000, heartbeat_every_ms=ms)
    answer = admission.accepted(Status.ACTIVE, kind)
    assert json.dumps(answer) == (
        f'{{"accepted": true, "status": "active", "heartbeat_every_s": {told}, "timeout_s": 300}}'
    )


def test_ten_thousand_who_log_in_at_once_are_told_one_and_the_same():
    kind, other = ClientType("desktop"), ClientType("web", timeout_ms=1_200_000)
    assert admission.accepted(Status.ACTIVE, kind) is admission.accepted(Status.ACTIVE, ClientType("desktop"))
    assert admission.accepted(Status.ACTIVE, kind) != admission.accepted(Status.ACTIVE, other)


def test_a_refused_login_leaves_an_event_that_says_who_wanted_in_from_where_and_why_not():
    message = Login("anna", "desktop", "PC-07")
    event = admission.refused(SENDER, message, 5, ("conflict", "this id is taken"))
    assert (event.type, event.at_ms, event.site, event.company) == ("session.refused", 5, "s", "A")
    assert (event.session, event.user, event.actor, event.reason) == ("s1", "anna", None, "this id is taken")
    assert event.data == {"code": "conflict", "client": "desktop", "machine": "PC-07"}


def test_who_says_nothing_of_a_connection_came_by_none_that_is_told_apart():
    assert Sender("door", "s", "A", "s1").line == 0
