"""Alerts: what people were told and with what success, the channels, and a test of them."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from whosin.web.answers import answer, listing, page
from whosin.web.auth import Engine, Who, may_reach_all
from whosin.web.guard import ForAdministrators, ForViewers, api
from whosin.web.questions import AlertFilter, Paged, TestChannels
from whosin.web.schemas import Alerts, Channels, TestedChannels

view = api("alerts", ForViewers)
administer = api("alerts", ForAdministrators)


@view.get("/alerts", response_model=Alerts, summary="List alerts")
async def list_alerts(query: Annotated[AlertFilter, Query()], engine: Engine, who: Who) -> Response:
    """Newest first, each with its targets. `total` counts this page."""
    found = await engine.alerts.find(
        who,
        site=query.site,
        kind=query.kind,
        is_open=None if query.state is None else query.state == "open",
        cursor=query.cursor,
        limit=query.limit,
    )
    return page(found)


@administer.get("/alerts/channels", response_model=Channels, summary="List the channels of alerts")
async def list_channels(query: Annotated[Paged, Query()], engine: Engine, who: Who) -> Response:
    """Who gets what, and what each channel still owes; never a password or the secret part of an address."""
    may_reach_all(who, "a channel")
    return listing(await engine.alerts.channels(who), query.limit, query.cursor)


@administer.post("/alerts/test", response_model=TestedChannels, summary="Send a test message")
async def try_channels(engine: Engine, who: Who, body: TestChannels | None = None) -> Response:
    """To one channel or to all, now: whether each target took it, and if not, what it said."""
    may_reach_all(who, "a test of the channels")
    return answer({"results": await engine.alerts.test(body.channel if body is not None else None, who)})
