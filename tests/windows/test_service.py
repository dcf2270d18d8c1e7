"""The service from install to uninstall, with a Windows Python, at Wine's service manager.

Heartbeats come from this machine, through the door and through a Mosquitto that runs here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time

import paho.mqtt.client as mqtt
import pytest

from tests.docs import pages
from tests.support.daemon import until
from tests.support.mosquitto import Mosquitto, needs_mosquitto
from tests.support.ports import free_port

SETTINGS = """
[mqtt]
listen = "127.0.0.1:{door}"
{more}

[http]
listen = "127.0.0.1:{api}"

[client_types.desktop]
timeout_s = 8
heartbeat_every_s = 2
lost_grace_s = 3

[watch]
regain_grace_s = 4
tick_s = 0.1

[store]
flush_s = 0.5
"""


class Service:
    """One service of its own name; what its commands print, and what its daemon answers."""

    def __init__(self, windows, name: str, more: str = "") -> None:
        self.windows, self.name = windows, name
        self.door, self.api = free_port(), free_port()
        self.root = windows.PLACE / "prefix" / "drive_c" / "ProgramData" / name
        self.config = self.root.with_name(f"{name}.toml")
        self.config.write_text(SETTINGS.format(door=self.door, api=self.api, more=more))

    def command(self, *args: str, code: int | None = 0) -> str:
        done = self.windows.run("-m", "whosin", "service", *args, "--name", self.name, limit_s=90)
        if code is not None:
            assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr, self.log())
        return done.stdout + done.stderr

    def install(self, *args: str, code: int = 0) -> str:
        return self.command("install", "--config", rf"C:\ProgramData\{self.name}.toml", *args, code=code)

    def status(self) -> dict:
        return json.loads(self.command("status", "--json", code=None))

    def ask(self, path: str, token: str | None = None) -> tuple[int, str]:
        line = http.client.HTTPConnection("127.0.0.1", self.api, timeout=10)
        with contextlib.closing(line):
            line.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = line.getresponse()
            return answer.status, answer.read().decode()

    def session(self, name: str) -> dict:
        token = (self.root / "data" / "admin-token").read_text().strip()
        return json.loads(self.ask(f"/api/v1/sessions/{name}", token)[1])

    def ready(self) -> bool:
        try:
            return self.ask("/readyz")[0] == 200
        except OSError:
            return False

    def log(self) -> str:
        with contextlib.suppress(OSError):
            return (self.root / "logs" / "whosin.log").read_text()[-3000:]
        return ""

    def events(self) -> list[str]:
        return [
            json.loads(line)["event"] for line in (self.root / "logs" / "whosin.log").read_text().splitlines()
        ]


@contextlib.contextmanager
def client(port: int, name: str):
    """A program of this machine, with paho."""
    one = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name)
    one.connect("127.0.0.1", port)
    one.loop_start()
    try:
        yield one
    finally:
        one.disconnect()
        one.loop_stop()


def beat(one: mqtt.Client, name: str) -> None:
    payload = json.dumps({"user": name, "client": "desktop", "machine": "PC-07"})
    one.publish(f"whosin/v1/up/north/books/{name}/heartbeat", payload, qos=1).wait_for_publish(10)


@pytest.fixture
def service(windows, request, tmp_path):
    """Taken away again, whatever happened."""
    name = f"Whosin{tmp_path.name[-1]}{time.time_ns() // 1_000_000 % 100_000_000}"  # never the same twice
    one = Service(windows, name)
    yield one
    one.command("uninstall", "--purge", "--yes", code=None)
    one.config.unlink(missing_ok=True)


PAGE = pages.marked("docs/install-windows.md", "wine")
# What is done in the place of what is on the page. Whosin is in Wine's Python, which makes no environments;
# the service has a name, a settings file and ports of its own.
INSTEAD = (
    ('py -3.11 -m venv "C:\\Program Files\\Whosin"', ""),
    ('"C:\\Program Files\\Whosin\\Scripts\\pip" install C:\\path\\to\\whosin', ""),
    ('"C:\\Program Files\\Whosin\\Scripts\\pip" install --upgrade C:\\path\\to\\whosin', ""),
    ('"C:\\Program Files\\Whosin\\Scripts\\whosin" service', "whosin service"),
)


def test_the_commands_of_the_page_install_it_and_take_an_upgrade(service):
    text = "".join(block.text for block in PAGE)
    for there, here in INSTEAD:
        assert there in text
        text = text.replace(there, here)
    typed = [line for line in text.splitlines() if line]
    assert typed == ["whosin service install", "whosin service stop", "whosin service install"]
    for line in typed:
        command = line.removeprefix("whosin service ")
        said = service.install() if command == "install" else service.command(command)
        assert ("stopped" if command == "stop" else "running") in service.command("status", code=None), said
    assert service.ready()


def test_from_install_to_uninstall(service):
    said = service.install("--no-start")
    assert f"Registered the service {service.name}" in said
    assert service.status()["phase"] == "stopped"
    assert service.status()["at_boot"] is True

    assert "running" in service.command("start")
    assert service.ready()  # RUNNING is said once it is
    state = service.status()
    assert (state["phase"], state["text"]) == ("running", "0 active, 0 disconnected")
    assert state["pid"]
    assert state["since"]

    with client(service.door, "anna") as anna:
        beat(anna, "anna")
        assert service.session("anna")["status"] == "active"

        # killed, and started again: nobody is taken for silent
        killed = service.windows.run("-c", f"import os; os.kill({state['pid']}, 9)")
        assert killed.returncode == 0, killed.stderr
        until(lambda: _gone(service), 60, what="the manager sees that it is gone")
        service.command("start")
    end = time.monotonic() + 10
    with client(service.door, "anna") as anna:
        while time.monotonic() < end:  # longer than the grace after the restart, and than her timeout
            beat(anna, "anna")
            assert service.session("anna")["status"] == "active"
            time.sleep(0.5)
    assert "session.disconnected" not in service.events()

    begun = time.monotonic()
    assert "stopped" in service.command("stop")
    assert time.monotonic() - begun < 18
    assert service.status()["phase"] == "stopped"

    assert "Kept" in service.command("uninstall")
    assert service.status()["phase"] == "not installed"
    assert (service.root / "data" / "whosin.db").exists()
    assert "Registered" in service.install("--no-start")
    assert "Removed" in service.command("uninstall", "--purge", "--yes")
    assert not service.root.exists()


def _gone(service) -> bool:
    """Wine's manager looks whether a process is there when it has an order for it, and not before."""
    service.command("stop", code=None)
    return service.status()["phase"] == "failed"


