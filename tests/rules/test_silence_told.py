"""What a mass silence counts, holds and tells, one step at a time: a Silence alone, moments small."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whosin.model import ClientType, Company, MassSilence, Policy, Session, Status
from whosin.rules.outcome import Outcome
from whosin.rules.silence import Hold, Silence

WINDOW = 30  # of the robots; others have a shorter one
ROBOTS = {
    "default": ClientType("default", heartbeat_every_ms=4),
    "robot": ClientType("robot", heartbeat_every_ms=10),
}


class Bench:
    """A Silence, its sessions, and what came out of it."""

    def __init__(self, minimum: int = 3, share: float = 0.5) -> None:
        mass = MassSilence(minimum=minimum, share=share, window_ms=20, hold_ms=1_000)
        self.policy = Policy(types=ROBOTS, mass=mass)
        self.silence = Silence(self.policy, Outcome())
        self.companies: dict[tuple[str, str], Company] = {}
        self.sessions: list[Session] = []

    def come(
        self, count: int, company: str = "A", *, site: str = "s", at: int = 1, client: str = "robot"
    ) -> list[Session]:
        where = self.companies.setdefault((site, company), Company(site, company))
        known = len(self.sessions)
        came = [Session(n, f"s{n}", where, "anna", client, at) for n in range(known, known + count)]
        for session in came:
            where.sessions[session.id] = session
            self.silence.active(session)
        self.sessions += came
        return came

    def fall(self, at: int, *sessions: Session) -> None:
        for session in sessions:
            self.silence.fell(session, at)
            session.status, session.disconnected_ms = Status.DISCONNECTED, at
        sound(self.silence)

    def back(self, *sessions: Session) -> None:
        for session in sessions:
            session.status = Status.ACTIVE
            self.silence.active(session)
        sound(self.silence)

    def suspect(self, session: Session, at: int, companies: Iterable[Company] | None = None) -> None:
        if companies is None:
            companies = [it for it in self.companies.values() if it.site == session.company.site]
        self.silence.suspect(session, companies, at)
        sound(self.silence)

    def confirm(self, at: int, company: str | None = None, *, site: str = "s", client: str | None = None):
        touched = self.silence.confirm(site, company, client, at, "olga")
        sound(self.silence)
        return touched

    def alerts(self) -> list[tuple[int, str | None, int, int]]:
        """When, for which company, how many of how many."""
        return [
            (event.at_ms, event.company, event.data["fallen"], event.data["of"])
            for event in self.silence.out.events
            if event.type == "alert.raised"
        ]


def sound(silence: Silence) -> None:
    """What spares looking in vain is told right: how much is untold, and who is listed."""
    listed = [key for _, key in silence._recent]
    for key, group in silence._groups.items():
        assert group.falls == sorted(group.falls)
        assert group.untold == sum(not fall.told for fall in group.falls)
        if hold := silence.holds.get(key):
            assert all(fall.told or fall.at_ms < hold.opened_ms for fall in group.falls)
        assert listed.count(key) == group.listed
        assert group.listed or not group.falls
        if key not in silence.holds:
            assert group.look_at - group.count <= missing(silence, group)


def missing(silence: Silence, group) -> int:
    """How many more must fall at least, before a window with somebody who is not told of is a mass."""
    needs, news = [1 << 62], False
    for nth, opening in reversed(list(enumerate(group.falls))):
        news = news or not opening.told
        if news:
            fallen = sum(fall.session.since_ms <= opening.at_ms for fall in group.falls[nth:])
            needs.append(silence._need(opening.base) - fallen)
    return max(0, *[min(needs)])


@pytest.fixture
def looks(monkeypatch) -> list[str]:
    """The company's groups looked through, in order."""
    looked: list[str] = []
    real = Silence._look

    def noted(self, key, *args, **more):
        looked.extend([key[1]] if key[1] else [])
        real(self, key, *args, **more)

    monkeypatch.setattr(Silence, "_look", noted)
    return looked


# --- which falls make a window -----------------------------------------------------------------------------


