"""When a session may and must be found silent, reckoned from what was done to everybody.

Written apart from the daemon's rules, from the faults' side: it knows when nothing could get through, with
what that leaves behind (reconnecting, retransmitting), and allows no more than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tests.faults.record import Member, Record, Said, Window

ANY_WAY = ("down", "stop")
BROKER_GONE = ("broker_kill", "broker_forget")
THE_LINK = (*BROKER_GONE, "broker_pause", "cut")
DISK = ("full_disk", "slow_disk", "failing_disk", "hanging_disk")

FLUSH_S = 1.0  # the newest proof of receipt that was stored is older than a kill by at most this
MARGIN_S = 1.0


@dataclass(frozen=True)
class Terms:
    """The settings that matter, smallest and largest where a reload changes them."""

    timeout_s: dict[str, tuple[float, float]]
    lost_s: dict[str, tuple[float, float]]
    grace_s: float
    beat_within_s: float = 1.2  # whoever beats at least so often is innocent
    back_within_s: float = 1.9  # and so soon after a fault: less than the grace, and the way takes time too


class When:
    def __init__(self, record: Record, terms: Terms) -> None:
        self._record = record
        self._terms = terms
        self._blind: dict[str, list[tuple[float, float]]] = {}

    def blind(self, way: str) -> list[tuple[float, float]]:
        """When nothing came through, until it surely did again. In order, apart from each other."""
        if way not in self._blind:
            kinds = ANY_WAY + (THE_LINK if way == "link" else ())
            found = sorted(
                (self._start(window), window.end + self._back_within(window, way))
                for window in self._record.windows
                if window.kind in kinds
            )
            self._blind[way] = _joined(found)
        return self._blind[way]

    def _start(self, window: Window) -> float:
        """What was seen last before a kill may not have been stored, least of all on a disk that failed."""
        if window.kind != "down":
            return window.start
        start = window.start - FLUSH_S
        for other in sorted(self._record.windows, key=lambda each: each.start, reverse=True):
            if other.kind in DISK and other.start < window.end and other.end > start - FLUSH_S:
                start = min(start, other.start - FLUSH_S)
        return start

    def _back_within(self, window: Window, way: str) -> float:
        """At the door at once; the link waits between attempts, up to about as long as they failed; after a
        cut TCP retransmits after as long again."""
        lag = self._record.lag(window.start, window.end + 2)
        if way == "door":
            return 0.5 + lag
        length = window.end - window.start
        return 1.5 + lag + min(5.0, 2 * length if window.kind in (*BROKER_GONE, "cut") else 0.0)

    def arrived_by(self, at: float, way: str) -> float:
        """The latest moment at which something sent then reached the daemon, if it ever did."""
        for start, end in self.blind(way):
            if start <= at < end:
                return end
        return at

    def latest(self, seen: float, member: Member) -> float:
        """The latest moment at which silence since `seen` may be dated."""
        due = seen + self._terms.timeout_s[member.client][1]
        for start, end in self.blind(member.way):
            if end > seen and start < due + MARGIN_S:
                due = max(due + end - max(start, seen), end + self._terms.grace_s)
        return due + MARGIN_S + 2 * self._record.lag(seen, due)

    def earliest(self, member: Member, at: float) -> float:
        """The earliest moment at which a silence noticed at `at` may be dated: from the last sign of life
        that surely arrived before."""
        signs = [
            said.at
            for said in self._record.said
            if said.session == member.id and said.acked is not None and said.acked <= at
            and said.verb != "logout" and not self.at_mercy(said)
        ]  # fmt: skip
        if not signs:
            return 0.0
        earliest = max(signs) + self._terms.timeout_s[member.client][0]
        if member.dropped is not None and member.dropped <= at:
            earliest = min(earliest, member.dropped + self._terms.lost_s[member.client][0])
        return earliest

    def innocent(self, member: Member, at: float) -> bool:
        """It kept beating up to then, whenever it could."""
        silenced = [moment for moment in (member.died, member.over) if moment is not None]
        if any(moment <= at for moment in silenced) or not member.beats:
            return False
        before = [beat for beat in member.beats if beat <= at]
        beats = sorted({*before[-1:], *(beat for beat in before if beat >= at - 10.0), at})
        return all(self._in_time(member.way, a, b) for a, b in pairwise(beats))

    def _in_time(self, way: str, start: float, end: float) -> bool:
        """From one beat to the next no time was lost but that in which nothing could get through."""
        kinds = ANY_WAY + (THE_LINK if way == "link" else ())
        spans = sorted((each.start, each.end) for each in self._record.windows if each.kind in kinds)
        at, patience_s = start, self._terms.beat_within_s
        for shut, opened in _joined(spans):
            if opened <= at or shut >= end:
                continue
            if shut - at > patience_s:
                return False
            at, patience_s = opened, self._terms.back_within_s - self._record.lag(opened, end)
        return end - at <= patience_s

    def at_mercy(self, said: Said) -> bool:
        """Acknowledged by a broker that was killed before it could surely hand it on, or that had forgotten
        the daemon: that is not promised. The daemon has subscribed again once it sees again."""
        if said.way != "link" or said.acked is None:
            return False
        at = said.acked
        gone_on = self.arrived_by(at, "link") + 1.0 + self._record.lag(at - 1.0, at + 3.0)
        for window in self._record.windows:
            if window.kind in BROKER_GONE:
                back = self.arrived_by(window.end, "link") if window.kind == "broker_forget" else window.start
                if at <= back + 0.1 and window.start <= gone_on:
                    return True
        return False


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
