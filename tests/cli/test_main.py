"""The command itself: its help, its version, its settings, and how it starts the daemon."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from whosin import __version__
from whosin.cli import MODULES


def test_every_command_has_a_help_of_its_own(whosin):
    for name in MODULES:
        found = whosin(name, "--help", columns=80)
        assert found.exit_code == 0
        assert found.stdout.startswith(f"Usage: whosin {name}")
        assert max(map(len, found.stdout.splitlines())) <= 80


def test_the_help_lists_each_command_with_what_it_does_in_80_columns(whosin):
    text = whosin("--help", columns=80).stdout
    for name in MODULES:
        assert f"\n  {name} " in text
    assert "..." not in text.split("Options:")[1].split("Examples:")[0].replace("[ARGS]...", "")
    assert max(map(len, text.splitlines())) <= 80
    for words in ("Exit codes:", "WHOSIN_TOKEN", "_WHOSIN_COMPLETE"):
        assert words in text


@pytest.mark.parametrize("name", ["locks", "cleanup", "operators", "clients", "tokens"])
def test_a_group_shows_the_options_of_its_listing(whosin, name):
    assert "--json" in whosin(name, "--help").stdout


def test_a_mistyped_command_is_told_the_nearest(whosin):
    found = whosin("session")
    assert found.exit_code == 2
    assert "Did you mean 'sessions'?" in found.stderr


def test_an_unknown_command_is_wrong_use(whosin):
    assert whosin("frobnicate").exit_code == 2
    assert whosin("locks", "frobnicate").exit_code == 2


def test_the_version_is_printed_by_the_installed_command():
    found = subprocess.run(
        [sys.executable, "-m", "whosin", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout == f"whosin {__version__}\n"


def test_short_answers_import_nothing_that_takes_long():
    code = (
        "import sys\n"
        "from whosin.cli import main\n"
        "try: main(['sessions', '--json', '--url', 'http://127.0.0.1:1'], prog_name='whosin')\n"
        "except SystemExit as left: print(left.code, *sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    left, *modules = found.stdout.split()
    assert left == "3"
    heavy = {
        "rich",
        "pydantic",
        "fastapi",
        "structlog",
        "asyncio",
        "msgspec",
        "whosin.settings",
        "whosin.model",
    }
    assert heavy.isdisjoint(modules)


# --- check-config ----------------------------------------------------------------------------------


def test_check_config_shows_every_value_with_its_origin(whosin, tmp_path):
    file = tmp_path / "whosin.toml"
    file.write_text("[cleanup]\nevery_s = 60")
    found = whosin("check-config", "--config", file, WHOSIN_URL="http://x", WHOSIN_LOG__LEVEL="debug")
    rows = {line.split()[0]: line.split()[1:] for line in found.stdout.splitlines()}
    assert rows["cleanup.every_s"][1] == str(file)
    assert rows["log.level"] == ['"debug"', "WHOSIN_LOG__LEVEL"]
    assert rows["http.listen"] == ['"127.0.0.1:8787"', "default"]


def test_check_config_in_json_is_a_list_of_keys_values_and_origins(whosin, tmp_path):
    file = tmp_path / "whosin.toml"
    file.write_text("[cleanup]\nevery_s = 60")
    found = json.loads(whosin("check-config", "--config", file, "--changed", "--json").stdout)
    assert found == [{"key": "cleanup.every_s", "value": 60, "origin": str(file)}]


def test_check_config_says_when_everything_is_as_usual(whosin):
    found = whosin("check-config", "--changed")
    assert found.stdout == "All settings have their default values.\n"


def test_check_config_exits_with_2_and_names_every_problem(whosin, tmp_path):
    file = tmp_path / "whosin.toml"
    file.write_text("[cleanup]\nevery_s = -1\nenable = true\n[htp]\n")
    found = whosin("check-config", "--config", file)
    assert (found.exit_code, found.stdout) == (2, "")
    for words in ("cleanup.every_s", "enable", "htp"):
        assert words in found.stderr


def test_check_config_needs_a_file_that_is_there(whosin, tmp_path):
    found = whosin("check-config", "--config", tmp_path / "no.toml")
    assert found.exit_code == 2
    assert "no.toml" in found.stderr


# --- run -------------------------------------------------------------------------------------------


@pytest.fixture
def app(monkeypatch):
    """Stands in for the daemon: notes what it was started with."""
    started = []

    def main(settings, config, _supervisor):
        started.append((settings, config))
        return 7

    monkeypatch.setattr("whosin.app.main", main)
    return started


def test_run_starts_the_daemon_with_its_settings_and_exits_as_it_did(whosin, app, tmp_path):
    file = tmp_path / "whosin.toml"
    file.write_text("[daemon]\nname = 'vienna'")
    assert whosin("run", "--config", file).exit_code == 7
    [(settings, config)] = app
    assert (settings.daemon.name, config) == ("vienna", file)


def test_run_with_wrong_settings_starts_nothing(whosin, app, tmp_path):
    file = tmp_path / "whosin.toml"
    file.write_text("[daemon]\nnam = 'vienna'")
    found = whosin("run", "--config", file)
    assert found.exit_code == 2
    assert "daemon.nam" in found.stderr
    assert app == []


def test_run_takes_its_simulated_clients_along_when_it_ends(whosin, app, monkeypatch):
    seen = []
    real = subprocess.Popen

    def popen(order, **more):
        seen.append(order)
        child = real([sys.executable, "-c", "import sys; sys.stdin.read()"], **more)
        seen.append(child)
        return child

    monkeypatch.setattr("subprocess.Popen", popen)
    assert whosin("run", "--simulate", "5").exit_code == 7
    order, child = seen
    assert order[1:3] == ["-m", "whosin.simulate"]
    assert "--with-stdin" in order
    assert order[order.index("--clients") + 1] == "5"
    assert order[order.index("--url") + 1] == "mqtt://127.0.0.1:1883"
    assert child.returncode is not None


def test_simulated_clients_need_a_door_that_asks_for_no_password(whosin, app):
    found = whosin("run", "--simulate", "5", WHOSIN_MQTT__SIGN_IN="on")
    assert found.exit_code == 2
    assert "sign-in" in found.stderr
    assert app == []
