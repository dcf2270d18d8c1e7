"""Mass silence: many at once are suspected to be ours, not theirs (rule 9)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rules.driver import DEFAULTS, DOOR, LINK, START, Driver
from whosin.model import ClientType, Company, MassSilence, Policy, Session, Status
from whosin.rules.outcome import Outcome
from whosin.rules.silence import Silence

S = 1_000
WINDOW = 120 * S  # window_s and a desktop's heartbeat


def office(
    count: int = 20, policy: Policy = DEFAULTS, *, company: str = "A", client: str = "desktop"
) -> Driver:
    d = Driver(policy)
    more(d, count, company=company, client=client)
    return d


def more(d: Driver, count: int, *, company: str = "A", client: str = "desktop", at: int = 0) -> None:
    known = len(d.roll.sessions)
    for n in range(known, known + count):
        d.login(at, f"s{n}", user=f"user {n}", client=client, company=company)


def beat(d: Driver, at: int, numbers) -> None:
    for n in numbers:
        session = d.session(f"s{n}")
        d.beat(at, session.id, company=session.company.name)


def alerts(d: Driver) -> list[tuple[int, str | None]]:
    d._collect()
    return [(event.at, event.data["client"]) for event in d.happened("alert.raised")]


def held(d: Driver) -> set[int]:
    return {
        int(ident[1:])
        for ident, session in d.roll.sessions.items()
        if session.status is Status.DISCONNECTED and d.roll.silence.held(session)
    }


# --- the threshold -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fall", "mass"), [(9, False), (10, True), (11, True)])
def test_fewer_than_the_minimum_are_no_mass_whatever_their_share(fall, mass):
    d = office(fall)
    d.pass_to(300 * S)
    assert len(alerts(d)) == mass
    assert held(d) == (set(range(fall)) if mass else set())


def test_other_settings_count_for_who_has_fallen_already():
    d = office(20, replace(DEFAULTS, mass=replace(DEFAULTS.mass, minimum=1_000)))
    beat(d, 100 * S, range(12, 20))
    d.pass_to(300 * S)
    assert alerts(d) == []
    d.roll.set_policy(DEFAULTS)
    d.pass_to(400 * S)
    assert len(alerts(d)) == 1
    assert held(d) == set(range(20))


@pytest.mark.parametrize(("of", "mass"), [(23, True), (24, True), (25, False)])
def test_fewer_than_the_share_are_no_mass_however_many(of, mass):
    d = office(of)
    beat(d, 100 * S, range(12, of))
    d.pass_to(300 * S)
    assert len(alerts(d)) == mass
    assert held(d) == (set(range(12)) if mass else set())


@pytest.mark.parametrize(("spread", "mass"), [(WINDOW - 1, True), (WINDOW, True), (WINDOW + 1, False)])
def test_the_last_of_them_must_fall_within_the_window_and_a_heartbeat_after_the_first(spread, mass):
    d = office(20)
    beat(d, spread, range(9, 10))
    beat(d, 250 * S, range(10, 20))
    d.pass_to(300 * S + WINDOW + 2)
    assert len(alerts(d)) == mass


def test_a_fall_that_is_proven_late_counts_with_those_of_its_window():
    d = office(20)
    beat(d, WINDOW, range(9, 10))
    beat(d, 250 * S, range(10, 20))
    d.pass_to(300 * S)
    d.prove(300 * S + WINDOW - 1)
    d.sweep(300 * S + WINDOW + 1 * S)  # the last one's deadline has come, and is not proven yet
    d.prove(300 * S + WINDOW)
    d.sweep(300 * S + WINDOW + 1 * S)
    assert len(alerts(d)) == 1


def test_they_are_shown_as_disconnected_at_their_deadlines_all_the_same():
    d = office(12)
    d.pass_to(300 * S)
    assert [event.at for event in d.happened("session.disconnected")] == [300 * S] * 12


def test_the_alert_says_how_many_of_how_many_and_what_to_do():
    d = office(12)
    d.pass_to(300 * S)
    (alert,) = d.happened("alert.raised")
    assert (alert.at, alert.data["kind"], alert.data["fallen"], alert.data["of"]) == (
        300 * S,
        "mass_silence",
        10,
        12,
    )
    assert alert.data["held_until_ms"] == START + 3_900 * S
    assert "confirm" in alert.data["action"]


def test_those_that_fell_first_are_held_too_and_those_that_fall_later():
    d = office(20)
    for n in range(20):
        beat(d, n * S, [n])
    d.pass_to(309 * S)
    assert held(d) == set(range(10))
    d.pass_to(319 * S)
    assert held(d) == set(range(20))
    assert len(alerts(d)) == 1


def test_those_who_fell_before_the_window_are_not_held():
    d = office(30)
    beat(d, 200 * S, range(2, 30))
    d.pass_to(500 * S)
    assert held(d) == set(range(2, 30))


def test_who_fell_first_and_was_proven_last_is_held_with_the_others_under_the_same_alert():
    d = Driver(sources=(DOOR, LINK))
    for n in range(26):
        d.login(n // 13, f"s{n}", user=f"user {n}", source=(LINK, DOOR)[n // 13])
    d.prove(300 * S + 1)
    d.sweep(301 * S)
    assert len(alerts(d)) == 1
    assert held(d) == set(range(13, 26))
    d.prove(301 * S, LINK)
    d.sweep(301 * S)
    assert held(d) == set(range(26))
    assert len(alerts(d)) == 1


def test_who_is_quiet_when_a_pass_asks_is_held_even_if_it_turns_out_to_have_fallen_first():
    d = Driver(sources=(DOOR, LINK))
    for n in range(20):
        d.login(n // 19, f"s{n}", user=f"user {n}", source=(LINK, DOOR)[n // 19])
    d.prove(300 * S + 1)
    d.sweep(301 * S)
    d.roll.suspect(d.session("s19"), START + 301 * S)
    assert held(d) == {19}
    rehearsed = d.roll.silence.rehearse()
    d.prove(301 * S, LINK)
    d.sweep(301 * S)
    assert held(d) == set(range(20))
    assert len(alerts(d)) == 1
    rehearsed()
    assert {hold.opened_ms for hold in d.roll.silence.holds.values()} == {START + 300 * S + 1}


def test_people_who_fall_for_themselves_over_the_day_are_no_mass():
    d = office(20)
    for minute in range(1, 100):
        beat(d, minute * 60 * S, range(20) if minute < 20 else range(max(0, (minute - 20) // 3), 20))
        d.pass_to(minute * 60 * S + 1)
    assert len(d.happened("session.disconnected")) >= 10
    assert alerts(d) == []


def test_who_comes_back_does_not_count_any_more():
    d = office(20)
    beat(d, 100 * S, range(9, 20))
    d.pass_to(300 * S)
    beat(d, 301 * S, range(9))
    beat(d, 302 * S, range(10, 20))
    d.pass_to(400 * S)
    assert alerts(d) == []


def test_who_logs_off_after_all_or_is_replaced_does_not_count_either():
    d = office(19)
    beat(d, 100 * S, range(9, 19))
    d.pass_to(300 * S)
    for n in range(9):
        d.logout(301 * S, f"s{n}")
    beat(d, 302 * S, range(11, 19))
    d.pass_to(400 * S)
    assert alerts(d) == []


def nine_fall_of_twenty() -> Driver:
    """At 300 s; three more will at 360 s."""
    d = Driver()
    for n in range(20):
        d.login(0, f"s{n}", user=f"user {n}", machine=f"PC{n}", os_session="1")
    beat(d, 60 * S, range(9, 20))
    beat(d, 200 * S, range(12, 20))
    d.pass_to(300 * S)
    return d


@pytest.mark.parametrize("cause", ["blocking", "operator"])
def test_who_was_removed_after_its_fall_has_fallen_all_the_same(cause):
    d = nine_fall_of_twenty()
    for n in range(9):
        d.remove(301 * S, f"s{n}", cause=cause)
    d.pass_to(360 * S)
    assert len(alerts(d)) == 1


def test_whose_newer_login_took_its_place_has_not():
    d = nine_fall_of_twenty()
    for n in range(9):
        d.login(301 * S, f"again{n}", user=f"user {n}", machine=f"PC{n}", os_session="1")
        assert d.status(f"s{n}") is Status.REMOVED
    d.pass_to(360 * S)
    assert alerts(d) == []


def test_sessions_that_idleness_disconnected_neither_count_nor_are_held():
    policy = replace(
        DEFAULTS, types={"default": ClientType("default", idle_limit_s=60, idle_disconnects=True)}
    )
    d = office(20, policy)
    for n in range(15):
        d.beat(1, f"s{n}", idle_s=60)
    assert alerts(d) == []
    d.pass_to(301 * S)
    assert held(d) == set()


def test_sessions_that_idleness_disconnected_are_nobody_who_could_have_fallen():
    policy = replace(
        DEFAULTS, types={"default": ClientType("default", idle_limit_s=60, idle_disconnects=True)}
    )
    d = office(24, policy)
    for n in range(12):
        d.beat(1, f"s{n}", idle_s=60)
    beat(d, 100 * S, range(22, 24))
    d.pass_to(301 * S)
    (event,) = d.happened("alert.raised")
    assert (event.data["fallen"], event.data["of"]) == (10, 12)


def test_a_stray_fall_just_before_does_not_hide_those_who_logged_in_after_it():
    d = office(1)
    d.pass_to(299 * S)
    more(d, 30, at=301 * S)  # the portal was restarted, and then the network broke
    for n in range(1, 31):
        d.lost(310 * S, f"s{n}")
    d.pass_to(385 * S)
    assert len(alerts(d)) == 1
    assert held(d) == set(range(1, 31))


def test_new_logins_that_fall_do_not_count_for_a_window_that_opened_before_them():
    """A program in a crash loop logs in anew each time; the forty people who work are no part of it."""
    d = office(40)
    for n in range(30):
        d.login(n * 4 * S, f"loop{n}", user="robot")
        d.lost(n * 4 * S, f"loop{n}")
    beat(d, 120 * S, range(40))
    d.pass_to(250 * S)
    assert len(d.happened("session.disconnected")) == 30
    assert alerts(d) == []


# --- groups ------------------------------------------------------------------------------------------------


def test_client_types_are_counted_apart():
    d = office(12)
    more(d, 9, client="kiosk")
    d.pass_to(300 * S)
    assert alerts(d) == [(300 * S, "desktop")]
    assert held(d) == set(range(12))


def test_companies_too_small_for_themselves_are_seen_as_a_site():
    d = Driver()
    for n in range(10):
        more(d, 2, company=f"C{n}")
    d.pass_to(300 * S)
    assert len(alerts(d)) == 1
    assert d.happened("alert.raised")[0].data["fallen"] == 10
    assert held(d) == set(range(20))


def test_one_company_of_many_is_one_alert_and_the_others_are_not_held():
    d = office(12, company="A")
    more(d, 100, company="B")
    beat(d, 200 * S, range(13, 112))
    d.pass_to(300 * S)
    assert len(alerts(d)) == 1
    assert d.status("s12") is Status.DISCONNECTED, "one of B fell too"
    assert held(d) == set(range(12))


def test_those_of_a_company_that_is_part_of_a_sites_mass_are_held_whichever_falls_last():
    """The others' own alert tells nothing of them."""
    d = office(5, company="B")
    more(d, 30, at=1 * S)
    more(d, 20, company="C", at=1 * S)
    beat(d, 250 * S, range(35, 55))
    d.pass_to(310 * S)
    assert held(d) == set(range(35))


