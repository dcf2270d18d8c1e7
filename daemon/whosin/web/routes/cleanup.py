"""The cleanup: its switch, its passes, and what it holds back."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from whosin.web.answers import answer, listing, place
from whosin.web.auth import Engine, Who, may_reach, may_reach_all
from whosin.web.guard import ForOperators, ForViewers, api
from whosin.web.questions import CleanupConfirm, CleanupRun, CleanupSwitch, NoFilter, PassFilter
from whosin.web.schemas import Cleanup, Confirmed, Pass, Passes

view = api("cleanup", ForViewers)
operate = api("cleanup", ForOperators)


@view.get("/cleanup", response_model=Cleanup, summary="Show the cleanup")
async def show_cleanup(_query: Annotated[NoFilter, Query()], engine: Engine, who: Who) -> Response:
    return answer(await engine.cleanup(who))


@operate.put("/cleanup", response_model=Cleanup, summary="Switch the cleanup on or off")
async def switch_cleanup(body: CleanupSwitch, engine: Engine, who: Who) -> Response:
    """At once and kept over restarts; a pass that runs still finishes for all companies."""
    may_reach_all(who, "the cleanup's switch")
    return answer(await engine.switch_cleanup(body.enabled, who))


@operate.post("/cleanup/run", response_model=Pass, summary="Run a pass now")
async def run_cleanup(engine: Engine, who: Who, body: CleanupRun | None = None) -> Response:
    """Answers when the pass has finished, or tells that it waits."""
    dry_run = body is not None and body.dry_run
    if not dry_run:
        may_reach_all(who, "a pass")
    return answer(await engine.run_cleanup(who, dry_run=dry_run))


@operate.post("/cleanup/confirm", response_model=Confirmed, summary="Let a mass silence be cleaned up")
async def confirm(body: CleanupConfirm, engine: Engine, who: Who) -> Response:
    """Many fell silent at once and are held back from removal: an operator says that they are really gone."""
    may_reach(who, body.site)
    return answer(await engine.confirm(body.site, body.company, body.client, who))


@view.get("/cleanup/passes", response_model=Passes, summary="List the reports of passes")
async def list_passes(query: Annotated[PassFilter, Query()], engine: Engine, who: Who) -> Response:
    """Newest first. `total` counts what was looked at: this page, those before, and one more if there is."""
    end = place(query.cursor) + query.limit
    return listing(await engine.passes(end + 1, who), query.limit, query.cursor)
