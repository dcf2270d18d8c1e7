"""What has changed is named, and whether it takes effect at once."""

from __future__ import annotations

import pytest

from tests.settings.helpers import ENVIRON, read
from whosin.settings import changed, load
from whosin.settings.schema import paths


def test_nothing_changes_when_nothing_did(tmp_path):
    assert changed(read(tmp_path, ""), read(tmp_path, "watch.tick_s = 0.25")) == ([], [])


def test_live_keys_and_others_are_told_apart(tmp_path):
    new = read(tmp_path, 'watch.tick_s = 0.5\nlog.level = "debug"\nhttp.listen = "off"\ndaemon.name = "x"')
    live, restart = changed(load(None, ENVIRON), new)
    assert live == ["watch.tick_s", "log.level"]
    assert restart == ["daemon.name", "mqtt.client_id", "http.listen"]


def test_a_default_that_follows_another_key_is_named_too(tmp_path):
    _, restart = changed(load(None, ENVIRON), read(tmp_path, 'mqtt.url = "mqtt://b"'))
    assert restart == ["mqtt.listen", "mqtt.url"]


def test_a_type_that_comes_or_goes_is_named_once(tmp_path):
    old, new = load(None, ENVIRON), read(tmp_path, "[client_types.kiosk]")
    assert changed(old, new) == (["client_types.kiosk"], [])
    assert changed(new, old) == (["client_types.kiosk"], [])


def test_a_channel_that_comes_or_changes_is_live(tmp_path):
    old, new = load(None, ENVIRON), read(tmp_path, "[alerts.channels.desk]")
    assert changed(old, new) == (["alerts.channels.desk"], [])
    other = read(tmp_path, 'alerts.channels.desk.at_least = "critical"')
    assert changed(new, other) == (["alerts.channels.desk.at_least"], [])


def test_the_first_value_of_the_switch_is_no_change(tmp_path):
    assert changed(load(None, ENVIRON), read(tmp_path, "cleanup.enabled = true")) == ([], [])


@pytest.mark.parametrize(
    ("section", "live"),
    [("client_types", True), ("watch", True), ("mass_silence", True), ("locks", True), ("limits", True),
     ("alerts", True),
     ("daemon", False), ("mqtt", False), ("http", False)],
)  # fmt: skip
def test_whole_sections_are_live_or_not(section, live):
    effects = {
        item.effect
        for path, item in paths({"client_types": ["desktop"], "alerts.channels": ["office"]})
        if path.startswith(f"{section}.")
    }
    assert effects == {"live" if live else "restart"}
