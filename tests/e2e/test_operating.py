"""What operators do and see: cleanup, mass silence, the API and the command line, the door with sign-in."""

from __future__ import annotations

import http.client
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Site
from tests.support.daemon import WHOSIN, Daemon, until

SLOW = "[client_types.slow]\ntimeout_s = 600\nheartbeat_every_s = 60\nlost_grace_s = 75\n"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Site]:
    """Not started yet; for what does not depend on the way in."""
    made = Site(tmp_path, "door")
    yield made
    made.close()


def test_who_blocks_somebody_is_cleared_soon_where_the_site_wants_it(bare_site: Site) -> None:
    site = bare_site.start(SLOW)
    site.daemon.config.write_text(
        site.daemon.config.read_text().replace("every_s = 2\n", "every_s = 900\nblocking_after_s = 0.5\n")
    )
    site.daemon.whosin("reload")
    site.daemon.whosin("cleanup", "on")
    client = site.client()
    client.login("B", "bert", "slow")
    for session, resource in (("A", "x"), ("N", "nobody-wants-it")):
        client.login(session, session)
        client.say(session, "lock", {"resource": resource})
        site.ear.answer(session, "lock")
    client.say("B", "lock", {"resource": "x", "wait_s": 60})
    assert site.ear.event("session.removed", "A")["data"]["cause"] == "blocking"
    assert site.ear.answer("B", "lock", 1)["granted"] is True
    assert site.daemon.status("N") == "disconnected"


def test_a_mass_silence_is_one_alert_and_held_back_until_it_is_confirmed(bare_site: Site) -> None:
    site = bare_site.start("[mass_silence]\nmin = 4\nwindow_s = 5\n")
    daemon, client = site.daemon, site.client()
    fallen = [f"A{number}" for number in range(5)]
    for name in fallen:
        client.login(name, name)
    for name in fallen:
        site.ear.event("session.disconnected", name)
    (alert,) = until(lambda: site.ear.events("alert.raised"))
    assert alert["data"]["kind"] == "mass_silence"
    dry = json.loads(daemon.whosin("cleanup", "run", "--dry-run", "--json"))
    assert (dry["removed"], dry["held_back"]) == (0, 5)
    passed = json.loads(daemon.whosin("cleanup", "run", "--json"))
    assert (passed["removed"], passed["held_back"]) == (0, 5)
    daemon.kill()
    daemon.start()
    assert all(item["held_back"] for item in daemon.sessions(status="disconnected").values())
    daemon.whosin("cleanup", "confirm", "--site", "s1", "--company", "c1", "--client", "desktop")
    daemon.whosin("cleanup", "run")
    until(lambda: all(daemon.status(name) == "removed" for name in fallen))
    assert len(daemon.history(type="alert.raised")) == 1


def _pages(site: Site, query: str, limit: int) -> list[str]:
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = site.daemon.api(
            "GET", f"sessions?limit={limit}&{query}{'&cursor=' + cursor if cursor else ''}"
        )
        assert len(page["items"]) <= limit
        found += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert len(found) == page["total"]
    return found


def test_paging_gives_every_session_once_and_a_site_limits_every_route(door: Site) -> None:
    site = door.start(SLOW)
    daemon, client = site.daemon, site.client()
    names = [f"S{number:02}" for number in range(23)]
    for number, name in enumerate(names):
        client.login(name, f"user{number % 5}", "slow", site=f"s{number % 2}", company=f"c{number % 3}")
        client.say(
            name, "lock", {"resource": f"order/{name}"}, site=f"s{number % 2}", company=f"c{number % 3}"
        )
    for name in names[:4]:
        number = int(name[1:])
        client.say(name, "logout", site=f"s{number % 2}", company=f"c{number % 3}")
    until(lambda: daemon.api("GET", "sessions?status=logged_off")["total"] == 4)
    until(lambda: len(daemon.api("GET", "locks?limit=100")["items"]) == 19)
    for query, count in (
        ("", 19), ("status=active,logged_off", 23), ("sort=-user", 19), ("status=logged_off&sort=user", 4),
        ("sort=last_seen&site=s1", 9), ("user=user3&status=active", 3), ("q=order/S17", 1),
    ):  # fmt: skip
        for limit in (1, 5, 19):
            found = _pages(site, query, limit)
            assert (len(set(found)), len(found)) == (count, count), query
    viewer = daemon.whosin("tokens", "create", "till", "--role", "viewer", "--site", "s1").strip()
    operator = daemon.whosin("tokens", "create", "night", "--role", "operator", "--site", "s1").strip()
    assert {item["site"] for item in daemon.get("/api/v1/sessions", viewer)[1]["items"]} == {"s1"}
    for route in ("locks", "companies", "history", "stats", "cleanup", "cleanup/passes"):
        assert '"s0"' not in json.dumps(daemon.get(f"/api/v1/{route}", viewer)), route
    order = {"ids": ["S20", "S21"], "force": True, "reason": "asked"}
    assert daemon.ask("POST", "/api/v1/sessions/logoff", order, viewer)[0] == 403
    answer = daemon.ask("POST", "/api/v1/sessions/logoff", order, operator)[1]
    assert [result["result"] for result in answer["results"]] == ["not_found", "removed"]
    removed = site.ear.event("session.removed", "S21")
    assert (removed["data"]["by"], removed["data"]["reason"]) == ("night", "asked")
    for method, route, body in (
        ("PUT", "cleanup", {"enabled": True}),
        ("POST", "cleanup/run", {}),
        ("GET", "tokens", None),
    ):
        assert daemon.ask(method, f"/api/v1/{route}", body, operator)[0] == 403, route
    daemon.whosin("tokens", "revoke", "till")
    assert daemon.get("/api/v1/sessions", viewer)[0] == 401


