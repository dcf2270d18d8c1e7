"""Numbers for whoever looks on: who is in, what is locked, how the daemon sees and stores.

Owns what a caller with a site may count. Must not know how numbers are shown.
"""

from __future__ import annotations

from collections import Counter

from whosin import wire
from whosin.cleanup import Cleanup
from whosin.engine.engine import Engine
from whosin.model import Status
from whosin.operations import Caller, Json

TYPES_NAMED = 30  # strangers name client types
SITES_COUNTED = 1_000


class Numbers:
    def __init__(self, engine: Engine, cleanup: Cleanup, *, name: str, version: str, sign_in: bool) -> None:
        self._engine = engine
        self._cleanup = cleanup
        self._name, self._version, self._sign_in = name, version, sign_in
        self._counted: dict[str | None, tuple[int, Counter[tuple[Status, str]]]] = {}
        self._started = wire.rfc3339(engine.clock.wall_ms(engine.clock.now_ms()))

    def show(self, caller: Caller, problems: list[str]) -> Json:
        """The answer of `Operations.stats`."""
        engine, roll = self._engine, self._engine.roll
        now = engine.clock.now_ms()
        by_status: dict[str, int] = {"active": 0, "disconnected": 0}
        by_client: dict[str, dict[str, int]] = {}
        for (status, client), count in self._tally(caller).items():
            by_status[status.value] += count
            one = by_client.setdefault(client, {"active": 0, "disconnected": 0})
            one[status.value] += count
        places = [place for place in roll.companies if caller.site in (None, place[0])]
        held, waiting, blocked = self._lock_counts(caller)
        problem = engine.committer.trouble
        return {
            "name": self._name, "version": self._version, "started_at": self._started,
            "now": wire.rfc3339(engine.clock.wall_ms(now)),
            "sessions": by_status, "by_client": by_client, "locks": held, "waiting": waiting,
            "blocked": blocked, "companies": len(places), "sites": len({site for site, _ in places}),
            "heartbeats_total": engine.counts.heartbeats, "blind": bool(engine.blind),
            "sources": {name: self._source(name) for name in roll.watches},
            "storage": {
                "ok": problem is None, "problem": str(problem) if problem else None,
                "kind": problem.kind if problem else None,
            },
            "outbox": engine.outbox.waiting, "ready": not problems, "problems": problems,
            "cleanup": {
                "enabled": self._cleanup.enabled, "next_at": self._time(self._cleanup.next_ms),
                "running": self._cleanup.current is not None,
            },
            "sign_in": {"mqtt": self._sign_in},
        }  # fmt: skip

    def _tally(self, caller: Caller) -> dict[tuple[Status, str], int]:
        """Sessions by status and client type, each by its name; past TYPES_NAMED the rest as `other`."""
        roll, counted = self._engine.roll, self._count(caller.site)
        named = set(sorted({client for _, client in counted})[:TYPES_NAMED]) | set(roll.policy.types)
        tally: Counter[tuple[Status, str]] = Counter()
        for (status, client), count in counted.items():
            tally[status, client if client in named else "other"] += count
        return tally

    def _count(self, site: str | None) -> Counter[tuple[Status, str]]:
        """Sessions by status and client type. Each change of them is an event, so until the next one a count
        is good: many who look on cost one walk through all."""
        seq, counted = self._counted.get(site, (-1, Counter()))
        if seq != self._engine.seq:
            sessions = self._engine.roll.sessions.values()
            counted = Counter((it.status, it.client) for it in sessions if site in (None, it.site))
            if len(self._counted) > SITES_COUNTED:
                self._counted.clear()
            self._counted[site] = (self._engine.seq, counted)
        return counted

    def _lock_counts(self, caller: Caller) -> tuple[int, int, int]:
        """Locks held, requests that wait, sessions that a lock keeps waiting or has turned away."""
        companies = self._engine.roll.companies.items()
        books = [
            it.locks for (site, _), it in companies if it.locks is not None and caller.site in (None, site)
        ]
        wants = [want for book in books for want in book.wanted.everything()]
        stopped = {
            it.session.id for it in wants if it.waiting or any(not lock.released for lock in it.refused_by)
        }
        return sum(len(book.held) for book in books), sum(1 for it in wants if it.waiting), len(stopped)

    def _source(self, name: str) -> Json:
        sight = self._engine.roll.watches[name].sight
        grace_ms = sight.regained_ms + self._engine.roll.policy.regain_grace_ms if sight.regained_ms else 0
        if grace_ms <= self._engine.clock.now_ms():
            grace_ms = 0
        return {
            "seeing": not sight.blind, "since": self._time(sight.blind_since_ms or sight.regained_ms),
            "grace_until": self._time(grace_ms), "last_proof": self._time(sight.proof_ms),
        }  # fmt: skip

    def _time(self, at_ms: int) -> str | None:
        return wire.rfc3339(self._engine.rows.wall(at_ms)) if at_ms else None
