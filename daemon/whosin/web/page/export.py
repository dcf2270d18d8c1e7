"""Every table of the page as a file: CSV that a spreadsheet shows and never runs, and JSON.

Owns the columns of the CSV. A file is written row by row while it is sent, so its size needs no memory.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from whosin import csvsafe
from whosin.operations import Caller, Operations
from whosin.web.auth import Engine, Who
from whosin.web.page.address import Address
from whosin.web.page.views import (
    FOLLOWUP_FILTERS,
    HISTORY_FILTERS,
    LOCK_FILTERS,
    SESSION_FILTERS,
    USER_STATUSES,
    WORST_FIRST,
    followup_query,
    history_query,
    lock_query,
    session_query,
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
        case "users" | "disconnected":
            return _sessions(Address.of(f"/{table}", query, SESSION_FILTERS), engine, who)
        case "history":
            return _history(Address.of("/history", query, HISTORY_FILTERS), engine, who)
        case "followups":
            return _followups(Address.of("/followups", query, FOLLOWUP_FILTERS), engine, who)
        case "locks":
            return _locks(Address.of("/locks", query, LOCK_FILTERS), engine, who)
        case "companies":
            return _once(engine.companies(who))
        case _:
            return _once(engine.passes(BATCH, who))


async def _once(found: Any) -> Batches:
    yield await found


async def _sessions(address: Address, engine: Operations, who: Caller) -> Batches:
    users = address.path == "/users"
    statuses = USER_STATUSES.get(address.get("status") or "in", ("active",)) if users else ("disconnected",)
    query = session_query(address, statuses, "-since" if users else WORST_FIRST)
    query = replace(query, limit=BATCH, cursor=None)
    while True:
        page = await engine.sessions(query, who)
        yield page.items
        if page.next is None:
            return
        query = replace(query, cursor=page.next)


async def _history(address: Address, engine: Operations, who: Caller) -> Batches:
    query = replace(history_query(address), limit=BATCH, before_seq=None)
    while True:
        page = await engine.history(query, who)
        yield page.items
        if page.next is None:
            return
        query = replace(query, before_seq=int(page.next))


async def _locks(address: Address, engine: Operations, who: Caller) -> Batches:
    query = replace(lock_query(address), limit=BATCH, cursor=None)
    while True:
        page = await engine.find_locks(query, who)
        yield page.items
        if page.next is None:
            return
        query = replace(query, cursor=page.next)


async def _followups(address: Address, engine: Operations, who: Caller) -> Batches:
    query = replace(followup_query(address), limit=BATCH, before_id=None)
    while True:
        page = await engine.followups.find(query, who)
        yield page.items
        if page.next is None:
            return
        query = replace(query, before_id=int(page.next))


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
    """What is nested, in one cell: resources of locks, people of blocks, the rest as JSON."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [one.get("user") or one.get("resource") for one in value]
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else value


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
