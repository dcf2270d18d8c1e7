"""The live stream of events."""

from typing import Annotated

from fastapi import Header, Query, Request
from starlette.responses import Response

from whosin.web.auth import Engine, Who, gatekeeper_of
from whosin.web.guard import ForViewers, api
from whosin.web.questions import NoFilter
from whosin.web.stream import streams_of

view = api("events", ForViewers)

LastId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=256)]

_EXAMPLE = (
    "id: 1042\nevent: session.disconnected\n"
    'data: {"seq":1042,"at":"2026-11-02T08:20:00.000Z",'
    '"type":"session.disconnected",'
    '"site":"north","company":"acme","session":"7d1c0a9e","user":"ada","actor":null,"reason":"silence","data":{}}\n\n'
)


@view.get(
    "/events",
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events: the type as name, an event of the history as data.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        }
    },
    summary="Follow the events",
)
async def follow(
    _query: Annotated[NoFilter, Query()],
    request: Request,
    engine: Engine,
    who: Who,
    last_event_id: LastId = None,
) -> Response:
    """Server-sent events from now on, or after `Last-Event-ID`. A listener that is too slow loses the oldest
    and is told so by an event `missed`. The stream ends when the daemon stops, when the token is revoked or
    the session over, and when role or site change."""
    still = gatekeeper_of(request).watch(request, who)
    return streams_of(request).open(engine.changes(who, last_event_id or None), still)
