"""What is answered before the API is there: health at once, everything else as soon as it is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import httpx
from starlette.responses import Response

from tests.web.fake import FakeOperations
from whosin.web.early import Early

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class Slow:
    """Makes an app once it is let go on."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.go_on = threading.Event()
        self.problem = problem

    def __call__(self) -> ASGIApp:
        assert self.go_on.wait(10)
        if self.problem is not None:
            raise self.problem
        return Response("made")


def client(early: Early) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(early), base_url="http://127.0.0.1")


async def test_health_is_answered_while_the_api_is_being_made() -> None:
    operations, slow = FakeOperations(), Slow()
    early = Early(slow, operations)
    early.begin()
    async with client(early) as ask:
        assert (await ask.get("/healthz")).json() == {"alive": True}
        assert (await ask.get("/readyz")).json() == {"ready": True, "problems": []}
        assert (await ask.head("/readyz")).status_code == 200
        operations.troubles = ["blind: nothing is received through the link"]
        assert (await ask.get("/readyz")).status_code == 503
        waiting = asyncio.create_task(ask.get("/api/v1/sessions"))
        posted = asyncio.create_task(ask.post("/healthz"))
        assert (await ask.get("/healthz")).status_code == 200
        assert not waiting.done()
        slow.go_on.set()
        assert (await waiting).text == "made"
        assert (await posted).text == "made"
        assert (await ask.get("/healthz")).text == "made"  # the app's own, which says the same


async def test_an_api_that_cannot_be_made_fails_the_requests_and_not_the_daemon() -> None:
    slow = Slow(ImportError("broken"))
    early = Early(slow, FakeOperations())
    early.begin()
    slow.go_on.set()
    async with client(early) as ask:
        answer = await ask.get("/api/v1/sessions")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert (await ask.get("/healthz")).status_code == 200


def test_making_it_keeps_no_loop_from_ending() -> None:
    slow = Slow()

    async def begin_and_stop() -> None:
        Early(slow, FakeOperations()).begin()

    began = time.monotonic()
    asyncio.run(begin_and_stop())
    slow.go_on.set()
    assert time.monotonic() - began < 5


def test_the_daemon_starts_without_the_api_and_the_library_of_the_metrics() -> None:
    asked = "import sys, whosin.app; print({'fastapi', 'pydantic', 'prometheus_client'} & sys.modules.keys())"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"
