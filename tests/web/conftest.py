"""A real listener on a loopback port, with a small engine in memory behind it."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.web.fake import FakeOperations
from tests.web.fake_operators import csrf
from whosin.web.server import Bounds, HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


async def render(accept: str) -> tuple[bytes, str]:
    return f"# for {accept}\n".encode(), "text/plain; version=1.0.0"


class Now:
    """A clock that stands until it is told."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def operations() -> FakeOperations:
    return FakeOperations()


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
async def serve(operations: FakeOperations, now: Now) -> AsyncIterator[Callable[..., Any]]:
    """Start listeners; each is stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(*, loopback: bool = True, bounds: Bounds | None = None, **more: Any) -> HttpServer:
            server = HttpServer(
                operations, render, "127.0.0.1", 0, loopback=loopback, bounds=bounds, now_ms=now, **more
            )
            await server.start()
            stack.push_async_callback(server.stop)
            return server

        yield start


@pytest.fixture
async def server(serve: Callable[..., Any]) -> HttpServer:
    started: HttpServer = await serve()
    return started


def cookie_name(server: HttpServer) -> str:
    return f"{'__Host-' if server.url.startswith('https') else ''}whosin-{server.port}"


@asynccontextmanager
async def asking(
    server: HttpServer, token: str | None = None, cookie: str | None = None, **more: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """With a bearer token, or as a page of a signed-in browser does."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if cookie is not None:
        headers |= {"Cookie": f"{cookie_name(server)}={cookie}", "X-CSRF-Token": csrf(cookie)}
    async with httpx.AsyncClient(
        base_url=server.url,
        headers=headers | more.pop("headers", {}),
        trust_env=False,
        **({"verify": False} | more),
    ) as client:
        yield client


@pytest.fixture
async def ask(server: HttpServer) -> AsyncIterator[httpx.AsyncClient]:
    """As an administrator of every site."""
    async with asking(server, "t-administrator") as client:
        yield client
