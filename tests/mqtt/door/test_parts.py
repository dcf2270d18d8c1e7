"""The wheel of timers and the tree of filters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.mqtt.codec.helpers import calm
from whosin.mqtt.door.filters import FilterTree, common
from whosin.mqtt.door.wheel import GRAIN_MS, Timer, Wheel

LEVELS = st.sampled_from(["a", "b", "", "+"])
PATTERNS = st.builds(
    lambda levels, rest: "/".join(levels + rest),
    st.lists(LEVELS, min_size=1, max_size=4),
    st.sampled_from([[], ["#"]]),
)
TOPICS = st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=5).map("/".join)


def naive(pattern, topic):
    """Section 4.7, word for word."""
    wanted, found = pattern.split("/"), topic.split("/")
    for depth, level in enumerate(wanted):
        if level == "#":
            return len(found) >= depth
        if depth >= len(found) or level not in ("+", found[depth]):
            return False
    return len(wanted) == len(found)


@calm()
@given(
    subscriptions=st.dictionaries(st.tuples(PATTERNS, st.integers(0, 3)), st.sampled_from([0, 1])),
    topic=TOPICS,
)
def test_the_tree_matches_as_the_standard_says_and_forgets_all(subscriptions, topic):
    tree = FilterTree()
    for (pattern, hearer), options in subscriptions.items():
        tree.add(pattern, hearer, options)
    wanted = {}
    for (pattern, hearer), options in subscriptions.items():
        if naive(pattern, topic):
            wanted[hearer] = max(options, wanted.get(hearer, 0))
    assert tree.match(topic) == wanted
    for pattern, hearer in subscriptions:
        tree.remove(pattern, hearer)
        tree.remove(pattern, hearer)
    assert tree.empty


@calm()
@given(one=PATTERNS, other=PATTERNS, topic=TOPICS)
def test_what_two_filters_have_in_common_matches_what_both_match(one, other, topic):
    both = common(one, other)
    assert (both is not None and naive(both, topic)) == (naive(one, topic) and naive(other, topic))


@calm()
@given(
    dues=st.lists(st.integers(0, 20_000), max_size=20),
    steps=st.lists(st.integers(0, 5_000), min_size=1, max_size=20),
    dropped=st.sets(st.integers(0, 19)),
)
def test_timers_fire_once_never_early_and_soon(dues, steps, dropped):
    now = 1_000_000
    wheel = Wheel(now)
    fired = {}
    timers = []
    for number, due in enumerate(dues):
        timers.append(Timer(lambda number=number: fired.setdefault(number, []).append(now)))
        wheel.arm(timers[-1], now + 7)
        wheel.arm(timers[-1], now + due)
    for number in dropped & set(range(len(timers))):
        wheel.cancel(timers[number])
        wheel.cancel(timers[number])
    start, turns = now, []
    for step in [*steps, 30_000]:
        now += step
        turns.append(now)
        wheel.turn(now)
    for number, due in enumerate(dues):
        if number in dropped:
            assert number not in fired
            continue
        first = next(turn for turn in turns if turn // GRAIN_MS * GRAIN_MS >= start + max(due, GRAIN_MS))
        (at,) = fired[number]
        assert start + due <= at <= first
    assert len(wheel) == 0


def test_a_timer_may_arm_itself_again():
    wheel, fired = Wheel(0), []

    def again():
        fired.append(1)
        if len(fired) < 3:
            wheel.arm(timer, 0)

    timer = Timer(again)
    wheel.arm(timer, 0)
    for now in range(100, 1_000, 100):
        wheel.turn(now)
    assert len(fired) == 3
