"""The views: from an address to what is shown. One function a tab, and one for a single login.

Must not know how anything is drawn.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from whosin.operations import LockQuery, Page, SessionQuery
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
ALERT_STATES: dict[str, bool | None] = {"over": False, "all": None}
HISTORY_FILTERS = ("q", "site", "company", "user", "actor", "session", "resource", "type", "since", "until")
PASSES = 20
COMPANY_SORTS = ("site", "company", "active", "disconnected", "locks", "waiting")

_IN = ("active",)
_LEFT = ("logged_off",)
USER_STATUSES = {"in": _IN, "left": _LEFT, "all": (*_IN, *_LEFT)}
WORST_FIRST = "hurt"

view = pages(PageForViewers)


@view.api_route("/", methods=["GET", "HEAD"])
@view.get("/disconnected")
async def disconnected(request: Request, engine: Engine, who: Who) -> Response:
    address = Address.of("/disconnected", request.query_params, SESSION_FILTERS)
    query = session_query(address, ("disconnected",), WORST_FIRST)
    found = await engine.sessions(query, who)
    return await show(
        request, engine, who, "disconnected", address,
        found=found, sort=query.sort, paging=paging(address, found),
    )  # fmt: skip


@view.get("/users")
async def users(request: Request, engine: Engine, who: Who) -> Response:
    address = Address.of("/users", request.query_params, SESSION_FILTERS)
    statuses = USER_STATUSES.get(address.get("status") or "in", _IN)
    query = session_query(address, statuses, "-since")
    found = await engine.sessions(query, who)
    return await show(
        request, engine, who, "users", address,
        found=found, sort=query.sort, paging=paging(address, found), status=address.get("status") or "in",
    )  # fmt: skip


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
    found = await engine.history(history_query(address), who)
    return await show(request, engine, who, "history", address, found=found, paging=paging(address, found))


@view.get("/alerts")
async def alerts(request: Request, engine: Engine, who: Who) -> Response:
    address = Address.of("/alerts", request.query_params, ALERT_FILTERS)
    cursor = address.get("cursor") or ""
    found = await engine.alerts.find(
        who, site=address.get("site"), is_open=ALERT_STATES.get(address.get("state") or "", True),
        cursor=cursor if cursor.isdecimal() and len(cursor) < 16 else None, limit=ROWS,
    )  # fmt: skip
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
    sort = address.get("sort") or "site"
    if sort.lstrip("-") in COMPANY_SORTS:
        found.sort(key=lambda it: it[sort.lstrip("-")], reverse=sort.startswith("-"))
    shown, places = cut(address, found)
    return await show(
        request, engine, who, "companies", address,
        companies=shown, sort=sort, paging=places, windows=engine.maintenance.windows(who),
    )  # fmt: skip


# --- from an address to a question ----------------------------------------------------------------------


def session_query(address: Address, statuses: tuple[str, ...], sort: str) -> SessionQuery:
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
    state, cursor = address.get("state"), address.get("cursor") or ""
    return LockQuery(
        site=address.get("site"),
        company=address.get("company"),
        text=address.get("q"),
        blocking=state == "blocking",
        left_behind=state == "left",
        sort=address.get("sort"),
        limit=ROWS,
        cursor=cursor if cursor.isdecimal() and len(cursor) < 10 else None,
    )


def followup_query(address: Address) -> FollowupQuery:
    """Those that are open, unless the address asks for others."""
    cursor = address.get("cursor") or ""
    return FollowupQuery(
        open={"done": False, "all": None}.get(address.get("status") or "", True),
        site=address.get("site"),
        company=address.get("company"),
        session=address.get("session"),
        text=address.get("q"),
        before_id=int(cursor) if cursor.isdecimal() else None,
        limit=ROWS,
    )


def history_query(address: Address) -> HistoryQuery:
    cursor = address.get("cursor") or ""
    return HistoryQuery(
        site=address.get("site"),
        company=address.get("company"),
        session=address.get("session"),
        user=address.get("user"),
        actor=address.get("actor"),
        type=address.get("type"),
        resource=address.get("resource"),
        text=address.get("q"),
        since=_day(address.get("since")),
        until=_day(address.get("until"), days=1),
        before_seq=int(cursor) if cursor.isdecimal() else None,
        limit=ROWS,
    )


def _day(text: str | None, days: int = 0) -> int | None:
    """The beginning of a day in UTC, or of the day so many after it, as epoch milliseconds."""
    try:
        day = datetime.strptime(text or "", "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int((day + timedelta(days=days)).timestamp() * 1000)


def cut(address: Address, found: list[Json]) -> tuple[list[Json], Json]:
    """The page of a whole list that the address asks for, and where in it that is."""
    given = address.get("from") or "0"
    start = int(given) if given.isdecimal() and len(given) < 10 else 0
    shown = found[start : start + ROWS]
    end = start + len(shown)
    return shown, {
        "start": start + 1 if shown else 0,
        "end": end,
        "total": len(found),
        "next": address.link(**{"from": end}) if end < len(found) else None,
        "first": address.link() if start else None,
    }


def paging(address: Address, found: Page) -> Json:
    """Where in the list this is, and the links onwards and back to its beginning."""
    given = address.get("from") or "0"
    start = int(given) if given.isdecimal() and len(given) < 10 and address.get("cursor") else 0
    after = {"cursor": found.next, "from": start + len(found.items)}
    return {
        "start": start + 1 if found.items else 0,
        "end": start + len(found.items),
        "total": found.total,
        "next": address.link(**after) if found.next else None,
        "first": address.link() if start else None,
    }