@pytest.mark.parametrize(("last", "alerts"), [(130, [(130, None, 3, 3)]), (131, [])])
def test_a_window_is_as_long_as_its_own_client_type_says(last, alerts):
    b = Bench()
    one, two, three = b.come(1, "A") + b.come(1, "B") + b.come(1, "C")
    b.fall(100, one)
    b.fall(120, two)
    b.fall(last, three)
    assert b.alerts() == alerts


def test_only_the_falls_that_are_too_old_are_let_go():
    b = Bench()
    one, two, three, four = b.come(4)
    b.fall(100, one)
    b.fall(120, two)
    b.fall(140, three)
    b.fall(145, four)
    assert b.alerts() == [(145, "A", 3, 3)]
    assert b.silence.holds["s", "A", "robot"].opened_ms == 120


def test_what_is_let_go_was_one_of_several_that_are_not_told():
    b = Bench(minimum=4)
    one, two, three, four, five = b.come(5)
    b.fall(100, one)
    b.fall(120, two, three)
    b.fall(135, four)
    assert b.alerts() == []
    b.fall(150, five)
    assert b.alerts() == [(150, "A", 4, 4)]


@pytest.mark.parametrize(("late", "alerts"), [(100, [(100, "A", 3, 3)]), (99, [])])
def test_a_fall_proven_late_counts_if_the_others_fell_in_its_window(late, alerts):
    b = Bench()
    one, two, three = b.come(3)
    b.fall(130, two, three)
    b.fall(late, one)
    assert b.alerts() == alerts


def test_who_fell_later_but_was_proven_earlier_was_active_before_a_fall():
    b = Bench(minimum=5)
    first, second, third, late, fifth, sixth, _ = b.come(7)
    b.fall(90, first)
    b.fall(110, second)
    b.fall(112, third)
    b.fall(100, late)
    b.silence.forget(first)
    b.fall(113, fifth)
    b.fall(114, sixth)
    assert b.alerts() == [(114, "A", 5, 6)]


def test_one_that_fell_a_moment_before_another_one_was_not_active_before_it():
    b = Bench()
    one, two, three = b.come(3)
    b.fall(101, three)
    b.fall(100, one)
    b.fall(102, two)
    assert b.alerts() == [(102, "A", 3, 3)]


def test_who_fell_at_the_same_moment_but_before_is_no_part_of_a_later_base():
    b = Bench()
    one, two, three, four = b.come(4)
    b.fall(100, one, two)
    b.silence.forget(one)
    b.fall(101, three)
    b.fall(102, four)
    assert b.alerts() == [(102, "A", 3, 3)]


def test_of_those_who_fell_at_the_same_moment_it_is_the_same_who_is_told_of_first():
    b = Bench()
    robots = b.come(7)
    b.fall(100, *reversed(robots[:3]))
    assert b.alerts() == []
    b.fall(101, robots[3])
    assert b.alerts() == [(101, "A", 4, 7)]


def test_who_logged_off_is_no_part_of_the_base_of_a_window_that_opens_after():
    b = Bench()
    robots = b.come(10)
    b.fall(100, robots[0])
    for session in robots[6:]:
        b.silence.inactive(session)
    b.fall(110, *robots[1:4])
    assert b.alerts() == [(110, "A", 3, 5)]


@pytest.mark.parametrize(("login", "alerts"), [(100, [(102, "A", 3, 3)]), (101, [])])
def test_who_logged_in_when_the_window_opened_is_part_of_it(login, alerts):
    b = Bench()
    two = b.come(2)
    (late,) = b.come(1, at=login)
    b.fall(100, two[0])
    b.fall(101, two[1])
    b.fall(102, late)
    assert b.alerts() == alerts


def test_a_mass_is_looked_for_once_there_can_be_one_and_not_before(looks):
    b = Bench(minimum=10)
    for session in b.come(40)[:20]:
        assert not looks
        b.fall(100, session)
    assert looks == ["A"]
    assert b.alerts() == [(100, "A", 20, 40)]


def test_after_looking_in_vain_so_many_must_fall_as_were_missing(looks):
    b = Bench(minimum=10)
    robots = b.come(20)
    b.fall(100, *robots[:5])
    b.back(*robots[:5])
    b.fall(101, *robots[5:10])
    assert (looks, b.alerts()) == (["A"], [])
    b.fall(102, *robots[10:14])
    assert (looks, b.alerts()) == (["A"], [])
    b.fall(103, robots[14])
    assert (looks, b.alerts()) == (["A", "A"], [(103, "A", 10, 20)])