@needs_mosquitto
def test_heartbeats_through_a_broker_of_this_machine(windows, service, tmp_path):
    broker = Mosquitto(tmp_path)
    broker.start()
    try:
        more = f'url = "mqtt://127.0.0.1:{broker.port}"'
        service.config.write_text(SETTINGS.format(door=service.door, api=service.api, more=more))
        service.install()
        with client(broker.port, "ben") as ben:
            beat(ben, "ben")
            until(lambda: service.session("ben").get("status") == "active", what="it was heard")
    finally:
        broker.stop()


def test_without_its_broker_it_is_starting_and_says_why_and_can_be_stopped(service):
    more = f'url = "mqtt://127.0.0.1:{free_port()}"'
    service.config.write_text(SETTINGS.format(door=service.door, api=service.api, more=more))
    service.install("--no-start")
    service.windows.run("-c", START.format(name=service.name))
    state = until(lambda: _waiting(service), 60, what="it waits for its broker")
    assert state["phase"] == "starting"
    assert "stopped" in service.command("stop")


def _waiting(service) -> dict | None:
    state = service.status()
    return state if "nothing is received through the link" in state["text"] else None


START = """
import win32service as s
manager = s.OpenSCManager(None, None, s.SC_MANAGER_CONNECT)
s.StartService(s.OpenService(manager, {name!r}, s.SERVICE_START), None)
"""


def test_what_it_ended_with_is_told(service):
    service.install("--no-start")
    service.config.write_text("[mqtt]\nlisten = 5\n")
    said = service.command("start", code=1)
    assert "failed" in said
    assert "its settings are wrong" in said
    assert "mqtt.listen is 5" in said


def test_a_daemon_that_cannot_start_says_why(service):
    service.install("--no-start")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", service.api))
        taken.listen()
        said = service.command("start", code=1)
    assert "it failed: cannot start: http.listen" in said


def test_what_was_never_installed_is_told(service):
    assert "Not installed" in service.command("status", code=1)
    assert "whosin service install" in service.command("start", code=1)
