"""Messages and planned closing with a real daemon, its door or a broker, and the installed command."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tests.e2e.conftest import Site
from tests.support.daemon import until

MORE = '[maintenance]\nadministrators = ["olga"]\n'


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_a_message_reaches_the_client_of_each_session_that_it_is_for(bare_site: Site) -> None:
    site = bare_site.start()
    client = site.client()
    heart = site.heart()
    for session, company in (("A", "c1"), ("B", "c2")):
        client.login(session, session, company=company)
        heart.add(session, company=company)
    sent = json.loads(site.daemon.whosin("message", "--company", "c1", "Please leave.", "--json"))
    assert (sent["reached"], sent["users"]) == (1, ["A"])
    told = site.ear.answer("A", "message")
    assert (told["text"], told["from"]) == ("Please leave.", "admin")
    assert not [topic for topic, _ in site.ear.heard if topic.endswith("/B/message")]
    assert until(lambda: site.ear.events("message.sent"))[0]["data"]["reached"] == 1


def test_a_closing_warns_keeps_out_forces_out_survives_a_kill_and_ends(bare_site: Site) -> None:
    site = bare_site.start(MORE)
    daemon, client, heart = site.daemon, site.client(), site.heart()
    for session, user in (("A", "anna"), ("O", "olga")):
        client.login(session, user)
        heart.add(session)
    plan = ["maintenance", "plan", "--site", "s1", "--for", "1h", "--force", "New version."]
    daemon.whosin(*plan, "--from", soon(40))
    assert site.ear.answer("A", "message")["text"].startswith("s1 closes in 1 minute, from ")
    client.login("L", "late")
    assert site.ear.answer("L", "message")["from"] == "admin"
    daemon.whosin("maintenance", "cancel", "1")
    daemon.whosin(*plan)
    assert site.ear.event("session.removed", "A")["data"]["cause"] == "maintenance"
    assert "site s1 until" in daemon.whosin("status")
    daemon.kill()
    daemon.start()
    client.login("B", "ben")
    refused = site.ear.answer("B", "login")
    assert (refused["code"], refused["message"]) == ("maintenance", "New version.")
    client.login("O2", "olga")
    assert site.ear.answer("O2", "login")["accepted"] is True
    assert daemon.status("O") == "active"
    daemon.whosin("maintenance", "end", "2")
    client.login("C", "carl")
    assert site.ear.answer("C", "login")["accepted"] is True
    kinds = {event["type"] for event in site.ear.events()}
    assert kinds >= {f"maintenance.{it}" for it in ("planned", "warned", "cancelled", "started", "ended")}


def test_a_closing_opens_by_itself(bare_site: Site) -> None:
    site = bare_site.start()
    daemon, client = site.daemon, site.client()
    daemon.whosin("maintenance", "plan", "--site", "s1", "--until", soon(4), "Short.")
    client.login("A", "anna")
    assert site.ear.answer("A", "login")["code"] == "maintenance"
    until(lambda: site.ear.events("maintenance.ended"))
    client.login("A", "anna")
    assert site.ear.answer("A", "login", 1)["accepted"] is True
    assert daemon.whosin("maintenance") == "No maintenance is planned.\n"
