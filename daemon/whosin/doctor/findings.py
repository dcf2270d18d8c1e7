"""What a check says. Owns the words for how bad it is; knows nobody."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it works, and will hurt one day
    PROBLEM = "problem"  # it does not work, or not for long


class Finding(NamedTuple):
    """`found` is what was seen, `advice` what to do about it: a sentence each, empty for what is well."""

    check: str
    level: Level
    found: str
    advice: str = ""


def well(check: str, found: str) -> Finding:
    return Finding(check, Level.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    return Finding(check, Level.WARNING, found, advice)


def problem(check: str, found: str, advice: str) -> Finding:
    return Finding(check, Level.PROBLEM, found, advice)
