"""The wire and its clock to their edges: any QoS, odd ids, exact sizes, deadlines, order over crashes."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.conftest import Site
from tests.support.daemon import until

KIOSK = """
[client_types.kiosk]
timeout_s = 2.3
heartbeat_every_s = 0.5
lost_grace_s = 0.8

[client_types.slow]
timeout_s = 600
heartbeat_every_s = 1
lost_grace_s = 2
"""


def seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def item(site: Site, session: str) -> Any:
    """What the API tells of it, once it is known there."""
    until(lambda: site.daemon.status(session), what=f"{session} is known")
    return site.daemon.get(f"/api/v1/sessions/{session}")[1]


def of(site: Site, session: str) -> list[str]:
    return [event["type"] for event in site.ear.events() if event.get("subject") == session]


@pytest.mark.parametrize("version", [4, 5])
def test_every_verb_is_heard_at_qos_0_with_odd_names_and_empty_payloads(
    bare_site: Site, version: int
) -> None:
    site = bare_site.start(KIOSK)
    client = site.client(version=version, clean=True)
    session, place = "~a.b_c-d:e~" + "x" * 53, {"site": "S~1.x:y_z-", "company": "A.b~c:_-1"}
    login = {
        "user": "Zoë 漢",
        "client": "kiosk",
        "conn": 3,
        "at": "2001-02-03T04:05:06Z",
        "colour": {"deep": [1]},
    }
    client.say(session, "login", login, qos=0, **place)
    assert site.ear.answer(session, "login") == {
        "accepted": True, "status": "active", "heartbeat_every_s": 0.5, "timeout_s": 2.3,
    }  # fmt: skip
    client.say(session, "lock", {"resource": "a/b"}, qos=0, **place)
    client.say(session, "unlock", {"resource": "a/b"}, qos=0, **place)
    assert site.ear.answer(session, "unlock") == {"resource": "a/b", "released": True}
    client.say(session, "heartbeat", {"activity": "typing", "idle_s": 4}, qos=0, **place)
    until(lambda: item(site, session)["activity"] == "typing")
    known = item(site, session)
    assert (known["user"], known["at"], known["idle_s"]) == ("Zoë 漢", "2001-02-03T04:05:06Z", 4)
    client.say(session, "lost", qos=0, **place)
    fell = site.ear.event("session.disconnected", session)
    assert fell["data"]["reason"] == "lost"
    client.say(session, "logout", qos=0, **place)
    site.ear.event("session.logged_off", session)
    assert of(site, session) == [
        "session.logged_in", "lock.granted", "lock.released", "session.disconnected", "session.logged_off",
    ]  # fmt: skip
    for topic, event in site.ear.heard:
        if "/events/" in topic:
            assert topic == f"whosin/v1/events/{place['site']}/{place['company']}/{event['type']}"
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
    ids = [event["id"] for event in site.ear.events()]
    assert len(ids) == len(set(ids))


def _of_size(size: int, head: str) -> bytes:
    return (head + "x" * (size - len(head) - 2) + '"}').encode()


def test_8_kib_and_a_batch_of_256_kib_are_the_largest_that_are_taken(bare_site: Site) -> None:
    site = bare_site.start(KIOSK)
    client = site.client()

    def put(ending: str, payload: bytes) -> None:
        client.mqtt.publish(f"whosin/v1/up/s1/c1/{ending}", payload, qos=1).wait_for_publish(10)

    def too_large() -> float:
        return site.daemon.metric('whosin_messages_rejected_total{reason="size"}')

    head = '{"user":"anna","client":"slow","more":"'
    put("A/login", _of_size(8_192, head))
    put("B/login", _of_size(8_193, head))
    until(lambda: too_large() == 1)
    assert site.daemon.status("A") == "active"
    assert site.daemon.status("B") is None
    head = '{"sessions":["A"],"more":"'
    seen = item(site, "A")["last_seen"]
    put("@batch/heartbeat", _of_size(262_144, head))
    until(lambda: item(site, "A")["last_seen"] > seen)
    seen = item(site, "A")["last_seen"]
    put("@batch/heartbeat", _of_size(262_145, head))
    until(lambda: too_large() == 2)
    assert item(site, "A")["last_seen"] == seen


def test_a_beat_after_the_deadline_finds_the_session_disconnected_first(bare_site: Site) -> None:
    site = bare_site.start(KIOSK)
    client = site.client()
    client.login("A", "anna", "kiosk")
    deadline = item(site, "A")["deadline"]
    assert seconds(deadline) == pytest.approx(seconds(item(site, "A")["last_seen"]) + 2.3, abs=0.0015)
    until(lambda: time.time() > seconds(deadline))
    client.say("A", "heartbeat", qos=0)
    site.ear.event("session.reconnected", "A")
    assert site.ear.event("session.disconnected", "A")["time"] == deadline
    assert of(site, "A") == ["session.logged_in", "session.disconnected", "session.reconnected"]
    client.login("B", "bert", "kiosk")
    deadline = item(site, "B")["deadline"]
    until(lambda: time.time() > seconds(deadline))
    client.say("B", "logout", {"reason": "home"})
    assert site.ear.event("session.logged_off", "B")["data"]["reason"] == "home"
    assert of(site, "B") == ["session.logged_in", "session.disconnected", "session.logged_off"]
    assert item(site, "B")["disconnected_at"] == deadline


def test_a_lost_connection_only_ever_shortens_and_an_older_one_is_ignored(bare_site: Site) -> None:
    site = bare_site.start(KIOSK)
    client = site.client()

    def deadline() -> float:
        return seconds(item(site, "A")["deadline"]) - seconds(item(site, "A")["last_seen"])

    client.login("A", "anna", "slow", conn=7)
    item(site, "A")
    client.say("A", "lost", {"conn": 6})
    client.login("FENCE", "fred", "slow")  # one connection's messages come in order
    item(site, "FENCE")
    assert deadline() == pytest.approx(600, abs=0.01)
    seen = item(site, "A")["last_seen"]
    client.say("A", "lost", {"conn": 7})
    until(lambda: deadline() < 300)
    assert item(site, "A")["last_seen"] == seen
    client.say("A", "heartbeat", {"conn": 8}, qos=1)
    until(lambda: deadline() > 500)
    client.say("A", "lost")
    until(lambda: deadline() < 300)
    due = item(site, "A")["deadline"]
    assert site.ear.event("session.disconnected", "A")["time"] == due


def test_the_same_person_replaces_a_lost_session_only_if_it_stays_silent(bare_site: Site) -> None:
    site = bare_site.start(KIOSK)
    client = site.client()
    place = {"machine": "PC-1", "os_session": "3"}
    for name in ("dead", "alive"):
        client.login(name, name, "slow", **place)
        client.say(name, "lost")
        client.login(f"{name}-again", name, "slow", **place)
        item(site, f"{name}-again")
        assert site.daemon.status(name) == "active"
    client.say("alive", "heartbeat", qos=1)
    until(lambda: not item(site, "alive")["lost"])
    due = item(site, "dead")["deadline"]
    gone = site.ear.event("session.removed", "dead")
    assert (gone["time"], gone["data"]["cause"]) == (due, "replaced")
    assert of(site, "dead") == ["session.logged_in", "session.disconnected", "session.removed"]
    assert of(site, "alive") == ["session.logged_in"]


def test_an_idle_user_comes_back_only_by_a_hand_on_the_keyboard(bare_site: Site) -> None:
    site = bare_site.start(
        "[client_types.rdp]\ntimeout_s = 60\nheartbeat_every_s = 1\nlost_grace_s = 2\n"
        'idle_limit_s = 5\nidle_action = "disconnect"'
    )
    client = site.client()
    client.login("A", "anna", "rdp")
    client.say("A", "heartbeat", {"idle_s": 4}, qos=0)
    client.say("A", "heartbeat", {"idle_s": 5}, qos=0)
    assert site.ear.event("session.disconnected", "A")["data"]["reason"] == "idle"
    for beat in (None, {"idle_s": 9}, {"idle_s": 5}, {"activity": "none"}):
        client.say("A", "heartbeat", beat, qos=1)
    client.login("FENCE", "fred", "rdp")
    item(site, "FENCE")
    assert site.daemon.status("A") == "disconnected"
    client.say("A", "heartbeat", {"idle_s": 1}, qos=0)
    until(lambda: site.daemon.status("A") == "active")
    client.say("A", "heartbeat", {"idle_s": 60}, qos=0)
    until(lambda: site.daemon.status("A") == "disconnected")
    client.say("A", "lock", {"resource": "x"})
    until(lambda: site.daemon.status("A") == "active")


def test_a_type_without_a_section_gets_the_default_and_no_label_of_its_own(bare_site: Site) -> None:
    site = bare_site.start(
        "[client_types.default]\ntimeout_s = 2.9\nheartbeat_every_s = 0.7\nlost_grace_s = 0.9"
    )
    site.client().login("A", "anna", "tablet-9")
    assert site.ear.answer("A", "login")["timeout_s"] == 2.9
    assert "tablet" not in site.daemon.get("/metrics", token=None)[1]
    assert site.daemon.metric('whosin_sessions{client="default",status="active"}') == 1
    fell = site.ear.event("session.disconnected", "A")
    assert seconds(fell["time"]) == pytest.approx(seconds(fell["data"]["last_seen"]) + 2.9, abs=0.0015)


def test_a_persistent_observer_hears_every_event_in_order_over_every_crash(bare_site: Site) -> None:
    site = bare_site.start(KIOSK)
    site.ear.close()
    observer = site.client("observer", hear="whosin/v1/events/#")
    client = site.client()
    count = 0
    for _ in range(3):
        for _ in range(15):
            name, count = f"S{count}", count + 1
            for verb, payload in (
                ("login", {"user": name, "client": "slow"}),
                ("lock", {"resource": name}),
                ("logout", {}),
            ):
                client.say(name, verb, payload, wait=False)
        site.daemon.kill()
        site.daemon.start()
    until(lambda: site.daemon.api("GET", "sessions?status=logged_off&limit=1")["total"] == count, 60)
    facts = {fact["seq"]: fact for fact in site.daemon.history() if fact["site"] is not None}
    assert len(facts) == 4 * count

    def heard() -> dict[int, Any]:
        return {int(event["id"].rsplit("-", 1)[1]): event for event in observer.events()}

    until(lambda: facts.keys() <= heard().keys(), 30, what="every event was heard")
    assert {
        seq: (event["type"], event["subject"], event["time"])
        for seq, event in heard().items()
        if seq in facts
    } == {seq: (fact["type"], fact["session"], fact["at"]) for seq, fact in facts.items()}
    bodies: dict[str, str] = {}
    latest: dict[str, int] = {}
    for event in observer.events():
        again = event["id"] in bodies
        assert bodies.setdefault(event["id"], json.dumps(event)) == json.dumps(event)
        seq = int(event["id"].rsplit("-", 1)[1])
        assert again or seq > latest.get(event["subject"], 0)
        latest[event["subject"]] = max(seq, latest.get(event["subject"], 0))
