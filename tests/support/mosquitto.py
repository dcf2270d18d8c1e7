"""A real Mosquitto on a free loopback port, run from the configuration that ships.

def test_it(mosquitto): ...  # running; mosquitto.port, .kill(), .pause(), .restart(keep_state=True)
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SHIPPED = Path(__file__).parents[2] / "config" / "mosquitto"


def find_program(name: str) -> str | None:
    """Debian keeps the broker in /usr/sbin, which is not on everybody's path."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


needs_mosquitto = pytest.mark.skipif(find_program("mosquitto") is None, reason="needs mosquitto")


def wait_for(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    """Poll. For what other processes do; code of ours is awaited."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"not within {limit_s} s: {condition}"
        time.sleep(0.01)


class Mosquitto:
    """One broker. `listener` replaces the shipped way in (`{port}` is filled in), `extra` is appended.
    `within` are words that go before the command, as for a network namespace, where `host` is its address."""

    def __init__(
        self,
        folder: Path,
        *,
        listener: str = "listener {port} 127.0.0.1\nallow_anonymous true",
        extra: str = "",
        within: Sequence[str] = (),
        host: str = "127.0.0.1",
    ) -> None:
        self.folder = folder
        self.host = host
        self._within = within
        self.port = free_port()
        self.state = folder / "mosquitto.db"
        self.config = folder / "mosquitto.conf"
        self.log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.config.write_text(self._derived(listener.format(port=self.port), extra))

    def _derived(self, listener: str, extra: str) -> str:
        text = (SHIPPED / "whosin.conf").read_text()
        for shipped, ours in (
            ("listener 1883 127.0.0.1\nallow_anonymous true\n", f"{listener}\n"),
            ("persistence_location /var/lib/mosquitto/\n", f"persistence_location {self.folder}/\n"),
        ):
            assert text.count(shipped) == 1, f"the shipped configuration has no {shipped!r}"
            text = text.replace(shipped, ours)
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            text += "user root\n"  # else it drops to a user that cannot write to the test's folder
        return f"{text}\n{extra}\n"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> Mosquitto:
        program = find_program("mosquitto")
        assert program is not None, "mosquitto is not installed"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._within, program, "-c", self.config], stdout=log, stderr=log
            )
        wait_for(self._serves)
        return self

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"mosquitto ended: {self.log.read_text()}"
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0

    def stop(self) -> None:
        """As the system does: it saves its state. Harmless if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9: what came after its last save is gone."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def save(self) -> None:
        """Write the state now instead of at the next interval."""
        before = self._saved_ns()
        os.kill(self.pid, signal.SIGUSR1)
        wait_for(lambda: self._saved_ns() > before)

    def _saved_ns(self) -> int:
        return self.state.stat().st_mtime_ns if self.state.exists() else 0

    def restart(self, *, keep_state: bool) -> None:
        """Kill -9 and start again, with all its state or with none."""
        if keep_state:
            self.save()
        self.kill()
        if not keep_state:
            self.state.unlink(missing_ok=True)
        self.start()


@pytest.fixture(name="mosquitto")
def mosquitto_fixture(tmp_path: Path) -> Iterator[Mosquitto]:
    if find_program("mosquitto") is None:
        pytest.skip("needs mosquitto")
    broker = Mosquitto(tmp_path)
    try:
        yield broker.start()
    finally:
        broker.stop()
