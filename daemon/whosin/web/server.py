"""The listener: uvicorn's HTTP protocol on the daemon's own loop, bounded against the slow and the many.

Owns sockets, TLS and the end of every connection. uvicorn's `Server` is not used: signals, logging and the
loop are the daemon's. Must not know any route.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import h11
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from whosin.listening import Listener, listen
from whosin.operations import Operations
from whosin.tls import Served
from whosin.web.cookies import Front
from whosin.web.early import Early, MetricsRender
from whosin.web.gate import Gate
from whosin.web.greeting import Greetings
from whosin.web.hosts import Hosts
from whosin.web.problem import MEDIA_TYPE, Problem
from whosin.web.stream import Streams


@dataclass(frozen=True, slots=True)
class Bounds:
    """What strangers can make the listener hold, and for how long."""

    connections: int = 400
    requests_at_once: int = 64
    streams: int = 100
    head_bytes: int = 16 * 1024
    handshake_s: float = 10.0
    receive_s: float = 30.0  # for one whole request, and for the first after connecting
    send_s: float = 30.0  # for a peer that does not read
    idle_s: int = 30  # between two requests
    keep_alive_s: float = 15.0  # between two signs of life of an event stream
    stop_s: float = 1.0  # for answers under way when stopping


class HttpServer:
    """The daemon's HTTP listener.

    `loopback`: only this machine reaches it, so metrics and counts need no token. `allowed_hosts`: names
    besides those of loopback under which it may be asked. `tls_cert` and `tls_key` are PEM files.
    `behind_proxy`: a proxy does HTTPS, and tells in X-Forwarded-For who asks.
    `requests_per_s` is of each caller; 0: no limit.
    `start` raises OSError when it cannot listen, CertificateError when the certificate cannot be used.
    """

    def __init__(
        self,
        operations: Operations,
        metrics: MetricsRender,
        host: str,
        port: int,
        *,
        loopback: bool,
        allowed_hosts: Iterable[str] = (),
        tls_cert: str | None = None,
        tls_key: str | None = None,
        behind_proxy: bool = False,
        requests_per_s: Callable[[], float] = lambda: 0,
        bounds: Bounds | None = None,
        now_ms: Callable[[], int] = lambda: int(monotonic() * 1000),
    ) -> None:
        self._host = host
        self._port = port
        self._bounds = bounds or Bounds()
        self._tls = (tls_cert, tls_key) if tls_cert else None
        self.served: Served | None = None
        """The certificate, once it listens by TLS."""
        self._greetings: Greetings | None = None
        self._streams = Streams(self._bounds.streams, self._bounds.keep_alive_s)

        def make() -> ASGIApp:
            from whosin.web.app import create_app  # noqa: PLC0415 - long, and so in a thread

            front = Front(secure=bool(tls_cert) or behind_proxy, behind_proxy=behind_proxy, hosts=hosts)
            return create_app(
                operations,
                metrics,
                self._streams,
                now_ms=now_ms,
                open_on_loopback=loopback,
                front=front,
                requests_per_s=requests_per_s,
            )

        hosts = Hosts(allowed_hosts)
        self._early = Early(make, operations)
        bounds = self._bounds
        gate = Gate(self._early, hosts, bounds.requests_at_once, bounds.head_bytes)
        self._config = _config(gate, self._bounds)
        self._state = ServerState()
        self._listener: Listener | None = None

    async def start(self) -> None:
        """Listen; `url` is known afterwards."""
        if self._tls:
            self.served = Served(*self._tls)
            self._greetings = self._seal(self.served)
        self._config.load()
        self._listener = await listen(self._greetings or self._connect, self._host, self._port, backlog=100)
        self._early.begin()

    @property
    def port(self) -> int:
        assert self._listener is not None
        return self._listener.port

    @property
    def url(self) -> str:
        """Where a person on this machine can click: a listener on all addresses is shown as loopback."""
        name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._host, self._host)  # noqa: S104
        if ":" in name and not name.startswith("["):
            name = f"[{name}]"
        return f"{'https' if self._tls else 'http'}://{name}:{self.port}"

    async def stop(self) -> None:
        """Listen no more, end the streams, let answers under way leave within `stop_s`, close everything."""
        if self._listener is None:
            return
        self._listener.close()
        if self._greetings is not None:
            self._greetings.stop()
        self._streams.close()
        for connection in list(self._state.connections):
            if not connection.transport.is_closing():  # a TLS transport closed twice forgets its connection
                connection.shutdown()
        await self._finish(self._bounds.stop_s)
        for task in self._state.tasks:
            task.cancel()
        for connection in list(self._state.connections):
            connection.transport.abort()
        await self._finish(0.5)
        self._listener = None

    async def _finish(self, seconds: float) -> None:
        tasks = set(self._state.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def _connect(self) -> asyncio.Protocol:
        return Connection(self._config, self._state, self._bounds)

    def _seal(self, served: Served) -> Greetings:
        """By TLS: who has not been greeted yet counts too."""
        most = self._bounds.connections
        return Greetings(
            lambda: served.context,
            lambda greeted: len(self._state.connections) + greeted < most,
            self._connect,
            self._bounds.handshake_s,
        )


def _config(app: Any, bounds: Bounds) -> Config:
    logging.getLogger("uvicorn.error").addFilter(_not_the_strangers)
    return Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=bounds.idle_s,
        h11_max_incomplete_event_size=bounds.head_bytes,
    )


def _not_the_strangers(record: logging.LogRecord) -> bool:
    """Warnings there are about malformed requests, which anybody can send in any number; errors are ours."""
    return record.levelno >= logging.ERROR


class Connection(H11Protocol):
    """One connection. A request that does not arrive, or an answer that is not read, ends it in time."""

    def __init__(self, config: Config, state: ServerState, bounds: Bounds) -> None:
        super().__init__(config, state, {}, asyncio.get_running_loop())
        self._bounds = bounds
        self._receiving: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._bounds.connections:
            transport.abort()
        else:
            self._receiving = self.loop.call_later(self._bounds.receive_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """Let the time for receiving run exactly while a request is incomplete."""
        if self._awaits_more():
            if self._receiving is None:
                self._receiving = self.loop.call_later(self._bounds.receive_s, self.transport.abort)
        elif self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    def _awaits_more(self) -> bool:
        """A request has begun and is not complete."""
        their = self.conn.their_state
        return their is h11.SEND_BODY or (their is h11.IDLE and bool(self.conn.trailing_data[0]))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._sending = self.loop.call_later(self._bounds.send_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._receiving, self._sending):
            if timer is not None:
                timer.cancel()

    def send_400_response(self, msg: str) -> None:
        """Malformed, or a head that is too large; nothing more can be understood from this peer."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()
            return
        detail = f"{msg} Its head may be malformed or larger than {self._bounds.head_bytes} bytes."
        body = Problem(400, "http", detail).body("")
        headers = [
            ("Content-Type", MEDIA_TYPE),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
        for event in (
            h11.Response(status_code=400, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
