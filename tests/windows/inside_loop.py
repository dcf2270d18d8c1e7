"""What only Windows' own event loop shows. Run there by test_suites.py; nobody else collects it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import structlog

from tests.mqtt.door.fakes import FakeIntake
from whosin import app
from whosin.cli import finding
from whosin.clock import SystemClock
from whosin.mqtt.codec import V311, Connect, Publish, encode
from whosin.mqtt.door import Door
from whosin.observe import logs
from whosin.privacy import make_private
from whosin.store.guard import Guard

MANY = 1_200  # select() watches at most 512


@contextlib.asynccontextmanager
async def opened(intake=None):
    door = Door("127.0.0.1:0", clock=SystemClock(), name="x")
    await door.start(intake or FakeIntake(acking=True))
    yield door
    await door.stop()


def hello(name):
    return encode(Connect(name, True, 60, V311), V311)


def beat(name, packet_id=1, payload=b""):
    topic = f"whosin/v1/up/north/books/{name}/heartbeat".encode()
    return encode(Publish(topic, payload, 1, False, False, packet_id), V311)


async def greeted(door, name):
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(hello(name))
    assert (await reader.readexactly(4))[0] == 0x20
    return reader, writer


def test_the_daemon_runs_on_the_proactor_loop():
    factory = app._loop_factory() or asyncio.new_event_loop
    loop = factory()
    assert isinstance(loop, asyncio.ProactorEventLoop)
    loop.close()


async def test_the_door_serves_more_than_select_can_watch():
    async with opened() as door:
        lines = []
        for first in range(0, MANY, 200):
            lines += await asyncio.gather(*(greeted(door, f"s{first + n}") for n in range(200)))
        assert door.connections == MANY
        for number, (_, writer) in enumerate(lines):
            writer.write(beat(f"s{number}"))
        assert all(
            answer[0] == 0x40 for answer in await asyncio.gather(*(it.readexactly(4) for it, _ in lines))
        )
        for _, writer in lines:
            writer.close()


async def test_connections_reset_while_they_are_accepted_do_not_shut_the_door():
    warnings.simplefilter("ignore", ResourceWarning)  # the loop leaves sockets that failed to the collector
    async with opened() as door:
        for number in range(100):
            rude = socket.socket()
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh", 1, 0))
            rude.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                rude.connect(("127.0.0.1", door.port))
            rude.close()
            if number % 10 == 0:
                await asyncio.sleep(0)
        _, writer = await greeted(door, "polite")
        writer.close()
    gc.collect()


class Diary(FakeIntake):
    """What was heard and proven, in the order in which it was."""

    def __init__(self):
        super().__init__(acking=True)
        self.pages = []

    def deliver(self, source, at_ms, peer, messages):
        super().deliver(source, at_ms, peer, messages)
        self.pages += [message.payload for message in messages]

    def proof(self, source, at_ms):
        self.pages.append(at_ms)

    def until(self, sent_ms):
        """What was handed over before it was proven up to then; None while it is not."""
        proofs = [place for place, page in enumerate(self.pages) if isinstance(page, int) and page >= sent_ms]
        return [page for page in self.pages[: proofs[0]] if isinstance(page, bytes)] if proofs else None


async def test_nothing_is_proven_before_what_came_until_then_is_handed_over():
    """The loop reads ahead: what it has read is handed over, and only then is read what came behind that."""
    diary = Diary()
    async with opened(diary) as door:
        loop = asyncio.get_running_loop()
        with socket.socket() as line:
            line.setblocking(False)
            await loop.sock_connect(line, ("127.0.0.1", door.port))
            await loop.sock_sendall(line, hello("s1"))
            await loop.sock_recv(line, 4)
            for number in range(20):
                diary.pages.clear()
                for part in (b"first", b"second"):  # the loop does not turn meanwhile
                    line.send(beat("s1", 1 + number, part))
                    time.sleep(0.02)  # noqa: ASYNC251  # real time: the system completes what the loop has asked it to read
                sent_ms = door.clock.now_ms()
                while (before := diary.until(sent_ms)) is None:
                    door.prove()
                    await asyncio.sleep(0)
                assert before == [b"first", b"second"]


async def test_a_connection_is_read_a_piece_at_a_time():
    async with opened() as door:
        _, writer = await greeted(door, "s1")
        (connection,) = door._connections
        assert len(connection._transport._data) == door.limits.piece
        writer.close()


def test_a_second_daemon_is_told_which_process_has_the_database(tmp_path):
    guard = Guard(tmp_path / "whosin.db.lock")
    guard.take()
    code = (
        "import sys, pathlib\nfrom whosin.store.guard import Guard\n"
        "try: Guard(pathlib.Path(sys.argv[1])).take()\nexcept Exception as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "whosin.db.lock")],
        capture_output=True,
        text=True,
        check=True,
    )
    guard.release()
    assert f"in use by another daemon (process {os.getpid()})" in done.stdout


def test_a_log_that_somebody_reads_grows_on(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "FILE_BYTES", 300)
    file = tmp_path / "whosin.log"
    handle = logs.configure(file=file, environ={})
    log = structlog.get_logger("whosin")
    log.info("first")
    with file.open():  # without sharing it for renaming, as most programs do
        for _ in range(10):
            log.info("x" * 100)
        assert [path.name for path in tmp_path.iterdir()] == ["whosin.log"]
    handle.close()
    assert len(file.read_text(encoding="utf-8").splitlines()) == 11


def test_commands_find_the_settings_of_the_service(tmp_path, monkeypatch):
    config, data = tmp_path / "whosin.toml", tmp_path / "data"
    config.write_text(f"[daemon]\ndata_dir = '{data}'\n[http]\nlisten = '127.0.0.1:8799'\n")
    data.mkdir()
    (data / "admin-token").write_text("secret\n")
    assert Path(os.environ["PROGRAMDATA"], "Whosin", "config", "whosin.toml") == finding.SERVICE_CONFIG
    monkeypatch.setattr(finding, "SERVICE_CONFIG", config)
    found = finding.target(None, None, {})
    assert (found.url, found.token) == ("http://127.0.0.1:8799", "secret")


@pytest.mark.parametrize("name", ["data", Path("a") / "b c" / "ü"])
def test_a_folder_is_made_private(tmp_path, name):
    """That it can be set; how Windows keeps it, Wine does not show."""
    make_private(tmp_path / name)
    (tmp_path / name / "file").write_text("x")
