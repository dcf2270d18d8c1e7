"""Every benchmark still runs, with sizes that say nothing about speed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.__main__ import NAMES
from tests.house.repository import ROOT

SMALL = ["--sessions", "500", "--repeats", "1", "--seconds", "0.2", "--timeout-s", "5", "--over-s", "1"]
LESS = {"silence": ["--only", "door,redis"], "store": ["--sessions", "100"]}


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_without_a_name_they_are_listed_with_a_line_each():
    listed = run()
    assert [name for name in NAMES if f"\n  {name} " not in listed] == []


@pytest.mark.skipif(sys.platform != "linux", reason="figures are read from /proc")
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_prints_figures(name: str):
    assert f"({name} took " in run(name, *SMALL, *LESS.get(name, []))
