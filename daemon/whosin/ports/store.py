"""The seam to the store, and what it can be asked for. Moments are wall-clock epoch milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from whosin.ports.rows import (
    AlertRow,
    Changes,
    DeliveryRow,
    EventRow,
    FollowupRow,
    Loaded,
    PassRow,
    SessionRow,
)


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """All given filters hold together; `before_seq` pages backwards from the newest."""

    site: str | None = None
    company: str | None = None
    session: str | None = None
    user: str | None = None
    type: str | None = None  # exact, or a prefix ending in "."
    resource: str | None = None  # and all below it, and what became of those who held it
    text: str | None = None  # found anywhere in the event
    since: int | None = None  # wall ms, inclusive
    until: int | None = None  # wall ms, exclusive
    before_seq: int | None = None
    limit: int = 100
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class EndedQuery:
    """Ended sessions, newest key first; `before_key` pages."""

    statuses: tuple[str, ...]
    site: str | None = None
    company: str | None = None
    user: str | None = None
    client: str | None = None
    text: str | None = None
    before_key: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class FollowupQuery:
    """Follow-ups, newest first; `before_id` pages. `open` None: done ones too."""

    open: bool | None = None
    site: str | None = None
    company: str | None = None
    session: str | None = None
    text: str | None = None  # found in user, session, machine, resource, rule, text, note
    before_id: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class AlertQuery:
    """Alerts, newest first; `before` (a number) pages. `open` None: those that are over, too."""

    site: str | None = None
    kind: str | None = None
    open: bool | None = None
    before: int | None = None
    limit: int = 100


@runtime_checkable
class Store(Protocol):
    """Where nothing is lost. Every method may raise StoreError; `open` may raise StoreRefused."""

    async def open(self) -> Loaded:
        """Migrate if needed, check, and load. A schema newer than this program is refused."""
        ...

    async def commit(self, changes: Changes) -> None:
        """All of it, durable (fsync) on return; on StoreError none of it. Cancelling never leaves a
        transaction open, and does not undo one that has begun.

        Leave `changes` alone from the call on: it is read on another thread, to its end even if the caller
        is cancelled. Committing the same again is harmless. Raises ValueError, and stores none of it, for a
        row that can never be stored: a number beyond 64 bits, half a surrogate pair, an id of two keys.
        """
        ...

    async def find_ended(self, ids: Iterable[str]) -> dict[str, SessionRow]:
        """Those of the ids that belong to ended sessions (an id is used once: rule 3)."""
        ...

    async def session(self, ident: str) -> SessionRow | None: ...

    async def ended_sessions(self, query: EndedQuery) -> list[SessionRow]: ...

    async def count_ended(self, query: EndedQuery) -> int: ...

    async def history(self, query: HistoryQuery) -> list[EventRow]: ...

    async def count_history(self, query: HistoryQuery) -> tuple[int, bool]:
        """How many there are in all pages, and whether that is all: of a search that no index helps only so
        many of the newest events are looked at."""
        ...

    async def events_after(self, seq: int, limit: int) -> list[EventRow]: ...

    async def passes(self, limit: int) -> list[PassRow]: ...

    async def followups(self, query: FollowupQuery) -> list[FollowupRow]: ...

    async def count_followups(self, query: FollowupQuery) -> int: ...

    async def followup(self, ident: int) -> FollowupRow | None: ...

    async def alerts(self, query: AlertQuery) -> list[AlertRow]: ...

    async def deliveries(self, alerts: Iterable[int]) -> list[DeliveryRow]:
        """All of these alerts, in order of alert, then of beginning."""
        ...

    async def prune(self, before: int, limit: int) -> int:
        """Delete at most `limit` events, ended sessions, finished passes, done follow-ups and alerts from
        before (wall ms); how many went.

        Never one that a sink has still to publish (its seq above the lowest cursor in meta
        `published.*`), nor an ended session that a lock still names.
        """
        ...

    async def backup(self, path: str) -> None:
        """A consistent copy while running; refuses to overwrite."""
        ...

    async def close(self) -> None: ...
