"""The unit and what goes into it; what `whosin service` says where it cannot do what is asked."""

from __future__ import annotations

import asyncio
import grp
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.house import repository
from whosin import cli, service
from whosin.cli import finding
from whosin.errors import Refused, SettingsError
from whosin.service import linux
from whosin.service.linux import SystemdManager
from whosin.service.manager import State, Wish
from whosin.service.unit import Unit
from whosin.settings import load
from whosin.store.sqlite import SqliteStore

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
NO_SYSTEMD = pytest.mark.skipif(linux.BOOTED.is_dir(), reason="systemd runs this machine")


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "whosin.toml"
    file.write_text(text)
    return file


def lines(unit: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{key}=")]


def test_the_unit_that_ships_is_the_one_that_is_made():
    """`python -m whosin.service.unit > systemd/whosin.service` makes it anew."""
    assert (repository.ROOT / "systemd/whosin.service").read_text() == Unit().text()


def test_another_name_has_places_of_its_own():
    text = Unit(name="second", config="/etc/second/whosin.toml").text()
    assert lines(text, "StateDirectory") == ["second"]
    assert lines(text, "ReadOnlyPaths") == ["-/etc/second"]
    assert "/var/lib/second" in text


def test_paths_with_blanks_and_signs_are_one_word():
    text = Unit(program="/opt/who is in/bin/whosin", config="/etc/100%/a$b.toml").text()
    assert lines(text, "ExecStart") == ['"/opt/who is in/bin/whosin" run --config /etc/100%%/a$$b.toml']


@pytest.mark.parametrize(
    ("settings", "local"),
    [
        ("", True),
        ('[mqtt]\nlisten = "0.0.0.0:1883"\n', False),
        ('[http]\nlisten = "10.0.0.5:8787"\nbehind_proxy = true\n', False),
        ('[mqtt]\nurl = "mqtt://broker:1883"\n', False),
        ('[alerts.channels.it]\nkind = "log"\n', True),
        ('[alerts.channels.it]\nkind = "webhook"\nurl = "https://example.com/x"\n', False),
    ],
)
def test_other_machines_are_closed_out_as_long_as_the_settings_need_none(tmp_path, settings, local):
    text = SystemdManager().preview(Wish(written(tmp_path, settings)))
    assert ("IPAddressDeny=any" in text.splitlines()) == local
    assert ("IPAddressAllow=localhost" in text.splitlines()) == local


def with_password(tmp_path: Path, mode: int) -> Path:
    secret = tmp_path / "secret"
    secret.write_text("x\n")
    secret.chmod(mode)
    return written(tmp_path, '[mqtt]\nurl = "mqtt://b:1883"\nusername = "w"\npassword_file = "secret"\n')


def test_a_file_that_only_root_may_read_is_handed_over(tmp_path):
    text = SystemdManager().preview(Wish(with_password(tmp_path, 0o600)))
    assert lines(text, "LoadCredential") == [f"mqtt__password_file:{tmp_path}/secret"]
    assert "WHOSIN_MQTT__PASSWORD_FILE=%d/mqtt__password_file" in lines(text, "Environment")


def test_a_file_that_everybody_may_read_is_left_where_it_is(tmp_path):
    text = SystemdManager().preview(Wish(with_password(tmp_path, 0o644)))
    assert not lines(text, "LoadCredential")


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="NOT TESTED: root is needed to give files away"
)
def test_a_file_of_a_group_is_read_through_the_group_and_one_of_its_own_as_it_is(tmp_path):
    config = with_password(tmp_path, 0o640)
    group = grp.getgrnam("daemon")
    os.chown(tmp_path / "secret", 0, group.gr_gid)
    text = SystemdManager().preview(Wish(config))
    assert lines(text, "SupplementaryGroups") == ["daemon"]
    assert not lines(text, "LoadCredential")
    os.chown(tmp_path / "secret", 1, 0)
    text = SystemdManager().preview(Wish(config, user="daemon"))
    assert lines(text, "User") == ["daemon"]
    assert not lines(text, "LoadCredential")
    assert not lines(text, "DynamicUser")


def test_wrong_settings_are_refused_before_anything_is_touched(tmp_path):
    with pytest.raises(SettingsError, match="evry_s"):
        SystemdManager().preview(Wish(written(tmp_path, "[cleanup]\nevry_s = 1\n")))


@pytest.mark.parametrize("place", ["/root", "/home/anna/whosin", "/tmp/whosin-1"])
def test_a_program_that_the_service_could_not_see_is_refused(place):
    with pytest.raises(Refused, match=r"cannot see\. Install it where"):
        linux._check_reach(Path(place), may_lack=True)


