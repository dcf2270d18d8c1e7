"""Server-sent events: one stream per listener, bounded, ended by the listener, by us, or when it may no more.

Owns the text/event-stream format and its pace. Must not know what the events mean.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from whosin.web.problem import Problem

Json = dict[str, Any]
Changes = AsyncIterator[tuple[str, str, Json]]

RETRY_MS = 3000
BUFFER_BYTES = 256 * 1024
"""Beyond this the feed is left waiting, and whoever feeds it drops the oldest."""
BURST = 32
"""After so many events in one go the others have their turn: a cleanup can bring a hundred thousand."""

log = structlog.get_logger("whosin.web")

_encode = msgspec.json.Encoder().encode


class Streams:
    """The open streams. Every `keep_alive_s` it is looked at again whether a listener may listen."""

    def __init__(self, most: int, keep_alive_s: float) -> None:
        self._most = most
        self._keep_alive_s = keep_alive_s
        self._open: set[EventStream] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    def open(self, changes: Changes, allowed: Callable[[], bool]) -> "EventStream":
        """A response that streams the changes for as long as `allowed`; raises 503 if there are too many."""
        if self._closed or len(self._open) >= self._most:
            detail = f"There are {len(self._open)} open event streams; no more than {self._most} are served."
            raise Problem(503, "too_many_streams", detail, headers={"Retry-After": "30"})
        return EventStream(changes, allowed, self._keep_alive_s, self)

    def add(self, stream: "EventStream") -> None:
        self._open.add(stream)
        if self._closed:
            stream.end()

    def discard(self, stream: "EventStream") -> None:
        self._open.discard(stream)

    def look_again(self) -> None:
        """Somebody may have lost what they might do: end the streams that are not allowed any more."""
        for stream in self._open:
            stream.look_again()

    def close(self) -> None:
        """End every stream, and open no more."""
        self._closed = True
        for stream in self._open:
            stream.end()


class EventStream(Response):
    """One listener. A feeding task fills a bounded buffer; whatever is there goes out in one write."""

    def __init__(
        self, changes: Changes, allowed: Callable[[], bool], keep_alive_s: float, streams: Streams
    ) -> None:
        super().__init__(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._changes = changes
        self._allowed = allowed
        self._keep_alive_s = keep_alive_s
        self._streams = streams
        self._buffer = bytearray(f"retry: {RETRY_MS}\n\n".encode())
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._over = False

    def end(self) -> None:
        """What is in the buffer still goes out."""
        self._over = True
        self._wake.set()

    def look_again(self) -> None:
        """What the listener has not got yet, it does not get if it may not."""
        if not self._allowed():
            self._buffer.clear()
            self.end()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        self._streams.add(self)
        tasks = [asyncio.create_task(self._feed()), asyncio.create_task(self._notice_gone(receive))]
        try:
            await asyncio.sleep(0)  # the feed listens before the listener hears that it is connected
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._write(send)
        finally:
            self._streams.discard(self)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        check_at = loop.time() + self._keep_alive_s
        while True:
            self._wake.clear()
            if self._buffer:
                chunk, self._buffer = bytes(self._buffer), bytearray()
                self._room.set()
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            elif self._over:
                return
            else:
                await self._wait(check_at - loop.time())
            if loop.time() >= check_at:
                check_at = loop.time() + self._keep_alive_s
                if not self._allowed():
                    return
                self._buffer += b": keep-alive\n\n"

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _feed(self) -> None:
        try:
            taken = 0
            async for ident, kind, item in self._changes:
                self._buffer += frame(ident, kind, item)
                self._wake.set()
                taken += 1
                if len(self._buffer) > BUFFER_BYTES:
                    self._room.clear()
                    await self._room.wait()
                elif taken % BURST == 0:
                    await asyncio.sleep(0)
        except Exception:
            log.exception("http.events_failed")
        finally:
            close = getattr(self._changes, "aclose", None)
            if close is not None:
                await close()
            self.end()

    async def _notice_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._buffer.clear()
        self.end()


def streams_of(request: Request) -> Streams:
    streams: Streams = request.app.state.streams
    return streams


def frame(ident: str, kind: str, item: Json) -> bytes:
    """One event. JSON has no line breaks, so it is one `data` line."""
    head = f"id: {ident}\n" if ident else ""
    return f"{head}event: {kind}\ndata: ".encode() + _encode(item) + b"\n\n"
