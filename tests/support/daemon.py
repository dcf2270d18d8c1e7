"""The installed `whosin` command as a process, started, killed and asked as an operator would.

The timeouts of the settings that it is given unless told otherwise are those of people, a hundred times
faster; nothing here sleeps for logic, it polls for conditions.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support.ports import free_port

WHOSIN = str(Path(sys.executable).with_name("whosin"))

SETTINGS = """
[daemon]
name = "test"
data_dir = "{data}"

[mqtt]
{mqtt}

[http]
listen = "127.0.0.1:{http_port}"

[client_types.desktop]
timeout_s = 3
heartbeat_every_s = 1
lost_grace_s = 1.2

[client_types.web]
timeout_s = 12
heartbeat_every_s = 2.4
lost_grace_s = 3

[watch]
regain_grace_s = 2
tick_s = 0.1

[locks]
lock_delay_s = 1

[cleanup]
every_s = 2

[store]
flush_s = 0.5
{more}
"""


def until(condition: Callable[[], Any], limit_s: float = 15.0, what: str = "") -> Any:
    """Poll until it holds; its value."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {limit_s} s: {what or condition}"
        time.sleep(0.02)


class Daemon:
    """One `whosin run`. `settings` is a template with `{data}`, `{mqtt}`, `{http_port}` and `{more}`;
    `environ` is added to the process's environment."""

    def __init__(
        self,
        folder: Path,
        mqtt: str,
        more: str = "",
        data: Path | None = None,
        *,
        settings: str = SETTINGS,
        environ: Mapping[str, str] | None = None,
        program: str | Path = WHOSIN,
    ) -> None:
        self.folder = folder
        self._program = str(program)
        self.data = data or folder / "data"
        self.http_port = free_port()
        self.config = folder / "whosin.toml"
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.log = folder / "daemon.log"
        self._environ = {**os.environ, **(environ or {})}
        self._mqtt = mqtt
        self.configure(settings, more)
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, settings: str, more: str = "") -> None:
        """Write the settings file; for the next start, or for a reload."""
        text = settings.format(data=self.data, mqtt=self._mqtt, http_port=self.http_port, more=more)
        fresh = self.config.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.config)

    def launch(self) -> subprocess.Popen[bytes]:
        """The process alone; nobody waits until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self._program, "run", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._environ,
            )
        return self.process

    def start(self, *, ready: bool = True, limit_s: float = 15.0) -> Daemon:
        self.launch()
        path = "/readyz" if ready else "/healthz"
        until(lambda: self.answers(path), limit_s, what="the daemon is ready")
        return self

    def answers(self, path: str, timeout_s: float = 10.0) -> bool:
        """Whether it says 200 there; fails if its process has ended."""
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended: {self.log.read_text()[-2000:]}"
        try:
            return self.ask("GET", path, token=None, timeout_s=timeout_s)[0] == 200
        except OSError:
            return False

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """kill -9, in the middle of whatever it does."""
        self.end(signal.SIGKILL)

    def stop(self) -> int:
        """As systemd does; its exit code."""
        return self.end(signal.SIGTERM)

    def end(self, how: signal.Signals) -> int:
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            return process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
            raise

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @property
    def token(self) -> str:
        return (self.data / "admin-token").read_text().strip()

    def get(self, path: str, token: str | None = "") -> tuple[int, Any]:
        return self.ask("GET", path, token=token)

    def ask(
        self, method: str, path: str, body: Any = None, token: str | None = "", timeout_s: float = 10.0
    ) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout_s)
        try:
            headers = {"Content-Type": "application/json"}
            if token is not None:
                headers["Authorization"] = f"Bearer {token or self.token}"
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if "json" in (
                answer.headers["Content-Type"] or ""
            ) else text.decode()
        finally:
            connection.close()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = self.ask(method, f"/api/v1/{path}", body)
        assert status == 200, (status, answer)
        return answer

    def sessions(self, **filters: str) -> dict[str, Any]:
        query = "&".join(f"{key}={value}" for key, value in {"limit": "1000", **filters}.items())
        return {item["id"]: item for item in self.api("GET", f"sessions?{query}")["items"]}

    def status(self, session: str) -> str | None:
        code, item = self.get(f"/api/v1/sessions/{session}")
        return item["status"] if code == 200 else None

    def history(self, **filters: str) -> list[dict[str, Any]]:
        query = "&".join(f"{key}={value}" for key, value in {"limit": "1000", **filters}.items())
        items: list[dict[str, Any]] = self.api("GET", f"history?{query}")["items"]
        return items

    def metric(self, name: str) -> float:
        text = self.get("/metrics", token=None)[1]
        found = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def whosin(self, *args: str, code: int = 0) -> str:
        """The installed command, as typed by an operator; what it printed."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("WHOSIN_")}
        done = subprocess.run(
            [WHOSIN, *args], capture_output=True, text=True, timeout=60, check=False,
            env={**environ, "WHOSIN_URL": self.url, "WHOSIN_TOKEN": self.token},
        )  # fmt: skip
        assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
        return done.stdout
