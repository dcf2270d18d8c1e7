"""For machines that look after the daemon: alive, ready, metrics."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from whosin.web import early
from whosin.web.auth import Engine, Gatekeeper, may_reach_all
from whosin.web.schemas import Alive, ProblemDetails, Ready

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=Alive, summary="Is it alive?")
async def healthz() -> Response:
    return early.alive()


@router.get(
    "/readyz", response_model=Ready, responses={503: {"model": Ready}}, summary="Does it see and store?"
)
async def readyz(engine: Engine) -> Response:
    """503 with the reasons while it does not."""
    return early.ready(engine)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus or OpenMetrics text.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        401: {"model": ProblemDetails, "description": "Off loopback a token is needed, of any role."},
    },
    summary="Metrics",
)
async def metrics(request: Request) -> Response:
    """On loopback open; else for every token that is not limited to a site."""
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    if not gatekeeper.local(request):
        may_reach_all(gatekeeper.admit(request, "viewer"), "this page")
    render: early.MetricsRender = request.app.state.metrics
    body, content_type = await render(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})


def add_heads(target: APIRouter) -> None:
    """HEAD beside each GET, undocumented: some load balancers ask so."""
    target.add_api_route("/healthz", healthz, methods=["HEAD"], include_in_schema=False)
    target.add_api_route("/readyz", readyz, methods=["HEAD"], include_in_schema=False)


add_heads(router)
