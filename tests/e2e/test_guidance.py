"""Guidance and follow-ups as operators meet them: files, reloads, the command line, kill -9."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Site
from tests.support.daemon import until

MINE = """
[[rule]]
id = "mine"
match.resource = "sales-order/*"
severity = "critical"
before = "Ask."
after = "Look."
"""


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, "door")
    yield made
    made.close()


def fallen(site: Site, *sessions: str) -> None:
    client = site.client()
    for session in sessions:
        client.login(session, session)
        client.say(session, "lock", {"resource": f"sales-order/{session}"})
    for session in sessions:
        site.ear.event("session.disconnected", session)


def test_what_a_removal_leaves_to_do_is_announced_kept_over_a_kill_and_ticked_off_once(
    bare_site: Site,
) -> None:
    site = bare_site.start()
    daemon = site.daemon
    fallen(site, "A")
    until(lambda: json.loads(daemon.whosin("sessions", "--json"))[0]["guidance"] == ["sales-order"])
    (plan,) = json.loads(daemon.whosin("logoff", "A", "--dry-run", "--json"))
    assert plan["guidance"][0]["id"] == "sales-order"
    assert plan["followups"][0]["id"] is None
    (done,) = json.loads(daemon.whosin("logoff", "A", "--yes", "--json"))
    assert [item["id"] for item in done["followups"]] == [1]
    daemon.kill()
    daemon.start()
    opened = site.ear.event("followup.opened", "A")["data"]
    assert (opened["rule"], opened["resource"], opened["by"]) == ("sales-order", "sales-order/A", "admin")
    (item,) = json.loads(daemon.whosin("followups", "--json"))
    assert (item["id"], item["status"], item["user"]) == (1, "open", "A")
    assert "1 follow-up" in daemon.whosin("status")
    assert daemon.metric("whosin_followups") == 1
    for note in ("two lines", "again"):
        daemon.whosin("followups", "done", "1", "--note", note)
    (item,) = json.loads(daemon.whosin("followups", "--status", "done", "--json"))
    assert (item["done_by"], item["note"]) == ("admin", "two lines")
    assert site.ear.event("followup.done", "A")["data"]["reason"] == "two lines"
    assert daemon.whosin("followups") == "Nothing is left to do.\n"


def test_a_pass_that_is_killed_in_the_middle_leaves_no_removal_without_its_follow_up(door: Site) -> None:
    site = door.start()
    sessions = [f"s{number}" for number in range(8)]
    fallen(site, *sessions)
    daemon = site.daemon
    daemon.api("PUT", "cleanup", {"enabled": True})
    until(lambda: daemon.api("GET", "cleanup")["running"] or daemon.history(type="session.removed"))
    daemon.kill()
    daemon.start()
    until(lambda: len(daemon.history(type="session.removed")) == len(sessions))
    left = daemon.api("GET", "followups?status=open")["items"]
    assert sorted(item["session"] for item in left) == sessions


def test_a_changed_file_counts_after_a_reload_and_a_wrong_one_leaves_the_old_in_force(door: Site) -> None:
    rules = door.folder / "g.toml"
    rules.write_text(MINE)
    site = door.start('[guidance]\nfile = "g.toml"\n')
    daemon = site.daemon
    config = str(daemon.config)

    def in_force() -> list[str]:
        return [rule["id"] for rule in json.loads(daemon.whosin("guidance", "list", "--json"))]

    assert in_force() == ["mine"]
    rules.write_text(MINE + MINE.replace("mine", "second").replace("severity", "sevreity"))
    daemon.whosin("check-config", "--config", config, code=2)
    daemon.whosin("reload", code=1)
    os.kill(daemon.pid, signal.SIGHUP)
    until(lambda: "settings.refused" in daemon.log.read_text())
    assert "sevreity is not a key of a rule" in daemon.log.read_text()
    assert in_force() == ["mine"]
    rules.write_text(MINE.replace("mine", "other"))
    assert (
        json.loads(daemon.whosin("guidance", "test", "sales-order/1", "--config", config, "--json"))["rule"][
            "id"
        ]
        == "other"
    )
    assert "guidance.file" in daemon.whosin("reload")
    assert in_force() == ["other"]
    (changed,) = daemon.history(type="guidance.changed")
    assert (changed["actor"], changed["data"]["added"], changed["data"]["removed"]) == (
        "admin",
        ["other"],
        ["mine"],
    )
    assert daemon.whosin("reload") == "Nothing has changed.\n"


def test_a_daemon_does_not_start_with_a_wrong_file(door: Site) -> None:
    (door.folder / "g.toml").write_text("[[rule]]\n")
    with pytest.raises(AssertionError, match="the daemon ended"):
        door.start('[guidance]\nfile = "g.toml"\n')
    assert "rule 1: id is missing" in door.daemon.log.read_text()
    assert door.daemon.process is not None
    assert door.daemon.process.wait(5) == 2
