"""A connection by HTTPS until its handshake is over.

Owns that it counts from the moment at which it came: the loop's own listener keeps those who do not get on
with their handshake where no limit sees them. Must not know HTTP.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


class Greetings:
    """`context` is asked for each; `room` whether one more may come; `served` makes who takes over."""

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        room: Callable[[int], bool],
        served: Callable[[], asyncio.Protocol],
        patience_s: float,
    ) -> None:
        self._context = context
        self._room = room
        self._served = served
        self._patience_s = patience_s
        self._under_way: dict[asyncio.Task[None], asyncio.Transport] = {}

    def __call__(self) -> asyncio.Protocol:
        return _Greeting(self)

    def begin(self, greeting: _Greeting, transport: asyncio.Transport) -> None:
        if not self._room(len(self._under_way)):
            transport.abort()
            return
        transport.pause_reading()  # what comes now is for TLS
        task = asyncio.get_running_loop().create_task(self._greet(greeting, transport))
        self._under_way[task] = transport
        task.add_done_callback(self._under_way.pop)

    async def _greet(self, greeting: _Greeting, transport: asyncio.Transport) -> None:
        try:
            sealed = await asyncio.get_running_loop().start_tls(
                transport, greeting, self._context(), server_side=True,
                ssl_handshake_timeout=self._patience_s,
            )  # fmt: skip
        except (OSError, EOFError):  # the peer's fault or wish, and nothing to be said to it
            transport.abort()
            return
        if sealed is None or greeting.over:
            transport.abort()
            return
        connection = self._served()
        sealed.set_protocol(connection)
        connection.connection_made(sealed)
        if greeting.said:
            connection.data_received(bytes(greeting.said))

    def stop(self) -> None:
        for task, transport in list(self._under_way.items()):
            task.cancel()
            transport.abort()


class _Greeting(asyncio.Protocol):
    """Keeps what is said in the turn of the loop between the handshake and who takes over."""

    def __init__(self, greetings: Greetings) -> None:
        self.said = bytearray()
        self.over = False
        self._greetings = greetings

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._greetings.begin(self, cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self.said += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.over = True
