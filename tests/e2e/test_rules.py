"""Every rule as a user sees it, over the door and over Mosquitto, with the installed command."""

from __future__ import annotations

import json

from tests.e2e.conftest import Site
from tests.support.daemon import until


def test_a_login_is_answered_listed_and_announced(site: Site) -> None:
    client = site.client(hear="whosin/v1/down/s1/c1/A/#")
    client.login("A", "anna", machine="PC-7", app="Sales 4.2")
    assert client.answer("A", "login") == {
        "accepted": True, "status": "active", "heartbeat_every_s": 1, "timeout_s": 3,
    }  # fmt: skip
    item = site.daemon.sessions()["A"]
    assert (item["user"], item["machine"], item["app"], item["status"]) == (
        "anna",
        "PC-7",
        "Sales 4.2",
        "active",
    )
    event = site.ear.event("session.logged_in", "A")
    assert event["specversion"] == "1.0"
    assert event["data"]["user"] == "anna"


def test_silence_disconnects_at_the_deadline_and_a_beat_brings_it_back(site: Site) -> None:
    client = site.client()
    client.login("A", "anna")
    client.say("A", "lock", {"resource": "sales-order/SO-1"})
    event = site.ear.event("session.disconnected", "A")
    item = site.daemon.sessions()["A"]
    assert item["status"] == "disconnected"
    assert item["disconnected_at"] == event["time"]
    client.say("A", "heartbeat", qos=0)
    site.ear.event("session.reconnected", "A")
    item = site.daemon.sessions()["A"]
    assert item["status"] == "active"
    assert [lock["resource"] for lock in item["locks"]] == ["sales-order/SO-1"]
    assert site.daemon.metric("whosin_sessions_reconnected_total") == 1


def test_who_beats_stays_in(site: Site) -> None:
    client = site.client()
    client.login("A", "anna")
    client.login("B", "bert")
    site.heart(client).add("A")
    site.ear.event("session.disconnected", "B")
    assert site.daemon.status("A") == "active"


def test_a_lock_blocks_by_name_and_the_logoff_lets_the_waiter_in(site: Site) -> None:
    client = site.client()
    client.login("A", "anna", machine="PC-1")
    client.say("A", "lock", {"resource": "sales-order/SO-1", "activity": "amending"})
    site.ear.event("session.disconnected", "A")
    client.login("B", "bert")
    site.heart(client).add("B")
    client.say("B", "lock", {"resource": "sales-order", "wait_s": 60})
    refused = site.ear.answer("B", "lock")
    assert refused["waiting"] is True
    assert refused["holder"]["user"] == "anna"
    assert refused["holder"]["status"] == "disconnected"
    assert refused["holder"]["activity"] == "amending"
    assert "bert" in site.daemon.whosin("show", "A")
    (result,) = json.loads(site.daemon.whosin("logoff", "A", "--yes", "--json", "--reason", "PC is dead"))
    assert (result["result"], result["released"]) == ("removed", ["sales-order/SO-1"])
    granted = site.ear.answer("B", "lock", 1)
    assert granted["granted"] is True
    assert granted["token"] > 1
    assert site.daemon.history(session="A", type="session.removed")[0]["reason"] == "PC is dead"


def test_an_active_session_goes_only_by_force_and_never_comes_back(site: Site) -> None:
    client = site.client()
    client.login("A", "anna")
    site.heart(client).add("A")
    (result,) = json.loads(site.daemon.whosin("logoff", "A", "--yes", "--json", code=1))
    assert result["result"] == "needs_force"
    json.loads(site.daemon.whosin("logoff", "A", "--yes", "--force", "--json"))
    assert site.daemon.status("A") == "removed"
    assert site.ear.answer("A", "ended")["status"] == "removed"
    client.login("A", "anna")
    assert site.daemon.status("A") == "removed"


def test_a_broken_connection_shortens_the_deadline_by_its_will(site: Site) -> None:
    client = site.client("W", will="whosin/v1/up/s1/c1/W/lost")
    client.say("W", "login", {"user": "wim", "client": "web"})
    client.drop()
    event = site.ear.event("session.disconnected", "W")
    assert event["data"]["reason"] == "lost"


