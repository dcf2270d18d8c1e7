"""A site for tests: the installed `whosin` command as a process, its door or a real Mosquitto, real clients.

Timeouts are those of people, a hundred times faster; nothing here sleeps for logic, it polls for conditions.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

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
    """One `whosin run`, started, killed and asked as an operator would."""

    def __init__(self, folder: Path, mqtt: str, more: str = "", data: Path | None = None) -> None:
        self.folder = folder
        self.data = data or folder / "data"
        self.http_port = free_port()
        self.config = folder / "whosin.toml"
        self.url = f"http://127.0.0.1:{self.http_port}"
        text = SETTINGS.format(data=self.data, mqtt=mqtt, http_port=self.http_port, more=more)
        self.config.write_text(text)
        self.log = folder / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True) -> Daemon:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [WHOSIN, "run", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        until(lambda: self._answers("/readyz" if ready else "/healthz"), what="the daemon is ready")
        return self

    def _answers(self, path: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended: {self.log.read_text()[-2000:]}"
        try:
            return self.get(path, token=None)[0] == 200
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

    def ask(self, method: str, path: str, body: Any = None, token: str | None = "") -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
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


class Client:
    """A client of the wire over paho: says, and keeps all that it hears. Reconnects by itself."""

    def __init__(
        self,
        port: int,
        ident: str | None = None,
        *,
        hear: str | None = None,
        version: int = 5,
        will: str | None = None,
        expiry_s: int = 600,
        clean: bool = False,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self.ident = ident or f"test-{uuid.uuid4()}"
        self.heard: list[tuple[str, Any]] = []
        self._hear = hear
        self._up = threading.Event()
        self._subscribed = threading.Event()
        protocol = paho.MQTTv5 if version == 5 else paho.MQTTv311
        extra = {} if version == 5 else {"clean_session": clean}
        self.mqtt = paho.Client(CallbackAPIVersion.VERSION2, self.ident, protocol=protocol, **extra)
        self.mqtt.on_connect = self._connected
        self.mqtt.on_message = self._message
        self.mqtt.on_subscribe = lambda *_: self._subscribed.set()
        self.mqtt.on_disconnect = lambda *_: self._up.clear()
        self.mqtt.reconnect_delay_set(0.1, 0.5)
        if username:
            self.mqtt.username_pw_set(username, password)
        if will:
            self.mqtt.will_set(will, b"{}", qos=1)
        options: dict[str, Any] = {}
        if version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry_s
            options = {"clean_start": clean, "properties": properties}
        self.mqtt.connect("127.0.0.1", port, keepalive=30, **options)
        self.mqtt.loop_start()
        assert self._up.wait(10), "no CONNACK"
        if hear:
            assert self._subscribed.wait(10), "no SUBACK"

    def _connected(self, *_: Any) -> None:
        if self._hear:
            self.mqtt.subscribe(self._hear, qos=1)
        self._up.set()

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            payload: Any = json.loads(message.payload)
        except ValueError:
            payload = message.payload
        self.heard.append((message.topic, payload))

    def say(
        self,
        session: str,
        verb: str,
        payload: Any = None,
        *,
        qos: int = 1,
        site: str = "s1",
        company: str = "c1",
        wait: bool = True,
    ) -> paho.MQTTMessageInfo:
        """Publish; at QoS 1 this returns once it is acknowledged, which is once it is durable."""
        body = b"" if payload is None else json.dumps(payload).encode()
        until(self.mqtt.is_connected, what=f"{self.ident} is connected")
        info = self.mqtt.publish(f"whosin/v1/up/{site}/{company}/{session}/{verb}", body, qos=qos)
        if qos and wait:
            info.wait_for_publish(15)
            assert info.is_published(), f"{verb} of {session} was not acknowledged"
        return info

    def login(self, session: str, user: str, client: str = "desktop", **more: Any) -> None:
        place = {key: more.pop(key) for key in ("site", "company") if key in more}
        self.say(session, "login", {"user": user, "client": client, **more}, **place)

    def answer(self, session: str, kind: str, nth: int = 0) -> Any:
        """The nth answer of a kind to a session, waiting for it."""

        def found() -> list[Any]:
            ending = f"/{session}/{kind}"
            return [body for topic, body in list(self.heard) if "/down/" in topic and topic.endswith(ending)]

        until(lambda: len(found()) > nth, what=f"answer {kind} to {session}")
        return found()[nth]

    def events(self, kind: str | None = None) -> list[Any]:
        return [
            body
            for topic, body in list(self.heard)
            if "/events/" in topic and (kind is None or body["type"] == kind)
        ]

    def event(self, kind: str, session: str) -> Any:
        return until(
            lambda: next((one for one in self.events(kind) if one.get("subject") == session), None),
            what=f"event {kind} of {session}",
        )

    def drop(self) -> None:
        """The cable is pulled: the connection ends without a goodbye."""
        self.mqtt.on_disconnect = None
        transport = self.mqtt.socket()
        self.mqtt.loop_stop_event = True  # type: ignore[attr-defined]
        assert transport is not None
        transport.shutdown(socket.SHUT_RDWR)
        self.mqtt._thread_terminate = True

    def close(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


class Heart:
    """Beats for sessions in the background, as client programs do. Stop one and it falls silent."""

    def __init__(self, client: Client, every_s: float = 0.5) -> None:
        self._client = client
        self._every_s = every_s
        self._sessions: dict[str, tuple[str, str]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, session: str, site: str = "s1", company: str = "c1") -> None:
        self._sessions[session] = (site, company)

    def remove(self, session: str) -> None:
        self._sessions.pop(session, None)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            for session, (site, company) in list(self._sessions.items()):
                self._client.say(session, "heartbeat", qos=0, site=site, company=company)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
