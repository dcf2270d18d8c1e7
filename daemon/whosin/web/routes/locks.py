"""Locks: who holds what and whom it blocks; freeing what was left behind."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from whosin.web.answers import answer, listing
from whosin.web.auth import Engine, Who, may_reach
from whosin.web.guard import ForAdministrators, ForViewers, api
from whosin.web.questions import FreeLock, LockFilter
from whosin.web.schemas import FreedLock, Locks

view = api("locks", ForViewers)
administer = api("locks", ForAdministrators)


@view.get("/locks", response_model=Locks, summary="List locks")
async def list_locks(query: Annotated[LockFilter, Query()], engine: Engine, who: Who) -> Response:
    """The locks of this moment, left behind ones too. Pages are cut from the list as it is when asked."""
    if who.site is not None and query.site not in {None, who.site}:
        return listing([])
    site = query.site or who.site
    locks = await engine.locks(who, site=site, company=query.company, resource=query.resource)
    return listing(locks, query.limit, query.cursor)


@administer.post("/locks/free", response_model=FreedLock, summary="Free a lock left behind")
async def free_lock(body: FreeLock, engine: Engine, who: Who) -> Response:
    """Only a lock whose session is over; a held one goes with its session."""
    may_reach(who, body.site)
    return answer(await engine.free_lock(body.site, body.company, body.resource, who, body.reason))
