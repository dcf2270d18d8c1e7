"""Guessing passwords slows down who guesses, from where, and never keeps the real person out."""

from __future__ import annotations

from tests.web.conftest import Now
from whosin.web.backoff import (
    ATTACKED,
    FORGET_MS,
    FREE_GUESSES,
    FREE_NAMES,
    LONGEST_GUESS_MS,
    REMEMBERED,
    GuessBackoff,
)

HERE, THERE = "192.0.2.7", "198.51.100.9"


def waits(guesses: GuessBackoff, now: Now, count: int, address: str = HERE, name: str = "ann") -> list[int]:
    """How long each of so many wrong guesses had to wait, as soon as it might be made."""
    found = []
    for _ in range(count):
        wait_s = guesses.begin(address, name, None)
        found.append(wait_s)
        if wait_s:
            now.ms += wait_s * 1000 - 1
            assert guesses.begin(address, name, None) == 1  # not a moment sooner
            now.ms += 1
            assert guesses.begin(address, name, None) == 0
    return found


def test_one_name_from_one_place_waits_twice_as_long_each_time_up_to_five_minutes() -> None:
    now = Now()
    found = waits(GuessBackoff(now), now, FREE_GUESSES + 12)
    assert found == [0] * (FREE_GUESSES + 1) + [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_waiting_does_not_count_as_guessing() -> None:
    now = Now()
    guesses = GuessBackoff(now)
    waits(guesses, now, FREE_GUESSES + 1)
    for _ in range(1_000):
        assert guesses.begin(HERE, "ann", None) == 1
    now.ms += 1_000
    assert guesses.begin(HERE, "ann", None) == 0


def test_a_right_password_forgives_what_was_wrong_before_for_that_name_only() -> None:
    now = Now()
    guesses = GuessBackoff(now)
    waits(guesses, now, FREE_GUESSES, name="bob")
    waits(guesses, now, FREE_GUESSES)
    assert guesses.begin(HERE, "ann", None) == 0
    guesses.not_wrong(HERE, "ann", None, right=True)
    assert waits(guesses, now, FREE_GUESSES) == [0] * FREE_GUESSES
    assert guesses.begin(HERE, "bob", None) == 0
    assert guesses.begin(HERE, "bob", None) == 1


def test_an_attempt_that_could_not_be_looked_at_counts_for_nothing_and_forgives_nothing() -> None:
    now = Now()
    guesses = GuessBackoff(now)
    waits(guesses, now, FREE_GUESSES)
    for _ in range(100):
        assert guesses.begin(HERE, "ann", None) == 0
        guesses.not_wrong(HERE, "ann", None, right=False)
    assert guesses.begin(HERE, "ann", None) == 0
    assert guesses.begin(HERE, "ann", None) == 1


def test_many_at_once_are_no_way_around() -> None:
    guesses = GuessBackoff(Now())
    begun = [guesses.begin(HERE, "ann", None) for _ in range(50)]
    assert begun.count(0) == FREE_GUESSES + 1


def test_a_place_that_tries_many_names_waits_with_every_name() -> None:
    guesses = GuessBackoff(Now())
    assert [guesses.begin(HERE, f"name-{n}", None) for n in range(FREE_NAMES + 1)] == [0] * (FREE_NAMES + 1)
    assert guesses.begin(HERE, "one more", None) == 1
    assert guesses.begin(THERE, "one more", None) == 0


def test_one_good_password_is_no_licence_to_try_other_names() -> None:
    now = Now()
    guesses = GuessBackoff(now)
    for n in range(FREE_NAMES + 1):
        assert guesses.begin(HERE, f"name-{n}", None) == 0
    now.ms += 1_000
    assert guesses.begin(HERE, "eve", None) == 0
    guesses.not_wrong(HERE, "eve", None, right=True)
    assert guesses.begin(HERE, "name-x", None) == 0
    assert guesses.begin(HERE, "name-y", None) > 0


def test_whoever_attacks_a_name_from_everywhere_keeps_nobody_out() -> None:
    now = Now()
    guesses = GuessBackoff(now)
    for n in range(10 * ATTACKED):
        guesses.begin(f"10.{n // 250}.{n % 250}.1", "ann", None)
    assert waits(guesses, now, 3, THERE) == [0, 0, 1]  # a free guess, and then it gets slow
    assert waits(guesses, now, 2, THERE, "bob") == [0, 0]


def test_a_device_that_its_owner_used_before_has_all_its_guesses_whatever_others_do() -> None:
    guesses = GuessBackoff(Now())
    for n in range(10 * ATTACKED):
        guesses.begin(HERE, "ann", None)
        guesses.begin(f"10.{n // 250}.{n % 250}.1", "ann", None)
    assert guesses.begin(HERE, "ann", None) > 0
    assert [guesses.begin(HERE, "ann", "laptop") for _ in range(FREE_GUESSES + 2)] == [0] * 6 + [1]


def test_a_quarter_of_an_hour_of_quiet_is_forgotten() -> None:
    now = Now()
    guesses = GuessBackoff(now)
    waits(guesses, now, FREE_GUESSES + 5)
    now.ms += FORGET_MS + 1
    assert LONGEST_GUESS_MS <= FORGET_MS
    assert waits(guesses, now, FREE_GUESSES + 1) == [0] * (FREE_GUESSES + 1)


def test_a_customer_of_ipv6_is_one_place_and_memory_is_bounded() -> None:
    guesses = GuessBackoff(Now())
    for n in range(FREE_GUESSES + 1):
        assert guesses.begin(f"2001:db8:1:2::{n:x}", "ann", None) == 0
    assert guesses.begin("2001:db8:1:2:ffff::1", "ann", None) == 1
    for n in range(REMEMBERED * 2):
        guesses.begin(f"10.{n >> 16}.{(n >> 8) & 255}.{n & 255}", f"name-{n}", None)
    sizes = [len(known) for known in (guesses._pairs, guesses._addresses, guesses._names)]
    assert sizes == [REMEMBERED] * 3
