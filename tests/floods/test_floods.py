"""Every flood still comes, a hundredth of its size, and is withstood."""

from __future__ import annotations

import sys

import pytest

from tests.floods.scenarios import SCENARIOS
from tests.floods.stage import play

SMALL = 0.01


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_flood_is_withstood(name: str):
    result = play(SCENARIOS[name], SMALL, seed=1)
    assert result.passed, "\n".join(result.lines())