def test_one_trouble_is_one_alert_not_two():
    d = office(30)
    d.pass_to(1_000 * S)
    assert len(alerts(d)) == 1


def test_a_company_that_follows_a_site_already_held_is_no_news():
    d = Driver()
    for n in range(6):
        more(d, 5, company=f"C{n}")
    more(d, 20, company="big")
    beat(d, 20 * S, range(30, 50))
    d.pass_to(400 * S)
    assert len(alerts(d)) == 1
    assert held(d) == set(range(50))


def test_sites_do_not_mix():
    d = Driver()
    for site in ("s", "t"):
        for n in range(6):
            d.login(0, f"{site}{n}", user=f"{n}", site=site)
    d.pass_to(300 * S)
    assert alerts(d) == []


# --- before a removal --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("silent_s", "mass"), [(120, False), (120.001, True)])
def test_a_pass_counts_active_ones_silent_for_over_two_heartbeats_as_fallen(silent_s, mass):
    d = office(20)
    seen = 300 * S - round(silent_s * S)
    beat(d, seen, range(1, 20))
    d.pass_to(300 * S)
    assert d.status("s0") is Status.DISCONNECTED
    d.roll.suspect(d.session("s0"), START + 300 * S)
    assert len(alerts(d)) == mass
    assert held(d) == ({0} if mass else set())


