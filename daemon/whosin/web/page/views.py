"""The views: from an address to what is shown. One function a tab, and one for a single login.

Must not know how anything is drawn.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from whosin.operations import Caller, LockQuery, Operations, Page, SessionQuery
from whosin.ports import FollowupQuery, HistoryQuery
from whosin.web.auth import Engine, Who
from whosin.web.page.address import Address
from whosin.web.page.shell import show
from whosin.web.pageguard import PageForViewers
from whosin.web.pageguard import page as pages
from whosin.web.problem import Problem

Json = dict[str, Any]

ROWS = 50
SESSION_FILTERS = ("q", "site", "company", "client", "status", "sort")
LOCK_FILTERS = ("q", "site", "company", "state", "sort")
FOLLOWUP_FILTERS = ("q", "site", "company", "session", "status")
ALERT_FILTERS = ("site", "state")
ALERT_STATES: dict[str, bool | None] = {"": True, "over": False, "all": None}
FOLLOWUP_STATES: dict[str, bool | None] = {"": True, "done": False, "all": None}
LOCK_STATES = ("", "blocking", "left")
HISTORY_FILTERS = ("q", "site", "company", "user", "actor", "session", "resource", "type", "since", "until")
PASSES = 20
COMPANY_SORTS = ("site", "company", "active", "disconnected", "locks", "waiting")

_IN = ("active",)
_LEFT = ("logged_off",)
_USER_STATUSES = {"": _IN, "in": _IN, "left": _LEFT, "all": (*_IN, *_LEFT)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WORST_FIRST = "hurt"

view = pages(PageForViewers)


@view.api_route("/", methods=["GET", "HEAD"])
@view.get("/disconnected")
async def disconnected(request: Request, engine: Engine, who: Who) -> Response:
    address = Address.of("/disconnected", request.query_params, SESSION_FILTERS)
    query = disconnected_query(address)
    found = await engine.sessions(query, who)
    return await show(
        request, engine, who, "disconnected", address,
        found=found, sort=query.sort, paging=paging(address, found),
    )  # fmt: skip


@view.get("/users")
async def users(request: Request, engine: Engine, who: Who) -> Response:
    address = Address.of("/users", request.query_params, SESSION_FILTERS)
    query = user_query(address)
    found = await engine.sessions(query, who)
    return await show(
        request, engine, who, "users", address, found=found, sort=query.sort, paging=paging(address, found)
    )


@view.get("/sessions/{ident}")
async def session(request: Request, ident: str, engine: Engine, who: Who) -> Response:
    found = await engine.session(ident, who)
    if found is None:
        raise Problem(404, "not_found", f'No login "{ident}" is known here.')
    story = await engine.history(HistoryQuery(session=ident, limit=200), who)
    left = await engine.followups.find(FollowupQuery(session=ident, limit=100), who)
    address = Address.of(f"/sessions/{ident}", {}, ())
    return await show(request, engine, who, "session", address, it=found, story=story, left=left)


@view.get("/locks")
async def locks(request: Request, engine: Engine, who: Who) -> Response:
    address = Address.of("/locks", request.query_params, LOCK_FILTERS)
    query = lock_query(address)
    found = await engine.find_locks(query, who)
    return await show(
        request, engine, who, "locks", address, found=found, sort=query.sort, paging=paging(address, found)
    )


@view.get("/followups")
async def followups(request: Request, engine: Engine, who: Who) -> Response:
    address = Address.of("/followups", request.query_params, FOLLOWUP_FILTERS)
    found = await engine.followups.find(followup_query(address), who)
    return await show(request, engine, who, "followups", address, found=found, paging=paging(address, found))


@view.get("/cleanup")
async def cleanup(request: Request, engine: Engine, who: Who) -> Response:
    address = Address.of("/cleanup", request.query_params, ())
    return await show(request, engine, who, "cleanup", address, passes=await engine.passes(PASSES, who))


@view.get("/history")
async def history(request: Request, engine: Engine, who: Who) -> Response:
    address = Address.of("/history", request.query_params, HISTORY_FILTERS)
    query = history_query(address)
    found = await engine.history(query, who)
    return await show(
        request, engine, who, "history", address,
        found=found, paging=paging(address, found), since=_stamp(query.since), until=_stamp(query.until),
    )  # fmt: skip


@view.get("/alerts")
async def alerts(request: Request, engine: Engine, who: Who) -> Response:
    address = Address.of("/alerts", request.query_params, ALERT_FILTERS)
    found = await find_alerts(address, engine, who, ROWS, address.number("cursor"))
    everything = who.role == "administrator" and who.site is None
    channels = await engine.alerts.channels(who) if everything else []
    return await show(
        request, engine, who, "alerts", address,
        found=found, channels=channels, paging=paging(address, found),
    )  # fmt: skip


@view.get("/companies")
async def companies(request: Request, engine: Engine, who: Who) -> Response:
    address = Address.of("/companies", request.query_params, ("q", "site", "sort"))
    text = (address.get("q") or "").casefold()
    found = [
        one
        for one in await engine.companies(who)
        if address.get("site") in (None, one["site"]) and text in f"{one['site']}/{one['company']}".casefold()
    ]
    sort = address.choice("sort", [*COMPANY_SORTS, *(f"-{it}" for it in COMPANY_SORTS)]) or "site"
    found.sort(key=lambda it: it[sort.removeprefix("-")], reverse=sort.startswith("-"))
    shown, places = cut(address, found)
    return await show(
        request, engine, who, "companies", address,
        companies=shown, sort=sort, paging=places, windows=engine.maintenance.windows(who),
    )  # fmt: skip


# --- from an address to a question ----------------------------------------------------------------------


def disconnected_query(address: Address, sort: str = WORST_FIRST) -> SessionQuery:
    return _session_query(address, ("disconnected",), sort)


def user_query(address: Address, sort: str = "-since") -> SessionQuery:
    return _session_query(address, _USER_STATUSES[address.choice("status", _USER_STATUSES)], sort)


def _session_query(address: Address, statuses: tuple[str, ...], sort: str) -> SessionQuery:
    return SessionQuery(
        statuses=statuses,
        site=address.get("site"),
        company=address.get("company"),
        client=address.get("client"),
        text=address.get("q"),
        sort=address.get("sort") or sort,
        limit=ROWS,
        cursor=address.get("cursor"),
    )


def lock_query(address: Address) -> LockQuery:
    state, cursor = address.choice("state", LOCK_STATES), address.number("cursor")
    return LockQuery(
        site=address.get("site"),
        company=address.get("company"),
        text=address.get("q"),
        blocking=state == "blocking",
        left_behind=state == "left",
        sort=address.get("sort"),
        limit=ROWS,
        cursor=None if cursor is None else str(cursor),
    )


def followup_query(address: Address) -> FollowupQuery:
    """Those that are open, unless the address asks for others."""
    return FollowupQuery(
        open=FOLLOWUP_STATES[address.choice("status", FOLLOWUP_STATES)],
        site=address.get("site"),
        company=address.get("company"),
        session=address.get("session"),
        text=address.get("q"),
        before_id=address.number("cursor"),
        limit=ROWS,
    )


def history_query(address: Address) -> HistoryQuery:
    return HistoryQuery(
        site=address.get("site"),
        company=address.get("company"),
        session=address.get("session"),
        user=address.get("user"),
        actor=address.get("actor"),
        type=address.get("type"),
        resource=address.get("resource"),
        text=address.get("q"),
        since=address.day("since"),
        until=address.day("until", after=1),
        before_seq=address.number("cursor"),
        limit=ROWS,
    )


async def find_alerts(
    address: Address, engine: Operations, who: Caller, limit: int, before: int | None
) -> Page:
    """Those that are open, unless the address asks for others."""
    return await engine.alerts.find(
        who, site=address.get("site"), is_open=ALERT_STATES[address.choice("state", ALERT_STATES)],
        cursor=None if before is None else str(before), limit=limit,
    )  # fmt: skip


def _stamp(wall_ms: int | None) -> str | None:
    """The moment for a browser, if there is one and it has a date."""
    try:
        at = None if wall_ms is None else _EPOCH + timedelta(milliseconds=wall_ms)
    except OverflowError:
        return None
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cut(address: Address, found: list[Json]) -> tuple[list[Json], Json]:
    """The page of a whole list that the address asks for, and where in it that is."""
    start = address.number("from") or 0
    shown = found[start : start + ROWS]
    end = start + len(shown)
    return shown, {
        "start": start + 1 if shown else 0,
        "end": end,
        "total": len(found),
        "at_least": False,
        "next": address.link(**{"from": end}) if end < len(found) else None,
        "first": address.link() if start else None,
    }


def paging(address: Address, found: Page) -> Json:
    """Where in the list this is, and the links onwards and back to its beginning."""
    given = address.number("from") or 0
    start = given if address.get("cursor") else 0
    end = start + len(found.items)
    after = {"cursor": found.next, "from": end}
    return {
        "start": start + 1 if found.items else 0,
        "end": end,
        "total": max(found.total, end),
        "at_least": not found.exact or (found.next is not None and found.total <= end),
        "next": address.link(**after) if found.next else None,
        "first": address.link() if start else None,
    }
