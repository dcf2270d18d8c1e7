"""TLS as an operator sets it up: accounts by certificate, renewal without a restart, and what is told."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import Client
from tests.support.certificates import Authority, Pair, needs_openssl
from tests.support.daemon import WHOSIN, Daemon, until
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_openssl

MQTT = """listen = "127.0.0.1:{port}"
sign_in = "on"
listen_tls_cert = "{server.cert}"
listen_tls_key = "{server.key}"
listen_client_ca = "{authority.ca}"
"""


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.authority = Authority(folder / "authority")
        self.server = self.authority.issue("localhost", server=True, into=folder / "server")
        mqtt = MQTT.format(port=self.port, server=self.server, authority=self.authority)
        self.daemon = Daemon(folder, mqtt)

    def account(self, name: str, role: str = "client") -> str:
        return self.daemon.whosin("clients", "add", name, "--role", role, "--site", "s1").strip()

    def client(self, ident: str, pair: Pair | None = None, **more: str) -> Client:
        return Client(self.port, ident, tls=self.authority.trusting(pair), **more)

    def shown(self) -> str:
        """The certificate that new connections are shown."""
        return ssl.get_server_certificate(("127.0.0.1", self.port))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    made.daemon.start()
    yield made
    made.daemon.stop()


def test_a_certificate_signs_an_account_in_until_that_is_removed(place: Place) -> None:
    password = place.account("pc-anna")
    by_certificate = place.client("anna-1", place.authority.issue("pc-anna"))
    by_certificate.login("anna-1", "anna")
    by_password = place.client("anna-2", username="pc-anna", password=password)
    by_password.login("anna-2", "anna")
    assert set(place.daemon.sessions()) == {"anna-1", "anna-2"}
    by_certificate.say("anna-2", "logout")  # another's session
    assert place.daemon.status("anna-2") == "active"
    place.daemon.whosin("clients", "remove", "pc-anna")
    until(lambda: not by_certificate.mqtt.is_connected() and not by_password.mqtt.is_connected())
    until(lambda: place.daemon.metric('whosin_messages_rejected_total{reason="sign_in"}') >= 2)
    for one in (by_certificate, by_password):
        one.close()


def test_a_renewed_certificate_is_shown_after_a_reload_and_half_of_one_never(place: Place) -> None:
    place.account("portal", "gateway")
    gateway = place.client("g", place.authority.issue("portal"))
    before = place.shown()
    new = place.authority.issue("localhost", server=True, into=place.folder / "new")
    new.cert.replace(place.server.cert)
    said = place.daemon.whosin("reload", code=1)
    assert said == ""
    assert place.shown() == before
    new.key.replace(place.server.key)
    place.daemon.whosin("reload")
    assert place.shown() == place.server.cert.read_text() != before
    gateway.login("x", "anna")  # on the connection of before
    gateway.close()


def test_a_reload_says_what_is_wrong_with_a_certificate(place: Place) -> None:
    place.server.cert.write_text("nonsense")
    status, problem = place.daemon.ask("POST", "/api/v1/reload")
    assert (status, problem["code"]) == (409, "settings")
    detail = problem["detail"]
    assert "mqtt.listen_tls_cert: " in detail
    assert f"{place.server.cert} and {place.server.key}: expected a certificate and its key in PEM" in detail
    assert detail.endswith("the certificate in use stays")


def test_a_daemon_does_not_start_with_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    place = Place(tmp_path)
    other = place.authority.issue("localhost", server=True, into=tmp_path / "other")
    other.key.replace(place.server.key)
    done = subprocess.run(
        [WHOSIN, "run", "--config", place.daemon.config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "whosin: cannot start: mqtt.listen_tls_cert: the key in " in done.stderr
    assert "Traceback" not in done.stderr


def test_page_and_api_are_served_by_https_and_renewed_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    server = authority.issue("localhost", server=True, into=tmp_path / "server")
    daemon = Daemon(tmp_path, f'listen = "127.0.0.1:{free_port()}"')
    daemon.configure(
        daemon.config.read_text().replace(
            "[client_types.desktop]",
            f'tls_cert = "{server.cert}"\ntls_key = "{server.key}"\n[client_types.desktop]',
        )
    )
    daemon.launch()

    def ask(path: str, trust: Authority, method: str = "GET") -> int:
        request = urllib.request.Request(f"https://127.0.0.1:{daemon.http_port}{path}", method=method)
        request.add_header("Authorization", f"Bearer {daemon.token if daemon.data.exists() else ''}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, context=trust.trusting(), timeout=10) as answer:
            assert isinstance(json.loads(answer.read()), dict)
            return int(answer.status)

    def ready() -> bool:
        try:
            return ask("/readyz", authority) == 200
        except OSError:
            return False

    try:
        until(ready)
        renewed = Authority(tmp_path / "renewed")
        renewed.issue("localhost", server=True, into=tmp_path / "server")
        assert ask("/api/v1/reload", authority, "POST") == 200
        assert ask("/readyz", renewed) == 200
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            ask("/readyz", authority)
    finally:
        daemon.stop()