def test_a_program_that_others_may_not_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(linux, "_HIDDEN", ())
    hidden = tmp_path / "closed"
    hidden.mkdir(mode=0o700)
    (hidden / "whosin").write_text("")
    with pytest.raises(Refused, match="cannot be read by other users"):
        linux._check_reach(hidden / "whosin", may_lack=True)


@NO_SYSTEMD
@pytest.mark.parametrize(
    "command", [["install"], ["uninstall"], ["status"], ["start"], ["stop"], ["restart"]]
)
def test_without_systemd_it_says_so(command):
    done = CliRunner().invoke(cli.main, ["service", *command])
    assert done.exit_code == 1
    assert "systemd does not run this machine" in done.stderr


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "x" * 33, "../x"])
def test_a_name_that_could_be_a_path_is_refused(name):
    done = CliRunner().invoke(cli.main, ["service", "status", "--name", name])
    assert done.exit_code == 2
    assert "a letter first" in done.stderr


def test_a_dry_run_shows_the_unit_and_changes_nothing(tmp_path):
    done = CliRunner().invoke(
        cli.main, ["service", "install", "--dry-run", "--config", str(written(tmp_path, "")), "--name", "x1"]
    )
    assert done.exit_code == 0
    assert lines(done.output, "StateDirectory") == ["x1"]
    assert not Path("/etc/systemd/system/x1.service").exists()


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({"LoadState": "not-found"}, State("not installed")),
        (
            {"LoadState": "loaded", "ActiveState": "activating", "StatusText": "Starting: blind"},
            State("starting", "Starting: blind"),
        ),
        (
            {
                "LoadState": "loaded", "ActiveState": "activating", "SubState": "auto-restart",
                "StatusText": "", "Result": "exit-code", "ExecMainStatus": "1",
            },
            State("starting", "ended by exit-code (status 1)"),
        ),
        (
            {
                "LoadState": "loaded", "ActiveState": "active", "MainPID": "7", "UnitFileState": "enabled",
                "StatusText": "3 active", "NRestarts": "2", "ActiveEnterTimestamp": "@1700000000",
            },
            State("running", "3 active", 7, "2023-11-14T22:13:20.000Z", at_boot=True, restarts=2),
        ),
        ({"LoadState": "loaded", "ActiveState": "inactive", "StatusText": "Stopping"}, State("stopped")),
    ],
)  # fmt: skip
def test_what_systemd_shows_in_our_words(monkeypatch, shown, expected):
    monkeypatch.setattr(SystemdManager, "_show", lambda _self: shown)
    assert SystemdManager().status() == expected


def test_on_a_system_without_a_service_manager_of_ours_it_says_so(monkeypatch):
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(Refused, match="plan9"):
        service.manager()


# --- where the command line looks ---------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    file = written(tmp_path, '[http]\nlisten = "127.0.0.1:9876"\n')
    monkeypatch.setattr(finding, "SERVICE_CONFIG", file)
    return file


def test_commands_find_the_service_of_this_machine(installed):
    found = finding.target(None, None, {"HOME": "/nowhere"})
    assert found.url == "http://127.0.0.1:9876"
    assert "/var/lib/whosin/admin-token" in (found.why_no_token or "")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["check-config", "--changed"], "127.0.0.1:9876"),
        (["doctor"], "port 9876"),
        (["restore", "--dry-run"], "It would become /var/lib/whosin/whosin.db"),
    ],
)
def test_so_do_those_that_ask_no_daemon(installed, command, told, monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WHOSIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    if command[0] == "restore":
        asyncio.run(_made(backup := tmp_path / "backup.db"))
        command = [*command, str(backup)]
    assert told in CliRunner().invoke(cli.main, command).output


async def _made(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.close()


def test_settings_that_are_named_come_first(installed, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text('[http]\nlisten = "127.0.0.1:1111"\n')
    assert finding.target(other, None, {"HOME": "/nowhere"}).url == "http://127.0.0.1:1111"
    environ = {"HOME": "/nowhere", "WHOSIN_HTTP__LISTEN": "127.0.0.1:2222"}
    assert finding.target(None, None, environ).url == "http://127.0.0.1:2222"


def test_without_a_service_the_users_own_daemon_is_meant(installed):
    installed.unlink()
    assert finding.target(None, None, {"HOME": "/nowhere"}).url == "http://127.0.0.1:8787"


def test_the_service_reads_its_settings_as_the_command_line_does(installed):
    config, environ = finding.as_installed(None, {})
    assert load(config, environ).daemon.data_dir == Path("/var/lib/whosin")
