"""What is and what was: companies, numbers, history."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from whosin.operations import Page
from whosin.ports import HistoryQuery
from whosin.web.answers import answer, listing, page
from whosin.web.auth import Engine, Who, may_reach_all
from whosin.web.guard import ForViewers, api
from whosin.web.questions import HistoryFilter, NoFilter, Paged
from whosin.web.schemas import Companies, Day, History, Stats

view = api("overview", ForViewers)


@view.get("/companies", response_model=Companies, summary="List companies")
async def list_companies(query: Annotated[Paged, Query()], engine: Engine, who: Who) -> Response:
    return listing(await engine.companies(who), query.limit, query.cursor)


@view.get("/stats", response_model=Stats, summary="Show the numbers")
async def show_stats(_query: Annotated[NoFilter, Query()], engine: Engine, who: Who) -> Response:
    return answer(await engine.stats(who))


@view.get("/stats/day", response_model=Day, summary="Show the last day")
async def show_day(_query: Annotated[NoFilter, Query()], engine: Engine, who: Who) -> Response:
    """How many were in, fell out and came back, in slots of five minutes; none while the daemon was down."""
    may_reach_all(who, "this")
    return answer(await engine.day(who))


@view.get("/history", response_model=History, summary="Search the history")
async def search_history(query: Annotated[HistoryFilter, Query()], engine: Engine, who: Who) -> Response:
    """Every change with its actor, reason and time."""
    if who.site is not None and query.site not in {None, who.site}:
        return page(Page([], None, 0), total_exact=True)
    wanted = HistoryQuery(
        site=query.site or who.site,
        company=query.company,
        session=query.session,
        user=query.user,
        type=query.type,
        resource=query.resource,
        text=query.q,
        since=_wall_ms(query.since),
        until=_wall_ms(query.until),
        before_seq=int(query.cursor) if query.cursor else None,
        limit=query.limit,
        actor=query.actor,
    )
    found = await engine.history(wanted, who)
    return page(found, total_exact=found.exact)


def _wall_ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)
