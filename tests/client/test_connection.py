"""One connection: TLS, and what aiomqtt needs to be kept from."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.client.conftest import QUICK, ann
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from whosin.client import Gateway, Login, LoginRefused, NotConnected, State
from whosin.client.connection import Broker, Connection, _client
from whosin.client.line import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Self-signed, for 127.0.0.1: the certificate and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("NOT TESTED: openssl is missing")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=whosin test", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o600)
    return cert, key


@pytest.fixture
def secure(tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[str]:
    port = free_port()
    cert, key = certificate
    listen = f'listen = "127.0.0.1:{port}"\nlisten_tls_cert = "{cert}"\nlisten_tls_key = "{key}"'
    daemon = Daemon(tmp_path, listen)
    try:
        daemon.start()
        yield f"mqtts://127.0.0.1:{port}"
    finally:
        daemon.stop()


async def test_tls_with_the_sites_own_authority(secure: str, certificate: tuple[Path, Path]) -> None:
    ca_file = str(certificate[0])
    async with (
        Login(secure, **ann(ca_file=ca_file)) as login,
        Gateway(secure, site="head-office", company="books", ca_file=ca_file, backoff=QUICK) as gateway,
        gateway.login(user="bob") as bob,
    ):
        assert login.state is bob.state is State.CONNECTED


async def test_a_server_nobody_vouches_for_is_refused_at_once(secure: str) -> None:
    with pytest.raises(LoginRefused, match="not who it should be") as refused:
        await Login(secure, **ann()).open()
    assert refused.value.code == "tls"
    assert len(asyncio.all_tasks()) == 1


def test_a_missing_certificate_is_an_error_when_the_login_is_made() -> None:
    with pytest.raises(FileNotFoundError):
        Login("mqtts://127.0.0.1", **ann(ca_file="/nowhere/ca.pem"))


CONNACK = bytes((0x20, 3, 0, 0, 0))


@pytest.mark.parametrize("answer", [b"", CONNACK], ids=["before the answer", "with the answer"])
@pytest.mark.parametrize("reads", [True, False], ids=["at an end", "by a reset"])
async def test_a_connection_that_breaks_while_it_is_opened_is_told_at_once(
    answer: bytes, reads: bool
) -> None:
    """As when the daemon is killed while its clients come back: waiting for the answer of a dead one would
    be ten seconds in which nobody beats.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reads:
            await reader.read(4096)
        writer.write(answer)
        await writer.drain()
        writer.close()  # with something unread this is a reset

    async def come_in(broker: Broker) -> None:
        line = await Connection.open(broker, client_id="x", will=None, keep_alive_s=30, session_expiry_s=0)
        try:
            await line.subscribe(["x"])
        finally:
            line.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, asyncio.timeout(4):
        broker = Broker("127.0.0.1", server.sockets[0].getsockname()[1])
        with pytest.raises(NotConnected):
            await come_in(broker)


async def test_a_socket_closed_meanwhile_is_not_watched() -> None:
    """Its number may already be another connection's; aiomqtt would watch that one."""
    client = _client(Broker("127.0.0.1", 1), "x", None, 30, 0)
    ours, theirs = socket.socketpair()
    client._on_socket_register_write(client._client, None, ours)
    ours.close()
    other = socket.socket(fileno=socket.socket().detach())
    watched: list[int] = []
    client._loop.add_writer = lambda number, *_: watched.append(number)  # type: ignore[method-assign]
    try:
        await asyncio.sleep(0)
        assert not watched
    finally:
        del client._loop.add_writer
        theirs.close()
        other.close()


def test_pauses_grow_to_a_bound_and_are_never_in_step() -> None:
    from random import Random  # noqa: PLC0415

    backoff, draw = Backoff(first_s=1, most_s=8), Random(1)
    for attempt, longest in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (10_000, 8)):
        pauses = {backoff.pause_s(attempt, draw) for _ in range(50)}
        assert len(pauses) == 50
        assert min(pauses) >= longest / 2
        assert max(pauses) <= longest
