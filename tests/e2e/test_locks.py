"""Locks as clients use them: what covers what, whose turn it is, what an end releases and when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.e2e.conftest import Site
from tests.e2e.site import Client
from tests.support.daemon import until

SLOW = "[client_types.slow]\ntimeout_s = 600\nheartbeat_every_s = 1\nlost_grace_s = 2\n"


class Asker:
    """Asks for locks and waits for each answer, so that a broker's delay decides nothing."""

    def __init__(self, site: Site, *sessions: str) -> None:
        self.client: Client = site.client(hear="whosin/v1/down/#")
        for session in sessions:
            self.login(session)

    def login(self, session: str, user: str | None = None, client: str = "slow") -> None:
        self.client.login(session, user or session.lower(), client)
        self.client.answer(session, "login")

    def answers(self, session: str, kind: str = "lock") -> list[Any]:
        ending = f"/{session}/{kind}"
        return [body for topic, body in list(self.client.heard) if topic.endswith(ending)]

    def ask(self, session: str, resource: str, **more: Any) -> Any:
        nth = len(self.answers(session))
        self.client.say(session, "lock", {"resource": resource, **more})
        return self.client.answer(session, "lock", nth)

    def gets(self, session: str, resource: str, **more: Any) -> bool:
        granted: bool = self.ask(session, resource, **more)["granted"]
        return granted

    def gives(self, session: str, resource: str, **more: Any) -> bool:
        nth = len(self.answers(session, "unlock"))
        self.client.say(session, "unlock", {"resource": resource, **more})
        released: bool = self.client.answer(session, "unlock", nth)["released"]
        return released

    def granted(self, session: str, resource: str) -> bool:
        return any(one["granted"] for one in self.answers(session) if one["resource"] == resource)


def test_a_lock_covers_its_path_and_all_below_and_nothing_beside(bare_site: Site) -> None:
    with_locks = Asker(bare_site.start(SLOW), "A", "B", "C")
    gets = with_locks.gets
    assert gets("A", "sales-order/SO-1")
    for path in ("sales-order/SO-1", "sales-order", "sales-order/SO-1/line/4", "*"):
        refused = with_locks.ask("B", path)
        assert refused.keys() == {"resource", "granted", "waiting", "holder"}
        assert refused["holder"]["user"] == "a"
    assert gets("B", "sales-order/SO-10")
    assert gets("B", "Sales-Order/SO-1")
    assert gets("A", "sales-order/SO-1/line")
    assert gets("C", "report", mode="shared")
    assert gets("B", "report/year", mode="shared")
    assert not gets("C", "report"), "an upgrade waits for others' shared locks"
    assert with_locks.gives("B", "report/year")
    assert gets("C", "report"), "and ignores its own"
    assert not gets("B", "report", mode="shared")
    token = with_locks.ask("C", "report")["token"]
    assert not with_locks.gives("C", "report", token=token - 1)
    assert with_locks.gives("C", "report", token=token)
    assert not with_locks.gives("C", "report")


def test_a_queue_serves_in_order_of_asking_and_loses_who_leaves(bare_site: Site) -> None:
    asker = Asker(bare_site.start(SLOW), *"ABCDEF")
    asker.login("K", client="desktop")
    assert asker.gets("A", "x")
    for session in "KBCDEF":
        assert asker.ask(session, "x", wait_s=0.4 if session == "E" else 60)["waiting"] is True
    until(lambda: any(one.get("code") == "timeout" for one in asker.answers("E")))
    assert asker.ask("B", "x", wait_s=60)["waiting"] is True, "asking again keeps the place"
    bare_site.ear.event("session.disconnected", "K")
    assert not asker.gives("C", "x")
    asker.client.say("D", "logout")
    assert asker.gives("A", "x")
    until(lambda: asker.granted("B", "x"))
    assert asker.gives("B", "x")
    until(lambda: asker.granted("F", "x"))
    assert not any(asker.granted(session, "x") for session in "KCDE")
    assert asker.gets("A", "y", mode="shared")
    assert asker.ask("B", "y", wait_s=60)["waiting"] is True
    assert not asker.gets("C", "y", mode="shared"), "a shared request does not overtake"