def test_without_a_fall_in_the_window_nothing_is_suspected():
    d = office(20)
    beat(d, 200 * S, range(1, 20))
    d.pass_to(300 * S)
    d.pass_to(300 * S + WINDOW + 1)
    beat(d, 421 * S, range(1, 20))
    d.roll.suspect(d.session("s0"), START + 600 * S)
    assert alerts(d) == []


def test_a_pass_over_thousands_counts_the_quiet_ones_once_per_moment():
    d = office(3_000)
    beat(d, 150 * S, range(1_000, 3_000))
    d.pass_to(300 * S)
    looked = 0

    def counted(*args):
        nonlocal looked
        for session in real(*args):
            looked += 1
            yield session

    real, d.roll.silence._quiet = d.roll.silence._quiet, counted
    for n in range(1_000):
        d.roll.suspect(d.session(f"s{n}"), START + 300 * S)
    assert 1 <= looked <= 2_000


def test_a_mass_of_thousands_is_found_without_looking_at_all_at_each_fall(monkeypatch):
    looks = 0
    real = Silence._look

    def counted(self, *args):
        nonlocal looks
        looks += 1
        real(self, *args)

    monkeypatch.setattr(Silence, "_look", counted)
    d = office(5_000)
    d.pass_to(300 * S)
    assert len(alerts(d)) == 1
    assert looks <= 10


