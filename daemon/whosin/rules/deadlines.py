"""What is due when, exactly, with no scan of all. Owns one queue; must not know why something is due.

A sign of life touches nothing here: a session stays filed under an earlier moment, and only when that
moment comes is its true deadline asked for, and it is filed again if that is later. So a heartbeat costs
nothing, and each session is looked at about once per timeout. Moments are filed in buckets of GRAIN_MS;
a bucket that has begun is sorted exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from whosin.model import Session

GRAIN_MS = 256
NEVER = 1 << 62


class _Bucket:
    """What falls due within one grain of time, unsorted."""

    __slots__ = ("begins_ms", "sessions")

    def __init__(self, begins_ms: int) -> None:
        self.begins_ms = begins_ms
        self.sessions: list[Session] = []


class Deadlines:
    """The sessions of one source that can fall silent. `due` tells a session's true deadline, or None if it
    has none here any more (ended, disconnected, heard elsewhere). Whoever takes a session out of here other
    than by `take`, and may file it again, sets its `filed_ms` to 0: what is still in a bucket is then
    recognised as stale."""

    __slots__ = ("_begun_ms", "_buckets", "_due", "_near", "_order", "next_ms")

    def __init__(self, due: Callable[[Session], int | None]) -> None:
        self._due = due
        self._begun_ms = (
            -1
        )  # the last bucket that was opened; what is filed up to there goes into the exact heap
        self._buckets: dict[int, _Bucket] = {}
        self._order: list[int] = []  # heap of the buckets' beginnings
        self._near: list[tuple[int, int, int, Session]] = []  # exact: due, key, bucket, session
        self.next_ms = NEVER  # nothing is due before this moment

    def file(self, session: Session, due_ms: int) -> None:
        """See to it that the session is looked at no later than `due_ms`; sooner is harmless."""
        bucket = due_ms - due_ms % GRAIN_MS
        if session.filed_ms and session.filed_ms < bucket:
            return
        if (
            bucket <= self._begun_ms
        ):  # it may stand there already, but under a later moment of the same bucket
            session.filed_ms = bucket
            heappush(self._near, (due_ms, session.key, bucket, session))
            self.next_ms = min(self.next_ms, due_ms)
        elif session.filed_ms != bucket:
            held = self._buckets.get(bucket)
            if held is None:
                held = self._buckets[bucket] = _Bucket(bucket)
                heappush(self._order, bucket)
                self.next_ms = min(self.next_ms, bucket)
            session.filed_ms = held.begins_ms  # one number for all that are filed there
            held.sessions.append(session)

    def take(self, until_ms: int, limit: int) -> list[tuple[int, Session]]:
        """At most `limit` sessions that are due at or before `until_ms`, with their deadlines, in that order.

        They leave the queue.
        """
        taken: list[tuple[int, Session]] = []
        while len(taken) < limit:
            self._open(until_ms)
            if not self._near or self._near[0][0] > until_ms:
                break
            near_ms, _, bucket, session = heappop(self._near)
            due = self._due(session)
            if due is None or session.filed_ms != bucket:
                continue
            session.filed_ms = 0
            if due <= near_ms:
                taken.append((due, session))
            else:
                self.file(session, due)
        self._advance()
        return taken

    def _open(self, until_ms: int) -> None:
        """Begin the bucket that holds what is due next, not all that are due: that may be a hundred thousand
        sessions. They go to the exact heap, or are filed again under their true deadline. What is in that
        heap is due before all buckets that have not begun, so none begins before it is empty."""
        while not self._near and self._order and self._order[0] <= until_ms:
            bucket = self._begun_ms = heappop(self._order)
            for session in self._buckets.pop(bucket).sessions:
                if session.filed_ms != bucket:
                    continue  # filed elsewhere since
                due = self._due(session)
                if due is None:
                    continue
                if due < bucket + GRAIN_MS:
                    self._near.append((due, session.key, bucket, session))
                else:
                    session.filed_ms = 0
                    self.file(session, due)
            heapify(self._near)

    def _advance(self) -> None:
        near = self._near[0][0] if self._near else NEVER
        bucket = self._order[0] if self._order else NEVER
        self.next_ms = min(near, bucket)
