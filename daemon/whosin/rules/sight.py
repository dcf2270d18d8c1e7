"""When silence may count: proof of receipt, blindness and grace of one source (rule 8).

Owns what is known about our own seeing; must not know sessions, clocks or transports. Silence is counted
only up to the last proof that whatever was sent had reached us. Blindness begins at that proof, time in it
does not count, and after it everybody gets a grace.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which we did not receive; `graced` if it was long enough for connections to break.

    `proven`: silence that was complete when it began had been proven. Not so after a restart: the signs of
    life of the last seconds before it may not have been stored (rule 10).
    """

    start_ms: int
    end_ms: int
    graced: bool
    proven: bool


class Sight:
    """One source's sight. It starts blind, with `since_ms` as the last moment that was provably seen."""

    __slots__ = (
        "_blind_ms",
        "_doubted",
        "_fresh",
        "_gaps",
        "blind_since_ms",
        "proof_ms",
        "regained_ms",
    )

    def __init__(self, since_ms: int) -> None:
        self.proof_ms = since_ms
        self.blind_since_ms: int | None = since_ms
        self.regained_ms = 0
        self._doubted = False
        self._fresh = True
        self._gaps: list[Gap] = []
        self._blind_ms = 0

    @property
    def blind(self) -> bool:
        return self.blind_since_ms is not None

    @property
    def silent_ms(self) -> int:
        """Up to here silence is proven. Not at all until we have seen for the first time: what is known of
        before a restart was stored at several moments, and the wall clock may have been set between them."""
        return -1 if self._fresh else self.proof_ms

    def blind_total_ms(self, at_ms: int) -> int:
        """All blindness so far, the present one included."""
        now = 0 if self.blind_since_ms is None else max(0, at_ms - self.blind_since_ms)
        return self._blind_ms + now

    def proof(self, at_ms: int, now_ms: int | None = None) -> bool:
        """All that was sent before `at_ms` has arrived, as is known at `now_ms`, or then. True if this ends a
        doubt (see `doubt`): only now do we receive again, whatever moment the proof is of."""
        if self.blind_since_ms is not None:
            if not self._doubted:
                return False
            self.regain(at_ms if now_ms is None else max(at_ms, now_ms))
            return True
        self.proof_ms = max(self.proof_ms, at_ms)
        return False

    def blind_now(self) -> bool:
        """We do not receive: since the last proof. False if that was known."""
        known = self.blind_since_ms is not None and not self._doubted
        if self.blind_since_ms is None:
            self.blind_since_ms = self.proof_ms
        self._doubted = False
        return not known

    def doubt(self) -> bool:
        """A proof asked for is overdue: blind since the last one, until the next. False if blind already."""
        if self.blind_since_ms is not None:
            return False
        self.blind_since_ms = self.proof_ms
        self._doubted = True
        return True

    def regain(self, at_ms: int, *, graced: bool = True) -> int:
        """We receive again. Returns how long we did not, in milliseconds."""
        if self.blind_since_ms is None:
            return 0
        start = min(self.blind_since_ms, at_ms)
        self.blind_since_ms = None
        self.proof_ms = max(self.proof_ms, at_ms)
        self._add(Gap(start, at_ms, graced, proven=not self._fresh))
        return at_ms - start

    def begin(self, at_ms: int) -> None:
        """We receive, and nobody was heard before: nothing was missed."""
        self.blind_since_ms = None
        self.proof_ms = at_ms
        self._fresh = False

    def stall(self, at_ms: int, *, graced: bool) -> None:
        """We stood still from the last proof until now (and could not have known)."""
        if self.blind_since_ms is None and at_ms > self.proof_ms:
            self._add(Gap(self.proof_ms, at_ms, graced, proven=True))
            self.proof_ms = at_ms

    def _add(self, gap: Gap) -> None:
        self._fresh = False
        self._gaps.append(gap)
        self._blind_ms += gap.end_ms - gap.start_ms
        if gap.graced:
            self.regained_ms = gap.end_ms

    def due(self, since_ms: int, patience_ms: int, grace_ms: int) -> int:
        """When patience runs out for someone silent since `since_ms`: time in gaps does not count, and nobody
        falls sooner than `grace_ms` after a graced one. What had run out before a gap stays so."""
        due = since_ms + patience_ms
        if not self._gaps:
            return due
        for gap in self._gaps:
            if due <= gap.start_ms and gap.proven:
                break
            if gap.end_ms > since_ms and gap.start_ms < due:
                due += gap.end_ms - max(gap.start_ms, since_ms)
            if gap.graced and due < gap.end_ms + grace_ms:
                due = gap.end_ms + grace_ms
        return due

    def forget(self, before_ms: int) -> None:
        """Drop gaps that change nobody's deadline any more: those since whose end we have seen as much time
        as from `before_ms` until the last proof. Never while blind."""
        if self.blind_since_ms is not None:
            return
        patience_ms = max(0, self.proof_ms - before_ms)
        while self._gaps and self.due(self._gaps[0].end_ms, patience_ms, patience_ms) < self.proof_ms:
            del self._gaps[0]

    def in_grace(self, at_ms: int, grace_ms: int) -> bool:
        return bool(self.regained_ms) and at_ms < self.regained_ms + grace_ms
