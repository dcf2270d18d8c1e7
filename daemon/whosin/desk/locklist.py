"""Lists of locks for operators: filter, sort, page. Renders no more than the page that is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from whosin.desk.views import Views
from whosin.engine.engine import Engine
from whosin.errors import Refused
from whosin.model import Lock
from whosin.operations import Caller, LockQuery, Page
from whosin.rules.locks import blocked_by, book_of

CHUNK = 2_000

SORTS: dict[str, Callable[[Lock], Any]] = {
    "resource": lambda it: it.resource,
    "user": lambda it: it.session.user.casefold(),
    "company": lambda it: (it.company.site, it.company.name),
    "since": lambda it: it.since_ms,
    "blocks": lambda it: len(blocked_by(it)),
    "worst": lambda it: (-len(blocked_by(it)), it.since_ms),
}


async def list_locks(engine: Engine, views: Views, query: LockQuery, caller: Caller) -> Page:
    """Those that keep most people waiting first, unless sorted otherwise. The cursor is a place in it."""
    field, descending = (query.sort or "worst").lstrip("-"), (query.sort or "").startswith("-")
    if field not in SORTS:
        raise Refused("bad_sort", f"sort is {query.sort!r}; allowed are {', '.join(SORTS)}")
    found: list[Lock] = []
    looked = 0
    for place in sorted(engine.roll.companies):
        company = engine.roll.companies.get(place)
        if company is None or company.locks is None or not _within(place, query, caller):
            continue
        for lock in list(book_of(company).held.everything()):
            if _matches(lock, query):
                found.append(lock)
            looked += 1
            if looked % CHUNK == 0:  # a look at a hundred thousand must not keep their heartbeats waiting
                await asyncio.sleep(0)
    found.sort(key=SORTS[field], reverse=descending)
    start = int(query.cursor or 0)
    shown = found[start : start + query.limit]
    end = start + len(shown)
    return Page([views.lock(it) for it in shown], str(end) if end < len(found) else None, len(found))


def _within(place: tuple[str, str], query: LockQuery, caller: Caller) -> bool:
    site, company = place
    return caller.site in (None, site) and query.site in (None, site) and query.company in (None, company)


def _matches(lock: Lock, query: LockQuery) -> bool:
    if lock.released or (query.left_behind and not lock.left_behind):
        return False
    if query.blocking and not blocked_by(lock):
        return False
    if not query.text:
        return True
    text, session = query.text.casefold(), lock.session
    words = (lock.resource, session.user, session.machine, lock.company.name, lock.activity)
    return any(text in word.casefold() for word in words if word)
