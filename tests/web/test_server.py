"""The listener: bounded against the slow, the large and the many; started and stopped without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.certificates import Authority, needs_openssl
from tests.web.conftest import asking, render
from whosin.errors import CertificateError
from whosin.web.guard import BASE, BODY_LIMIT
from whosin.web.server import Bounds, HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.web.fake import FakeOperations

LOG_OFF = f"{BASE}/sessions/logoff"
JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def connected(server: HttpServer) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def closed(reader: asyncio.StreamReader) -> bool:
    """Whether the daemon ended the connection without a word."""
    try:
        return await reader.read(1) == b""
    except ConnectionResetError:
        return True


async def test_it_tells_where_it_listens(server: HttpServer) -> None:
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert server.port > 0


@pytest.mark.parametrize(
    ("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("localhost", "localhost")]
)
async def test_its_address_can_be_clicked(operations: FakeOperations, host: str, shown: str) -> None:
    server = HttpServer(operations, render, host, 0, loopback=False)
    await server.start()
    assert server.url == f"http://{shown}:{server.port}"
    await server.stop()


async def test_a_port_that_is_taken_is_an_os_error(server: HttpServer, operations: FakeOperations) -> None:
    second = HttpServer(operations, render, "127.0.0.1", server.port, loopback=True)
    with pytest.raises(OSError, match="in use"):
        await second.start()
    await second.stop()


async def test_signals_stay_the_daemons(serve: Any) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    await serve()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_after_the_stop_nobody_is_connected_and_nobody_listens(server: HttpServer) -> None:
    port = server.port
    async with connected(server) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        await server.stop()
        assert (await reader.read()).endswith(b'{"alive":true}')
    with pytest.raises(OSError, match=r"."):
        await asyncio.open_connection("127.0.0.1", port)
    await server.stop()


async def test_an_answer_under_way_is_given_before_the_end(
    server: HttpServer, operations: FakeOperations
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def stats(caller: Any) -> dict[str, Any]:
        begun.set()
        await go_on.wait()
        return {"late": True}

    operations.stats = stats  # type: ignore[method-assign]
    async with asking(server, "t-viewer") as client:
        answer = asyncio.create_task(client.get(f"{BASE}/stats"))
        await begun.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        go_on.set()
        assert (await answer).json() == {"late": True}
        await stopping


async def test_an_answer_that_does_not_come_does_not_hold_up_the_end(
    serve: Any, operations: FakeOperations
) -> None:
    server = await serve(bounds=Bounds(stop_s=0.05))
    begun = asyncio.Event()

    async def stats(caller: Any) -> dict[str, Any]:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    operations.stats = stats  # type: ignore[method-assign]
    async with asking(server, "t-viewer") as client:
        answer = asyncio.create_task(client.get(f"{BASE}/stats"))
        await begun.wait()
        async with asyncio.timeout(2):
            await server.stop()
        with pytest.raises(httpx.HTTPError):
            await answer


async def test_only_so_many_requests_are_answered_at_once(serve: Any, operations: FakeOperations) -> None:
    server = await serve(bounds=Bounds(requests_at_once=1))
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def stats(caller: Any) -> dict[str, Any]:
        begun.set()
        await go_on.wait()
        return {}

    operations.stats = stats  # type: ignore[method-assign]
    async with asking(server, "t-viewer") as client:
        answer = asyncio.create_task(client.get(f"{BASE}/stats"))
        await begun.wait()
        refused = await client.get(f"{BASE}/sessions")
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        assert refused.headers["retry-after"] == "1"
        assert (await client.get("/healthz")).status_code == 200
        go_on.set()
        assert (await answer).status_code == 200
        assert (await client.get(f"{BASE}/sessions")).status_code == 200


async def test_only_so_many_connections_are_kept(serve: Any) -> None:
    server = await serve(bounds=Bounds(connections=1))
    async with connected(server) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b'{"alive":true}')
        async with connected(server) as (second, _):
            assert await closed(second)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b'{"alive":true}')


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HT",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he",
        b"POST " + LOG_OFF.encode() + b" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t-operator\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    ],
    ids=["nothing", "half a line", "half a second one", "half a body"],
)
async def test_a_request_that_does_not_arrive_ends_the_connection(
    serve: Any, operations: FakeOperations, sent: bytes
) -> None:
    server = await serve(bounds=Bounds(receive_s=0.05))
    async with connected(server) as (reader, writer):
        writer.write(sent)
        if b"\r\n\r\nGET" in sent:
            await reader.readuntil(b'{"alive":true}')
        assert await closed(reader)
    assert operations.asked == []


async def test_a_quiet_connection_between_two_requests_ends(serve: Any) -> None:
    server = await serve(bounds=Bounds(idle_s=0))
    async with connected(server) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b'{"alive":true}')
        assert await closed(reader)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 20_000,
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
    ids=["TLS", "no host", "two hosts", "a long head", "two lengths"],
)
async def test_what_is_not_http_gets_a_400_and_the_end(server: HttpServer, sent: bytes) -> None:
    async with connected(server) as (reader, writer):
        writer.write(sent)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 400


async def test_a_head_that_is_too_large_is_a_431(ask: httpx.AsyncClient) -> None:
    response = await ask.get("/healthz", headers={"X-Long": "x" * 20_000})
    assert (response.status_code, response.json()["code"]) == (431, "head")
    assert (await ask.get("/healthz?" + "x" * 20_000)).status_code == 431


async def test_http_1_0_without_a_host_is_refused(server: HttpServer) -> None:
    async with connected(server) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


async def test_a_websocket_is_answered_as_plain_http(server: HttpServer) -> None:
    async with asking(server, headers={"Connection": "Upgrade", "Upgrade": "websocket"}) as client:
        assert (await client.get("/healthz")).status_code == 200


async def test_a_body_over_the_limit_is_a_413(ask: httpx.AsyncClient, operations: FakeOperations) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT // 65536 + 1):
            yield b" " * 65536

    for content in (b" " * (BODY_LIMIT + 1), chunks()):
        response = await ask.post(LOG_OFF, content=content, headers=JSON)
        assert response.status_code == 413
        assert response.json()["limit"] == BODY_LIMIT
    assert operations.asked == []


async def test_a_body_of_exactly_the_limit_is_read(
    ask: httpx.AsyncClient, operations: FakeOperations
) -> None:
    content = b'{"ids": ["s1"]}'.ljust(BODY_LIMIT)
    assert (await ask.post(LOG_OFF, content=content, headers=JSON)).status_code == 200
    assert operations.asked


async def test_a_stranger_cannot_make_it_read(server: HttpServer) -> None:
    async with asking(server) as client:
        assert (await client.post(LOG_OFF, content=b" " * (BODY_LIMIT + 1), headers=JSON)).status_code == 401


@needs_openssl
async def test_it_serves_tls_and_takes_a_new_certificate_live(serve: Any, tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    pair = old.issue("localhost", server=True, into=tmp_path / "server")
    server = await serve(loopback=False, tls_cert=str(pair.cert), tls_key=str(pair.key))
    assert server.url.startswith("https://127.0.0.1:")
    async with asking(server, verify=old.trusting()) as client:
        assert (await client.get("/healthz")).status_code == 200
        new.issue("localhost", server=True, into=tmp_path / "server")
        assert server.served.renew_if_changed()
        assert (await client.get("/healthz")).status_code == 200  # the connection of before goes on
    async with asking(server, verify=new.trusting()) as client:
        assert (await client.get("/healthz")).status_code == 200


@needs_openssl
async def test_half_of_a_new_certificate_changes_nothing(serve: Any, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("localhost", server=True, into=tmp_path / "server")
    server = await serve(loopback=False, tls_cert=str(pair.cert), tls_key=str(pair.key))
    other = authority.issue("localhost", server=True, into=tmp_path / "other")
    other.cert.replace(pair.cert)
    with pytest.raises(CertificateError, match="does not belong to the certificate"):
        server.served.prepare()
    async with asking(server, verify=authority.trusting()) as client:
        assert (await client.get("/healthz")).status_code == 200
    other.key.replace(pair.key)
    assert server.served.renew_if_changed()
    async with asking(server, verify=authority.trusting()) as client:
        assert (await client.get("/healthz")).status_code == 200


@needs_openssl
async def test_who_does_not_get_on_with_the_handshake_counts_and_goes(serve: Any, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = map(str, authority.issue("localhost", server=True))
    bounds = Bounds(connections=3, handshake_s=1.0)
    server = await serve(loopback=False, tls_cert=cert, tls_key=key, bounds=bounds)
    silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(1), 10) == b""  # one too many
    writer.close()
    for reader, writer in silent:
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(1), 10) == b""
        writer.close()
    async with asking(server, verify=authority.trusting()) as client:
        assert (await client.get("/healthz")).status_code == 200


@needs_openssl
async def test_a_request_right_behind_the_handshake_is_answered(serve: Any, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = map(str, authority.issue("localhost", server=True))
    server = await serve(loopback=False, tls_cert=cert, tls_key=key)
    ask = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n".encode()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = authority.trusting()
        context.maximum_version = version
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        writer.write(ask)
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_certificate_that_cannot_be_used_is_named(operations: FakeOperations, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none.pem")
    server = HttpServer(operations, render, "127.0.0.1", 0, loopback=True, tls_cert=nowhere, tls_key=nowhere)
    with pytest.raises(CertificateError, match=r"none\.pem"):
        await server.start()
