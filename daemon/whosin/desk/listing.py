"""Lists of sessions for operators: filter, sort, page. Owns cursors; changes nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import msgspec

from whosin.desk.views import Json, Views
from whosin.engine.engine import Engine
from whosin.errors import Refused
from whosin.model import Session, Status
from whosin.operations import Page, SessionQuery
from whosin.ports import EndedQuery
from whosin.rules.guidance import Guidance
from whosin.rules.locks import blocked_by

Key = tuple[Any, int]
Sort = Callable[[Session], Any]

CHUNK = 2_000

LIVE = (Status.ACTIVE.value, Status.DISCONNECTED.value)

SORTS: dict[str, Sort] = {
    "id": lambda it: it.id,
    "site": lambda it: it.company.site,
    "company": lambda it: it.company.name,
    "user": lambda it: it.user.casefold(),
    "client": lambda it: it.client,
    "machine": lambda it: (it.machine or "").casefold(),
    "status": lambda it: it.status.value,
    "since": lambda it: it.since_ms,
    "last_seen": lambda it: it.seen_ms,
    "disconnected_at": lambda it: it.disconnected_ms,
    "idle_s": lambda it: it.told.idle_s or 0,
    "locks": lambda it: len(it.locks or ()),
    "blocks": lambda it: sum(len(blocked_by(lock)) for lock in (it.locks or {}).values()),
}


async def list_sessions(engine: Engine, views: Views, query: SessionQuery) -> Page:
    """A page of live sessions, then of ended ones where the statuses ask for them."""
    statuses = query.statuses or LIVE
    sorts: dict[str, Sort] = {**SORTS, "hurt": partial(_hurt, engine.roll.guidance)}
    field, descending = (query.sort or "").lstrip("-"), (query.sort or "").startswith("-")
    if query.sort and field not in sorts:
        raise Refused(
            "bad_sort",
            f"sort is {query.sort!r}; allowed are {', '.join(sorts)}, with - before for descending",
        )
    where, after = _read_cursor(query.cursor)
    ended = tuple(status for status in statuses if status not in LIVE)
    ended_query = EndedQuery(
        ended, query.site, query.company, query.user, query.client, query.text, None, query.limit
    )
    chosen, following, total = await _choose(
        engine, query, statuses, sorts.get(field, _any), descending, after if where == "live" else None
    )
    items: list[Json] = [views.session(it) for it in chosen] if where == "live" else []
    total += await engine.store.count_ended(ended_query) if ended else 0
    if where == "live" and following is not None:
        return Page(items, _cursor("live", following), total)
    if ended and len(items) < query.limit:
        rows = await engine.store.ended_sessions(
            EndedQuery(
                ended, query.site, query.company, query.user, query.client, query.text,
                after[1] if where == "ended" and after else None, query.limit - len(items),
            )
        )  # fmt: skip
        items += [views.ended(row, []) for row in rows]
        if rows and len(items) == query.limit:
            return Page(items, _cursor("ended", (0, rows[-1].key)), total)
    elif ended:
        return Page(items, _cursor("ended", None), total)
    return Page(items, None, total)


async def matching(engine: Engine, query: SessionQuery, before_ms: int | None) -> list[str]:
    """The ids of all live sessions that match; with `before_ms` (on the engine's timeline) only of those that
    had fallen, or come in where they are active, by then."""
    statuses = query.statuses or LIVE
    wanted = tuple(status for status in Status if status.value in statuses)
    found: list[str] = []
    async for it in _some_at_a_time(engine):
        if it.status in wanted and _matches(it, query):
            at_ms = it.since_ms if it.status is Status.ACTIVE else it.disconnected_ms
            if before_ms is None or at_ms <= before_ms:
                found.append(it.id)
    return found


async def _some_at_a_time(engine: Engine) -> AsyncIterator[Session]:
    """All sessions; a look at a hundred thousand must not keep their heartbeats waiting."""
    for nth, it in enumerate(list(engine.roll.sessions.values()), 1):
        yield it
        if nth % CHUNK == 0:
            await asyncio.sleep(0)


def _hurt(guidance: Guidance, it: Session) -> int:
    """What hurts most comes first: who keeps most people waiting, then who has critical guidance, then who
    fell first, as one number."""
    people = {want.session.user for lock in (it.locks or {}).values() for want in blocked_by(lock)}
    fallen = (1 << 48) - it.disconnected_ms if it.status is Status.DISCONNECTED else 0
    return -((min(len(people), 8_191) << 50) + (guidance.critical(it) << 49) + fallen)


def _matches(it: Session, query: SessionQuery) -> bool:
    company = it.company
    if query.site is not None and company.site != query.site:
        return False
    if query.company is not None and company.name != query.company:
        return False
    if query.user is not None and it.user.casefold() != query.user.casefold():
        return False
    if query.client is not None and it.client != query.client:
        return False
    if query.text:
        text = query.text.casefold()
        words = (it.id, it.user, it.machine or "", company.name, it.told.activity or "", *(it.locks or ()))
        return any(text in word.casefold() for word in words)
    return True


def _any(_it: Session) -> int:
    return 0


async def _choose(
    engine: Engine,
    query: SessionQuery,
    statuses: tuple[str, ...],
    by: Sort,
    descending: bool,
    after: Key | None,
) -> tuple[list[Session], Key | None, int]:
    """The next page; if there is more, the key of its last item; and how many match in all."""
    wanted = tuple(status for status in Status if status.value in statuses)
    keep, total = query.limit + 1, 0
    best: list[tuple[Key, Session]] = []
    try:
        async for it in _some_at_a_time(engine):
            if it.status not in wanted or not _matches(it, query):
                continue
            total += 1
            key = (by(it), it.key)
            if after is None or (key < after if descending else key > after):
                best.append((key, it))
                if len(best) > keep + CHUNK:
                    best.sort(reverse=descending)
                    del best[keep:]
    except TypeError:
        raise Refused("bad_cursor", "the cursor belongs to another sort order") from None
    best.sort(reverse=descending)
    following = best[query.limit - 1][0] if len(best) > query.limit else None
    return [it for _, it in best[: query.limit] if it.status in wanted], following, total


def _cursor(where: str, key: Key | None) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([where, key])).decode().rstrip("=")


def _read_cursor(cursor: str | None) -> tuple[str, Key | None]:
    if cursor is None:
        return "live", None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        where, key = msgspec.json.decode(raw, type=tuple[str, tuple[str | int, int] | None])
    except (ValueError, msgspec.DecodeError):
        raise Refused("bad_cursor", "the cursor is not one that a listing gave") from None
    if where not in ("live", "ended"):
        raise Refused("bad_cursor", "the cursor is not one that a listing gave")
    return where, key