def test_the_same_person_after_a_crash_replaces_the_old_login(site: Site) -> None:
    client = site.client()
    client.login("A", "anna", machine="PC-1", os_session="3")
    client.say("A", "lock", {"resource": "vat-return"})
    site.ear.event("session.disconnected", "A")
    client.login("B", "anna", machine="PC-1", os_session="3")
    event = site.ear.event("session.removed", "A")
    assert event["data"]["cause"] == "replaced"
    client.say("B", "lock", {"resource": "vat-return"})
    assert site.ear.answer("B", "lock")["granted"] is True


def test_the_cleanup_switched_on_live_clears_all_companies(site: Site) -> None:
    client = site.client()
    client.login("A", "anna", company="c1")
    client.login("B", "bert", company="c2", site="s2")
    site.heart(client).add("C")
    client.login("C", "carl")
    site.ear.event("session.disconnected", "B")
    dry = json.loads(site.daemon.whosin("cleanup", "run", "--dry-run", "--json"))
    assert dry["removed"] == 2
    assert site.daemon.status("A") == "disconnected"
    site.daemon.whosin("cleanup", "on")
    site.ear.event("session.removed", "A")
    site.ear.event("session.removed", "B")
    assert site.daemon.status("C") == "active"
    report = until(lambda: site.daemon.api("GET", "cleanup")["last"])
    assert report["by"] == "cleanup"
    assert {entry["company"] for entry in report["companies"]} == {"c1", "c2"}
    site.daemon.whosin("cleanup", "off")
    assert site.daemon.api("GET", "cleanup")["enabled"] is False


def test_gateway_batches_beat_for_many(site: Site) -> None:
    client = site.client()
    for number in range(20):
        client.login(f"W{number}", f"user{number}")
    ids = [f"W{number}" for number in range(20)]
    client.login("X", "xaver")

    def beat_and_look() -> bool:
        client.say("@batch", "heartbeat", {"sessions": ids}, qos=0)
        return bool(site.ear.events("session.disconnected"))

    until(beat_and_look)
    assert {event["subject"] for event in site.ear.events("session.disconnected")} == {"X"}


def test_unknown_and_ended_sessions_are_told_so_once(site: Site) -> None:
    client = site.client()
    for _ in range(5):
        client.say("ghost", "heartbeat")
    assert site.ear.answer("ghost", "unknown") == {}
    client.login("A", "anna")
    client.say("A", "logout", {"reason": "home"})
    for _ in range(5):
        client.say("A", "heartbeat")
    assert site.ear.answer("A", "ended")["status"] == "logged_off"
    client.login("B", "bert")
    site.ear.answer("B", "login")
    kinds = [topic.rsplit("/", 1)[1] for topic, _ in site.ear.heard if "/down/" in topic]
    assert kinds.count("unknown") == 1
    assert kinds.count("ended") == 1


def test_bad_input_is_counted_by_reason_and_nothing_else_happens(site: Site) -> None:
    client = site.client()
    publish = client.mqtt.publish
    publish("whosin/v1/up/s1/c1/A/login", b"\xff\xfe", qos=1).wait_for_publish(10)
    publish("whosin/v1/up/s1/c1/A/login", b"[]", qos=1).wait_for_publish(10)
    publish("whosin/v1/up/s1/c1/A/dance", b"", qos=1).wait_for_publish(10)
    publish("whosin/v1/up/s1/c 1/A/login", b"", qos=1).wait_for_publish(10)
    publish("whosin/v1/up/s1/c1/A/heartbeat", b'{"activity":"' + b"x" * 9000 + b'"}', qos=1).wait_for_publish(
        10
    )
    publish(
        "whosin/v1/up/s1/c1/A/login", b'{"user":"a","client":"web"}', qos=1, retain=True
    ).wait_for_publish(10)
    for reason in ("encoding", "schema", "unknown_verb", "topic", "size", "retained"):
        until(
            lambda reason=reason: (
                site.daemon.metric(f'whosin_messages_rejected_total{{reason="{reason}"}}') == 1
            ),
            what=reason,
        )  # type: ignore[misc]
    assert site.daemon.sessions() == {}
