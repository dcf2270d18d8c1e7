"""Alerts as people get them: the real daemon, a real mail server, a real receiver of webhooks."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import Client, Heart
from tests.support.daemon import Daemon, until
from tests.support.ports import free_port
from tests.support.smtp import MailServer, text_of
from tests.support.webhook import Receiver

QUICK = """
[alerts]
group_s = 0.5
again_s = 1
storage_after_s = 1
blind_after_s = 2

[alerts.channels.hook]
kind = "webhook"
url = "{url}"
"""
MAIL = """
[alerts.channels.office]
kind = "email"
host = "127.0.0.1"
port = {port}
tls = "off"
sender = "whosin@example.com"
to = ["ops@example.com"]
companies = ["c1"]
"""


class Place:
    def __init__(self, folder: Path, more: str, data: Path | None = None) -> None:
        self.port = free_port()
        self.daemon = Daemon(folder, f'listen = "127.0.0.1:{self.port}"', more, data)
        self._closing: list[Any] = []

    def client(self) -> Client:
        made = Client(self.port)
        self._closing.append(made)
        return made

    def anna_blocks_ben(self, company: str = "c1") -> None:
        client = self.client()
        client.login(f"anna-{company}", "anna", machine="PC-7", company=company)
        client.say(
            f"anna-{company}", "lock", {"resource": "order/1", "activity": "amending"}, company=company
        )
        client.login(f"ben-{company}", "ben", company=company)
        heart = Heart(client)
        self._closing.append(heart)
        heart.add(f"ben-{company}", company=company)
        client.say(f"ben-{company}", "lock", {"resource": "order/1", "wait_s": 600}, company=company)

    def leave(self) -> None:
        """All clients, so that none beats on for a daemon that is gone."""
        for one in reversed(self._closing):
            with contextlib.suppress(OSError, AssertionError):
                one.close()
        self._closing.clear()

    def close(self) -> None:
        self.leave()
        self.daemon.stop()


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, hook: Receiver, mail: MailServer) -> Iterator[Place]:
    made = Place(tmp_path, QUICK.format(url=hook.url) + MAIL.format(port=mail.port))
    made.daemon.start()
    yield made
    made.close()


def phases(hook: Receiver, kind: str = "blocking") -> list[str]:
    return [body["phase"] for body in hook.bodies if body["kind"] == kind]


def test_who_blocks_others_is_told_by_mail_and_hook_and_seen_by_command_and_over_when_removed(
    place: Place, hook: Receiver, mail: MailServer
) -> None:
    place.anna_blocks_ben()
    until(lambda: hook.bodies and mail.mails)
    (sent,) = mail.mails
    assert sent["Subject"].strip() == "[Whosin] 1 disconnected login keeps 1 person waiting in c1 (site s1)"
    assert "anna on PC-7 (desktop)" in text_of(sent)
    assert f"{place.daemon.url}/disconnected?site=s1&company=c1" in text_of(sent)
    (body,) = hook.bodies
    assert body["about"][0]["blocks"][0]["user"] == "ben"
    found = json.loads(place.daemon.whosin("alerts", "--json"))
    until(
        lambda: all(it["state"] == "sent" for it in place.daemon.api("GET", "alerts")["items"][0]["targets"])
    )
    assert (found[0]["id"], found[0]["state"]) == (body["id"], "open")
    table = place.daemon.whosin("alerts")
    assert "1 disconnected login keeps" in table
    assert "hook, office" in table
    assert place.daemon.metric('whosin_alerts_total{kind="blocking"}') == 1
    assert place.daemon.metric('whosin_alerts_open{kind="blocking"}') == 1
    assert place.daemon.metric("whosin_alerts_undelivered") == 0
    place.daemon.whosin("logoff", "anna-c1", "--yes")
    until(lambda: phases(hook) == ["raised", "cleared"])
    assert len(mail.mails) == 1  # people are not told by mail that nothing is to be done
    kinds = [event["type"] for event in place.daemon.history(type="alert.")]
    assert kinds == ["alert.cleared", "alert.raised"]
    secret = place.daemon.log.read_text() + json.dumps(place.daemon.api("GET", "alerts/channels"))
    assert "s3cret" not in secret
    assert "t0p" not in secret


def test_after_kill_9_in_the_middle_nothing_is_lost_and_the_id_is_the_same(
    place: Place, hook: Receiver, mail: MailServer
) -> None:
    hook.always = (503, {}, b"not yet")
    mail.said["DATA"] = "451 not yet"
    place.anna_blocks_ben()

    def tried() -> list[dict[str, Any]]:
        items = place.daemon.api("GET", "alerts")["items"]
        return [it for it in items[0]["targets"] if it["tries"]] if items else []

    until(lambda: len(tried()) == 2)
    assert {it["error"].partition("said ")[2][:3] for it in tried()} == {"503", "451"}
    (before,) = place.daemon.api("GET", "alerts")["items"]
    place.daemon.kill()
    hook.always = (204, {}, b"")
    mail.said.clear()
    place.daemon.start()
    until(lambda: hook.bodies and mail.mails, limit_s=30)
    assert hook.bodies[0]["id"] == before["id"]
    assert before["id"] in mail.mails[0]["Message-ID"]
    assert hook.got[0][0]["webhook-id"] == f"{before['id']}-hook-raised"


def test_kill_9_at_any_moment_tells_at_least_once_and_never_two_alerts_for_one(
    place: Place, hook: Receiver
) -> None:
    place.anna_blocks_ben()
    for _ in range(3):
        until(lambda: place.daemon.status("anna-c1") == "disconnected")
        place.daemon.kill()
        place.daemon.start()
    until(lambda: hook.bodies, limit_s=30)
    place.daemon.whosin("logoff", "anna-c1", "--yes")
    until(lambda: "cleared" in phases(hook))
    assert len({body["id"] for body in hook.bodies}) == 1


def test_a_test_tells_which_target_refuses_and_why(place: Place, hook: Receiver, mail: MailServer) -> None:
    assert place.daemon.whosin("alerts", "test").count("taken") == 2
    assert mail.mails[0]["Subject"].strip() == "[Whosin] A test of the channel"
    assert hook.bodies[0]["type"] == "alert.test"
    hook.always = (410, {}, b"gone")
    told = place.daemon.whosin("alerts", "test", "hook", code=1)
    assert "said 410" in told
    assert "s3cret" not in told
    assert "there are hook, office" in _said(place, "alerts", "test", "nobody")


def _said(place: Place, *args: str) -> str:
    with pytest.raises(AssertionError) as failed:
        place.daemon.whosin(*args)
    return str(failed.value)


def test_channels_change_while_it_runs(place: Place, hook: Receiver, tmp_path: Path) -> None:
    with Receiver() as other:
        text = place.daemon.config.read_text().replace(hook.url, other.url)
        place.daemon.config.write_text(text)
        done = json.loads(place.daemon.whosin("reload", "--json"))
        assert done["changed"] == ["alerts.channels.hook.url"]
        assert done["needs_restart"] == []
        place.anna_blocks_ben()
        until(lambda: other.bodies)
        assert hook.got == []


def test_a_channel_of_one_company_hears_nothing_of_another(
    place: Place, hook: Receiver, mail: MailServer
) -> None:
    place.anna_blocks_ben("c2")
    until(lambda: hook.bodies)
    (item,) = place.daemon.api("GET", "alerts")["items"]
    assert [it["channel"] for it in item["targets"]] == ["hook"]
    assert mail.attempts == 0


def test_a_full_disk_is_told_while_it_lasts(tmp_path: Path, hook: Receiver) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("NOT PROVEN HERE: mounting is forbidden")
    place = Place(tmp_path, QUICK.format(url=hook.url), disk / "data")
    try:
        place.daemon.start()
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        place.client().say("A", "login", {"user": "anna", "client": "desktop"}, wait=False)
        until(lambda: phases(hook, "storage") == ["raised"], limit_s=30)
        assert place.daemon.metric('whosin_alerts_open{kind="storage"}') == 1
        assert not place.daemon.history(type="alert.")
        (item,) = place.daemon.api("GET", "alerts")["items"]
        assert (item["kind"], item["targets"][0]["state"]) == ("storage", "sent")
        filler.unlink()
        until(lambda: phases(hook, "storage") == ["raised", "cleared"], limit_s=30)
        place.daemon.kill()
        place.daemon.start()
        (item,) = place.daemon.api("GET", "alerts")["items"]
        assert (item["id"], item["state"]) == (hook.bodies[0]["id"], "over")
    finally:
        place.close()
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_target_that_hangs_keeps_nobody_from_stopping(tmp_path: Path, hook: Receiver) -> None:
    hook.hang = True
    place = Place(tmp_path, QUICK.format(url=hook.url))
    place.daemon.start()
    place.anna_blocks_ben()
    until(lambda: hook.paths)
    place.leave()
    assert place.daemon.stop() == 0
    place.close()
