"""Whoever listens goes on listening, whatever becomes of one connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import pytest

from whosin import listening


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


@contextlib.asynccontextmanager
async def accepting():
    """The way of accepting that Windows needs; it works on every loop."""
    sockets = await listening.bound("127.0.0.1", 0, 100)
    listener = listening._Accepting(sockets, Echo)
    yield listener
    listener.close()
    await asyncio.sleep(0)


async def ask(port, **more):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **more)
    writer.write(b"hello")
    answer = await reader.readexactly(5)
    writer.close()
    return answer


async def test_who_connects_is_served():
    async with accepting() as listener:
        assert await asyncio.gather(*(ask(listener.port) for _ in range(50))) == [b"hello"] * 50


@pytest.mark.parametrize("winerror", [59, 64, 10054, 10057])
async def test_a_connection_that_is_reset_while_it_is_accepted_shuts_nobody_out(monkeypatch, winerror):
    """On Windows asyncio's own server closes its socket then, for good."""
    loop = asyncio.get_running_loop()
    real, failures = loop.sock_accept, []

    async def failing(listener):
        if len(failures) < 100:
            failures.append(1)
            error = OSError(22, "the network name is no longer available")
            error.winerror = winerror
            raise error
        return await real(listener)

    monkeypatch.setattr(loop, "sock_accept", failing)
    async with accepting() as listener:
        assert await ask(listener.port) == b"hello"
    assert len(failures) == 100


async def test_what_is_closed_is_accepted_no_more_and_connections_stay():
    async with accepting() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        listener.close()
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset, as the system likes
            await ask(listener.port)
        writer.write(b"2")
        assert await reader.readexactly(1) == b"2"
        writer.close()


async def test_an_address_in_use_is_an_os_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError):  # noqa: PT011 - its text is the system's
            await listening.bound("127.0.0.1", taken.getsockname()[1], 100)


async def test_every_address_of_a_name_is_listened_on():
    found = await asyncio.get_running_loop().getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)
    sockets = await listening.bound("localhost", 0, 100)
    assert {one.family for one in sockets} <= {family for family, *_ in found}
    for one in sockets:
        one.close()


def test_strangers_that_leave_while_being_accepted_are_not_in_the_log():
    def record(message, error):
        return logging.LogRecord("asyncio", logging.ERROR, "", 0, message, (), (type(error), error, None))

    gone = (
        "Task exception was never retrieved\nfuture: <Task coro=<IocpProactor.accept.<locals>.accept_coro()>"
    )
    assert not listening._not_the_strangers(record(gone, OSError(22, "gone")))
    assert listening._not_the_strangers(record(gone, ValueError("a bug")))
    assert listening._not_the_strangers(
        record("Task exception was never retrieved", OSError(28, "disk full"))
    )


class Reads64K(asyncio.Transport):
    """As the Proactor loop's: it has a buffer, which it exchanges for another only before it reads."""

    def __init__(self, reading=None):
        super().__init__()
        self._data = bytearray(65_536)
        self._read_fut = reading


def test_a_loop_that_reads_ahead_reads_a_piece_at_a_time():
    transport = Reads64K()
    listening.read_in_pieces(transport, 8_192)
    assert len(transport._data) == 8_192


def test_a_buffer_that_is_being_read_into_is_left():
    transport = Reads64K(reading=object())
    listening.read_in_pieces(transport, 8_192)
    assert len(transport._data) == 65_536
    listening.read_in_pieces(asyncio.Transport(), 8_192)  # other loops have none
