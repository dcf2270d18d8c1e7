"""Planned closing of a site or company (rule 17): when people are warned, kept out, let in again.

Owns what is due at a moment, and who may come in. Must not know who sends, stores or removes.

People plan by the clock on the wall, so moments here are that clock's, read anew at each look: when it is
stepped, the window comes when the clock says so. A window never goes back: once begun it stays so though the
clock may be put back, and nobody is warned twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

MINUTE_MS = 60_000
LEADS_MS = (15 * MINUTE_MS, 5 * MINUTE_MS, MINUTE_MS)
"""So long before the beginning people are warned."""


class Step(Enum):
    """What may be due."""

    WARN = auto()
    START = auto()
    END = auto()


@dataclass(slots=True)
class Window:
    """A site (`company` None) or a company is closed from `begins_ms` until `ends_ms` of the wall clock.

    `warned_ms` is the shortest lead that people were warned with, 0 for none. `force`: those still in at the
    beginning are forced out; `emptied` once that is done.
    """

    id: int
    site: str
    company: str | None
    begins_ms: int
    ends_ms: int
    text: str
    by: str
    force: bool = False
    begun: bool = False
    emptied: bool = False
    warned_ms: int = 0

    def covers(self, site: str, company: str) -> bool:
        return self.site == site and self.company in (None, company)


def due(window: Window, wall_ms: int) -> Step | None:
    """The one step to take now; ask again after it was taken. Of several warnings that were missed only the
    last is still useful."""
    if wall_ms >= window.ends_ms:
        return Step.END
    if window.begun:
        return None
    if wall_ms >= window.begins_ms:
        return Step.START
    return Step.WARN if _lead(window, wall_ms) else None


def warned(window: Window, wall_ms: int) -> None:
    """A warning was sent."""
    window.warned_ms = _lead(window, wall_ms) or window.warned_ms


def _lead(window: Window, wall_ms: int) -> int:
    """The shortest lead that has come and was not used yet; 0 for none."""
    come = [lead for lead in LEADS_MS if wall_ms >= window.begins_ms - lead]
    return min((lead for lead in come if not window.warned_ms or lead < window.warned_ms), default=0)


def minutes_left(window: Window, wall_ms: int) -> int:
    """Until it begins, begun ones counted."""
    return max(0, -((wall_ms - window.begins_ms) // MINUTE_MS))


class Closures:
    """The windows that there are, as the roll asks for them at each login."""

    def __init__(self) -> None:
        self.windows: list[Window] = []
        self.administrators: frozenset[str] = frozenset()

    def admits(self, user: str) -> bool:
        return bool(self.administrators) and user.casefold() in self.administrators

    def set_administrators(self, names: Iterable[str]) -> None:
        self.administrators = frozenset(name.casefold() for name in names)

    def closed(self, site: str, company: str, user: str) -> Window | None:
        """What keeps this user out now."""
        if not self.windows or self.admits(user):
            return None
        return next((it for it in self.windows if it.begun and it.covers(site, company)), None)

    def coming(self, site: str, company: str, user: str) -> Window | None:
        """What this user, who comes in now, has to be told at once, as all others were."""
        if not self.windows or self.admits(user):
            return None
        return next(
            (it for it in self.windows if it.warned_ms and not it.begun and it.covers(site, company)), None
        )