# --- what is told ------------------------------------------------------------------------------------------


def test_a_hold_is_noted_and_told_with_all_that_belongs_to_it():
    b = Bench()
    b.fall(100, b.come(4)[0])
    b.fall(105, *b.sessions[1:3])
    key = ("s", "A", "robot")
    assert b.silence.holds == {key: Hold(key, 100, 105, 1_105)}
    assert b.silence.out.holds == {key: None}
    (event,) = b.silence.out.events
    assert (event.type, event.at_ms, event.site, event.company) == ("alert.raised", 105, "s", "A")
    assert (event.session, event.user, event.actor, event.reason) == (None, None, None, None)
    assert event.data.pop("action")
    assert event.data.pop("message").startswith("3 of 4 robot sessions")
    assert event.data == {
        "kind": "mass_silence", "client": "robot", "fallen": 3, "of": 4, "opened_ms": 100,
        "held_until_ms": 1_105,
    }  # fmt: skip


def test_the_alert_of_a_site_names_no_company():
    b = Bench()
    b.fall(100, *b.come(1, "A"), *b.come(1, "B"), *b.come(1, "C"))
    assert b.alerts() == [(100, None, 3, 3)]


def test_who_idleness_disconnected_is_not_held_with_the_others():
    b = Bench()
    b.fall(100, *b.come(3))
    one, two, _ = b.sessions
    one.reason, two.reason = "idle", "timeout"
    assert b.silence.held(one) is None
    assert b.silence.held(two) is b.silence.holds["s", "A", "robot"]


def test_what_a_sites_alert_told_of_a_company_is_no_news_when_more_of_it_fall():
    b = Bench()
    ours, theirs = b.come(3, "A"), b.come(1, "B")
    b.fall(100, *ours[:2], *theirs)
    assert b.alerts() == [(100, None, 3, 4)]
    b.fall(105, ours[2])
    assert len(b.alerts()) == 1


# --- before a removal --------------------------------------------------------------------------------------


def test_sites_are_suspected_apart_even_in_the_same_moment():
    b = Bench()
    ours, theirs = b.come(3, site="s"), b.come(3, site="t")
    b.fall(100, ours[0], theirs[0])
    b.suspect(ours[0], 100)
    b.suspect(theirs[0], 100)
    assert {key[0] for key in b.silence.holds} == {"s", "t"}


def test_the_quiet_ones_are_counted_once_a_moment():
    b = Bench()
    robots = b.come(9, at=90)
    b.fall(100, robots[0])
    asked = iter(b.companies.values())
    b.suspect(robots[0], 100, asked)
    assert next(asked, None) is None
    asked = iter(b.companies.values())
    b.suspect(robots[0], 100, asked)
    assert next(asked) is robots[0].company, "nobody was asked for again"
    asked = iter(b.companies.values())
    b.suspect(robots[0], 101, asked)
    assert next(asked, None) is None


def test_when_they_were_counted_is_not_remembered_without_bound():
    b = Bench()
    company = Company("s", "A")
    for nth in range(10_002):
        b.silence.suspect(Session(nth, "x", company, "anna", f"type {nth}", 1), (), 100)
    assert len(b.silence._suspected) == 1


def test_who_fell_is_not_looked_at_again_where_no_mass_can_be(looks):
    """A pass over a site whose thousand companies have all fallen, but for each apart, asks at each step."""
    b = Bench(minimum=6)
    robots = b.come(6)
    robots[5].seen_ms = 90
    b.fall(100, *robots[:2])
    b.suspect(robots[0], 101)
    assert looks == [], "with the three quiet ones there are five"
    b.suspect(robots[0], 111)
    assert looks == ["A"]
    assert b.alerts() == [(111, "A", 6, 6)]


