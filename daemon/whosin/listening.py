"""Listening for connections and reading them, alike on every event loop.

Owns listening sockets, accepting, and what differs between loops that tell when a socket can be read and
those that read ahead (Windows' Proactor). Must not know what is said on a connection.

Windows: asyncio's own server closes its listening socket for good when a peer resets a connection that is
just being accepted (python/cpython#93821), so any stranger could shut a door. There we accept ourselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable
from typing import Final, Protocol

Make = Callable[[], asyncio.BaseProtocol]

READS_AHEAD: Final = sys.platform == "win32"
"""The Proactor loop has asked the system for bytes before they are there. When it hands over what came
first, what came behind that is still to be read in the next turn, although it had arrived long since."""

TURNS_TO_READ: Final = 2 if READS_AHEAD else 1
"""Turns of the loop in which all is read that had arrived before the first of them, but for connections that
filled a whole piece."""

AT_ONCE: Final = 8  # connections that are waited for beside each other: each takes a turn of the loop
PAUSE_S: Final = 0.1
PATIENCE: Final = 32
"""Failures in a row before a pause. Strangers cause one each by leaving at once; what does not end is ours:
no handles or no memory are left."""


class Listener(Protocol):
    """Listens from its making until `close`, which connections outlive."""

    @property
    def port(self) -> int: ...

    def close(self) -> None: ...


async def listen(make: Make, host: str, port: int, *, backlog: int) -> Listener:
    """Take connections on every address of `host`. An address in use or not ours raises OSError."""
    if sys.platform == "win32":
        return _Accepting(await bound(host, port, backlog), make)
    loop = asyncio.get_running_loop()
    return _Served(await loop.create_server(make, host, port, backlog=backlog))


class _Served:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self.port: int = server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._server.close()


async def bound(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Sockets that listen. On Windows nobody else can take the address over, which is possible unless
    forbidden."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            sockets.append(one)
            if sys.platform == "win32":
                one.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.setblocking(False)
            one.bind(address)
            one.listen(backlog)
    except BaseException:
        for one in sockets:
            one.close()
        raise
    return sockets


class _Accepting:
    """Accepts by itself, and goes on whatever happens to one connection."""

    def __init__(self, sockets: list[socket.socket], make: Make) -> None:
        self.port: int = sockets[0].getsockname()[1]
        self._sockets = sockets
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._greeting: set[asyncio.Task[None]] = set()
        _silence_the_strangers()
        self._tasks = [
            self._loop.create_task(self._accept(one), name="accept")
            for one in sockets
            for _ in range(AT_ONCE)
        ]

    async def _accept(self, listening: socket.socket) -> None:
        failures = 0
        while True:
            try:
                connection, _ = await self._loop.sock_accept(listening)
            except OSError:
                if listening.fileno() < 0:
                    return
                failures += 1
                await asyncio.sleep(0 if failures % PATIENCE else PAUSE_S)
                continue
            failures = 0
            task = self._loop.create_task(self._greet(connection), name="greet")
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    async def _greet(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it has gone
            await self._loop.connect_accepted_socket(self._make, connection)

    def close(self) -> None:
        for task in (*self._tasks, *self._greeting):
            task.cancel()
        for one in self._sockets:
            one.close()


def _silence_the_strangers() -> None:
    """Without this asyncio logs each connection that was reset while being accepted, which strangers can do
    at any rate."""
    logger = logging.getLogger("asyncio")
    if _not_the_strangers not in logger.filters:
        logger.addFilter(_not_the_strangers)


def _not_the_strangers(record: logging.LogRecord) -> bool:
    failed = record.exc_info is not None and isinstance(record.exc_info[1], OSError)
    return not (failed and "IocpProactor.accept" in record.getMessage())


def read_in_pieces(transport: asyncio.BaseTransport, size: int) -> None:
    """Read at most `size` bytes at a time. To be called from `connection_made`.

    The Proactor loop reads ahead into 64 KiB for each connection, whatever a BufferedProtocol offers: ten
    thousand would take 640 MB, and one would be read eight pieces at a time. Before the first reading the
    buffer can be exchanged. Other loops have none, and where this one should get another some day it stays
    as it is.
    """
    held = getattr(transport, "_data", None)
    if isinstance(held, bytearray) and len(held) > size and getattr(transport, "_read_fut", held) is None:
        transport._data = bytearray(size)  # type: ignore[attr-defined]  # noqa: SLF001 - see above


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Let the system ask now and then whether the peer is still there."""
    with contextlib.suppress(OSError, AttributeError):  # it has gone, or is no socket
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
