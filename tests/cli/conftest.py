"""The command line in this process, against a fake daemon; no settings of the machine that runs the tests."""

from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner

from tests.cli.fake_daemon import TOKEN, FakeDaemon
from whosin.cli import main


@pytest.fixture
def daemon():
    with FakeDaemon() as running:
        yield running


class Whosin:
    """`whosin("sessions", "--json")` runs it; `output`, `stderr`, `exit_code` and `json` tell how it went."""

    def __init__(self, env):
        self.env = env

    def __call__(self, *args, columns=None, **env):
        changed = {**self.env, **env, "COLUMNS": None if columns is None else str(columns)}
        found = CliRunner(env=changed).invoke(main, [str(arg) for arg in args], prog_name="whosin")
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    def json(self, *args):
        found = self(*args, "--json")
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)


@pytest.fixture
def whosin(daemon, monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.upper().startswith("WHOSIN_") or name in {"NO_COLOR", "FORCE_COLOR", "STATE_DIRECTORY"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    return Whosin({"WHOSIN_URL": daemon.url, "WHOSIN_TOKEN": TOKEN})


@pytest.fixture
def answering(monkeypatch):
    """Somebody sits at the terminal; what they type is CliRunner's `input`."""
    monkeypatch.setattr("whosin.cli.printing.can_ask", lambda: True)