def test_a_mass_proven_late_is_told_though_a_pass_has_looked_at_later_falls_only():
    b = Bench()
    robots = b.come(6)
    for session in robots:
        session.seen_ms = 130
    b.fall(110, robots[0])
    b.fall(134, b.come(60, at=131)[0])
    b.silence.set_policy(b.policy)
    b.suspect(robots[0], 145)
    b.fall(112, *robots[1:3])
    assert [alert[1:] for alert in b.alerts()] == [("A", 3, 6)]


def test_quiet_ones_make_a_mass_of_a_window_that_a_hold_has_told_and_nobody_looks_at_for_now():
    b = Bench()
    theirs, gone = b.come(20, "B"), b.come(40, "D")
    strays = [b.come(1, f"C{n}")[0] for n in range(9)]
    for session in theirs:
        session.seen_ms = 90
    b.fall(100, *strays)
    for session in gone:
        session.status = Status.LOGGED_OFF
        b.silence.inactive(session)
    ours = b.come(4, "A", at=101)
    b.fall(102, *ours[:3])
    b.silence.set_policy(b.policy)
    b.suspect(ours[0], 103)
    assert [alert[1:] for alert in b.alerts()] == [("A", 3, 4)]
    b.suspect(ours[0], 125)
    assert [alert[1:] for alert in b.alerts()] == [("A", 3, 4), (None, 24, 24)]


def test_an_early_fall_is_held_with_the_quiet_ones_though_looking_back_grew_rare(looks):
    b = Bench()
    robots = stray_and_mass(b)
    b.fall(111, *b.come(400, at=105))
    robots[5].seen_ms = 113
    looks.clear()
    b.suspect(robots[0], 113)
    assert looks == ["A"]
    assert b.silence.held(robots[0]), "with the one who is quiet they are five of ten"


def test_other_numbers_may_be_a_mass_now():
    b = Bench(minimum=100)
    robots = b.come(8)
    b.fall(100, *robots[:3])
    b.silence.set_policy(replace(b.policy, mass=replace(b.policy.mass, minimum=4)))
    b.fall(101, robots[3])
    assert b.alerts() == [(101, "A", 4, 8)]


@pytest.mark.parametrize(("silent", "alerts"), [(20, []), (21, [(100, "A", 3, 3)])])
def test_quiet_is_who_was_silent_for_two_heartbeats_of_its_own_client_type(silent, alerts):
    b = Bench()
    robots = b.come(3)
    robots[1].seen_ms = robots[2].seen_ms = 100 - silent
    b.fall(100, robots[0])
    b.suspect(robots[0], 100)
    assert b.alerts() == alerts


@pytest.mark.parametrize(("at", "alerts"), [(130, [(130, "A", 3, 3)]), (131, [])])
def test_the_fall_that_the_quiet_ones_are_counted_to_must_be_within_the_window(at, alerts):
    b = Bench()
    robots = b.come(3)
    b.fall(100, robots[0])
    assert b.silence.recent(robots[0], at) is bool(alerts)
    b.suspect(robots[0], at)
    assert b.alerts() == alerts


@pytest.mark.parametrize(("login", "alerts"), [(80, [(102, "A", 4, 4)]), (81, [])])
def test_quiet_ones_who_logged_in_after_the_window_opened_are_no_part_of_it(login, alerts):
    b = Bench(minimum=4)
    one, *_ = b.come(3)
    b.come(1, at=login)
    b.fall(80, one)
    b.suspect(one, 102)
    assert b.alerts() == alerts


def test_a_company_found_silent_is_told_before_its_site_which_may_have_nothing_to_add():
    b = Bench()
    ours, theirs = b.come(4, "A"), b.come(4, "B")
    b.fall(100, *ours[:3])
    b.fall(140, theirs[0])
    b.suspect(theirs[0], 140)
    assert [alert[1:] for alert in b.alerts()] == [("A", 3, 4), ("B", 4, 4)]


def test_quiet_ones_of_another_company_are_news_to_a_site_where_all_that_fell_is_told():
    b = Bench()
    ours, theirs = b.come(4, "A"), b.come(4, "B")
    b.fall(100, *ours[:3])
    b.suspect(ours[0], 101)
    assert [alert[1:] for alert in b.alerts()] == [("A", 3, 4), (None, 8, 8)]
    assert b.silence.held(theirs[0]) is None, "it has not fallen"


