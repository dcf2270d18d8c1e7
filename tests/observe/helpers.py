"""What the tests of logs, journal and metrics share."""

from __future__ import annotations

import logging
from typing import Any

from whosin.model import Event


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Lines:
    """A logger that keeps what it is given."""

    def __init__(self, level: int = logging.DEBUG) -> None:
        self.level = level
        self.lines: list[tuple[int, str, dict[str, Any]]] = []

    def log(self, level: int, event: str, **fields: Any) -> None:
        self.lines.append((level, event, fields))

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the library's name
        return level >= self.level

    @property
    def events(self) -> list[str]:
        return [event for _, event, _ in self.lines]


def event(kind: str = "session.disconnected", **data: Any) -> Event:
    """An event of a clerk's session at a known moment."""
    return Event(kind, 1_700_000_000_042, "north", "acme", "s-1", "jane", data)
