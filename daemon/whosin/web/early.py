"""What is answered from the first moment on, before the API is imported: alive, ready. All else waits for it.

Importing the API and its models takes longer than starting all the rest; a thread does it while the daemon
serves. Owns that wait. Must not know what the API answers.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from whosin.operations import Operations
from whosin.web.answers import answer
from whosin.web.problem import Problem

MetricsRender = Callable[[str], Awaitable[tuple[bytes, str]]]
"""From the Accept header to the page and its content type; whoever gives it keeps its work off the loop."""

log = structlog.get_logger("whosin.web")


def alive() -> Response:
    return answer({"alive": True})


def ready(operations: Operations) -> Response:
    problems = operations.problems()
    return answer({"ready": not problems, "problems": problems}, 503 if problems else 200)


class Early:
    """Stands before the app that `make` makes; `begin` begins making it."""

    def __init__(self, make: Callable[[], ASGIApp], operations: Operations) -> None:
        self._make = make
        self._operations = operations
        self._app: ASGIApp | None = None
        self._loaded = asyncio.Event()

    def begin(self) -> None:
        """In a thread that keeps nobody waiting who wants to stop meanwhile."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._load, args=[loop], name="api", daemon=True).start()

    def _load(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._app = self._make()
        except Exception:
            log.exception("http.api_failed")
        with contextlib.suppress(RuntimeError):  # the loop has closed
            loop.call_soon_threadsafe(self._loaded.set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app or self._known(scope) or await self._made()
        await app(scope, receive, send)

    def _known(self, scope: Scope) -> ASGIApp | None:
        if scope["method"] not in ("GET", "HEAD"):
            return None
        match scope["path"]:
            case "/healthz":
                return alive()
            case "/readyz":
                return ready(self._operations)
        return None

    async def _made(self) -> ASGIApp:
        await self._loaded.wait()
        if self._app is None:
            detail = "Whosin could not load its API. The log has the details."
            return Problem(500, "internal", detail).response("")
        return self._app
