"""For machines that look after the daemon: alive, ready, metrics."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from whosin.web.answers import answer
from whosin.web.auth import Engine, Gatekeeper, may_reach_all
from whosin.web.schemas import Alive, ProblemDetails, Ready

MetricsRender = Callable[[str], Awaitable[tuple[bytes, str]]]
"""From the Accept header to the page and its content type; whoever gives it keeps its work off the loop."""

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=Alive, summary="Is it alive?")
async def healthz() -> Response:
    return answer({"alive": True})


@router.get(
    "/readyz", response_model=Ready, responses={503: {"model": Ready}}, summary="Does it see and store?"
)
async def readyz(engine: Engine) -> Response:
    """503 with the reasons while it does not."""
    problems = engine.problems()
    return answer({"ready": not problems, "problems": problems}, 503 if problems else 200)


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
    render: MetricsRender = request.app.state.metrics
    body, content_type = await render(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})


def add_heads(target: APIRouter) -> None:
    """HEAD beside each GET, undocumented: some load balancers ask so."""
    target.add_api_route("/healthz", healthz, methods=["HEAD"], include_in_schema=False)
    target.add_api_route("/readyz", readyz, methods=["HEAD"], include_in_schema=False)


add_heads(router)
