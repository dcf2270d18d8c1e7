"""Without a file and without variables there are settings to start with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.settings.helpers import ENVIRON, read
from whosin import model
from whosin.errors import SettingsError
from whosin.settings import Address, Settings, load, together


@pytest.fixture
def settings() -> Settings:
    return load(None, ENVIRON)


def test_the_door_and_the_page_are_on_loopback_and_sign_in_is_off(settings):
    assert settings.mqtt.listen == Address("127.0.0.1", 1883)
    assert settings.http.listen == Address("127.0.0.1", 8787)
    assert settings.sign_in is False
    assert settings.api_url == "http://127.0.0.1:8787"


def test_the_patience_of_the_types_is_the_contracts(settings):
    types = settings.policy().types
    assert types["desktop"] == model.ClientType("desktop", 300_000, 60_000, 75_000, 0, idle_disconnects=False)
    assert types["web"] == model.ClientType("web", 1_200_000, 240_000, 300_000, 0, idle_disconnects=False)
    assert types["default"] == model.ClientType("default", 300_000, 60_000, 75_000, 0, idle_disconnects=False)


def test_the_rest_of_the_policy_is_the_models_own_default(settings):
    policy = settings.policy()
    assert policy == model.Policy(types=policy.types)


def test_every_other_default_is_the_contracts(settings):
    values = {key: value for key, value, _ in settings.describe()}
    expected = {
        "cleanup.enabled": False, "cleanup.every_s": 1800, "cleanup.blocking_after_s": 0,
        "watch.regain_grace_s": 90, "watch.tick_s": 0.25, "mass_silence.min": 10, "mass_silence.share": 0.5,
        "mass_silence.window_s": 60, "mass_silence.hold_s": 3600, "locks.lock_delay_s": 15,
        "store.flush_s": 5, "store.history_days": 400, "directory.enabled": False,
        "shared_account.machines": 2, "alerts.group_s": 30, "log.format": "auto", "http.behind_proxy": False,
        "http.allowed_hosts": [],
    }  # fmt: skip
    assert {key: values[key] for key in expected} == expected


def test_everything_described_comes_from_the_defaults(settings):
    assert {origin for _, _, origin in settings.describe()} == {"default"}


def test_the_database_is_in_the_data_folder(settings):
    assert settings.database == settings.daemon.data_dir / "whosin.db"


def test_the_daemons_name_is_the_hosts_made_fit_for_a_topic(monkeypatch):
    monkeypatch.setattr(together.platform, "node", lambda: "büro pc/#1" + "x" * 80)
    settings = load(None, ENVIRON)
    assert settings.daemon.name == ("b-ro-pc--1" + "x" * 80)[:64]
    assert settings.mqtt.client_id == f"whosin-{settings.daemon.name}"[:64]


def test_a_host_without_a_name_is_called_whosin(monkeypatch):
    monkeypatch.setattr(together.platform, "node", lambda: "")
    assert load(None, ENVIRON).daemon.name == "whosin"


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")
class TestDataFolderOnLinux:
    def test_systemds_state_directory_comes_first(self):
        environ = {**ENVIRON, "STATE_DIRECTORY": "/var/lib/whosin:/var/lib/other", "XDG_DATA_HOME": "/x"}
        assert load(None, environ).daemon.data_dir == Path("/var/lib/whosin")

    def test_then_the_users_data_folder(self):
        assert load(None, {**ENVIRON, "XDG_DATA_HOME": "/x"}).daemon.data_dir == Path("/x/whosin")

    def test_which_has_a_usual_place(self):
        assert load(None, ENVIRON).daemon.data_dir == Path("/home/jane/.local/share/whosin")

    def test_and_must_be_absolute_to_count(self):
        assert load(None, {**ENVIRON, "XDG_DATA_HOME": "x"}).daemon.data_dir == Path(
            "/home/jane/.local/share/whosin"
        )

    def test_a_user_without_a_home_has_to_say_where(self, monkeypatch, tmp_path):
        def homeless() -> Path:
            raise RuntimeError

        monkeypatch.setattr(Path, "home", homeless)
        with pytest.raises(SettingsError, match=r"daemon\.data_dir is not set"):
            load(None, {})
        assert load(None, {"WHOSIN_DAEMON__DATA_DIR": str(tmp_path)}).daemon.data_dir == tmp_path


@pytest.mark.parametrize(
    ("platform", "folder"),
    [
        ("win32", Path("/home/jane/AppData/Local/Whosin")),
        ("darwin", Path("/home/jane/Library/Application Support/Whosin")),
    ],
)
def test_other_systems_have_other_data_folders(monkeypatch, platform, folder):
    monkeypatch.setattr(together.sys, "platform", platform)
    assert together.data_dir(ENVIRON) == folder


def test_the_data_folder_of_the_file_wins(tmp_path):
    settings = read(tmp_path, 'daemon.data_dir = "data"', STATE_DIRECTORY="/var/lib/whosin")
    assert settings.daemon.data_dir == tmp_path / "data"
