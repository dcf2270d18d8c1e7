"""The link itself: connects, comes back after a loss, says goodbye.

Owns: the one task that keeps a connection up, and `ports.Transport`. Must not know: packets.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from whosin.errors import WhosinError
from whosin.mqtt.codec import V5, Reason, encode
from whosin.mqtt.link.backoff import Backoff
from whosin.mqtt.link.connection import SOURCE, Connection, Login, Tools
from whosin.mqtt.link.outgoing import Outgoing
from whosin.mqtt.link.quiet import Quiet

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from whosin.mqtt.link.connection import Later
    from whosin.ports import Clock, Intake

_log: Final = structlog.get_logger("whosin.link")

_DIAL_S: Final = 10.0
_DRAIN_S: Final = 2.0
_CLOSE_S: Final = 0.5
_STEADY_MS: Final = 5_000
"""A connection that held for so long was a good one: the next trouble starts a new back-off."""

_BROKEN_IN_A_ROW: Final = 3


class Dial(Protocol):
    """Makes a connection for the protocol; raises OSError."""

    def __call__(self, factory: Callable[[], asyncio.Protocol], /) -> Awaitable[object]: ...


class Link:
    """See `ports.Transport`. Durations are seconds.

    `tls` None: plain TCP. `secrets` gives TLS and password instead, anew for each connection; an OSError or
    WhosinError of it is told as the reason why there is none. `name` is the daemon's, told on
    `whosin/v1/daemon/<name>`. `client_id` must be this daemon's alone: the broker keeps its messages under it
    for `session_expiry_s` while it is away.
    `later` and `dial` are the event loop's unless a test brings its own.
    """

    source: Final = SOURCE

    def __init__(
        self,
        host: str,
        port: int,
        *,
        client_id: str,
        name: str,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        username: str | None = None,
        password: str | None = None,
        secrets: Callable[[], tuple[ssl.SSLContext | None, str | None]] | None = None,
        keep_alive_s: int = 10,
        ping_every_s: float = 3.0,
        ping_timeout_s: float = 5.0,
        session_expiry_s: int = 86_400,
        answers: int = 100_000,
        events: int = 5_000,
        window: int = 1_000,
        random: Random | None = None,
        later: Later | None = None,
        dial: Dial | None = None,
        log: Any = _log,
    ) -> None:
        self.host = host
        self.port = port
        self._secrets = secrets or (lambda: (tls, password))
        self._tls = tls
        self._clock = clock
        self._later = later
        self._dial = dial or self._dial_tcp
        self._status_topic = f"whosin/v1/daemon/{name}"
        self._login = Login(
            client_id, username, password, self._status_topic, session_expiry_s, keep_alive_s,
            int(ping_every_s * 1000), int(ping_timeout_s * 1000),
        )  # fmt: skip
        encode(self._login.connect(clean_start=False), V5)  # what MQTT forbids is refused here, not later
        self._quiet = Quiet(log.bind(host=host, port=port), clock)
        self._outgoing = Outgoing(self._quiet, answers=answers, events=events, window=window)
        random = random or Random()  # noqa: S311 - jitter, not a secret
        self._backoff = Backoff(random)
        self._subscribe_again = Backoff(random, 1.0, 30.0)
        self._connection: Connection | None = None
        self._broken = 0
        self._tools: Tools | None = None
        self._task: asyncio.Task[None] | None = None
        self._delay_s = 0.0
        self._cause = ""

    # --- ports.Transport ---

    @property
    def ready(self) -> bool:
        connection = self._connection
        return connection is not None and connection.open and self._outgoing.roomy

    @property
    def trouble(self) -> str:
        return "" if self.ready else self._cause

    @property
    def asked_ms(self) -> int:
        """Since when the reply to a ping is awaited; 0 if none is."""
        return 0 if self._connection is None else self._connection.asked_ms

    @property
    def answers_dropped(self) -> int:
        """Answers that the bound cost since start."""
        return self._outgoing.dropped

    def answer(self, topic: str, payload: bytes) -> None:
        self._outgoing.answer(topic, payload)
        self._flush()

    def announce(self, topic: str, payload: bytes, done: Callable[[], None], seq: int = 0) -> int:  # noqa: ARG002
        self._outgoing.event(topic, payload, done)
        self._flush()
        return 1

    def prove(self) -> None:
        if self._connection is not None:
            self._connection.prove()

    async def start(self, intake: Intake) -> None:
        """Returns at once: `ports.Intake.sighted` tells when the broker is there."""
        later = self._later or asyncio.get_running_loop().call_later
        self._later = later
        self._tools = Tools(intake, self._outgoing, self._clock, later, self._quiet, self._subscribe_again)
        self._task = asyncio.create_task(self._stay_connected(self._tools), name="link")

    async def stop(self) -> None:
        if self._task is None or self._tools is None:
            return
        connection = self._connection
        if connection is not None and connection.open:
            connection.hush()
            self._outgoing.status(self._status_topic, b"offline", last=True)
            connection.flush_soon()
            drained = await self._drained(connection)
            self._task.cancel()
            # If `offline` may not have left, the will says it.
            connection.goodbye(Reason.SUCCESS if drained else Reason.DISCONNECT_WITH_WILL)
            await self._within(_CLOSE_S, connection.ended.done)
        task, self._task = self._task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if connection is not None:
            connection.abort("closed by us")
        self._tools.intake.blinded(SOURCE)
        self._quiet.tell("info", "link.stopped")

    # --- staying connected ---

    async def _stay_connected(self, tools: Tools) -> None:
        while True:
            await self._connect_once(tools)
            await self._sleep(self._delay_s)

    async def _connect_once(self, tools: Tools) -> None:
        """One connection from its beginning to its end; says why it ended and sets the delay."""
        clean_start = self._broken >= _BROKEN_IN_A_ROW
        if clean_start:
            self._broken = 0
            self._quiet.tell("error", "link.session_dropped", after_protocol_errors=_BROKEN_IN_A_ROW)
        try:
            self._tls, password = self._secrets()
            login = replace(self._login, password=password)
            connection = Connection(login, tools, clean_start=clean_start)
            await self._dial(lambda: connection)
        except (OSError, UnicodeError, WhosinError) as error:  # UnicodeError: a host name that cannot be one
            self._delay_s = self._backoff.next_s()
            self._say("link.refused", str(error) or type(error).__name__)
            return
        self._connection = connection
        try:
            cause = await connection.ended
        finally:
            self._connection = None
        self._judge(connection, cause)

    def _judge(self, connection: Connection, cause: str) -> None:
        since_ms = connection.subscribed_ms
        held_ms = 0 if since_ms is None else self._clock.now_ms() - since_ms
        if held_ms >= _STEADY_MS:
            self._backoff.reset()
            self._broken = 0
        self._broken = self._broken + 1 if connection.broken else 0
        self._delay_s = self._backoff.next_s()
        if connection.greeted:
            self._say("link.lost", cause, held_s=held_ms // 1000)
        else:
            self._say("link.refused", cause)

    async def _dial_tcp(self, factory: Callable[[], asyncio.Protocol]) -> object:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_DIAL_S):
            return await loop.create_connection(factory, self.host, self.port, ssl=self._tls)

    def _say(self, event: str, cause: str, **fields: object) -> None:
        self._cause = cause
        retry_s = round(self._delay_s, 1)
        self._quiet.say("warning", event, cause, cause=cause, retry_s=retry_s, **fields)

    def _flush(self) -> None:
        if self._connection is not None:
            self._connection.flush_soon()

    # --- waiting ---

    async def _drained(self, connection: Connection) -> bool:
        await self._within(_DRAIN_S, lambda: self._outgoing.idle or connection.ended.done())
        return self._outgoing.idle

    async def _within(self, limit_s: float, done: Callable[[], bool]) -> None:
        """Look often; this is only for the last moments of a process."""
        end_ms = self._clock.now_ms() + int(limit_s * 1000)
        while not done() and self._clock.now_ms() < end_ms:
            await self._sleep(0.01)

    async def _sleep(self, delay_s: float) -> None:
        assert self._later is not None
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not over.done():
                over.set_result(None)

        timer = self._later(delay_s, wake)
        try:
            await over
        finally:
            timer.cancel()