def test_a_hold_in_each_of_many_companies_does_not_look_at_the_whole_site_each_time(monkeypatch):
    looked = 0
    real = Silence._covered

    def counted(self, *args):
        nonlocal looked
        looked += 1
        return real(self, *args)

    monkeypatch.setattr(Silence, "_covered", counted)
    d = Driver()
    for nth in range(4_000):
        d.login(0, f"s{nth}", user=f"u{nth}", company=f"C{nth // 20}")
    d.pass_to(300 * S)
    assert len(d.roll.silence.holds) >= 80  # until half of the site has fallen, which opens one for all
    assert looked <= 8 * 4_000


def test_blocking_ones_are_held_back_and_go_when_the_hold_is_lifted():
    d = office(20, replace(DEFAULTS, blocking_after_ms=30 * S))
    d.lock(0, "s0", "a")
    d.login(0, "other", user="otto", client="web")
    d.lock(1, "other", "a")
    d.pass_to(300 * S)
    assert d.roll.clear_blocking(START + 330 * S) == 0
    assert d.roll.clear_blocking(START + 331 * S) == 0
    d.roll.silence.confirm("s", "A", "desktop", START + 400 * S, "olga")
    assert d.roll.clear_blocking(START + 400 * S) == 1


# --- the end of a hold -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "still"), [(3_900 * S - 1, True), (3_900 * S, False)])
def test_a_hold_runs_out_so_long_after_its_alert(at, still):
    d = office(20)
    d.pass_to(300 * S)
    d.sweep(at)
    assert bool(held(d)) is still
    assert bool(d.roll.silence.holds) is still


def test_an_operator_confirms_by_company():
    d = office(20)
    d.pass_to(300 * S)
    assert d.roll.silence.confirm("s", "B", "desktop", START + 301 * S, "olga") == 0
    assert d.roll.silence.confirm("t", None, None, START + 301 * S, "olga") == 0
    assert d.roll.silence.confirm("s", "A", "web", START + 301 * S, "olga") == 0
    assert held(d)
    assert d.roll.silence.confirm("s", "A", "desktop", START + 301 * S, "olga") == 1
    d._collect()
    assert held(d) == set()
    assert d.happened("cleanup.confirmed")[0].actor == "olga"
    assert d.roll.silence.confirm("s", "A", "desktop", START + 302 * S, "olga") == 0


def test_by_one_company_of_a_site_and_then_by_the_whole_site():
    d = Driver()
    for n in range(10):
        more(d, 2, company=f"C{n}")
    d.pass_to(300 * S)
    assert d.roll.silence.confirm("s", "C3", None, START + 301 * S, "olga") == 1
    assert held(d) == set(range(20)) - {6, 7}
    assert d.roll.silence.confirm("s", "C3", None, START + 302 * S, "olga") == 0
    assert d.roll.silence.confirm("s", None, None, START + 303 * S, "olga") == 1
    assert held(d) == set()


def test_by_any_client_type():
    d = office(12)
    more(d, 12, client="kiosk")
    d.pass_to(300 * S)
    assert len(alerts(d)) == 2
    assert d.roll.silence.confirm("s", None, None, START + 301 * S, "olga") == 2
    assert held(d) == set()


