"""A flood of one event leaves a few lines and one that counts the rest."""

from __future__ import annotations

import pytest

from tests.observe.helpers import Clock
from whosin.observe.logs import Flood


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def flood(clock):
    return Flood(3, clock)


def test_as_many_lines_as_allowed_pass_in_a_second(flood):
    assert [flood.admit("a") for _ in range(5)] == [True, True, True, False, False]


def test_events_do_not_take_each_others_room(flood):
    for _ in range(5):
        flood.admit("a")
    assert flood.admit("b")


def test_a_second_later_there_is_room_again(flood, clock):
    for _ in range(5):
        flood.admit("a")
    clock.now += 0.999
    assert not flood.admit("a")
    clock.now += 0.001
    assert flood.admit("a")


def test_what_was_suppressed_is_told_once_its_second_is_over(flood, clock):
    for _ in range(5):
        flood.admit("a")
    assert flood.suppressed() == {}
    clock.now += 1
    assert flood.suppressed() == {"a": 2}
    assert flood.suppressed() == {}


def test_at_the_end_it_is_told_at_once(flood):
    for _ in range(5):
        flood.admit("a")
    assert flood.suppressed(now=True) == {"a": 2}


def test_seconds_that_nobody_asked_about_are_added_up(flood, clock):
    for _ in range(3):
        for _ in range(5):
            flood.admit("a")
        clock.now += 1
    assert flood.suppressed() == {"a": 6}


def test_asking_before_a_line_is_made_counts_only_what_is_suppressed(flood, clock):
    assert not any(flood.full("a") for _ in range(10))
    for _ in range(3):
        flood.admit("a")
    assert flood.full("a")
    clock.now += 1
    assert flood.suppressed() == {"a": 1}
    assert not flood.full("a")
