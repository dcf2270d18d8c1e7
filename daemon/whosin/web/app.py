"""The application: routes, refusals and the few objects they share. Must not know sockets.

Importing this takes longer than starting all the rest, so `early` does it when the daemon already serves.
"""

from collections.abc import Callable

from fastapi import APIRouter, FastAPI

from whosin import __version__
from whosin.operations import Operations
from whosin.web import health, openapi, problems
from whosin.web.auth import Gatekeeper
from whosin.web.backoff import Backoff, GuessBackoff
from whosin.web.cookies import Front
from whosin.web.early import MetricsRender
from whosin.web.entrance import routes as entrance
from whosin.web.page import assets, charts, export, live, notices, orders, views
from whosin.web.rates import Rates
from whosin.web.routes import (
    administration,
    alerts,
    cleanup,
    events,
    followups,
    locks,
    messages,
    operators,
    overview,
    sessions,
)
from whosin.web.stream import Streams

_ROUTERS: tuple[APIRouter, ...] = (
    sessions.view,
    sessions.operate,
    locks.view,
    locks.administer,
    cleanup.view,
    cleanup.operate,
    followups.view,
    followups.operate,
    messages.operate,
    messages.view,
    messages.administer,
    overview.view,
    events.view,
    alerts.view,
    alerts.administer,
    administration.administer,
    operators.everybody,
    operators.view,
    operators.administer,
)
_PAGE = (
    views.view,
    orders.look,
    orders.operate,
    orders.administer,
    notices.operate,
    notices.administer,
    live.view,
    export.view,
    charts.view,
)
_OPEN = (openapi.router, health.router, assets.router, entrance.everybody, entrance.people)


def create_app(
    operations: Operations,
    metrics: MetricsRender,
    streams: Streams,
    *,
    now_ms: Callable[[], int],
    open_on_loopback: bool,
    front: Front | None = None,
    requests_per_s: Callable[[], float] = lambda: 0,
) -> FastAPI:
    """The API and the page, without the gate before them."""
    app = FastAPI(
        title="Whosin",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # ours are counted in `observe`
    )
    app.state.operations = operations
    app.state.metrics = metrics
    app.state.streams = streams
    app.state.gatekeeper = Gatekeeper(
        operations,
        Backoff(now_ms),
        open_on_loopback=open_on_loopback,
        front=front,
        rates=Rates(now_ms, requests_per_s),
    )
    app.state.guesses = GuessBackoff(now_ms)
    operations.operators.changed.append(streams.look_again)
    app.state.described = None
    app.state.routes = [route for router in (*_ROUTERS, *_PAGE, *_OPEN) for route in router.routes]
    problems.install(app)
    for router in (*_ROUTERS, *_PAGE, *_OPEN):
        app.include_router(router)
    return app
