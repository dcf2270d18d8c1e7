"""Signing in as people do it: the installed daemon on a terminal and without one, browsers, restarts."""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.daemon import WHOSIN, Daemon, until
from tests.support.ports import free_port

LINK = re.compile(r"http://[^\s]+/sign-in/link\?code=([A-Za-z0-9_-]+)")
PASSWORD = "correct horse battery"
HTML = {"Accept": "text/html"}


class Browser:
    """Keeps cookies, follows nothing."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.jar: dict[str, str] = {}
        self.csrf = ""

    def ask(
        self, method: str, path: str, form: dict[str, str] | None = None, body: Any = None, **headers: str
    ) -> tuple[int, Any, str]:
        """Status, Location, text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {**HTML, "Cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items()), **headers}
        if method != "GET":
            sent |= {"Origin": f"http://127.0.0.1:{self.port}", "Sec-Fetch-Site": "same-origin"}
        content = None
        if form is not None:
            content, sent["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
        elif body is not None:
            content, sent["Content-Type"] = json.dumps(body), "application/json"
            sent["X-CSRF-Token"] = self.csrf
        try:
            connection.request(method, path, content, sent)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie") or []:
                name, _, value = cookie.partition(";")[0].partition("=")
                self.jar[name] = value
            return answer.status, answer.headers["Location"], answer.read().decode()
        finally:
            connection.close()

    def sign_in(self, name: str, password: str = PASSWORD) -> int:
        status = self.ask("POST", "/sign-in", {"name": name, "password": password})[0]
        if status == 303:
            self.csrf = self.api("GET", "me")["csrf"]
        return status

    def api(self, method: str, path: str, body: Any = None) -> Any:
        status, _, text = self.ask(method, f"/api/v1/{path}", body=body)
        assert status < 300, (status, text)
        return json.loads(text) if text else None


class Terminal:
    """A daemon in the foreground of a terminal, and all that was on it."""

    def __init__(self, config: Path, *, stdout: int | None = None) -> None:
        master, slave = pty.openpty()
        self.seen = ""
        self._master = master
        self.process = subprocess.Popen(
            [WHOSIN, "run", "--config", str(config)], stdin=slave, stdout=slave if stdout is None else stdout,
            stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while chunk := os.read(self._master, 4096):
                self.seen += chunk.decode(errors="replace")
        except OSError:
            pass  # the other end is closed

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(15)
        self._thread.join(5)
        os.close(self._master)


@pytest.fixture
def daemon(tmp_path: Path) -> Any:
    made = Daemon(
        tmp_path, f'listen = "127.0.0.1:{free_port()}"', f'[log]\nfile = "{tmp_path / "lines.log"}"'
    )
    yield made
    made.stop()


def everything_written(daemon: Daemon) -> str:
    """Every file that the daemon wrote, as text."""
    files = [path for path in daemon.folder.rglob("*") if path.is_file()]
    return "\n".join(path.read_bytes().decode("latin-1") for path in files)


def add(daemon: Daemon, name: str, role: str, *more: str) -> None:
    """With a password, by stdin."""
    subprocess.run(
        [WHOSIN, "operators", "add", name, "--role", role, "--password-stdin", *more], input=PASSWORD,
        text=True, check=True, env={**os.environ, "WHOSIN_URL": daemon.url, "WHOSIN_TOKEN": daemon.token},
    )  # fmt: skip


def test_the_first_start_on_a_terminal_shows_a_link_that_makes_the_administrator_once(
    daemon: Daemon,
) -> None:
    terminal = Terminal(daemon.config)
    try:
        code = until(lambda: LINK.search(terminal.seen), what="the link on the terminal")[1]
        browser, late = Browser(daemon.http_port), Browser(daemon.http_port)
        assert "Set up the first administrator" in browser.ask("GET", f"/sign-in/link?code={code}")[2]
        form = {"code": code, "name": "ann", "password": PASSWORD, "again": PASSWORD}
        assert browser.ask("POST", "/sign-in/link", form)[:2] == (303, "/")
        assert browser.ask("GET", "/")[0] == 200
        assert browser.api("GET", "me")["role"] == "administrator"
        assert late.ask("POST", "/sign-in/link", form | {"name": "eve"})[0] == 410
        assert "operator.signed_in" in until(lambda: "operator.signed_in" in terminal.seen and terminal.seen)
        assert terminal.seen.count(code) == 1
    finally:
        terminal.close()
    written = everything_written(daemon)
    for secret in (code, PASSWORD, browser.jar[f"whosin-{daemon.http_port}"]):
        assert secret not in written
        assert secret not in terminal.seen.replace(f"code={code}", "")
    again = Terminal(daemon.config)
    try:
        until(lambda: "daemon.started" in again.seen)
        assert LINK.search(again.seen) is None  # there is somebody who can sign in
        assert browser.api("GET", "me")["name"] == "ann"  # a restart signs nobody out
    finally:
        again.close()


def test_without_a_terminal_no_link_is_written_anywhere(daemon: Daemon) -> None:
    daemon.start()
    daemon.stop()
    written = everything_written(daemon)
    assert "is at http://127.0.0.1" in written
    assert "code=" not in written


def test_where_only_stderr_is_a_terminal_the_link_is_there_and_not_in_the_pipe(daemon: Daemon) -> None:
    reading, writing = os.pipe()
    terminal = Terminal(daemon.config, stdout=writing)
    os.close(writing)
    try:
        until(lambda: LINK.search(terminal.seen), what="the link on the terminal")
    finally:
        terminal.close()
    with os.fdopen(reading, "rb") as piped:
        text = piped.read().decode()
    assert "is at http://" in text
    assert "code=" not in text


def test_operators_are_let_in_changed_and_kept_out_from_the_command_line(daemon: Daemon) -> None:
    daemon.start()
    link = daemon.whosin("operators", "add", "grace", "--role", "operator").strip()
    path = link.removeprefix(daemon.url)
    browser = Browser(daemon.http_port)
    assert "Choose a password, grace" in browser.ask("GET", path)[2]
    form = {"code": path.partition("code=")[2], "name": "grace", "password": PASSWORD, "again": PASSWORD}
    assert browser.ask("POST", "/sign-in/link", form)[0] == 303
    other = Browser(daemon.http_port)
    assert other.sign_in("grace", "x") == 403
    assert other.sign_in("grace") == 303
    assert other.api("PUT", "cleanup", {"enabled": True})["enabled"] is True
    daemon.whosin("operators", "set", "grace", "--role", "viewer")
    assert other.ask("PUT", "/api/v1/cleanup", body={"enabled": False})[0] == 403
    assert other.ask("GET", "/")[0] == 200
    daemon.kill()
    daemon.start()
    assert other.api("GET", "me")["role"] == "viewer"
    assert other.api("POST", "sign-out", {"everywhere": True}) == {"ended": 2}
    assert browser.ask("GET", "/")[:2] == (303, "/sign-in")
    assert browser.sign_in("grace") == 303
    assert json.loads(daemon.whosin("operators", "sign-out", "grace", "--json"))["ended"] == 1
    assert browser.sign_in("grace") == 303
    daemon.whosin("operators", "set", "grace", "--disable")
    assert browser.ask("GET", "/")[:2] == (303, "/sign-in")
    assert browser.sign_in("grace") == 403
    daemon.whosin("operators", "remove", "grace")
    assert "no operators" in daemon.whosin("operators")
    told = [event["type"].partition(".")[2] for event in reversed(daemon.history(type="operator."))]
    assert told == [
        "added", "link_made", "password_changed", "signed_in", "sign_in_failed", "signed_in", "changed",
        "signed_out", "signed_in", "signed_out", "signed_in", "changed", "sign_in_failed",
        "removed",
    ]  # fmt: skip
    assert {event["actor"] for event in daemon.history(type="operator.changed")} == {"admin"}


def test_an_operator_of_a_site_sees_and_does_only_that_site(daemon: Daemon) -> None:
    daemon.start()
    add(daemon, "nora", "administrator", "--site", "north")
    daemon.whosin("tokens", "create", "of-all", "--role", "viewer")
    nora = Browser(daemon.http_port)
    assert nora.sign_in("nora") == 303
    assert nora.api("GET", "tokens")["items"] == []
    assert [one["name"] for one in nora.api("GET", "operators")["items"]] == ["nora"]
    assert nora.ask("PUT", "/api/v1/cleanup", body={"enabled": True})[0] == 403
    assert nora.ask("POST", "/api/v1/operators", body={"name": "x", "role": "viewer"})[0] == 403
    assert nora.api("GET", "history")["items"] == []


def test_a_stream_of_a_browser_ends_when_its_operator_is_disabled(daemon: Daemon) -> None:
    daemon.start()
    add(daemon, "grace", "viewer")
    browser = Browser(daemon.http_port)
    assert browser.sign_in("grace") == 303
    connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=10)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.jar.items())
    connection.request("GET", "/api/v1/events", headers={"Cookie": cookie})
    stream = connection.getresponse()
    assert stream.readline().startswith(b"retry")
    daemon.whosin("operators", "set", "grace", "--disable")
    stream.read()  # to its end, within the timeout: nobody waits for the next sign of life
    connection.close()
