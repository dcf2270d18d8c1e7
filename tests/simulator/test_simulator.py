"""The simulator itself: seeds pass, a seed is always the same story, and without a protection it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulator.without import NAMES

HERE = Path(__file__).parents[2]
SEEDS = 40
ENOUGH = 200  # within so many seeds each missing protection is noticed


def simulate(*args: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    """In a process of its own: it takes the place of clocks and of the log for good."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulator", *args],
        cwd=HERE, capture_output=True, text=True, check=False, timeout=500,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )  # fmt: skip


def test_seeds_pass() -> None:
    done = simulate("--seeds", str(SEEDS), "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_seed_is_the_same_story_to_the_letter_whatever_the_hashes() -> None:
    stories = [
        simulate("--from", "7", "--seeds", "6", "--story", hash_seed=seed).stdout for seed in ("1", "2")
    ]
    first, second = (story.rsplit(";", 1)[0] for story in stories)  # without the CPU time
    assert len(first) > 10_000
    assert first == second


@pytest.mark.parametrize("name", NAMES)
def test_without_a_protection_it_fails(name: str) -> None:
    done = simulate("--seeds", str(ENOUGH), "--most", "1", "--without", name)
    assert done.returncode == 1, f"{ENOUGH} seeds pass without {name}"
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr


def test_what_fails_is_shortened_to_a_few_acts() -> None:
    done = simulate("--seeds", str(ENOUGH), "--most", "1", "--without", "dedup", "--shrink")
    shortened = done.stdout.rpartition("shortened to ")[2]
    assert int(shortened.split()[0]) <= 8, done.stdout
