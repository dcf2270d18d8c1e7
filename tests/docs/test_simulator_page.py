"""The commands of docs/simulator.md, as they stand there."""

from __future__ import annotations

import shutil

import pytest

from tests.docs.pages import ROOT, marked
from tests.docs.shells import shell, shell_env

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="NOT TESTED: bash is missing")


def test_seeds_are_told_and_shortened_and_fail_without_a_protection(tmp_path):
    (block,) = marked("docs/simulator.md", "tests/docs/test_simulator_page.py")
    told, shortened, without = block.text.splitlines()
    failing = f"({without}\n) || echo 'it failed'"
    stories = shell([told, shortened, failing], ROOT, shell_env(tmp_path))
    assert "hears login" in stories[0]
    assert "1 seeds from 4711: 0 failed" in stories[1]
    assert stories[2].endswith("it failed\n")
