"""Messages to users, and planned closing of sites and companies."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query
from starlette.responses import Response

from whosin.web.answers import answer, listing
from whosin.web.auth import Engine, Who, may_reach
from whosin.web.guard import ForAdministrators, ForOperators, ForViewers, api
from whosin.web.questions import NewMaintenance, NewMessage, Paged
from whosin.web.schemas import Maintenance, MaintenanceWindow, MessageSent

view = api("maintenance", ForViewers)
operate = api("maintenance", ForOperators)
administer = api("maintenance", ForAdministrators)


@operate.post("/messages", response_model=MessageSent, summary="Send a message to users")
async def send(body: NewMessage, engine: Engine, who: Who) -> Response:
    """To all active sessions that fit all that is given; at least one of site, company, user and sessions is.
    A fallen session cannot read, and is counted as not reached."""
    if body.site is not None:
        may_reach(who, body.site)
    sent = await engine.messages.send(
        body.text, who, site=body.site, company=body.company, user=body.user, sessions=body.sessions
    )
    return answer(sent)


@view.get("/maintenance", response_model=Maintenance, summary="List planned and begun maintenance")
async def list_maintenance(query: Annotated[Paged, Query()], engine: Engine, who: Who) -> Response:
    """What is over is in the history (`type=maintenance.`)."""
    return listing(engine.maintenance.windows(who), query.limit, query.cursor)


@administer.post(
    "/maintenance", response_model=MaintenanceWindow, status_code=201, summary="Plan maintenance"
)
async def plan(body: NewMaintenance, engine: Engine, who: Who) -> Response:
    """Users are told 15, 5 and 1 minutes before; from its beginning to its end only administrators
    (`[maintenance] administrators`) may log in. With `force` those still in are logged off when it begins."""
    may_reach(who, body.site)
    made = await engine.maintenance.plan(
        who,
        site=body.site,
        company=body.company,
        begins=None if body.begins is None else _wall_ms(body.begins),
        ends=_wall_ms(body.until),
        text=body.text,
        force=body.force,
    )
    return answer(made, 201)


@administer.delete(
    "/maintenance/{number}", response_model=MaintenanceWindow, summary="Cancel or end maintenance"
)
async def end(number: Annotated[int, Path(ge=1, le=2**62)], engine: Engine, who: Who) -> Response:
    """One that is planned is cancelled; one that has begun ends, and logins are taken again at once."""
    return answer(await engine.maintenance.end(number, who))


def _wall_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
