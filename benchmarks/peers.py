"""Those that stand beside Whosin: Redis, a Mosquitto, and a C program on libmosquitto that does the same.

Each is found on this machine or left out with a word; each ends by its own process id.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.rig import until
from tests.support.lines import pour
from tests.support.mosquitto import Mosquitto, find_program
from tests.support.ports import free_port


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[Mosquitto | None]:
    """With the limits that ship; None, and a word, where it is not installed."""
    if find_program("mosquitto") is None:
        print("mosquitto is not installed: left out")
        yield None
        return
    (folder / "broker").mkdir(exist_ok=True)
    broker = Mosquitto(folder / "broker").start()
    try:
        yield broker
    finally:
        broker.stop()


class Listener:
    """`listener.c`: subscribes and keeps for each topic when it was last heard."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def heard(self) -> None:
        """Wait until the next round is heard."""
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError("the C subscriber ended")


@contextlib.contextmanager
def listener(folder: Path, port: int, qos: int, count: int) -> Iterator[Listener | None]:
    """None, and a word, where it cannot be compiled."""
    program = folder / "listener"
    source = Path(__file__).with_name("listener.c")
    if shutil.which("gcc") is None:
        print("gcc is not installed: the C subscriber is left out")
        yield None
        return
    if not program.exists():
        made = subprocess.run(
            ["gcc", "-O2", "-o", program, source, "-lmosquitto"], capture_output=True, text=True, check=False
        )
        if made.returncode:
            print(f"libmosquitto-dev is missing, so the C subscriber is left out: {made.stderr.strip()[:80]}")
            yield None
            return
    process = subprocess.Popen([program, str(port), str(qos), str(count)], stdout=subprocess.PIPE, text=True)
    try:
        found = Listener(process)
        found.heard()
        yield found
    finally:
        process.kill()
        process.wait()


class Redis:
    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid
        self.line = socket.create_connection(("127.0.0.1", port), timeout=30)

    def pour(self, blob: bytes, reply_bytes: int) -> float:
        """Pipelined; seconds of CPU that this cost the sender."""
        return pour([self.line], [blob], [reply_bytes])

    def ask(self, *words: str | bytes) -> bytes:
        """One short command; whatever comes back first."""
        self.line.sendall(command(*words))
        return self.line.recv(1 << 16)

    def used(self) -> int:
        """Bytes it has allocated."""
        for line in self.ask("INFO", "memory").decode().splitlines():
            if line.startswith("used_memory:"):
                return int(line.partition(":")[2])
        raise RuntimeError("INFO memory has no used_memory")


def command(*words: str | bytes) -> bytes:
    raw = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in raw)


@contextlib.contextmanager
def redis(folder: Path, more: Sequence[str] = ()) -> Iterator[Redis | None]:
    program = shutil.which("redis-server")
    if program is None:
        print("redis-server is not installed: left out")
        yield None
        return
    port = free_port()
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "",
         "--appendonly", "no", *more],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: _listens(port), 20)
        made = Redis(port, process.pid)
        try:
            yield made
        finally:
            made.line.close()
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
