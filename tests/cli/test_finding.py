"""Where the daemon is looked for, with which token, and what is said when it is not there."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from tests.cli.fake_daemon import stats
from whosin.cli import finding
from whosin.errors import Refused, SettingsError
from whosin.settings import load

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the settings are always loaded")

FILES = [
    "",
    "[http]\nlisten = '127.0.0.1:9000'",
    "[http]\nlisten = '0.0.0.0:9000'\nbehind_proxy = true",
    "[http]\nlisten = 'localhost:9000'",
    "[http]\nlisten = '[::1]:9000'",
    "[http]\nlisten = '127.0.0.1:0'",
    "[http]\nlisten = 'off'",
    "[daemon]\ndata_dir = '/var/lib/whosin'",
    "[daemon]\ndata_dir = 'here'",
    "[cleanup]\nenabled = true",
]
PLACES = [
    {"HOME": "/home/anna"},
    {"HOME": "/home/anna", "XDG_DATA_HOME": "/data"},
    {"HOME": "/home/anna", "XDG_DATA_HOME": "relative"},
    {"HOME": "/home/anna", "XDG_DATA_HOME": ""},
    {"HOME": "/home/anna", "STATE_DIRECTORY": "/var/lib/whosin"},
    {"HOME": "/home/anna", "WHOSIN_HTTP__LISTEN": "127.0.0.1:9001"},
    {"HOME": "/home/anna", "whosin_http__listen": "127.0.0.1:9001"},
    {"HOME": "/home/anna", "WHOSIN_URL": "http://x", "WHOSIN_TOKEN": "t"},
]


@on_linux
@pytest.mark.parametrize("environ", PLACES)
@pytest.mark.parametrize("text", FILES)
def test_the_short_way_to_the_daemon_ends_where_the_settings_say(tmp_path, text, environ):
    file = tmp_path / "whosin.toml"
    file.write_text(text)
    try:
        settings = load(file, environ)
    except SettingsError:
        pytest.skip("such settings are refused")
    assert finding.place(file, environ) == (settings.api_url, settings.daemon.data_dir)


@on_linux
@pytest.mark.parametrize("environ", PLACES)
def test_without_a_file_too(environ):
    settings = load(None, environ)
    assert finding.place(None, environ) == (settings.api_url, settings.daemon.data_dir)


@on_linux
def test_most_often_the_settings_need_not_be_loaded(monkeypatch):
    monkeypatch.setattr("whosin.cli.finding._by_settings", None)
    assert finding.place(None, {"HOME": "/home/anna"}).url == "http://127.0.0.1:8787"


def test_settings_that_cannot_be_used_exit_with_2_and_say_all(whosin, tmp_path):
    file = tmp_path / "whosin.toml"
    file.write_text("[http]\nlisten = 'x'\n[cleanup]\nevery = 3")
    found = whosin("status", "--config", file, WHOSIN_URL=None)
    assert found.exit_code == 2
    assert "http.listen" in found.stderr
    assert "cleanup.every" in found.stderr


def test_an_api_that_is_off_cannot_be_asked(tmp_path):
    file = tmp_path / "whosin.toml"
    file.write_text("[http]\nlisten = 'off'")
    with pytest.raises(Refused, match=r"http\.listen is off"):
        finding.target(file, None, {"HOME": "/home/anna"})


def test_the_administrators_token_is_read_from_the_data_folder(daemon, whosin, tmp_path):
    daemon.answers["GET stats"] = stats()
    file = tmp_path / "whosin.toml"
    file.write_text(f"[daemon]\ndata_dir = {tmp_path.as_posix()!r}")
    (tmp_path / "admin-token").write_text("t-of-file\n")
    daemon.token = "t-of-file"
    assert whosin("status", "--config", file, WHOSIN_TOKEN=None).exit_code == 0


def test_the_token_of_this_machine_is_not_sent_to_another(tmp_path):
    file = tmp_path / "whosin.toml"
    file.write_text(f"[daemon]\ndata_dir = {tmp_path.as_posix()!r}")
    (tmp_path / "admin-token").write_text("t-of-file\n")
    environ = {"HOME": str(tmp_path)}
    assert finding.target(file, "http://127.0.0.1:1", environ).token == "t-of-file"
    assert finding.target(file, "https://whosin.example", environ).token is None
    assert "another machine" in finding.target(file, "https://whosin.example", environ).why_no_token


def test_a_missing_token_is_explained(daemon, whosin):
    found = whosin("status", WHOSIN_TOKEN=None)
    assert found.exit_code == 1
    assert "admin-token" in found.stderr
    assert "WHOSIN_TOKEN" in found.stderr


def test_a_wrong_token_is_explained(daemon, whosin):
    found = whosin("sessions", "--json", WHOSIN_TOKEN="wrong")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "Is WHOSIN_TOKEN right?" in found.stderr


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_a_token_that_may_not_be_read_is_explained(daemon, whosin, tmp_path):
    folder = tmp_path / "share" / "whosin"
    folder.mkdir(parents=True)
    (folder / "admin-token").write_text("x")
    (folder / "admin-token").chmod(0)
    assert "Permission denied" in whosin("status", WHOSIN_TOKEN=None).stderr


@pytest.fixture
def nobody():
    """An address where nobody listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"


COMMANDS = [
    "status", "sessions", "show x", "logoff x --yes", "locks", "locks free x --yes --site s --company c",
    "cleanup", "cleanup on", "cleanup run", "history", "backup x", "clients", "tokens", "reload",
    "top", "companies",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_daemon_that_is_not_there_exits_with_3_and_says_where_it_was_sought(whosin, nobody, command):
    found = whosin(*command.split(), WHOSIN_URL=nobody)
    assert found.exit_code == 3
    assert found.stdout == ""
    assert nobody in found.stderr
    assert "WHOSIN_URL" in found.stderr


def test_by_settings_the_hint_is_how_to_start_it(whosin, nobody, tmp_path):
    file = tmp_path / "whosin.toml"
    file.write_text(f"[http]\nlisten = '{nobody.removeprefix('http://')}'")
    found = whosin("status", "--config", file, WHOSIN_URL=None)
    assert found.exit_code == 3
    assert "whosin run" in found.stderr
    assert "WHOSIN_URL" in found.stderr


def test_an_address_that_is_none_is_explained(whosin):
    found = whosin("status", "--url", "here")
    assert found.exit_code == 3
    assert "http://HOST:PORT" in found.stderr