def test_what_was_confirmed_is_not_held_again_because_another_one_falls():
    d = office(31)
    beat(d, 10 * S, range(30, 31))
    d.pass_to(300 * S)
    d.roll.silence.confirm("s", "A", "desktop", START + 301 * S, "olga")
    d.pass_to(310 * S)
    assert held(d) == set()
    assert len(alerts(d)) == 1


def test_a_second_mass_after_a_confirmed_one_is_a_new_alert():
    d = office(40)
    beat(d, 100 * S, range(20, 40))
    d.pass_to(300 * S)
    d.roll.silence.confirm("s", None, "desktop", START + 301 * S, "olga")
    d.pass_to(400 * S)
    assert len(alerts(d)) == 2
    assert held(d) == set(range(20, 40))


# --- bounds ------------------------------------------------------------------------------------------------


def test_client_types_named_by_strangers_leave_nothing_behind():
    d = Driver()
    for n in range(200):
        d.login(n, f"x{n}", client=f"type {n}")
        if n % 2:
            d.logout(n, f"x{n}")
    d.pass_to(400 * S)
    for ident in list(d.roll.sessions):
        d.remove(401 * S, ident)
    d.pass_to(2_000 * S)
    assert d.roll.silence._groups == {}
    assert not d.roll.silence._recent


def test_after_a_restart_a_mass_that_was_building_up_goes_on():
    d = office(20)
    beat(d, 50 * S, range(8, 20))
    d.pass_to(300 * S)
    fallen = [d.session(f"s{n}") for n in range(8)]
    silence = Silence(DEFAULTS, Outcome())
    for n in range(8, 20):
        silence.active(d.session(f"s{n}"))
    silence.restore(fallen, [])
    for n in (8, 9):
        assert not silence.holds
        silence.fell(d.session(f"s{n}"), START + 350 * S)
        d.session(f"s{n}").disconnected_ms = START + 350 * S
    assert {hold.opened_ms for hold in silence.holds.values()} == {START + 300 * S}
    assert silence.held(fallen[0])


# --- against a naive telling -------------------------------------------------------------------------------


@dataclass
class Naive:
    """All falls, all windows, counted anew each time."""

    mass: MassSilence
    window: int
    active: int = 0
    falls: list[tuple[int, Session, int]] = field(default_factory=list)

    def fell(self, session: Session, at: int) -> int | None:
        """When the first window opened that is a mass silence now."""
        self.falls.append((at, session, self.active))
        self.active -= 1
        for opened, _, base in self.falls:
            fallen = [
                s
                for when, s, _ in self.falls
                if opened <= when <= opened + self.window and s.since_ms <= opened
            ]
            if opened >= at - self.window and len(fallen) >= max(self.mass.minimum, self.mass.share * base):
                return opened
        return None

    def back(self, session: Session) -> None:
        self.falls = [fall for fall in self.falls if fall[1] is not session]
        self.active += 1


MASS = MassSilence(minimum=3, share=0.5, window_ms=20)
SMALL = Policy(types={"default": ClientType("default", heartbeat_every_ms=10)}, mass=MASS)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["login", "login", "fall", "fall", "back", "end"]),
            st.integers(0, 9),
            st.integers(0, 12),
        ),
        max_size=60,
    )
)
def test_a_hold_opens_exactly_when_counting_anew_says_so(steps):
    silence, naive, company, now = Silence(SMALL, Outcome()), Naive(MASS, 30), Company("s", "A"), START
    living: list[Session] = []
    fallen: list[Session] = []
    for nth, (what, which, after) in enumerate(steps):
        now += after
        if what == "login":
            session = Session(nth, f"s{nth}", company, "anna", "robot", now)
            silence.active(session)
            naive.active += 1
            living.append(session)
        elif what == "fall" and living:
            session = living.pop(which % len(living))
            silence.fell(session, now)
            session.status, session.disconnected_ms = Status.DISCONNECTED, now
            fallen.append(session)
            opened = naive.fell(session, now)
            holds = list(silence.holds.values())
            assert [hold.opened_ms for hold in holds] == ([] if opened is None else [opened])
            if opened is not None:
                assert silence.held(session) is holds[0]
                return
        elif what == "back" and fallen:
            session = fallen.pop(which % len(fallen))
            session.status = Status.ACTIVE
            silence.active(session)
            naive.back(session)
            living.append(session)
        elif what == "end" and living:
            silence.inactive(living.pop(which % len(living)))
            naive.active -= 1