def test_one_fall_that_is_not_told_is_news_though_all_the_quiet_ones_are_held_back():
    b = Bench(share=0.5)
    ours, theirs = b.come(4, "A"), b.come(6, "B")
    for session in theirs:
        session.seen_ms = 100
    b.fall(100, *ours[:3])
    b.fall(100, theirs[0])
    assert [alert[1] for alert in b.alerts()] == ["A"]
    b.suspect(theirs[0], 100)
    assert [alert[1:] for alert in b.alerts()] == [("A", 3, 4), (None, 5, 10)]


def test_falls_that_are_not_told_are_news_when_those_that_are_have_become_too_old():
    b = Bench()
    ours, theirs = b.come(4, "A"), b.come(3, "B")
    theirs[2].seen_ms = 140
    b.fall(100, *ours[:3])
    b.fall(140, *theirs[:2])
    b.suspect(theirs[0], 140)
    assert [alert[1:] for alert in b.alerts()] == [("A", 3, 4), (None, 3, 4)]


def test_a_rehearsal_is_forgotten_and_what_was_before_is_not():
    b = Bench()
    ours, theirs = b.come(3, "A"), b.come(3, "B")
    b.fall(100, *ours)
    holds, noted, events = dict(b.silence.holds), dict(b.silence.out.holds), list(b.silence.out.events)
    forget = b.silence.rehearse()
    b.fall(140, theirs[0])
    b.suspect(theirs[0], 140)
    assert len(b.silence.holds) == len(b.silence.out.holds) == len(b.alerts()) == 2
    forget()
    assert (b.silence.holds, b.silence.out.holds, b.silence.out.events) == (holds, noted, events)
    b.suspect(theirs[0], 140)
    assert [alert[1] for alert in b.alerts()] == ["A", "B"], "and in earnest it is found again"


def test_what_only_a_rehearsal_told_is_news_to_the_pass_though_all_the_quiet_ones_are_held_back():
    b = Bench(share=0.5)
    ours, theirs = b.come(4, "A"), b.come(6, "B")
    for session in theirs:
        session.seen_ms = 100
    b.fall(100, *ours[:3])
    b.fall(100, theirs[0])
    for _ in range(2):
        forget = b.silence.rehearse()
        b.suspect(theirs[0], 100)
        assert [alert[1] for alert in b.alerts()] == ["A", None]
        forget()
        sound(b.silence)
    b.suspect(theirs[0], 100)
    assert [alert[1] for alert in b.alerts()] == ["A", None]


def test_a_rehearsal_makes_nothing_news_that_was_told_before():
    b = Bench()
    ours, theirs = b.come(6, "A"), b.come(6, "B")
    for session in theirs:
        session.seen_ms = 100
    b.fall(100, *ours[:4])
    b.fall(100, theirs[0])
    forget = b.silence.rehearse()
    b.suspect(theirs[0], 100)
    assert [alert[1] for alert in b.alerts()] == ["A", None]
    forget()
    b.back(theirs[0])
    b.suspect(ours[0], 101)
    assert [alert[1] for alert in b.alerts()] == ["A"]


def test_a_company_found_quiet_is_told_before_the_site_of_one_who_fell_long_ago_in_another():
    b = Bench()
    (alone,), theirs = b.come(1, "A"), b.come(5, "B")
    b.fall(10, alone)
    b.fall(100, theirs[0])
    b.suspect(alone, 110)
    assert [alert[1:] for alert in b.alerts()] == [("B", 5, 5)]


def test_a_company_of_which_nothing_is_kept_does_not_hide_another_one():
    b = Bench()
    (alone,), theirs = b.come(1, "A"), b.come(5, "B")
    b.fall(10, alone)
    b.silence.tick(90, 90)
    assert ("s", "A", "robot") not in b.silence._groups
    b.fall(100, theirs[0])
    b.suspect(alone, 110)
    assert [alert[1:] for alert in b.alerts()] == [("B", 5, 5)]


# --- the end of a hold -------------------------------------------------------------------------------------


