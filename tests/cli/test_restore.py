"""`whosin restore` and `whosin backup --verify`: no daemon is asked."""

from __future__ import annotations

import json

import pytest

from tests.store.fixtures import kept


@pytest.fixture
def backup(tmp_path):
    made = tmp_path / "backup.db"
    kept.build(kept.versions()[-1], made)
    return made


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "whosin.toml"
    file.write_text(f'[daemon]\ndata_dir = "{(tmp_path / "data").as_posix()}"')
    return file


def test_a_backup_is_verified_and_said_what_it_is(whosin, backup):
    said = whosin("backup", "--verify", backup).stdout.splitlines()
    assert said[0].startswith(f"{backup} is a whole backup: 10 live sessions, ")
    assert "schema version" in said[0]
    assert said[1].startswith("Its last event was ")
    found = json.loads(whosin("backup", "--verify", backup, "--json").stdout)
    assert (found["path"], found["sessions"], found["schema"]) == (str(backup), 10, kept.versions()[-1])
    assert found["newest"].startswith("2026-")


def test_a_damaged_backup_fails_with_1(whosin, backup):
    with backup.open("r+b") as file:
        file.seek(backup.stat().st_size // 2 // 4096 * 4096)
        file.write(bytes(8192))
    found = whosin("backup", "--verify", backup)
    assert (found.exit_code, found.stdout) == (1, "")
    assert "is damaged" in found.stderr


def test_a_dry_run_changes_nothing(whosin, backup, config, tmp_path):
    found = whosin("restore", backup, "--config", config, "--dry-run")
    assert found.exit_code == 0
    assert found.stdout.splitlines()[-1] == (
        f"It would become {tmp_path / 'data' / 'whosin.db'}, where there is none yet."
    )
    assert not (tmp_path / "data").exists()
    found = json.loads(whosin("restore", backup, "--config", config, "--dry-run", "--json").stdout)
    assert (found["restored"], found["database"]) == (False, str(tmp_path / "data" / "whosin.db"))


def test_it_is_restored_with_yes_and_says_what_it_did(whosin, backup, config, tmp_path):
    database = tmp_path / "data" / "whosin.db"
    said = whosin("restore", backup, "--config", config, "--yes").stdout.splitlines()
    assert said[-1] == f"It is now {database}; start the daemon."
    said = whosin("restore", backup, "--config", config, "--yes").stdout.splitlines()
    assert said[-1].startswith(f"What was there before is kept: {database}.20")
    found = json.loads(whosin("restore", backup, "--config", config, "--yes", "--json").stdout)
    assert found["restored"]
    assert found["set_aside"].startswith(f"{database}.20")


def test_on_a_terminal_it_shows_and_asks(whosin, backup, config, tmp_path, answering, monkeypatch):
    monkeypatch.setattr("click.confirm", lambda *_args, **_options: False)
    found = whosin("restore", backup, "--config", config)
    assert found.exit_code == 1
    assert "is a whole backup" in found.stderr
    assert "Nothing was changed." in found.stderr
    assert not (tmp_path / "data").exists()
    monkeypatch.setattr("click.confirm", lambda *_args, **_options: True)
    assert whosin("restore", backup, "--config", config).exit_code == 0
    assert (tmp_path / "data" / "whosin.db").exists()


def test_without_a_terminal_it_wants_to_be_told(whosin, backup, config, tmp_path):
    found = whosin("restore", backup, "--config", config)
    assert found.exit_code == 2
    assert "--yes" in found.stderr
    assert not (tmp_path / "data").exists()
