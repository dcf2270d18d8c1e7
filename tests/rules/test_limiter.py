"""At most one per key in a while."""

from __future__ import annotations

from whosin.rules.limiter import Limiter


def test_a_key_is_allowed_once_in_the_time_and_again_exactly_when_it_is_over():
    limiter = Limiter(10_000)
    assert limiter.allows("a", 5)
    assert not limiter.allows("a", 5)
    assert not limiter.allows("a", 10_004)
    assert limiter.allows("a", 10_005)
    assert limiter.suppressed == 2


def test_keys_do_not_disturb_each_other():
    limiter = Limiter(10_000)
    assert limiter.allows(("s1", "ended"), 0)
    assert limiter.allows(("s1", "unknown"), 0)
    assert limiter.allows(("s2", "ended"), 0)


def test_a_refused_try_does_not_start_the_time_anew():
    limiter = Limiter(10_000)
    limiter.allows("a", 0)
    limiter.allows("a", 9_999)
    assert limiter.allows("a", 10_000)


def test_strangers_by_the_thousand_find_all_places_taken_and_memory_stays_bounded():
    limiter = Limiter(10_000, places=100)
    assert sum(limiter.allows(n, n) for n in range(5_000)) == 100
    assert len(limiter._last) == 100
    assert limiter.allows("later", 10_000)
