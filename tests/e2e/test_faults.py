"""What befalls daemon and broker must cost no user a login and no operator a fact (rules 8, 10)."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Site
from tests.e2e.site import Client
from tests.support.daemon import until

SETTLE_S = 4.0  # more than the grace of the tests' settings


def _pass(seconds: float) -> None:
    """Real time goes by: the faults below are about it."""
    threading.Event().wait(seconds)


def _nobody_but(site: Site, *dead: str) -> None:
    """Only these were ever disconnected, each once."""
    events = site.daemon.history(type="session.disconnected")
    assert sorted(event["session"] for event in events) == sorted(dead)


class Crowd:
    """Sessions that beat, each told apart from those that died before."""

    def __init__(self, site: Site, count: int = 8) -> None:
        self.client = site.client()
        self.heart = site.heart(self.client)
        self.names = [f"S{number}" for number in range(count)]
        for name in self.names:
            self.client.login(name, f"user-{name}")
            self.heart.add(name)


def test_kill_9_and_a_long_absence_disconnect_nobody_who_lives_and_everybody_who_died(site: Site) -> None:
    crowd = Crowd(site)
    crowd.client.login("DEAD", "dora")
    _pass(0.7)
    site.daemon.kill()
    _pass(3.5)
    site.daemon.start()
    until(lambda: site.daemon.status("DEAD") == "disconnected")
    _pass(SETTLE_S)
    _nobody_but(site, "DEAD")


def test_a_stopped_and_continued_daemon_disconnects_nobody_who_lives(site: Site) -> None:
    crowd = Crowd(site)
    crowd.client.login("DEAD", "dora")
    site.daemon.pause()
    _pass(5)
    site.daemon.resume()
    until(lambda: site.daemon.status("DEAD") == "disconnected")
    _pass(SETTLE_S)
    _nobody_but(site, "DEAD")


@pytest.mark.parametrize("bare_site", ["mosquitto"], indirect=True)
@pytest.mark.parametrize("fault", ["kill", "forget", "pause"])
def test_a_broker_that_dies_forgets_or_hangs_disconnects_nobody_who_lives(site: Site, fault: str) -> None:
    broker = site.broker
    assert broker is not None
    crowd = Crowd(site)
    crowd.client.login("DEAD", "dora")
    if fault == "pause":
        broker.pause()
        until(
            lambda: site.daemon.get("/readyz", token=None)[0] == 503, what="the daemon says that it is blind"
        )
        _pass(4)
        broker.resume()
    else:
        broker.kill()
        until(
            lambda: site.daemon.get("/readyz", token=None)[0] == 503, what="the daemon says that it is blind"
        )
        _pass(4)
        if fault == "forget":
            broker.state.unlink(missing_ok=True)
        broker.start()
    until(lambda: site.daemon.get("/readyz", token=None)[0] == 200)
    until(lambda: site.daemon.status("DEAD") == "disconnected")
    _pass(SETTLE_S)
    _nobody_but(site, "DEAD")
    assert site.daemon.metric("whosin_blind_seconds_total") > 2


def test_kill_9_under_load_keeps_all_that_was_answered_and_gets_all_that_was_sent(site: Site) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)
    acknowledged: list[str] = []
    everything: list[str] = []
    stop = threading.Event()

    def work(client: Client, nth: int) -> None:
        number = 0
        while not stop.is_set() and number < 1_500:
            name = f"L{nth}-{number}"
            number += 1
            everything.append(name)
            info = client.say(name, "login", {"user": f"u{nth}", "client": "web"}, wait=False)
            try:
                info.wait_for_publish(20)
            except (ValueError, RuntimeError):
                continue
            if info.is_published():
                acknowledged.append(name)

    threads = [threading.Thread(target=work, args=(site.client(), nth)) for nth in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        _pass(dice.uniform(0.3, 0.8))
        site.daemon.kill()
        site.daemon.start()
    _pass(0.5)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert len(acknowledged) > 50
    until(lambda: set(everything) <= set(_all_sessions(site)), limit_s=20, what="everything sent has arrived")
    events = [event["session"] for event in _all_events(site, "session.logged_in")]
    assert len(events) == len(set(events)), "a login was recorded twice"
    assert set(acknowledged) <= set(events)


def _all_sessions(site: Site) -> Iterator[str]:
    cursor = ""
    while cursor is not None:
        page = site.daemon.api("GET", f"sessions?limit=1000{'&cursor=' + cursor if cursor else ''}")
        yield from (item["id"] for item in page["items"])
        cursor = page["next"]


def _all_events(site: Site, kind: str) -> Iterator[dict[str, object]]:
    cursor = ""
    while cursor is not None:
        page = site.daemon.api(
            "GET", f"history?limit=1000&type={kind}{'&cursor=' + cursor if cursor else ''}"
        )
        yield from page["items"]
        cursor = page["next"]


def test_what_was_granted_before_kill_9_is_held_after_it(site: Site) -> None:
    client = site.client()
    heart = site.heart(client)
    for name in ("A", "B", "C"):
        client.login(name, f"user-{name}")
        heart.add(name)
    client.say("A", "lock", {"resource": "period-end"})
    client.say("B", "lock", {"resource": "period-end", "wait_s": 300})
    client.say("C", "lock", {"resource": "period-end"})
    token = site.ear.answer("A", "lock")["token"]
    assert site.ear.answer("B", "lock")["waiting"] is True
    site.daemon.kill()
    site.daemon.start()
    (lock,) = site.daemon.api("GET", "locks")["items"]
    assert (lock["session"], lock["token"]) == ("A", token)
    assert {(one["user"], one["waiting"]) for one in lock["blocks"]} == {("user-B", True), ("user-C", False)}
    client.say("A", "unlock", {"resource": "period-end"})
    until(
        lambda: any(
            body.get("granted") and body.get("token", 0) > token
            for topic, body in list(site.ear.heard)
            if topic.endswith("/B/lock")
        )
    )


def test_the_switch_survives_and_a_pass_missed_while_down_runs_once(site: Site) -> None:
    client = site.client()
    client.login("A", "anna")
    site.daemon.whosin("cleanup", "on")
    site.daemon.kill()
    _pass(4.5)
    site.daemon.start()
    assert site.daemon.api("GET", "cleanup")["enabled"] is True
    until(lambda: site.daemon.status("A") == "removed", limit_s=20)


def test_a_clean_stop_is_quick_and_says_offline(site: Site) -> None:
    until(lambda: ("whosin/v1/daemon/test", b"online") in site.ear.heard)
    assert site.daemon.stop() == 0
    until(lambda: ("whosin/v1/daemon/test", b"offline") in site.ear.heard)


def test_an_observer_that_keeps_its_session_misses_no_event_over_kill_9(site: Site) -> None:
    client = site.client()
    watcher = site.client("watcher", hear="whosin/v1/events/#")
    client.login("A", "anna")
    watcher.event("session.logged_in", "A")
    watcher.drop()
    client.login("B", "bert")
    client.say("B", "logout")
    site.daemon.kill()
    site.daemon.start()
    client.login("C", "carl")
    back = site.client("watcher", hear="whosin/v1/events/#")
    for session in ("B", "C"):
        back.event("session.logged_in", session)
    back.event("session.logged_off", "B")
    heard = [event["id"] for event in (*watcher.events(), *back.events()) if event.get("subject") == "B"]
    assert len(set(heard)) == 2
