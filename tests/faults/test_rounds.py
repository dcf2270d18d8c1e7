"""A few rounds with fixed seeds, and the proof that a round can fail. `python -m tests.faults` plays more."""

from __future__ import annotations

import shutil

import pytest

from tests.faults.plan import Plan
from tests.faults.round import Outcome, play
from tests.support.mosquitto import needs_mosquitto

DOOR = 113  # kill -9, a clock that is stepped while the daemon is away, a reload
LINK = 12  # the broker paused and killed, the daemon killed, the network cut
BOTH = 110  # kill -9, a broker that forgets, a full disk


def played(seed: int, broken: str | None = None) -> Outcome:
    outcome = play(seed, broken=broken)
    print(outcome)
    if outcome.folder:
        shutil.rmtree(outcome.folder, ignore_errors=True)
    return outcome


@needs_mosquitto
@pytest.mark.parametrize("seed", [DOOR, LINK, BOTH])
def test_a_round_goes_well(seed: int) -> None:
    outcome = played(seed)
    assert not outcome.wrong
    assert outcome.counts["found"] >= 3
    assert outcome.counts["events"] > 30


@pytest.mark.parametrize(
    ("broken", "words"),
    [("deaf", "never heard"), ("forget", "not in the history"), ("mute", "it was beating")],
)
def test_a_round_in_which_something_is_lost_fails(broken: str, words: str) -> None:
    assert words in "\n".join(played(DOOR, broken).wrong)


def test_a_seed_names_the_same_round_for_ever() -> None:
    assert Plan.draw(7) == Plan.draw(7)
    assert [str(fault) for fault in Plan.draw(DOOR).faults] == [
        " 0.51 s  kill for 0.21 s ()",
        " 1.31 s  reload for 0.00 s ()",
        " 3.08 s  clock for 2.42 s (600.0)",
    ]


def test_every_kind_of_fault_is_drawn_before_long() -> None:
    drawn = set().union(*(Plan.draw(seed).kinds for seed in range(100)))
    assert drawn >= {
        "kill", "stop", "restart", "full_disk", "slow_disk", "failing_disk", "hanging_disk", "clock",
        "reload", "switch", "broker_kill", "broker_forget", "broker_pause", "cut",
    }  # fmt: skip
