"""An afternoon at a site, on a running daemon, in which everything is said that the wire has words for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.e2e.site import Client
from tests.support.daemon import Daemon, until
from tests.support.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

SITE = "head-office"
MORE = """
[client_types.quick]
timeout_s = 0.6
heartbeat_every_s = 0.2
lost_grace_s = 0.3

[client_types.slow]
timeout_s = 600
heartbeat_every_s = 60
lost_grace_s = 75
idle_limit_s = 900

[mass_silence]
min = 3

[alerts]
group_s = 0
again_s = 0
give_up_s = 0.1

[alerts.channels.broken]
kind = "webhook"
url = "http://127.0.0.1:9/"
"""


class Office:
    """A site with sign-in on: a gateway speaks for everybody, an observer hears what happens."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._clients: list[Client] = []
        self.daemon = Daemon(
            folder, f'listen = "127.0.0.1:{self.port}"\nsign_in = "on"', MORE,
            environ={"WHOSIN_LOCKS__LOCK_DELAY_S": "60"},  # whoever is removed was alive a moment ago
        )  # fmt: skip

    def open(self) -> None:
        self.daemon.start(limit_s=60)
        self.portal = self.come("portal", "gateway")
        self.observer = self.come("observer", "observer")

    def come(self, name: str, role: str, *more: str) -> Client:
        """Somebody with an account, who hears all that it may hear."""
        order = ("clients", "add", name, "--role", role, "--site", SITE, *more)
        secret = self.daemon.whosin(*order).strip()
        made = Client(self.port, name, hear="whosin/v1/#", username=name, password=secret)
        self._clients.append(made)
        return made

    def say(self, session: str, verb: str, payload: Any = None) -> None:
        self.portal.say(session, verb, payload, site=SITE, company="books")

    def login(self, session: str, client: str = "slow", **more: Any) -> Any:
        """Its answer."""
        self.say(session, "login", {"user": session.partition("-")[0], "client": client, **more})
        return self.portal.answer(session, "login")

    def lock(self, session: str, resource: str, **more: Any) -> None:
        self.say(session, "lock", {"resource": resource, **more})

    def event(self, kind: str, session: str | None = None) -> Any:
        def first() -> Any:
            found = self.observer.events(kind)
            return next((it for it in found if session is None or it.get("subject") == session), None)

        return until(first, what=f"{kind} of {session}")

    def api(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = self.daemon.ask(method, f"/api/v1/{path}", body)
        assert status in (200, 201), answer
        return answer

    def heard(self) -> list[tuple[str, Any]]:
        told = [each for client in self._clients for each in list(client.heard)]
        return [(topic, it.decode() if isinstance(it, bytes) else it) for topic, it in told]

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.daemon.stop()


def sessions_come_and_go(office: Office) -> None:
    office.login("anna-1", machine="PC-07", address="10.0.4.17", app="Accounts 26.1", os_session=7)
    office.say("anna-1", "heartbeat", {"activity": "amending SO-1001", "idle_s": 1200})
    office.event("session.idle", "anna-1")
    office.say("anna-1", "heartbeat", {"idle_s": 1})
    office.login("anna-1", "web")
    assert office.portal.answer("anna-1", "login", 1)["code"] == "conflict"
    office.say("nobody-1", "heartbeat")
    office.portal.answer("nobody-1", "unknown")
    office.lock("anna-1", "sales-order/SO-1001", activity="amending", guidance="sales-order")
    office.lock("anna-1", "menu-editor", sticky=True)
    office.say("anna-1", "logout", {"reason": "home"})
    office.say("anna-1", "heartbeat")
    office.portal.answer("anna-1", "ended")
    office.event("lock.left_behind", "anna-1")
    office.event("session.logged_off", "anna-1")


def locks_are_asked_for(office: Office) -> None:
    for session in ("carla-1", "dora-1", "emil-1"):
        office.login(session, machine="PC-08")
    office.lock("carla-1", "vat-return", activity="submitting")
    office.lock("dora-1", "payroll")
    office.lock("dora-1", "vat-return")
    office.lock("dora-1", "vat-return", wait_s=60)
    office.lock("carla-1", "payroll", wait_s=60)
    office.lock("emil-1", "vat-return/2026", mode="shared", wait_s=0.1)
    office.lock("emil-1", "a//b")
    office.say("carla-1", "unlock", {"resource": "nothing"})
    assert office.portal.answer("carla-1", "lock", 1)["code"] == "deadlock"
    answers = [office.portal.answer("emil-1", "lock", nth) for nth in range(3)]
    assert {answer.get("code") for answer in answers} == {None, "resource", "timeout"}
    office.say("carla-1", "unlock", {"resource": "vat-return"})
    assert office.portal.answer("dora-1", "lock", 3)["granted"]


def logins_fall_and_are_removed(office: Office) -> None:
    """Three of a kind at once are a mass silence here."""
    fallen = [f"fritz-{number}" for number in range(3)]
    for session in fallen:
        office.login(session, "quick", machine="PC-09")
        office.lock(session, f"sales-order/{session}")
    office.login("gerd-1", "quick", machine="PC-10", os_session="console")
    office.say("gerd-1", "lost", {"conn": 1})
    office.event("session.disconnected", "gerd-1")
    for session in fallen:
        office.event("session.disconnected", session)
    office.say("fritz-0", "heartbeat")
    office.event("session.reconnected", "fritz-0")
    until(lambda: len(office.observer.events("alert.raised")) >= 2, what="a mass silence, and guidance")
    office.api("POST", "cleanup/run", {})
    office.event("cleanup.finished")
    office.api("POST", "cleanup/confirm", {"site": SITE})
    office.event("cleanup.confirmed")
    office.api("POST", "cleanup/run", {})
    office.event("session.removed", "fritz-1")
    opened = office.event("followup.opened", "fritz-1")["data"]["followup"]
    office.api("POST", f"followups/{opened}/done", {"note": "one line, stock allocated once"})
    office.event("followup.done", "fritz-1")
    office.api("POST", "sessions/logoff", {"ids": ["carla-1", "dora-1"], "force": True, "reason": "training"})
    office.event("session.removed", "carla-1")
    office.event("alert.cleared")
    office.event("alert.given_up")


def operators_speak_and_close(office: Office) -> None:
    office.api("POST", "messages", {"site": SITE, "text": "Please save and leave by 17:00."})
    office.portal.answer("emil-1", "message")
    plan = {"site": SITE, "text": "Year end.", "until": hence(days=2)}
    later = office.api("POST", "maintenance", {**plan, "from": hence(days=1)})
    office.api("DELETE", f"maintenance/{later['id']}")
    office.event("maintenance.cancelled")
    warned = office.api("POST", "maintenance", {**plan, "company": "books", "from": hence(seconds=10)})
    office.event("maintenance.warned")
    office.api("DELETE", f"maintenance/{warned['id']}")
    now = office.api("POST", "maintenance", {**plan, "force": True})
    assert office.login("hanna-1")["code"] == "maintenance"
    office.event("session.removed", "emil-1")
    office.api("DELETE", f"maintenance/{now['id']}")
    office.event("maintenance.ended")


def hence(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).isoformat()


def limits_are_met(office: Office) -> None:
    pc = office.come("pc-7", "client", "--user", "anna")
    pc.say("pc-7", "login", {"user": "ben", "client": "slow"}, site=SITE, company="books")
    assert pc.answer("pc-7", "login")["code"] == "forbidden"
    office.login("ida-1", machine="PC-11")
    live = len(office.daemon.sessions())
    office.daemon.config.write_text(
        f"{office.daemon.config.read_text()}\n[limits]\nsessions = {live}\nlocks_per_session = 1\n"
    )
    office.daemon.whosin("reload")
    assert office.login("jan-1")["code"] == "limit"
    office.lock("ida-1", "petty-cash")
    office.lock("ida-1", "stock")
    assert office.portal.answer("ida-1", "lock", 1)["code"] == "limit"


SCENES = (
    sessions_come_and_go,
    locks_are_asked_for,
    logins_fall_and_are_removed,
    operators_speak_and_close,
    limits_are_met,
)
