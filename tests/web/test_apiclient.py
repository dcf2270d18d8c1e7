"""The command line's client, against the real listener."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.support.certificates import Authority, needs_openssl
from whosin.apiclient import ApiClient, ApiRefused, Unreachable, parse_events, part
from whosin.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.web.fake import FakeOperations
    from whosin.web.server import HttpServer

T = TypeVar("T")


@pytest.fixture
def api(server: HttpServer) -> ApiClient:
    return ApiClient(server.url + "/", "t-administrator")


async def run(call: Callable[[], T]) -> T:
    """The client is synchronous, and the listener is on this loop."""
    return await asyncio.to_thread(call)


async def test_questions_and_commands_reach_the_engine(api: ApiClient, operations: FakeOperations) -> None:
    with api:
        page = await run(lambda: api.get("sessions", {"limit": 2, "company": "a b&c", "site": None}))
        assert [item["id"] for item in page["items"]] == ["s1", "s2"]
        assert operations.asked[0][1].company == "a b&c"
        assert (await run(lambda: api.post("cleanup/run", {"dry_run": True})))["dry_run"] is True
        assert (await run(lambda: api.put("cleanup", {"enabled": False})))["enabled"] is False
        assert await run(lambda: api.post("reload")) == {"changed": ["log.level"], "needs_restart": []}
        assert await run(lambda: api.delete(f"tokens/{part('a/b ü')}")) is None  # type: ignore[func-returns-value]
        assert await run(lambda: api.get("/healthz")) == {"alive": True}


async def test_a_refusal_keeps_its_status_words_and_code(api: ApiClient, operations: FakeOperations) -> None:
    operations.failure = Refused("in_use", "the lock is in use by bob")
    with pytest.raises(ApiRefused, match="in use by bob") as caught:
        await run(lambda: api.post("locks/free", {"site": "n", "company": "c", "resource": "r"}))
    refused = caught.value
    assert (refused.status, refused.title, refused.code) == (409, "Conflict", "in_use")
    with pytest.raises(ApiRefused) as caught:
        await run(lambda: api.get("sessions", {"limit": 0}))
    assert caught.value.more["errors"][0]["field"] == "limit"


async def test_without_a_token_it_is_refused(server: HttpServer) -> None:
    with pytest.raises(ApiRefused) as caught:
        await run(lambda: ApiClient(server.url).get("stats"))
    assert caught.value.status == 401
    with pytest.raises(ApiRefused, match="characters"):
        ApiClient(server.url, "a\r\nb")


def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable, match="refused"):
            ApiClient(url).get("stats")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8787", "ftp://x", "http://", "http://x:99999", "http://[::1"])
def test_what_is_no_address_is_unreachable(url: str) -> None:
    with pytest.raises(Unreachable, match="no address"):
        ApiClient(url)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "cannot be reached"),
        (b"", "cannot be reached"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "not Whosin"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "not Whosin"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}", "cannot be reached"),
    ],
    ids=["another protocol", "closed at once", "another page", "another 404", "broken off"],
)
async def test_somebody_else_there_is_unreachable(sent: bytes, words: str) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()
        await writer.wait_closed()

    other = await asyncio.start_server(say, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
    with pytest.raises(Unreachable, match=words):
        await run(lambda: ApiClient(url).get("stats"))
    other.close()
    await other.wait_closed()


@needs_openssl
async def test_it_trusts_the_ca_it_is_given_and_no_other(serve: Any, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = map(str, authority.issue("localhost", server=True))
    server = await serve(tls_cert=certificate, tls_key=key)
    trusting = ApiClient(server.url, "t-viewer", ca_file=str(authority.ca))
    assert (await run(lambda: trusting.get("stats")))["name"] == "whosin"
    with pytest.raises(Unreachable, match="certificate"):
        await run(lambda: ApiClient(server.url, "t-viewer").get("stats"))


async def test_events_are_followed_until_the_daemon_ends_them(
    server: HttpServer, api: ApiClient, operations: FakeOperations
) -> None:
    following = asyncio.create_task(run(lambda: list(api.events("s-6"))))
    async with asyncio.timeout(5):
        await operations.listening.wait()
        operations.happen("s-7", "lock.granted", {"seq": 7})
        operations.happen("", "missed", {})
        await server.stop()
        assert await following == [("s-7", "lock.granted", {"seq": 7}), ("", "missed", {})]
    assert operations.asked[0][2] == "s-6"


def test_comments_and_unknown_fields_of_a_stream_are_skipped() -> None:
    lines = [b"retry: 3000\n", b"\n", b": keep-alive\n", b"\n", b"data:{}\r\n", b"\r\n", b"data: {}\n"]
    assert list(parse_events(lines)) == [("", "message", {})]


def test_importing_it_imports_no_http() -> None:
    code = "import sys, whosin.apiclient as _; print({'http.client', 'ssl', 'fastapi'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
