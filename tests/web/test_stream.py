"""Server-sent events: what a listener hears, and when it ends."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from tests.web.conftest import asking
from tests.web.fake import FakeOperations, event
from whosin.web.guard import BASE
from whosin.web.server import Bounds, HttpServer
from whosin.web.stream import BUFFER_BYTES, BURST, EventStream, Streams, frame

EVENTS = f"{BASE}/events"


async def until(lines: Any, text: str) -> list[str]:
    found = []
    async for line in lines:
        found.append(line)
        if text in line:
            return found
    raise AssertionError(f"the stream ended without {text}: {found}")


async def test_events_arrive_with_id_type_and_data(server: HttpServer, operations: FakeOperations) -> None:
    async with asking(server, "t-viewer") as client, client.stream("GET", EVENTS) as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-store"
        lines = response.aiter_lines()
        await until(lines, "retry: 3000")
        operations.happen("s-7", "lock.granted", event(7, "lock.granted"))
        operations.happen("", "missed", {})
        heard = await until(lines, "data: {}")
    assert heard[1:3] == ["id: s-7", "event: lock.granted"]
    assert '"seq":7' in heard[3]
    assert heard[4:7] == ["", "event: missed", "data: {}"]


async def test_what_happens_after_the_answer_has_begun_is_never_missed(
    server: HttpServer, operations: FakeOperations
) -> None:
    async with asking(server, "t-viewer") as client, client.stream("GET", EVENTS) as response:
        assert len(operations.listeners) == 1
        operations.happen("s-1", "x", {})
        await until(response.aiter_lines(), "id: s-1")


async def test_a_listener_that_comes_back_says_what_it_has_heard(
    server: HttpServer, operations: FakeOperations
) -> None:
    async with (
        asking(server, "t-viewer", headers={"Last-Event-ID": "s-41"}) as client,
        client.stream("GET", EVENTS) as response,
    ):
        await until(response.aiter_lines(), "retry")
    assert operations.asked[0][2] == "s-41"


async def test_a_listener_that_goes_is_let_go(server: HttpServer, operations: FakeOperations) -> None:
    async with asking(server, "t-viewer") as client, client.stream("GET", EVENTS) as response:
        await until(response.aiter_lines(), "retry")
    async with asyncio.timeout(5):
        await operations.left.wait()
    assert operations.listeners == []


async def test_silence_is_filled_and_a_revoked_token_ends_it(serve: Any, operations: FakeOperations) -> None:
    server = await serve(bounds=Bounds(keep_alive_s=0.01))
    async with asking(server, "t-viewer") as client, client.stream("GET", EVENTS) as response:
        lines = response.aiter_lines()
        await until(lines, ": keep-alive")
        await until(lines, ": keep-alive")
        del operations.known["t-viewer"]
        async with asyncio.timeout(5):
            assert "data" not in "".join([line async for line in lines])


async def test_stopping_ends_every_stream_cleanly_and_soon(serve: Any, operations: FakeOperations) -> None:
    server = await serve(bounds=Bounds(keep_alive_s=1000))
    async with (
        asking(server, "t-viewer") as client,
        client.stream("GET", EVENTS) as one,
        client.stream("GET", EVENTS) as two,
    ):
        lines = one.aiter_lines(), two.aiter_lines()
        for each in lines:
            await until(each, "retry")
        operations.happen("s-1", "last.words", {})
        async with asyncio.timeout(1):
            await server.stop()
        for each in lines:
            assert "event: last.words" in [line async for line in each]
    assert operations.listeners == []


async def test_the_end_of_the_engine_ends_the_stream(server: HttpServer, operations: FakeOperations) -> None:
    async with asking(server, "t-viewer") as client, client.stream("GET", EVENTS) as response:
        operations.listeners[0].put_nowait(None)
        async with asyncio.timeout(5):
            await response.aread()


async def test_there_is_a_limit_of_streams(serve: Any) -> None:
    server = await serve(bounds=Bounds(streams=1, requests_at_once=1))
    async with asking(server, "t-viewer") as client, client.stream("GET", EVENTS):
        refused = await client.get(EVENTS)
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
        assert refused.headers["retry-after"]
        assert (await client.get(f"{BASE}/stats")).status_code == 200


async def listener_that_never_reads(server: HttpServer, operations: FakeOperations) -> socket.socket:
    """Returns once the daemon cannot write any more to it."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(peer, ("127.0.0.1", server.port))
    request = f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t-viewer\r\n\r\n"
    await loop.sock_sendall(peer, request.encode())
    async with asyncio.timeout(10):
        await operations.listening.wait()
        while not any(getattr(each, "flow").write_paused for each in server._state.connections):  # noqa: B009
            operations.happen("s-1", "x", {"filler": "x" * 64 * 1024})
            await asyncio.sleep(0)
    return peer


async def test_a_listener_that_never_reads_is_dropped(serve: Any, operations: FakeOperations) -> None:
    server = await serve(bounds=Bounds(send_s=0.05))
    peer = await listener_that_never_reads(server, operations)
    async with asyncio.timeout(5):
        await operations.left.wait()
    peer.close()


async def test_a_listener_that_never_reads_does_not_hold_up_the_stop(
    serve: Any, operations: FakeOperations
) -> None:
    server = await serve(bounds=Bounds(stop_s=0.1))
    peer = await listener_that_never_reads(server, operations)
    async with asyncio.timeout(2):
        await server.stop()
    assert operations.listeners == []
    peer.close()


async def test_what_waits_for_a_slow_listener_is_bounded() -> None:
    taken = 0

    async def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield "s-1", "x", {"filler": "x" * 1000}

    blocked = asyncio.Event()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await blocked.wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    streams = Streams(1, 15)
    stream: EventStream = streams.open(endless(), lambda: True)
    serving = asyncio.create_task(stream({"type": "http"}, receive, send))
    while not taken:  # noqa: ASYNC110 - the loop's turns are what is counted
        await asyncio.sleep(0)
    assert taken == BURST
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(streams) == 1
    assert len(stream._buffer) < BUFFER_BYTES + 2000
    before = taken
    for _ in range(20):
        await asyncio.sleep(0)
    assert taken == before
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert len(streams) == 0


def test_an_event_without_id_leaves_the_last_one_standing() -> None:
    assert frame("", "missed", {}) == b"event: missed\ndata: {}\n\n"
    assert frame("s-1", "a", {"t": "x\ny"}) == b'id: s-1\nevent: a\ndata: {"t":"x\\ny"}\n\n'
