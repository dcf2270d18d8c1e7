"""When a planned closing warns, begins and ends, whatever the clock on the wall does (rule 17)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rules.driver import DEFAULTS, START, Driver
from whosin.rules.maintenance import MINUTE_MS, Closures, Step, Window, due, minutes_left, warned

NOON = 1_700_000_000_000
HOUR = 60


def window(**more) -> Window:
    return Window(1, "s", None, NOON, NOON + HOUR * MINUTE_MS, "New version.", "olga", **more)


def at(minutes: float) -> int:
    return NOON + round(minutes * MINUTE_MS)


def steps(it: Window, *minutes: float) -> list[tuple[float, Step]]:
    """What is done when the wall clock shows these times, one after the other."""
    found = []
    for minute in minutes:
        while (step := due(it, at(minute))) is not None:
            found.append((minute, step))
            if step is Step.WARN:
                warned(it, at(minute))
            elif step is Step.START:
                it.begun = True
            else:
                return found
    return found


def test_people_are_warned_15_5_and_1_minutes_before_then_it_begins_then_it_ends():
    seen = steps(window(), *(minute / 60 for minute in range(-20 * 60, 61 * 60)))
    assert seen == [
        (-15, Step.WARN), (-5, Step.WARN), (-1, Step.WARN), (0, Step.START), (60, Step.END),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([-10], [(-10, Step.WARN)]),
        ([-3, -2], [(-3, Step.WARN)]),
        ([-3, -1], [(-3, Step.WARN), (-1, Step.WARN)]),
        ([10], [(10, Step.START)]),
        ([60], [(60, Step.END)]),
        ([200], [(200, Step.END)]),
    ],
)
def test_of_what_was_missed_only_what_is_still_useful_is_done(looks, expected):
    assert steps(window(), *looks) == expected


def test_a_clock_that_is_put_back_warns_nobody_twice_and_opens_nothing():
    assert steps(window(), -15, -20, -15, -5, -16, -5, 0, -30, 0) == [
        (-15, Step.WARN), (-5, Step.WARN), (0, Step.START),
    ]  # fmt: skip


def test_a_clock_that_jumps_ahead_brings_the_window_at_once():
    assert steps(window(), -60, 30, 61) == [(30, Step.START), (61, Step.END)]


@pytest.mark.parametrize(("minute", "left"), [(-15, 15), (-14.2, 15), (-1, 1), (-0.5, 1), (0, 0), (5, 0)])
def test_minutes_left_are_rounded_up(minute, left):
    assert minutes_left(window(), at(minute)) == left


def test_only_administrators_come_in_while_it_is_closed():
    closures = Closures()
    closures.windows.append(window(begun=True))
    assert closures.closed("s", "A", "anna") is closures.windows[0]
    assert closures.closed("other", "A", "anna") is None
    closures.set_administrators(["Olga"])
    assert closures.closed("s", "A", "OLGA") is None
    assert closures.closed("s", "A", "anna") is not None


def test_a_company_s_window_closes_no_other_company_and_warns_none():
    closures = Closures()
    closures.windows.append(Window(1, "s", "A", NOON, NOON + 1, "x", "olga", begun=True))
    assert closures.closed("s", "A", "anna") is not None
    assert closures.closed("s", "B", "anna") is None
    closures.windows[0].begun, closures.windows[0].warned_ms = False, MINUTE_MS
    assert closures.coming("s", "A", "anna") is not None
    assert closures.coming("s", "B", "anna") is None


def test_a_window_forces_nobody_out_unless_it_says_so_and_has_done_nothing_yet():
    it = window()
    assert (it.force, it.begun, it.emptied, it.warned_ms) == (False, False, False, 0)


def test_a_minute_is_a_minute():
    assert due(window(), NOON - 900_001) is None
    assert due(window(), NOON - 900_000) is Step.WARN


def test_a_warning_that_was_sent_without_a_reason_takes_none_away():
    it = window()
    warned(it, at(-20))
    assert it.warned_ms == 0
    warned(it, at(-5))
    warned(it, at(-5))
    assert it.warned_ms == 5 * MINUTE_MS


# --- at the roll ---------------------------------------------------------------------------------------


def test_a_login_is_refused_with_the_text_also_by_a_heartbeat_but_who_is_in_stays_in():
    d = Driver()
    d.login(0, "in")
    d.roll.closures.windows.append(window(begun=True))
    d.login(1, "new", user="ben")
    d.beat(2, "other", user="carl", client="desktop")
    for ident in ("new", "other"):
        assert d.told(ident, "login") == [
            {"accepted": False, "code": "maintenance", "message": "New version."}
        ]
    d.login(3, "in")
    d.beat(4, "in")
    assert sorted(d.roll.sessions) == ["in"]
    assert [event.data["code"] for event in d.happened("session.refused")] == ["maintenance"] * 2


def test_who_comes_in_after_the_others_were_warned_is_told_at_once():
    d = Driver()
    told = []
    d.roll.warn = lambda session, it, at_ms: told.append((session.id, it.id, at_ms - START))
    d.roll.closures.windows.append(window())
    d.login(0, "early")
    d.roll.closures.windows[0].warned_ms = 5 * MINUTE_MS
    d.login(1, "late", user="ben")
    d.login(2, "late", user="ben")
    d.roll.closures.set_administrators(["olga"])
    d.login(3, "boss", user="olga")
    assert told == [("late", 1, 1)]


def test_a_company_that_is_closed_lets_nobody_in_and_the_others_do():
    d = Driver()
    d.roll.closures.windows.append(Window(1, "s", "A", NOON, NOON + 1, "Closed.", "olga", begun=True))
    d.login(0, "s1", company="A")
    d.login(0, "s2", company="B")
    assert list(d.roll.sessions) == ["s2"]


def test_who_comes_into_a_company_that_closes_soon_is_told():
    d = Driver()
    told = []
    d.roll.warn = lambda session, it, at_ms: told.append(session.id)
    d.roll.closures.windows.append(
        Window(1, "s", "A", NOON, NOON + 1, "Soon.", "olga", warned_ms=5 * MINUTE_MS)
    )
    d.login(0, "s1", company="A")
    d.login(0, "s2", company="B")
    assert told == ["s1"]


def test_a_roll_that_nobody_listens_to_warns_all_the_same():
    d = Driver()
    d.roll.closures.windows.append(window(warned_ms=MINUTE_MS))
    d.login(0, "s1")
    assert list(d.roll.sessions) == ["s1"]


def test_administrators_are_those_of_the_settings_also_when_these_change():
    d = Driver(replace(DEFAULTS, administrators=("olga",)))
    d.roll.closures.windows.append(window(begun=True))
    d.login(0, "s1", user="Olga")
    d.roll.set_policy(replace(DEFAULTS, administrators=("otto",)))
    d.login(1, "s2", user="olga")
    d.login(1, "s3", user="otto")
    assert list(d.roll.sessions) == ["s1", "s3"]
