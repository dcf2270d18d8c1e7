"""Which conditions are on, and when that is an alert: grouping, re-arming, reminding. Pure.

Owns the groups and the open alerts. Must not know what a condition is about beyond its key, nor clocks, logs,
texts or channels; every moment is passed in. A condition alerts once: it is over before it can alert again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from whosin.alerts.kinds import KINDS, worst

AGAIN_LOOKED = 1_000
FORGET = 10_000  # groups whose last alert is remembered before old ones are let go


class Pace(NamedTuple):
    """In milliseconds: what comes together is one alert; no sooner another; told again. 0: at once, never."""

    group_ms: int = 30_000
    again_ms: int = 300_000
    remind_ms: int = 14_400_000


class Group(NamedTuple):
    """What becomes one alert when it comes together. None: of the whole site, of the daemon."""

    kind: str
    site: str | None
    company: str | None


@dataclass(slots=True, eq=False)
class Alert:
    """An open one. `on`: the keys of its conditions that are not over, each with its severity; `total`: how
    many it was raised for. `number` rises and is the store's; `id` is the world's."""

    number: int
    id: str
    group: Group
    severity: str
    raised_ms: int
    told_ms: int
    total: int
    on: dict[str, str] = field(default_factory=dict)
    reminders: int = 0
    cleared_ms: int = 0


@dataclass(slots=True, eq=False)
class _Gathering:
    """Conditions that will be one alert at `due_ms`."""

    group: Group
    due_ms: int
    on: dict[str, str] = field(default_factory=dict)


class Step(NamedTuple):
    """Something to tell: `raised`, `reminder` or `cleared`."""

    phase: str
    alert: Alert


class Conditions:
    """`on` and `off` as things are noticed, `due` for what is to be told by a moment."""

    def __init__(self, pace: Pace, ident: Callable[[], str]) -> None:
        self.pace = pace
        self.open: dict[int, Alert] = {}
        self.number = 0  # of the last alert
        self._ident = ident
        self._gathering: dict[Group, _Gathering] = {}
        self._where: dict[tuple[str, str], Alert | _Gathering] = {}
        self._last: dict[Group, int] = {}  # when the group last became an alert
        self._timers: list[tuple[int, int, Alert | _Gathering]] = []
        self._timer = 0
        self._steps: list[Step] = []

    def on(
        self, kind: str, key: str, site: str | None, company: str | None, severity: str, at_ms: int
    ) -> None:
        """It is so. Repeating it is harmless; a severity that has become worse counts for what is not told
        yet."""
        there = self._where.get((kind, key))
        if there is not None:
            there.on[key] = severity
            return
        group = _group(kind, site, company)
        gathering = self._gathering.get(group)
        if gathering is None:
            last_ms = self._last.get(group)
            due_ms = at_ms + self.pace.group_ms
            if last_ms is not None:
                due_ms = max(due_ms, last_ms + self.pace.again_ms)
            gathering = self._gathering[group] = _Gathering(group, due_ms)
            self._time(due_ms, gathering)
        gathering.on[key] = severity
        self._where[kind, key] = gathering

    def off(self, kind: str, key: str, at_ms: int) -> None:
        """It is over. What was not told yet never is; an alert of which nothing is left is cleared."""
        there = self._where.pop((kind, key), None)
        if there is None:
            return
        del there.on[key]
        if there.on:
            return
        if isinstance(there, _Gathering):
            del self._gathering[there.group]
        else:
            self._clear(there, at_ms)

    def is_on(self, kind: str, key: str) -> bool:
        return (kind, key) in self._where

    def told(self, kind: str, key: str) -> Alert | None:
        """The open alert that tells of it."""
        there = self._where.get((kind, key))
        return there if isinstance(there, Alert) else None

    def keys(self, kind: str) -> list[str]:
        """What is on of this kind; for kinds of which there are few."""
        return [key for its, key in self._where if its == kind]

    def due(self, at_ms: int) -> list[Step]:
        """What is to be told now, in order: over, new, still so."""
        while self._timers and self._timers[0][0] <= at_ms:
            due_ms, _, thing = heappop(self._timers)
            if isinstance(thing, _Gathering):
                if self._gathering.get(thing.group) is thing:
                    self._raise(thing, at_ms)
            elif thing.number in self.open and self._reminds(thing) == due_ms:
                thing.told_ms = at_ms
                thing.reminders += 1
                self._steps.append(Step("reminder", thing))
                self._time_reminder(thing)
        steps, self._steps = self._steps, []
        return steps

    def soon(self, at_ms: int) -> Iterable[tuple[str, str]]:
        """Kind and key of what is about to be told: to look whether it is still so. Of more than AGAIN_LOOKED
        nothing: then a few that are over meanwhile change nothing."""
        if not self._timers or self._timers[0][0] > at_ms:
            return
        for due_ms, _, thing in self._timers:
            if due_ms > at_ms or not isinstance(thing, _Gathering) or len(thing.on) > AGAIN_LOOKED:
                continue
            if self._gathering.get(thing.group) is thing:
                for key in thing.on:
                    yield thing.group.kind, key

    def restore(self, alert: Alert) -> None:
        """An alert that was open when the daemon stopped."""
        self.open[alert.number] = alert
        for key in alert.on:
            self._where[alert.group.kind, key] = alert
        self._last[alert.group] = max(alert.raised_ms, self._last.get(alert.group, 0))
        self._time_reminder(alert)
        if not alert.on:
            self._clear(alert, alert.raised_ms)

    def set_pace(self, pace: Pace) -> None:
        """For what comes from now on, and for reminders."""
        self.pace = pace
        self._timers = [timer for timer in self._timers if isinstance(timer[2], _Gathering)]
        heapify(self._timers)
        for alert in self.open.values():
            self._time_reminder(alert)

    # --- inside ---------------------------------------------------------------------------------------

    def _raise(self, gathering: _Gathering, at_ms: int) -> None:
        group = gathering.group
        del self._gathering[group]
        self.number += 1
        alert = Alert(
            self.number, self._ident(), group, worst(list(gathering.on.values())), at_ms, at_ms,
            len(gathering.on), gathering.on,
        )  # fmt: skip
        self.open[alert.number] = alert
        for key in alert.on:
            self._where[group.kind, key] = alert
        if len(self._last) >= FORGET:
            self._last = {it: ms for it, ms in self._last.items() if ms + self.pace.again_ms > at_ms}
        self._last[group] = at_ms
        self._time_reminder(alert)
        self._steps.append(Step("raised", alert))

    def _clear(self, alert: Alert, at_ms: int) -> None:
        alert.cleared_ms = at_ms
        del self.open[alert.number]
        self._steps.append(Step("cleared", alert))

    def _reminds(self, alert: Alert) -> int:
        return alert.told_ms + self.pace.remind_ms

    def _time_reminder(self, alert: Alert) -> None:
        if self.pace.remind_ms:
            self._time(self._reminds(alert), alert)

    def _time(self, due_ms: int, thing: Alert | _Gathering) -> None:
        self._timer += 1
        heappush(self._timers, (due_ms, self._timer, thing))
        if len(self._timers) > 1_000 + 2 * (len(self.open) + len(self._gathering)):
            self._timers = [
                timer
                for timer in self._timers
                if (
                    self._gathering.get(timer[2].group) is timer[2]
                    if isinstance(timer[2], _Gathering)
                    else timer[2].number in self.open and self._reminds(timer[2]) == timer[0]
                )
            ]
            heapify(self._timers)


def _group(kind: str, site: str | None, company: str | None) -> Group:
    per = KINDS[kind].per
    return Group(kind, None if per == "daemon" else site, company if per == "company" else None)
