"""Guidance, and what it leaves to do after a removal."""

from typing import Annotated

from fastapi import Path, Query
from starlette.responses import Response

from whosin.operations import Page
from whosin.ports import FollowupQuery
from whosin.web.answers import answer, listing, page
from whosin.web.auth import Engine, Who
from whosin.web.guard import ForOperators, ForViewers, api
from whosin.web.questions import FollowupDone, FollowupFilter, Paged
from whosin.web.schemas import Followup, Followups, Guidance

view = api("guidance", ForViewers)
operate = api("guidance", ForOperators)


@view.get("/guidance", response_model=Guidance, summary="List the rules of guidance")
async def list_rules(query: Annotated[Paged, Query()], engine: Engine, who: Who) -> Response:
    """In their order: the first that matches a lock is its own."""
    rules = engine.followups.rules(who)
    return listing(rules["items"], query.limit, query.cursor, source=rules["source"])


@view.get("/followups", response_model=Followups, summary="List follow-ups")
async def list_followups(query: Annotated[FollowupFilter, Query()], engine: Engine, who: Who) -> Response:
    """What is still to be done after removals, and what was; newest first."""
    if who.site is not None and query.site not in {None, who.site}:
        return page(Page([], None, 0))
    wanted = FollowupQuery(
        open=None if query.status is None else query.status == "open",
        site=query.site or who.site,
        company=query.company,
        session=query.session,
        text=query.q,
        before_id=int(query.cursor) if query.cursor else None,
        limit=query.limit,
    )
    return page(await engine.followups.find(wanted, who))


@operate.post("/followups/{ident}/done", response_model=Followup, summary="Tick a follow-up off")
async def tick_off(
    ident: Annotated[int, Path(ge=1, le=2**62)], engine: Engine, who: Who, body: FollowupDone | None = None
) -> Response:
    """It is done. Safe to repeat: the first one's name, time and note stay."""
    return answer(await engine.followups.tick_off(ident, body.note if body else None, who))
