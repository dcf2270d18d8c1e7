"""What the results of a log-off come to, taken in some at a time: sums, warnings, and those that matter most.

Of a hundred thousand results it keeps a few. Must not know how a login is removed, or how it is shown.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

SHOWN = 100  # one by one
WARNINGS = 10


@dataclass
class Sums:
    """Of those results that were added."""

    logins: int = 0
    locks: int = 0
    held: int = 0  # of these, for a moment
    sticky: int = 0
    followups: int = 0
    freed: set[str] = field(default_factory=set)

    def add(self, one: Json) -> None:
        self.logins += 1
        self.locks += len(one["released"]) + len(one["held"])
        self.held += len(one["held"])
        self.sticky += len(one["sticky"])
        self.followups += len(one["followups"])
        self.freed.update(it["user"] for it in one["freed"])

    @property
    def people(self) -> list[str]:
        """Who can go on, each once."""
        return sorted(self.freed)


class Tally:
    """`of` has the sums by result ("removed", "needs_force", ...)."""

    def __init__(self) -> None:
        self.of: dict[str, Sums] = {}
        self.worst: list[Json] = []
        self._before: Counter[str] = Counter()

    def add(self, results: Iterable[Json], last: Collection[str]) -> None:
        """Some more. Those that matter most are kept: what went not as in `last`, then who frees and
        releases most."""
        results = list(results)
        for one in results:
            self.of.setdefault(one["result"], Sums()).add(one)
            self._before.update(
                {it["id"]: it["before"] for it in one["guidance"] if _to_be_warned_of(it)}.values()
            )
        self.worst = heapq.nsmallest(SHOWN, [*self.worst, *results], key=lambda it: _order(it, last))

    def sums(self, result: str) -> Sums:
        return self.of.get(result, Sums())

    @property
    def logins(self) -> int:
        return sum(one.logins for one in self.of.values())

    @property
    def warnings(self) -> list[tuple[str, int]]:
        """What critical guidance wants done before, each once, with how many logins it concerns."""
        return self._before.most_common(WARNINGS)


def _to_be_warned_of(rule: Json) -> bool:
    return rule["severity"] == "critical" and bool(rule["before"])


def _order(one: Json, last: Collection[str]) -> tuple[bool, int, int]:
    return one["result"] in last, -len(one["freed"]), -len(one["released"])