def test_a_confirmation_is_told_and_the_lifted_hold_noted():
    b = Bench()
    b.fall(100, *b.come(3))
    b.silence.out.events.clear()
    b.silence.out.holds.clear()
    assert b.confirm(101, "A") == 1
    (event,) = b.silence.out.events
    assert (event.type, event.at_ms, event.site, event.company) == ("cleanup.confirmed", 101, "s", "A")
    assert (event.session, event.user, event.data, event.actor) == (None, None, {"client": "robot"}, "olga")
    assert b.silence.out.holds == {("s", "A", "robot"): None}


def test_each_lift_is_counted():
    b = Bench()
    b.fall(100, *b.come(3, "A"), *b.come(3, site="t"))
    assert b.silence.lifts == 0
    b.confirm(101, "A")
    assert b.silence.lifts == 1
    b.silence.tick(1_100, 100)
    assert (b.silence.lifts, b.silence.holds) == (2, {})


def test_each_company_confirmed_out_of_a_sites_hold_is_counted_and_noted():
    b = Bench()
    b.fall(100, *b.come(1, "A"), *b.come(1, "B"), *b.come(1, "C"))
    for nth, company in enumerate("AB", 1):
        b.silence.out.holds.clear()
        assert b.confirm(101, company) == 1
        assert (b.silence.lifts, b.silence.out.holds) == (nth, {("s", "", "robot"): None})
        assert b.silence.holds["s", "", "robot"].confirmed == set("AB"[:nth])
    assert b.silence.out.events[-1].company == "B"


def test_holds_that_a_confirmation_does_not_mean_do_not_hide_those_it_does():
    b = Bench()
    b.fall(100, *b.come(3, site="t"), *b.come(3, "A"))
    b.fall(140, *b.come(3, "B", at=130))
    assert b.confirm(141, "B") == 1
    assert b.confirm(141, "A") == 1
    assert [key[0] for key in b.silence.holds] == ["t"]


def test_confirming_one_company_leaves_the_falls_of_others_counting_for_the_site():
    b = Bench()
    ours, theirs, others, crowd = b.come(3, "A"), b.come(3, "B"), b.come(1, "C"), b.come(17, "D")
    b.fall(100, *ours)
    for session in crowd:
        b.silence.inactive(session)
    b.fall(101, *theirs[:2])
    assert b.confirm(101, "A") == 1
    b.fall(102, *others)
    assert b.alerts() == [(100, "A", 3, 3), (102, None, 3, 4)]


def test_confirming_a_company_takes_what_fell_in_it_before_the_window_opened_too():
    b = Bench()
    robots = b.come(10)
    b.fall(100, robots[0])
    for session in robots[6:]:
        b.silence.inactive(session)
    b.fall(110, *robots[1:4])
    assert b.silence.holds["s", "A", "robot"].opened_ms == 110
    assert b.confirm(111, "A") == 1
    b.fall(112, *robots[4:6])
    assert len(b.alerts()) == 1


def test_confirming_one_company_leaves_another_one_building_up():
    b = Bench()
    ours, theirs, _ = b.come(3, "A"), b.come(3, "B"), b.come(20, "C")
    b.fall(100, *ours, *theirs[:2])
    assert b.confirm(101, "A") == 1
    b.fall(102, theirs[2])
    assert b.alerts() == [(100, "A", 3, 3), (102, "B", 3, 3)]


def test_confirming_a_site_takes_the_falls_of_all_its_companies():
    b = Bench()
    ours, theirs = b.come(3, "A"), b.come(1, "B")
    b.fall(100, *ours[:2], *theirs)
    assert b.confirm(101) == 1
    b.fall(102, ours[2])
    assert len(b.alerts()) == 1
    assert not b.silence.holds


def test_who_is_confirmed_out_of_a_sites_hold_counts_no_more_but_the_others_do():
    b = Bench()
    ours, theirs = b.come(3, "A"), b.come(3, "B")
    b.fall(100, ours[0], ours[1], theirs[0])
    b.confirm(101, "A")
    b.fall(102, ours[2])
    assert len(b.alerts()) == 1, "one of A"
    assert [it.session for it in b.silence._groups["s", "", "robot"].falls] == [theirs[0], ours[2]]
    assert [it.session for it in b.silence._groups["s", "B", "robot"].falls] == [theirs[0]]


