"""What goes automatically between the passes, and what is suspected before (rules 7 and 9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rules.driver import DEFAULTS, START, Driver
from whosin.rules.guidance import Guidance, Rule

S = 1_000
QUICK = replace(DEFAULTS, blocking_after_ms=30 * S)


def clear(d: Driver, at: int) -> list[str]:
    """Who was removed."""
    before = set(d.roll.sessions)
    count = d.roll.clear_blocking(START + at)
    d._collect()
    gone = sorted(before - set(d.roll.sessions))
    assert count == len(gone)
    return gone


def blockers(count: int) -> Driver:
    """So many sessions fall at 300 s, each in the way of one web session."""
    d = Driver(QUICK)
    d.login(0, "web", user="wanda", client="web")
    for n in range(count):
        d.login(0, f"s{n}", user=f"user {n}")
        d.lock(0, f"s{n}", f"a/{n}")
        d.lock(1, "web", f"a/{n}")
    d.pass_to(300 * S)
    return d


def test_all_that_are_due_go_at_once_and_no_earlier():
    d = blockers(3)
    assert clear(d, 330 * S - 1) == []
    assert clear(d, 330 * S) == ["s0", "s1", "s2"]
    events = d.happened("session.removed")
    assert {(event.actor, event.data["cause"], event.reason) for event in events} == {
        ("cleanup", "blocking", "it blocked somebody")
    }


@pytest.mark.parametrize("first", ["back", "over", "spared", "in nobody's way"])
def test_one_that_stays_does_not_keep_the_others(first):
    d = blockers(3)
    clear(d, 301 * S)  # all are in the queue by now
    match first:
        case "back":
            d.beat(310 * S, "s0")
        case "over":
            d.remove(310 * S, "s0")
        case "spared":
            d.roll.set_guidance(Guidance([Rule("r", "critical", "Ask.", resource=("a/0",))]))
        case _:
            d.lock(310 * S, "web", "a/0")
            for lock in list(d.session("s0").locks.values()):
                d.roll.locks.release(lock, START + 310 * S, "freed", "olga")
    assert clear(d, 330 * S) == ["s1", "s2"]


def test_a_shorter_or_longer_time_counts_for_those_that_have_fallen_already():
    d = blockers(1)
    clear(d, 301 * S)
    d.roll.set_policy(replace(QUICK, blocking_after_ms=60 * S))
    assert clear(d, 359 * S) == []
    d.roll.set_policy(replace(QUICK, blocking_after_ms=10 * S))
    assert clear(d, 359 * S) == ["s0"]


def crowd(quiet_since: int, quiet: int) -> Driver:
    """Twenty at desktops: s0 falls at 300 s in somebody's way; `quiet` of them are silent since then."""
    d = Driver(QUICK)
    d.login(0, "web", user="wanda", client="web")
    for n in range(20):
        d.login(0, f"s{n}", user=f"user {n}")
    d.lock(0, "s0", "a")
    d.lock(1, "web", "a")
    for n in range(1, 20):
        d.beat(quiet_since, f"s{n}")
    for n in range(1 + quiet, 20):
        d.beat(299 * S, f"s{n}")
    d.pass_to(300 * S)
    return d


def test_before_one_goes_those_who_are_quiet_are_counted():
    d = crowd(quiet_since=100 * S, quiet=15)
    assert clear(d, 330 * S) == []
    assert [event.data["kind"] for event in d.happened("alert.raised")] == ["mass_silence"]
    d.roll.silence.confirm("s", "A", "desktop", START + 340 * S, "olga")
    assert clear(d, 340 * S) == ["s0"]


def test_a_few_quiet_ones_are_nothing_to_wait_for():
    d = crowd(quiet_since=100 * S, quiet=5)
    assert clear(d, 330 * S) == ["s0"]
    assert d.happened("alert.raised") == []


def test_everybody_is_counted_once_even_after_a_company_was_added():
    d = crowd(quiet_since=100 * S, quiet=6)
    d.roll.suspect(d.session("s0"), START + 301 * S)
    d.login(302 * S, "other", user="otto", company="B")
    assert clear(d, 330 * S) == ["s0"], "six of twenty, not twelve"
    assert d.happened("alert.raised") == []


def test_one_that_is_held_back_and_over_is_not_kept_in_mind():
    d = crowd(quiet_since=100 * S, quiet=15)
    assert clear(d, 330 * S) == []
    assert list(d.roll._clearing._parked) == [d.session("s0")]
    d.remove(331 * S, "s0")
    assert not d.roll._clearing._parked


def test_those_of_a_company_that_was_added_are_counted_too():
    d = crowd(quiet_since=100 * S, quiet=5)
    d.roll.suspect(d.session("s0"), START + 300 * S)
    d.login(301 * S, "other", user="otto", company="B")
    assert d.session("other").company in d.roll._clearing._of_site("s")
