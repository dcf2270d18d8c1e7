"""`whosin alerts`: the list, the channels, and a test that fails where a target refuses."""

from __future__ import annotations

import pytest

from tests.cli.fake_daemon import ago


def target(channel="office", **more):
    return {
        "channel": channel, "phase": "raised", "state": "sent", "tries": 1, "since": ago(60),
        "last_try": ago(59), "next_try": None, "error": None,
    } | more  # fmt: skip


def alert(*targets, **more):
    return {
        "id": "a1", "kind": "blocking", "severity": "warning", "site": "vienna", "company": "main",
        "state": "open", "raised": ago(130), "cleared": None, "last_told": ago(130), "reminders": 0,
        "count": 2,
        "message": "2 disconnected logins keep 3 people waiting", "action": "Log them off.", "about": [],
        "targets": list(targets),
    } | more  # fmt: skip


def test_alerts_are_listed_with_who_has_been_told(daemon, whosin):
    items = [
        alert(target(), target("night", state="pending", tries=3, error="full")),
        alert(target(), target("night", state="given_up")),
        alert(state="over"),
    ]
    daemon.answers["GET alerts"] = items
    text = whosin("alerts").stdout
    assert "2 min ago  open   warning   vienna  main" in text
    assert "2 disconnected logins keep 3 people waiting" in text
    assert "office, night waits (3 tries)" in text
    assert "office, night given up" in text
    assert "nobody" in text
    assert whosin.json("alerts", "list") == items


def test_filters_reach_the_daemon(daemon, whosin):
    daemon.answers["GET alerts"] = []
    assert whosin("alerts").stdout == "All is well.\n"
    found = whosin("alerts", "--open", "--kind", "storage", "--site", "vienna")
    assert found.stdout == "There is no such alert.\n"
    query = daemon.queries("GET alerts")[1]
    assert (query["state"], query["kind"], query["site"]) == ("open", "storage", "vienna")


def test_channels_are_listed_with_who_gets_what(daemon, whosin):
    channel = {
        "name": "office", "target": "ops@example.com by mail:587", "sites": ["vienna"], "companies": [],
        "roles": ["operator"], "kinds": [], "at_least": "warning", "cleared": False, "waiting": 2,
        "last_error": "mail:587 said 451 later",
    }  # fmt: skip
    daemon.answers["GET alerts/channels"] = [channel]
    text = whosin("alerts", "channels").stdout
    assert "vienna, for operator, warning and worse" in text
    assert "mail:587 said 451 later" in text
    assert whosin.json("alerts", "channels") == [channel]


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_a_target_that_refuses_is_an_exit_code_and_a_reason(daemon, whosin, ok, code):
    result = {
        "channel": "office", "target": "ops@example.com by mail:587", "ok": ok,
        "problem": None if ok else "mail:587 said 535 who are you", "took_s": 0.5,
    }  # fmt: skip
    daemon.answers["POST alerts/test"] = {"results": [result]}
    found = whosin("alerts", "test", "office")
    assert found.exit_code == code
    assert ("taken" if ok else "535 who are you") in found.stdout
    assert whosin("alerts", "test", "--json").exit_code == code
    assert daemon.bodies("POST alerts/test") == [{"channel": "office"}, {"channel": None}]


def test_a_channel_that_does_not_exist_is_told(daemon, whosin):
    daemon.answers["POST alerts/test"] = (404, "not_found", "there is no channel x; there are office")
    found = whosin("alerts", "test", "x")
    assert found.exit_code == 1
    assert "there are office" in found.stderr
