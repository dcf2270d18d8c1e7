"""What the cleanup removes between its passes, and what may be a mass silence before it does (rules 7 and 9).

Owns the queue of disconnected sessions that stand in somebody's way. Must not know how a session is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from whosin.model import Company, Policy, Session, Status
from whosin.rules.book import blocks_somebody
from whosin.rules.locks import Locks
from whosin.rules.silence import Silence


class Clearing:
    """`companies` are the roll's; `locks.blocking` tells of sessions that came to stand in somebody's way."""

    def __init__(
        self, policy: Policy, companies: dict[tuple[str, str], Company], locks: Locks, silence: Silence
    ) -> None:
        self.policy = policy
        self._companies = companies
        self._locks = locks
        self._silence = silence
        self._queue: list[tuple[int, int, Session]] = []  # when it may be removed, key, session
        self._parked: dict[Session, None] = {}  # held back
        self._lifts = 0  # holds lifted when the parked were last looked at
        self._sites: dict[str, list[Company]] = {}

    def set_policy(self, policy: Policy) -> None:
        """The time after which one goes may be another: all are told of again by `locks.blocking`."""
        self.policy = policy
        self._queue.clear()

    def moved(self) -> None:
        """A company has come or gone."""
        self._sites.clear()

    def forget(self, session: Session) -> None:
        """It is over."""
        self._parked.pop(session, None)

    def due(self, at_ms: int, spared: Callable[[Session], bool]) -> Iterator[Session]:
        """Those to be removed now, one by one: each is removed before the next is asked for."""
        wait_ms = self.policy.blocking_after_ms
        if not wait_ms:
            return
        told, self._locks.blocking = self._locks.blocking, {}
        if self._lifts != self._silence.lifts:
            self._lifts = self._silence.lifts
            told |= self._parked
            self._parked.clear()
        for session in told:
            heappush(self._queue, (session.disconnected_ms + wait_ms, session.key, session))
        while self._queue and self._queue[0][0] <= at_ms:
            due_ms, _, session = heappop(self._queue)
            if session.status is not Status.DISCONNECTED or session.disconnected_ms + wait_ms != due_ms:
                continue  # over, or back; whoever fell again stands here again
            if not blocks_somebody(session) or spared(session):
                continue
            self.suspect(session, at_ms)
            if self._silence.held(session):
                self._parked[session] = None
            else:
                yield session

    def suspect(self, session: Session, at_ms: int) -> None:
        """Before an automatic removal: may this be a mass silence that is still building up?"""
        if self._silence.recent(session, at_ms) and self._silence.held(session) is None:
            self._silence.suspect(session, self._of_site(session.company.site), at_ms)

    def _of_site(self, site: str) -> list[Company]:
        if not self._sites:
            for company in self._companies.values():
                self._sites.setdefault(company.site, []).append(company)
        return self._sites[site]