def test_a_wait_that_would_close_a_circle_is_refused(bare_site: Site) -> None:
    asker = Asker(bare_site.start(SLOW), *"ABC")
    for session, own in zip("ABC", ("a", "b", "c"), strict=True):
        assert asker.gets(session, own)
    assert asker.ask("A", "b/1", wait_s=60)["waiting"] is True
    assert asker.ask("B", "c", wait_s=60)["waiting"] is True
    refused = asker.ask("C", "a", wait_s=60)
    assert (refused["granted"], refused["code"]) == (False, "deadlock")
    assert asker.ask("C", "a")["waiting"] is False, "who does not wait closes no circle"
    assert asker.gives("C", "c")
    until(lambda: asker.granted("B", "c"))


def test_who_logs_in_and_asks_at_once_is_not_overtaken(bare_site: Site) -> None:
    asker = Asker(bare_site.start(SLOW), "OLD")
    say = asker.client.say
    for nth in range(10):
        say(f"N{nth}", "login", {"user": "nina", "client": "slow"}, wait=False)
        say(f"N{nth}", "lock", {"resource": f"r{nth}"}, wait=False)
        say("OLD", "lock", {"resource": f"r{nth}"}, wait=False)
    until(lambda: len(asker.answers("OLD")) == 10)
    assert not any(one["granted"] for one in asker.answers("OLD"))


def test_sticky_and_held_on_locks_survive_a_crash_and_go_when_they_are_due(bare_site: Site) -> None:
    site = bare_site.start(SLOW.replace("[client", "[mass_silence]\nmin = 99\n[client", 1))
    daemon = site.daemon
    config = daemon.config.read_text()
    daemon.stop()
    daemon.config.write_text(config.replace("lock_delay_s = 1", "lock_delay_s = 12"))
    daemon.start()
    asker = Asker(site, "A", "B")
    assert asker.gets("A", "menu", sticky=True)
    assert asker.gets("A", "order")
    assert asker.ask("B", "order", wait_s=60)["waiting"] is True
    seen = daemon.get("/api/v1/sessions/A")[1]["last_seen"]
    (result,) = daemon.api("POST", "sessions/logoff", {"ids": ["A"], "force": True})["results"]
    (held,) = result["held"]
    wait_s = datetime.fromisoformat(held["release_at"]) - datetime.fromisoformat(seen)
    assert (result["released"], result["sticky"], held["resource"]) == ([], ["menu"], "order")
    assert wait_s.total_seconds() == pytest.approx(12, abs=0.01)
    daemon.kill()
    daemon.start()
    left = {lock["resource"]: lock for lock in daemon.api("GET", "locks")["items"]}
    assert left["menu"]["left_behind"] is True
    assert left["order"]["release_at"] == held["release_at"]
    until(
        lambda: (
            "order"
            not in {
                lock["resource"] for lock in daemon.api("GET", "locks")["items"] if lock["session"] == "A"
            }
        ),
        30,
    )
    released = [fact for fact in daemon.history(type="lock.released") if fact["data"]["resource"] == "order"]
    assert [fact["at"] for fact in released] == [held["release_at"]]
    asker = Asker(site)
    assert not asker.gets("B", "menu")
    for again in ("A2", "A3"):
        asker.login(again, user="a")
        assert asker.gets(again, "menu")
        if again == "A2":
            asker.client.say(again, "logout")
            until(lambda: daemon.status("A2") == "logged_off")
            assert not asker.gets("B", "menu"), "nobody has unlocked it yet"
    assert asker.gives("A3", "menu")
    assert asker.gets("B", "menu")