def _asked_as(site: Site, host: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", site.daemon.http_port, timeout=10)
    try:
        connection.putrequest("GET", "/api/v1/stats", skip_host=True)
        connection.putheader("Host", host)
        connection.putheader("Authorization", f"Bearer {site.daemon.token}")
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["Content-Type"]
    finally:
        connection.close()


def test_names_that_are_not_its_own_are_not_answered(door: Site) -> None:
    site = door.start()
    assert _asked_as(site, f"localhost:{site.daemon.http_port}")[0] == 200
    for stranger in ("evil.example", "127.0.0.1.evil.example"):
        assert _asked_as(site, stranger) == (421, "application/problem+json")


def test_the_command_line_keeps_its_exit_codes_and_its_terminal(door: Site, tmp_path: Path) -> None:
    site = door.start(SLOW)
    daemon, client = site.daemon, site.client()
    client.login("A", "anna\x1b[31m\x07", "slow", machine="PC\n1")
    until(lambda: daemon.status("A"))
    for command in ("sessions", "history", "show A"):
        shown = daemon.whosin(*command.split())
        assert "\x1b" not in shown
        assert "\x07" not in shown
    daemon.whosin("show", "nobody", code=1)
    daemon.whosin("sessions", "--status", "asleep", code=2)
    daemon.whosin("sessions", "--sort", "colour", code=2)
    daemon.whosin("logoff", "A", code=2)
    away = subprocess.run(
        [WHOSIN, "sessions", "--url", "http://127.0.0.1:9"], capture_output=True, check=False
    )
    assert away.returncode == 3
    copy = tmp_path / "copy.db"
    daemon.whosin("backup", str(copy))
    with sqlite3.connect(copy) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    daemon.whosin("backup", str(copy), code=1)
    daemon.config.write_text(daemon.config.read_text().replace("timeout_s = 600", "timeout_s = 120"))
    assert "client_types.slow.timeout_s" in daemon.whosin("reload")
    client.login("B", "bert", "slow")
    assert site.ear.answer("B", "login")["timeout_s"] == 120
    daemon.config.write_text(daemon.config.read_text().replace("timeout_s = 120", "timeout_s = 1"))
    daemon.whosin("reload", code=1)
    assert daemon.status("B") == "active"


def test_signed_in_one_speaks_for_oneself_and_hears_what_is_ones_own(door: Site) -> None:
    site = door
    daemon = site.daemon = Daemon(site.folder, f'{site._mqtt}\nsign_in = "on"', SLOW)
    daemon.start()

    def account(name: str, role: str, where: str = "s1", *more: str) -> str:
        return daemon.whosin("clients", "add", name, "--role", role, "--site", where, *more).strip()

    passwords = {
        "anna": account("anna", "client", "s1", "--user", "anna"), "any": account("any", "client"),
        "portal": account("portal", "gateway"), "watcher": account("watcher", "observer"),
        "other": account("other", "observer", "s2"),
    }  # fmt: skip

    def come(name: str, ident: str | None = None, **options: Any) -> Any:
        return site.client(ident, hear="whosin/v1/#", username=name, password=passwords[name], **options)

    watcher, other, portal = come("watcher"), come("other"), come("portal")
    anna, old = come("anna", "A"), come("any", "OLD", version=4)
    anna.login("A", "anna", "slow")
    assert anna.answer("A", "login")["accepted"] is True
    old.login("OLD", "otto", "slow")
    assert old.answer("OLD", "login")["accepted"] is True
    portal.login("P1", "paul", "slow", company="c9")
    assert portal.answer("P1", "login")["accepted"] is True

    def forbidden() -> float:
        return daemon.metric('whosin_messages_rejected_total{reason="forbidden"}')

    old.say("A", "logout")
    until(lambda: forbidden() == 1)
    portal.say("P2", "login", {"user": "pia", "client": "slow"}, site="s2", wait=False)
    until(lambda: forbidden() == 2)
    watcher.say("W", "login", {"user": "wim", "client": "slow"}, wait=False)
    until(lambda: forbidden() == 3)
    anna_too = come("anna", "A2")
    anna_too.login("A2", "bert", "slow")
    assert anna_too.answer("A2", "login")["code"] == "forbidden"
    assert set(daemon.sessions()) == {"A", "OLD", "P1"}
    watcher.event("session.logged_in", "P1")
    assert {topic.split("/")[2] for topic, _ in watcher.heard} == {"events", "daemon"}
    assert {topic.split("/")[2] for topic, _ in other.heard} == {"daemon"}
    assert {topic.rsplit("/", 2)[1] for topic, _ in anna.heard} == {"A"}
    daemon.whosin("clients", "remove", "any")
    until(lambda: not old._up.is_set())


def test_a_connection_taken_over_leaves_no_will_behind(door: Site) -> None:
    site = door.start(SLOW)
    will = "whosin/v1/up/s1/c1/A/lost"
    first = site.client("A", will=will)
    first.login("A", "anna", "slow")
    first.mqtt.reconnect_delay_set(60, 60)
    second = site.client("A", will=will)
    until(lambda: not first._up.is_set())
    second.say("A", "heartbeat", qos=1)
    assert site.daemon.get("/api/v1/sessions/A")[1]["lost"] is False
    second.drop()
    until(lambda: site.daemon.get("/api/v1/sessions/A")[1]["lost"] is True)
