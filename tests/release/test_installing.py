"""What is picked from a lock, what is told, and with which exit code the check ends."""

from __future__ import annotations

import re

import pytest

from tests.house import repository
from tests.release import installing
from tests.release.installing import TEST_TOOLS, TESTS, needed_by, only
from tests.release.report import Report

LOCK = repository.ROOT / "requirements-test.lock"


def test_the_tests_are_given_their_tools_as_locked_and_all_that_those_need():
    text = only(LOCK, needed_by(TEST_TOOLS))
    named = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
    assert named == needed_by(TEST_TOOLS)
    assert {*TEST_TOOLS, "pluggy", "sortedcontainers"} <= named
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)
    assert all(entry in LOCK.read_text(encoding="utf-8") for entry in entries)


def test_the_tests_to_run_are_there():
    assert [name for name in TESTS if not (repository.ROOT / name).is_dir()] == []


@pytest.mark.parametrize(
    ("line", "warns"),
    [
        ("/env/lib/python3.14/site-packages/whosin/app.py:3: DeprecationWarning: gone in 3.16", True),
        ("/env/lib/python3.14/site-packages/fastapi/app.py:3: DeprecationWarning: gone in 3.16", False),
        ("whosin: ready", False),
    ],
)
def test_only_warnings_of_what_is_ours_count(line, warns):
    assert bool(installing._WARNS.findall(f"first\n{line}\nlast")) is warns


def test_one_thing_that_does_not_hold_fails_the_check_and_is_named_at_the_end(capsys):
    report = Report("Whosin 1.0")
    report.wrong("the sky is blue", [])
    report.wrong("the sea is dry", ["there is water in it\nand fish"])
    report.left_out("Python 9", "not found")
    assert report.end() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("ok           the sky is blue")
    assert lines[2].startswith("FAILED       the sea is dry")
    assert lines[3:5] == ["             there is water in it", "             and fish"]
    assert lines[-2:] == ["NOT CHECKED: Python 9", "FAILED in 0 s: the sea is dry"]


def test_what_was_left_out_does_not_fail_the_check_but_is_said(capsys):
    report = Report("Whosin 1.0")
    report.left_out("Python 9", "not found")
    assert report.end() == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["NOT CHECKED: Python 9", "all passed in 0 s"]
