"""The line to the broker: connected, kept connected, and used from the loop its owner runs in.

Owns when to connect again (jittered back-off) and in which thread MQTT runs. Must not know what is said
on the line, nor who says it.

aiomqtt needs `loop.add_reader`, which Windows' Proactor loop, the default there, has not. On such a loop
the line runs in a selector thread (`threads`) behind the same face: calls go over, what arrives comes back.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from whosin.client import threads
from whosin.client.connection import Broker, Connection, Will
from whosin.client.errors import LoginRefused, NoAnswer, NotConnected
from whosin.client.threads import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

log = logging.getLogger("whosin.client")

STEADY_S: Final = 10.0  # a connection that lived this long was a good one: start over with short pauses


class Listener(Protocol):
    """Who hears what happens on the line. Called in the loop that started the line; must not raise."""

    def line_up(self) -> None:
        """Connected and subscribed."""
        ...

    def line_down(self, why: str) -> None:
        """Not connected, or an attempt failed; another follows."""
        ...

    def line_over(self, why: BaseException) -> None:
        """Given up: refused for good (`LoginRefused`), another program took our client id over
        (`NotConnected`), or a defect here.
        """
        ...

    def heard(self, topic: str, payload: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between attempts: doubling up to `most_s`, each drawn from the upper half at random so that
    a site's clients do not come back all at once.
    """

    first_s: float = 0.5
    most_s: float = 30.0

    def pause_s(self, attempt: int, draw: random.Random) -> float:
        """Before attempt 1, 2, ... after a failure."""
        longest = min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, 30))
        return draw.uniform(longest / 2, longest)


@dataclass(frozen=True, slots=True)
class Terms:
    """How to be on the line. `will` is asked before each connection; it may count them."""

    broker: Broker
    client_id: str
    filters: Sequence[str]
    will: Callable[[], Will | None]
    keep_alive_s: int = 30
    session_expiry_s: int = 300
    backoff: Backoff = Backoff()


class Line:
    """A connection that comes back by itself until it is stopped. Started once."""

    def __init__(self, terms: Terms, listener: Listener) -> None:
        self._terms = terms
        self._listener = listener
        self._connection: Connection | None = None
        self._allowed = asyncio.Event()
        self._allowed.set()
        self._was_up = False
        self._task: asyncio.Task[None] | None = None
        self._draw = random.Random()  # noqa: S311 - jitter, not a secret

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"whosin-line-{self._terms.client_id}")
        self._task.add_done_callback(self._finished)

    async def stop(self) -> None:
        """Say goodbye to the broker and stop for good."""
        self._allowed.clear()  # no new one meanwhile
        if self._connection is not None:
            await self._connection.close()
        await self.drop()

    async def drop(self) -> None:
        """Stop for good without a word: the broker publishes the will."""
        if self._connection is not None:
            self._connection.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def cut(self) -> None:
        """Lose the network: the connection breaks and none comes back until `mend`."""
        self._allowed.clear()
        if self._connection is not None:
            self._connection.abort()

    async def mend(self) -> None:
        self._allowed.set()

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """`NotConnected` at once when there is no connection, or when it breaks meanwhile."""
        if self._connection is None:
            raise NotConnected("not connected")
        await self._connection.publish(topic, payload, qos=qos)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            await self._allowed.wait()
            began = loop.time()
            try:
                await self._once()
            except LoginRefused as refused:
                if not self._was_up:
                    return self._listener.line_over(refused)
                self._listener.line_down(str(refused))  # it had us before: it may have us again
            except NoAnswer as silent:
                self._listener.line_down(str(silent))
            except NotConnected as broken:
                if broken.taken_over:
                    return self._listener.line_over(broken)
                self._listener.line_down(str(broken))
            attempt = 1 if loop.time() - began >= STEADY_S else attempt + 1
            await asyncio.sleep(self._terms.backoff.pause_s(attempt, self._draw))

    async def _once(self) -> NoReturn:
        """One connection, until it breaks."""
        terms = self._terms
        connection = await Connection.open(
            terms.broker,
            client_id=terms.client_id,
            will=terms.will(),
            keep_alive_s=terms.keep_alive_s,
            session_expiry_s=terms.session_expiry_s,
        )
        try:
            await connection.subscribe(terms.filters)
            self._connection = connection
            self._was_up = True
            self._listener.line_up()
            while True:
                topic, payload = await connection.receive()
                self._listener.heard(topic, payload)
        finally:
            self._connection = None
            connection.abort()

    def _finished(self, task: asyncio.Task[None]) -> None:
        """A defect in here ends the line loudly: whoever waits is told, not left waiting."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the line of %s failed", self._terms.client_id, exc_info=error)
            self._listener.line_over(error)


class RemoteLine:
    """A line on a selector thread; the same face, for loops without `add_reader`."""

    def __init__(self, terms: Terms, listener: Listener) -> None:
        self._line = Line(terms, _Forward(listener, Relay(asyncio.get_running_loop())))
        self._thread: threads.SelectorThread | None = None
        self._leaving = asyncio.Lock()

    async def start(self) -> None:
        self._thread = await asyncio.to_thread(threads.lease)
        await self._there(self._line.start())

    async def stop(self) -> None:
        await self._leave(self._line.stop)

    async def drop(self) -> None:
        await self._leave(self._line.drop)

    async def cut(self) -> None:
        await self._there(self._line.cut())

    async def mend(self) -> None:
        await self._there(self._line.mend())

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        await self._there(self._line.publish(topic, payload, qos))

    async def _there(self, work: Coroutine[Any, Any, None]) -> None:
        if self._thread is None:
            work.close()
            raise NotConnected("not connected")
        await asyncio.wrap_future(self._thread.submit(work))

    async def _leave(self, how: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async with self._leaving:
            try:
                await self._there(how())
            except NotConnected:
                return  # left already, or never started
            finally:
                thread, self._thread = self._thread, None
                if thread is not None:
                    await asyncio.to_thread(threads.release, thread)


class _Forward:
    """A listener in the thread that passes everything on to the one at home."""

    def __init__(self, listener: Listener, relay: Relay) -> None:
        self._listener = listener
        self._relay = relay

    def line_up(self) -> None:
        self._relay.offer(self._listener.line_up, must=True)

    def line_down(self, why: str) -> None:
        self._relay.offer(partial(self._listener.line_down, why), must=True)

    def line_over(self, why: BaseException) -> None:
        self._relay.offer(partial(self._listener.line_over, why), must=True)

    def heard(self, topic: str, payload: bytes) -> None:
        if not self._relay.offer(partial(self._listener.heard, topic, payload)):
            log.warning("an answer was dropped: the program's event loop does not keep up")


def make_line(terms: Terms, listener: Listener) -> Line | RemoteLine:
    """On the running loop if it can watch sockets, else on a thread that can."""
    return (Line if threads.has_readers(asyncio.get_running_loop()) else RemoteLine)(terms, listener)
