"""Every table of the page as a file: CSV that a spreadsheet shows and never runs, and JSON.

Owns the columns of the CSV. A file is written row by row while it is sent, so its size needs no memory.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from whosin import csvsafe
from whosin.operations import Caller, Operations, Page
from whosin.web.auth import Engine, Who
from whosin.web.page.address import Address
from whosin.web.page.views import (
    ALERT_FILTERS,
    FOLLOWUP_FILTERS,
    HISTORY_FILTERS,
    LOCK_FILTERS,
    SESSION_FILTERS,
    disconnected_query,
    find_alerts,
    followup_query,
    history_query,
    lock_query,
    user_query,
)
from whosin.web.pageguard import PageForViewers
from whosin.web.pageguard import page as pages
from whosin.web.problem import Problem

Json = dict[str, Any]
Batches = AsyncIterator[list[Json]]

BATCH = 1000
SESSION_COLUMNS = (
    "id", "site", "company", "user", "client", "machine", "address", "app", "status", "since", "last_seen",
    "disconnected_at", "ended_at", "ended_by", "reason", "idle_s", "activity", "locks", "blocks", "guidance",
)  # fmt: skip
COLUMNS: dict[str, tuple[str, ...]] = {
    "users": SESSION_COLUMNS,
    "disconnected": SESSION_COLUMNS,
    "locks": (
        "site", "company", "resource", "mode", "token", "since", "sticky", "left_behind", "user", "machine",
        "client", "status", "session", "activity", "guidance", "blocks",
    ),
    "history": ("at", "type", "site", "company", "session", "user", "actor", "reason", "data", "seq"),
    "companies": ("site", "company", "active", "disconnected", "locks", "waiting"),
    "followups": (
        "id", "status", "created", "site", "company", "user", "machine", "client", "session", "resource",
        "rule", "severity", "text", "done", "done_by", "note",
    ),
    "alerts": (
        "id", "state", "severity", "kind", "site", "company", "raised", "cleared", "last_told", "reminders",
        "count", "message", "action", "targets",
    ),
    "cleanup": ("id", "started", "finished", "by", "removed", "released", "held_back", "skipped", "failed"),
}  # fmt: skip

view = pages(PageForViewers)


@view.get("/export/{table}.{form}")
async def export(request: Request, table: str, form: str, engine: Engine, who: Who) -> Response:
    if table not in COLUMNS or form not in ("csv", "json"):
        raise Problem(404, "not_found", f"There is no table {table}.{form}; {', '.join(COLUMNS)} can be had.")
    batches = _batches(table, request, engine, who)
    first: list[Json] = await anext(batches, [])  # what cannot be asked is refused first
    headers = {"Content-Disposition": f'attachment; filename="whosin-{table}.{form}"'}
    if form == "csv":
        return StreamingResponse(_csv(table, first, batches), headers=headers, media_type=csvsafe.MEDIA_TYPE)
    return StreamingResponse(_json(first, batches), headers=headers, media_type="application/json")


def _batches(table: str, request: Request, engine: Operations, who: Caller) -> Batches:
    query = request.query_params
    match table:
        case "users":
            sessions = user_query(Address.of("/users", query, SESSION_FILTERS))
            return _pages(lambda at: engine.sessions(replace(sessions, limit=BATCH, cursor=at), who))
        case "disconnected":
            sessions = disconnected_query(Address.of("/disconnected", query, SESSION_FILTERS))
            return _pages(lambda at: engine.sessions(replace(sessions, limit=BATCH, cursor=at), who))
        case "locks":
            locks = lock_query(Address.of("/locks", query, LOCK_FILTERS))
            return _pages(lambda at: engine.find_locks(replace(locks, limit=BATCH, cursor=at), who))
        case "history":
            events = history_query(Address.of("/history", query, HISTORY_FILTERS))
            return _pages(
                lambda at: engine.history(replace(events, limit=BATCH, before_seq=_number(at)), who)
            )
        case "followups":
            left = followup_query(Address.of("/followups", query, FOLLOWUP_FILTERS))
            return _pages(
                lambda at: engine.followups.find(replace(left, limit=BATCH, before_id=_number(at)), who)
            )
        case "alerts":
            alerts = Address.of("/alerts", query, ALERT_FILTERS)
            return _pages(lambda at: find_alerts(alerts, engine, who, BATCH, _number(at)))
        case "companies":
            return _once(engine.companies(who))
        case _:
            return _once(engine.passes(BATCH, who))


async def _once(found: Awaitable[list[Json]]) -> Batches:
    yield await found


async def _pages(ask: Callable[[str | None], Awaitable[Page]]) -> Batches:
    """All pages, each asked for by what the one before gave as next."""
    page = await ask(None)
    yield page.items
    while page.next is not None:
        page = await ask(page.next)
        yield page.items


def _number(cursor: str | None) -> int | None:
    return None if cursor is None else int(cursor)


async def _csv(table: str, first: list[Json], rest: Batches) -> AsyncIterator[str]:
    columns = COLUMNS[table]
    yield "\ufeff" + csvsafe.rows([columns])  # by its mark a spreadsheet knows UTF-8
    yield csvsafe.rows(_cells(columns, first))
    async for batch in rest:
        yield csvsafe.rows(_cells(columns, batch))


def _cells(columns: tuple[str, ...], items: list[Json]) -> Iterable[list[object]]:
    for item in items:
        yield [_plain(item.get(column)) for column in columns]


def _plain(value: Any) -> object:
    """What is nested, in one cell: resources of locks, people of blocks, who was told, the rest as JSON."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_named(one) for one in value]
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else value


def _named(one: Json) -> str:
    if "channel" in one:
        return f"{one['channel']}: {one['state']}"
    return str(one.get("user") or one.get("resource"))


async def _json(first: list[Json], rest: Batches) -> AsyncIterator[bytes]:
    separator = b"[\n"
    for one in first:
        yield separator + msgspec.json.encode(one)
        separator = b",\n"
    async for batch in rest:
        for one in batch:
            yield separator + msgspec.json.encode(one)
            separator = b",\n"
    yield b"[]\n" if separator == b"[\n" else b"\n]\n"
