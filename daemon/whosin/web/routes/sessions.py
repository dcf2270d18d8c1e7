"""Sessions: find them, look at one, log them off."""

from typing import Annotated

from fastapi import Path, Query
from starlette.responses import Response

from whosin.operations import Page, SessionQuery
from whosin.web.answers import answer, page
from whosin.web.auth import Engine, Who
from whosin.web.guard import ForOperators, ForViewers, api
from whosin.web.problem import Problem
from whosin.web.questions import LogOff, SessionFilter
from whosin.web.schemas import LogOffResults, Session, Sessions

view = api("sessions", ForViewers)
operate = api("sessions", ForOperators)


@view.get("/sessions", response_model=Sessions, summary="List sessions")
async def list_sessions(query: Annotated[SessionFilter, Query()], engine: Engine, who: Who) -> Response:
    """Without `status`, those that are active or disconnected."""
    if who.site is not None and query.site not in {None, who.site}:
        return page(Page([], None, 0))
    wanted = SessionQuery(
        statuses=query.statuses,
        site=query.site or who.site,
        company=query.company,
        user=query.user,
        client=query.client,
        text=query.q,
        sort=query.sort,
        limit=query.limit,
        cursor=query.cursor,
    )
    return page(await engine.sessions(wanted, who))


@view.get("/sessions/{ident}", response_model=Session, summary="Show one session")
async def show_session(ident: Annotated[str, Path(max_length=256)], engine: Engine, who: Who) -> Response:
    """Ended ones too, for as long as the history is kept."""
    found = await engine.session(ident, who)
    if found is None or who.site not in {None, found["site"]}:
        raise Problem(404, "not_found", f'No session "{ident}" is known here.')
    return answer(found)


@operate.post("/sessions/logoff", response_model=LogOffResults, summary="Log off sessions")
async def log_off(body: LogOff, engine: Engine, who: Who) -> Response:
    """Each id has its own result. An active session goes only with `force`."""
    results = await engine.logoff(body.ids, who, force=body.force, reason=body.reason, dry_run=body.dry_run)
    return answer({"results": results, "dry_run": body.dry_run})
