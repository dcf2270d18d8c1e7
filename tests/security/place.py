"""A site under attack: the installed daemon, its way in with TLS, and those who live there.

Four ways in: the door or a real Mosquitto run from config/mosquitto/production.conf, each by password and by
certificate. Anna and Bob work at site `acme`; `rival` is somebody else's.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.security.line import Line, Who
from tests.support.certificates import Authority
from tests.support.daemon import Daemon
from tests.support.mosquitto import SHIPPED, Mosquitto, find_program
from tests.support.ports import free_port

if TYPE_CHECKING:
    from whosin.mqtt.codec import Will

WAYS = ("door-password", "door-certificate", "mosquitto-password", "mosquitto-certificate")

ANNA, BOB, EVE = "3f0c9d3e-anna", "8d1b77aa-bob", "c41ad2ff-eve"
"""Their sessions. Eve is the attacker."""

MORE = """
[client_types.till]
timeout_s = 600
heartbeat_every_s = 60
lost_grace_s = 300
"""

DOOR = """listen = "127.0.0.1:{port}"
sign_in = "on"
listen_tls_cert = "{server.cert}"
listen_tls_key = "{server.key}"
listen_client_ca = "{clients}"
listen_client_crl = "{crl}"
"""

LINK = """url = "mqtts://localhost:{port}"
username = "whosin"
password_file = "{folder}/whosin.password"
ca_file = "{ca}"
client_id = "whosin-9b1f64c05a7e"
"""

ACCOUNTS = {
    "anna": ("client", "acme", "anna"),
    "bob": ("client", "acme", "bob"),
    "rival": ("client", "rival", None),
    "acme-portal": ("gateway", "acme", None),
    "rival-portal": ("gateway", "rival", None),
    "acme-events": ("observer", "acme", None),
    "rival-events": ("observer", "rival", None),
}
"""Role, site and user. At the broker a client's name is its site."""

GATEWAYS = """
user {site}-portal
topic write whosin/v1/up/{site}/#
topic read whosin/v1/down/{site}/#

user {site}-events
topic deny whosin/v1/up/#
topic read whosin/v1/events/{site}/#
topic read whosin/v1/daemon/#
"""


class Production(Mosquitto):
    """`port` takes passwords, `by_certificate` certificates, `local` is the daemon's own way in."""

    def __init__(self, folder: Path) -> None:
        self.by_certificate, self.local = free_port(), free_port()
        super().__init__(folder)

    def _derived(self, _listener: str, _extra: str) -> str:
        text = (SHIPPED / "production.conf").read_text()
        for shipped, ours in (
            ("listener 8883", f"listener {self.port} 127.0.0.1"),
            ("listener 8884", f"listener {self.by_certificate} 127.0.0.1"),
            ("listener 1883 127.0.0.1", f"listener {self.local} 127.0.0.1"),
            ("persistence_location /var/lib/mosquitto/", f"persistence_location {self.folder}/"),
        ):
            assert text.count(f"\n{shipped}\n") == 1, f"the shipped configuration has no {shipped!r}"
            text = text.replace(f"\n{shipped}\n", f"\n{ours}\n")
        return text.replace("/etc/mosquitto/", f"{self.folder}/") + "\nuser root\n"


class Place:
    def __init__(self, folder: Path, way: str) -> None:
        self.broker: Production | None = None
        self.door = way.startswith("door")
        self.by_certificate = way.endswith("certificate")
        self.servers, self.clients = Authority(folder / "servers"), Authority(folder / "clients")
        self._folder = folder
        self._who: dict[str, Who] = {}
        (folder / "certs").mkdir()
        self._server = self.servers.issue("localhost", server=True, into=folder / "certs" / "server")
        self.revoked = self.clients.issue("anna" if self.door else "acme", into=folder / "revoked")
        self._crl = self.clients.revocations(self.revoked)
        if self.door:
            self._at_door()
        else:
            self._at_broker()

    def _at_door(self) -> None:
        self.port = free_port()
        mqtt = DOOR.format(port=self.port, server=self._server, clients=self.clients.ca, crl=self._crl)
        self.daemon = Daemon(self._folder, mqtt, MORE).start()
        for name, (role, site, user) in ACCOUNTS.items():
            wanted = {"name": name, "role": role, "site": site, "user": user}
            self._who[name] = self._signed(
                name, self.daemon.ask("POST", "/api/v1/clients", wanted)[1]["password"]
            )

    def _at_broker(self) -> None:
        folder = self._folder
        (folder / "whosin.acl").write_text(
            (SHIPPED / "whosin.acl").read_text()
            + "".join(GATEWAYS.format(site=it) for it in ("acme", "rival"))
        )
        (folder / "certs" / "clients-ca.crt").write_bytes(self.clients.ca.read_bytes())
        (folder / "certs" / "clients-crl.pem").write_bytes(self._crl.read_bytes())
        names = {name: site if role == "client" else name for name, (role, site, _) in ACCOUNTS.items()}
        passwords = folder / "passwords"
        passwords.touch()
        for user in {"whosin", "+", *names.values()}:
            order = [find_program("mosquitto_passwd") or "", "-b", passwords, user, f"of {user}"]
            subprocess.run(order, check=True, capture_output=True)
        (folder / "whosin.password").write_text("of whosin\n")
        self.broker = Production(folder)
        self.broker.start()
        self.port = self.broker.by_certificate if self.by_certificate else self.broker.port
        mqtt = LINK.format(port=self.broker.port, folder=folder, ca=self.servers.ca)
        self.daemon = Daemon(folder, mqtt, MORE).start()
        for name, user in names.items():
            self._who[name] = self._signed(user, f"of {user}")

    def _signed(self, name: str, password: str) -> Who:
        if self.by_certificate:
            return Who(self.servers.trusting(self.clients.issue(name)))
        return Who(self.servers.trusting(), name, password)

    def who(self, name: str) -> Who:
        return self._who[name]

    def line(self, name: str, ident: str, *, will: Will | None = None, kept: bool = False) -> Line:
        return Line(self.port, self.who(name), ident, will=will, kept=kept)

    def close(self) -> None:
        if hasattr(self, "daemon"):
            self.daemon.stop()
        if self.broker is not None:
            self.broker.stop()


class Person:
    """Works all the while: logs in once, and gets what she asks for."""

    def __init__(self, place: Place, name: str, session: str, company: str = "books") -> None:
        self.line = place.line(name, session)
        assert self.line.welcome, self.line.reason
        self._up = f"whosin/v1/up/acme/{company}/{session}"
        self.line.hear(f"whosin/v1/down/acme/+/{session}/+")
        self.line.say(f"{self._up}/login", {"user": name, "client": "till"})
        assert self.line.answer(f"/{session}/login")["accepted"] is True
        self._asked = 0

    def lock(self, resource: str) -> None:
        self.line.say(f"{self._up}/lock", {"resource": resource})
        self.line.until(lambda: self._answers("lock", resource))
        assert self._answers("lock", resource)[-1]["granted"] is True

    def works(self) -> None:
        """A lock is asked for, granted and given back: what was said before by others has been looked at."""
        self._asked += 1
        resource = f"probe/{self._asked}"
        self.lock(resource)
        self.line.say(f"{self._up}/unlock", {"resource": resource})
        assert self.line.until(lambda: self._answers("unlock", resource)), "cut off"

    def _answers(self, kind: str, resource: str) -> list[dict[str, object]]:
        bodies = [json.loads(body) for topic, body in self.line.heard if topic.endswith(f"/{kind}")]
        return [body for body in bodies if body["resource"] == resource]
