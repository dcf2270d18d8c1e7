"""Taking up after a restart what the store kept. Owns the order of it; must not know SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import structlog

from whosin.engine.rows import Rows
from whosin.model import Company, Lock, Session, Status
from whosin.ports import Loaded
from whosin.rules.roll import Roll

T = TypeVar("T")

log = structlog.get_logger("whosin.store")


def restore(roll: Roll, loaded: Loaded, rows: Rows, now_ms: int) -> None:
    """Fill the roll. Sources must be watched already; sessions of one that is gone are heard by the first.

    Rows of sessions and locks are let go of one by one, each leaving its place in memory to what is made of
    it: else a start with many sessions would take twice what they need, for good.
    """
    companies = roll.companies
    for (site, name), token in loaded.companies.items():
        company = companies[site, name] = Company(site, name)
        company.token = token
    roll.next_key = loaded.last_key + 1
    by_key = _sessions(roll, loaded, rows, now_ms)
    locks = _locks(roll, loaded, rows, by_key)
    for want_row in loaded.wants:
        session = by_key.get(want_row.session)
        if session is not None and not session.status.final:
            roll.locks.restore_want(
                rows.to_want(want_row, session, locks.get((want_row.site, want_row.company), {}))
            )
    fallen = [it for it in roll.sessions.values() if it.status is Status.DISCONNECTED and it.reason != "idle"]
    fallen.sort(key=lambda it: it.disconnected_ms)
    recent_ms = roll.policy.mass.window_ms + max(
        kind.heartbeat_every_ms for kind in roll.policy.types.values()
    )
    newest = fallen[-1].disconnected_ms if fallen else 0
    roll.silence.restore(
        (it for it in fallen if it.disconnected_ms >= newest - recent_ms), map(rows.to_hold, loaded.holds)
    )


def _sessions(roll: Roll, loaded: Loaded, rows: Rows, now_ms: int) -> dict[int, Session]:
    fallback = next(iter(roll.watches))
    by_key: dict[int, Session] = {}
    for row in _used_up(loaded.sessions):
        company = roll.companies.get((row.site, row.company))
        if company is None:
            company = roll.companies[row.site, row.company] = Company(row.site, row.company)
        session = by_key[row.key] = rows.to_session(row, company, now_ms)
        if session.source not in roll.watches:
            session.source = fallback
    return by_key


def _locks(
    roll: Roll, loaded: Loaded, rows: Rows, by_key: dict[int, Session]
) -> dict[tuple[str, str], dict[int, Lock]]:
    locks: dict[tuple[str, str], dict[int, Lock]] = {}
    for row in _used_up(loaded.locks):
        session = by_key.get(row.session)
        if session is None:  # its row could not be stored
            log.error("store.stray_lock", site=row.site, company=row.company, resource=row.resource)
            continue
        lock = rows.to_lock(row, session.company, session)
        roll.locks.restore_lock(lock)
        locks.setdefault((row.site, row.company), {})[row.token] = lock
    for session in by_key.values():
        if not session.status.final:
            roll.enter(session)
            if session.status is Status.ACTIVE:
                roll.file(session)
    return locks


def _used_up(rows: list[T]) -> Iterator[T]:
    """All of them in order; the list is empty then."""
    rows.reverse()
    while rows:
        yield rows.pop()