def test_a_hold_can_be_lifted_when_nobody_of_its_site_is_left():
    b = Bench()
    b.fall(100, *b.come(3))
    b.silence.tick(200, 200)
    assert b.silence._groups == {}
    assert b.confirm(201, "A") == 1
    assert not b.silence.holds


# --- after a restart ---------------------------------------------------------------------------------------


def restarted(b: Bench, fallen: dict[Session, int], holds: Iterable[Hold] = ()) -> None:
    """As after a restart: these have fallen, all others are active."""
    b.silence = Silence(b.policy, Outcome())
    for session in b.sessions:
        if session in fallen:
            session.status, session.disconnected_ms = Status.DISCONNECTED, fallen[session]
        else:
            b.silence.active(session)
    b.silence.restore(fallen, holds)
    sound(b.silence)


def test_restored_falls_count_with_how_many_were_active_before_each():
    b = Bench()
    one, two, three, four, _ = b.come(5)
    restarted(b, {one: 100, two: 120})
    b.fall(125, three)
    assert b.alerts() == [(125, "A", 3, 5)]
    restarted(b, {one: 100, two: 120})
    b.fall(140, three)
    assert b.alerts() == []
    b.fall(145, four)
    assert b.alerts() == [(145, "A", 3, 4)]


def test_a_fall_proven_late_does_not_count_with_restored_ones_that_fell_long_after():
    b = Bench()
    one, two, three = b.come(3)
    restarted(b, {two: 200, three: 201})
    b.fall(100, one)
    assert b.alerts() == []


def test_restored_falls_are_let_go_in_time():
    b = Bench()
    one, two = b.come(2)
    restarted(b, {one: 100, two: 120})
    b.silence.tick(131, 131)
    assert [fall.session for fall in b.silence._groups["s", "A", "robot"].falls] == [two]
    b.silence.tick(151, 151)
    assert b.silence._groups == {}
    assert not b.silence._recent


def test_a_restored_hold_holds_and_is_not_told_again():
    b = Bench()
    robots = b.come(6)
    hold = Hold(("s", "A", "robot"), 100, 100, 1_100)
    restarted(b, dict.fromkeys(robots[:3], 100), [hold])
    assert b.silence.holds == {hold.key: hold}
    b.fall(101, *robots[3:])
    assert b.silence.held(robots[5]) is hold
    assert b.alerts() == []


# --- nothing is left behind --------------------------------------------------------------------------------


@pytest.mark.parametrize(("client", "window"), [("robot", WINDOW), ("other", 24)])
def test_falls_are_let_go_when_no_later_one_can_be_in_a_window_with_them(client, window):
    b = Bench()
    one, two = b.come(2, client=client)
    b.fall(100, one)
    b.fall(105, two)
    b.silence.tick(100 + window, 100 + window)
    assert len(b.silence._groups["s", "A", client].falls) == 2
    b.silence.tick(101 + window, 101 + window)
    sound(b.silence)
    assert len(b.silence._groups["s", "A", client].falls) == 1
    b.silence.tick(106 + window, 106 + window)
    assert b.silence._groups == {}
    assert not b.silence._recent


def test_a_group_that_a_fall_too_late_to_count_leaves_empty_is_not_kept():
    b = Bench()
    one, two = b.come(2)
    b.fall(200, one)
    b.silence.tick(300, 300)
    b.fall(100, two)
    assert b.silence._groups == {}


def test_a_group_whose_last_fall_is_forgotten_is_not_kept_for_good():
    b = Bench()
    (one,) = b.come(1)
    b.fall(100, one)
    b.silence.forget(one)
    b.silence.tick(131, 131)
    assert b.silence._groups == {}
    assert not b.silence._recent


# --- who fell before the hold's window opened ---------------------------------------------------------------


def stray_and_mass(b: Bench) -> list[Session]:
    """One falls, four say goodbye, three more fall: these are a mass of five, and four are none of ten."""
    robots = b.come(10)
    b.come(1_000, "B")
    b.fall(100, robots[0])
    for session in robots[6:]:
        b.silence.inactive(session)
    b.fall(110, *robots[1:4])
    assert b.silence.holds["s", "A", "robot"].opened_ms == 110
    assert b.silence.held(robots[0]) is None
    return robots


