"""The stream that keeps an open page up to date: it says that something changed, and the page asks anew.

Nothing of what changed is in it, so its pace is bounded and a hundred thousand events are a few lines.
"""

from starlette.requests import Request
from starlette.responses import Response

from whosin.web.auth import Engine, Who, gatekeeper_of
from whosin.web.pageguard import PageForViewers, page
from whosin.web.stream import streams_of

view = page(PageForViewers)


@view.get("/changes")
async def changes(request: Request, engine: Engine, who: Who) -> Response:
    still = gatekeeper_of(request).watch(request, who)
    return streams_of(request).open(engine.stirs(who), still)
