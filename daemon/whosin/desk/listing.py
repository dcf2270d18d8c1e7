"""Lists of sessions for operators: filter, sort, page. Owns cursors; changes nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable
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
    "idle_s": lambda it: it.idle_s or 0,
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
    live = [it for it in engine.roll.sessions.values() if it.status.value in statuses and _matches(it, query)]
    total = len(live) + (await engine.store.count_ended(ended_query) if ended else 0)
    items: list[Json] = []
    if where == "live":
        chosen, following = _page(live, sorts.get(field), descending, after, query.limit)
        items = [views.session(it) for it in chosen]
        if following is not None:
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
        words = (it.id, it.user, it.machine or "", company.name, it.activity or "", *(it.locks or ()))
        return any(text in word.casefold() for word in words)
    return True


def _page(
    live: list[Session], by: Sort | None, descending: bool, after: Key | None, limit: int
) -> tuple[list[Session], Key | None]:
    """The next page and, if there is more, the key of its last item."""

    def key(it: Session) -> Key:
        return (by(it) if by is not None else 0, it.key)

    live.sort(key=key, reverse=descending)
    if after is not None:
        try:
            live = [it for it in live if (key(it) < after if descending else key(it) > after)]
        except TypeError:
            raise Refused("bad_cursor", "the cursor belongs to another sort order") from None
    chosen = live[:limit]
    return chosen, key(chosen[-1]) if len(live) > limit else None


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