def test_a_hold_reaches_back_once_an_earlier_window_is_a_mass_too_without_another_alert():
    b = Bench()
    robots = stray_and_mass(b)
    b.silence.out.holds.clear()
    b.fall(111, robots[4])
    assert b.silence.held(robots[0]) is b.silence.holds["s", "A", "robot"]
    assert list(b.silence.out.holds) == [("s", "A", "robot")], "it is stored, too"
    assert b.alerts() == [(110, "A", 3, 5)]
    assert b.silence.holds["s", "A", "robot"].until_ms == 1_110


def test_looking_back_in_vain_grows_rarer_and_a_pass_looks_all_the_same(looks):
    b = Bench()
    robots = stray_and_mass(b)
    b.fall(111, *b.come(400, at=105))  # none of them was there when the stray one fell
    assert len(looks) < 60
    b.fall(112, robots[4])
    assert b.silence.held(robots[0]) is None
    b.suspect(robots[0], 113)
    assert b.silence.held(robots[0])


def test_what_a_dry_run_found_is_found_again_by_the_pass():
    b = Bench()
    robots = stray_and_mass(b)
    b.fall(111, *b.come(400, at=105), robots[4])
    forget = b.silence.rehearse()
    b.suspect(robots[0], 113)
    forget()
    sound(b.silence)
    assert b.silence.held(robots[0]) is None
    b.suspect(robots[0], 113)
    assert b.silence.held(robots[0])


def test_after_a_rehearsal_what_it_told_counts_again_for_when_to_look():
    b = Bench()
    strays, _ = [b.come(1, name)[0] for name in ("B", "C")], b.come(40, "D", at=100)
    ours = b.come(3, "A", at=101)
    restarted(b, {**dict.fromkeys(strays, 100), **dict.fromkeys(ours, 102)})
    forget = b.silence.rehearse()
    b.suspect(ours[0], 103)
    assert [key[1] for key in b.silence.holds] == ["A"]
    forget()
    sound(b.silence)


# --- looking only where it may lead to something -------------------------------------------------------

STEPS = (
    "come",
    "come",
    "fall",
    "fall",
    "fall",
    "fall",
    "back",
    "beat",
    "suspect",
    "suspect",
    "rehearse",
    "confirm",
    "tick",
    "policy",
)


class Eager(Silence):
    """Looks through all falls each time it is asked."""

    def _in_reach(self, *_args, **_more) -> bool:
        return True


@settings(max_examples=600)
@given(
    st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, 30), st.integers(0, 8), st.sampled_from("ABC")),
        max_size=80,
    )
)
def test_what_is_not_looked_at_would_have_been_looked_at_in_vain(steps):
    quick, eager = Bench(), Bench()
    eager.silence = Eager(eager.policy, Outcome())
    now = 100
    for what, which, after, company in steps:
        now += after
        for b in (quick, eager):
            take(b, what, which, now, company)
        assert quick.silence.holds == eager.silence.holds
        assert quick.alerts() == eager.alerts()


def take(b: Bench, what: str, which: int, now: int, company: str) -> None:
    living = [it for it in b.sessions if it.status is Status.ACTIVE]
    fallen = [it for it in b.sessions if it.status is Status.DISCONNECTED]
    match what:
        case "come":
            b.come(1 + which % 4, company, at=now)
        case "fall" if living:
            b.fall(now, living[which % len(living)])
        case "back" if fallen:
            b.back(fallen[which % len(fallen)])
        case "beat" if living:
            living[which % len(living)].seen_ms = now
        case "suspect" if fallen:
            b.suspect(fallen[which % len(fallen)], now)
        case "rehearse" if fallen:
            forget = b.silence.rehearse()
            b.suspect(fallen[which % len(fallen)], now)
            forget()
            sound(b.silence)
        case "confirm":
            b.confirm(now, company if which % 2 else None)
        case "tick":
            b.silence.tick(now, now - which)
        case "policy":
            b.silence.set_policy(replace(b.policy, mass=replace(b.policy.mass, minimum=2 + which % 6)))
