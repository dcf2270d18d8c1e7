"""The service on a machine of its own with a real systemd: from its installation to its removal.

Clients that stay for all of it are never disconnected, whatever is done to the service.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from subprocess import Popen
from typing import Any

import pytest

from tests.docs import pages
from tests.docs.shells import plain
from tests.service.machine import Machine, missing, packages_of, wheels_of

WHY = missing()
pytestmark = pytest.mark.skipif(WHY is not None, reason=f"NOT TESTED: no machine with a real systemd: {WHY}")

WHOSIN = "/opt/whosin/bin/whosin"
SETTINGS = "/etc/whosin/whosin.toml"
NEXT = "99.0.0"
SHORT = """
[client_types.desktop]
timeout_s = 8
heartbeat_every_s = 1
lost_grace_s = 4

[watch]
regain_grace_s = 6
"""
# People at work, one for each name; the first holds an order. They end without a word with their input.
CLIENTS = """
import asyncio, os, sys, threading
from whosin.client import Backoff, Login

threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()

async def main(names):
    where = dict(url="mqtt://127.0.0.1", site="s", company="c", backoff=Backoff(most_s=1))
    people = [Login(**where, user=name, session=name) for name in names]
    for one in people:
        await one.__aenter__()
    await people[0].lock("sales-order/SO-1", activity="amending").__aenter__()
    print("in", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1:]))
"""
# A thread of the process that stops its event loop for good, when a file says so.
STUCK = """
import os, sys, threading, time

def wait():
    while not os.path.exists("/opt/stuck/now"):
        time.sleep(0.05)
    frame = sys._current_frames()[threading.main_thread().ident]
    while frame is not None:
        it = frame.f_locals.get("self")
        if hasattr(it, "call_soon_threadsafe"):
            it.call_soon_threadsafe(time.sleep, 3600)
            return
        frame = frame.f_back

threading.Thread(target=wait, daemon=True).start()
"""
BROKER = """
[mqtt]
url = "mqtt://127.0.0.1:18830"
username = "whosin"
password_file = "broker-password"
"""
STAYING = [f"stay-{n}" for n in range(5)]

INSTALL, SIGN_IN, CHANGE, LOOK, UPGRADE, UNINSTALL = pages.marked("docs/install-linux.md", "machine")
# All that is put in the place of something on the page: the internet, and somebody at an editor.
INSTEAD = """
export PIP_NO_INDEX=1 PIP_FIND_LINKS=/opt/packages
nano() { printf '%s' "$AS_EDITED" >"$1"; }
"""
LATER = "PIP_FIND_LINKS='/opt/packages /opt/later'"
EDITED = """
[client_types.desktop]
timeout_s = 1
heartbeat_every_s = 0.4
lost_grace_s = 0.5
[watch]
regain_grace_s = 0.5
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with contextlib.closing(Machine()) as machine:
        machine.mount()
        folder = tmp_path_factory.mktemp("wheels")
        for wheel, place in zip(wheels_of(folder, NEXT), ("/opt/packages", "/opt/later"), strict=True):
            machine.path(place).mkdir()
            shutil.copy(wheel, machine.path(place))
        packages_of(folder, machine.path("/opt/packages"))
        machine.boot()
        (machine.installed,) = machine.type(INSTALL.text, before=INSTEAD)
        yield machine


@pytest.fixture
def service(machine: Machine) -> Iterator[Machine]:
    """Installed with short times, running, nothing of its own left of before."""
    whosin(machine, "service", "uninstall", "--purge", "--yes", check=False)
    shutil.rmtree(machine.path("/etc/systemd/system/whosin.service.d"), ignore_errors=True)
    machine.write(SETTINGS, SHORT)
    whosin(machine, "service", "install")
    yield machine
    if machine.run("systemctl", "is-active", "whosin", check=False).stdout.strip() == "active":
        fallen = [it for it in history(machine, "session.disconnected") if it["session"].startswith("stay")]
        assert fallen == [], [it["MESSAGE"] for it in journal(machine)][-40:]


@contextlib.contextmanager
def at_work(machine: Machine, *names: str) -> Iterator[Popen[str]]:
    process = machine.spawn("/opt/whosin/bin/python", "-c", CLIENTS, *names)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        yield process
    finally:
        process.communicate(timeout=60)


@pytest.fixture
def people(service: Machine) -> Iterator[None]:
    """Clients that live through whatever happens."""
    with at_work(service, *STAYING) as process:
        yield
        assert process.poll() is None


def whosin(machine: Machine, *argv: str, check: bool = True) -> str:
    return machine.run(WHOSIN, *argv, check=check).stdout


def status(machine: Machine) -> dict[str, Any]:
    return json.loads(machine.run(WHOSIN, "service", "status", "--json", check=False).stdout)


def history(machine: Machine, kind: str) -> list[dict[str, Any]]:
    return json.loads(whosin(machine, "history", "--type", kind, "--json", "--limit", "1000"))


def show(machine: Machine, name: str) -> str:
    return machine.run("systemctl", "show", "--value", f"--property={name}", "whosin").stdout.strip()


def journal(machine: Machine) -> list[dict[str, Any]]:
    lines = machine.run("journalctl", "-u", "whosin", "-o", "json", "--no-pager").stdout.splitlines()
    return [json.loads(line) for line in lines]


def until(what: Callable[[], bool], within_s: float = 30) -> None:
    end = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


def restarted(machine: Machine, was: str) -> bool:
    return show(machine, "MainPID") not in ("0", was) and show(machine, "ActiveState") == "active"


def seen_again(machine: Machine) -> bool:
    """All five are active, and have been heard since the daemon started."""
    asked = machine.run(WHOSIN, "sessions", "--json", check=False)
    started = machine.run(
        WHOSIN, "history", "--type", "daemon.started", "--limit", "1", "--json", check=False
    )
    if asked.returncode or started.returncode:
        return False
    since = json.loads(started.stdout)[0]["at"]
    heard = [it for it in json.loads(asked.stdout) if it["last_seen"] > since]
    return sorted(it["id"] for it in heard if it["status"] == "active") == STAYING


def drop_in(machine: Machine, text: str) -> None:
    machine.write("/etc/systemd/system/whosin.service.d/test.conf", f"[Service]\n{text}\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "whosin")


def test_the_page_tells_what_installing_prints_how_to_change_a_setting_and_where_to_look(
    machine: Machine,
) -> None:
    assert plain(machine.installed.partition("Wrote")[2]) == plain(
        (INSTALL.shown or "").partition("Wrote")[2]
    )
    signed_in, _ = machine.type(SIGN_IN.text, CHANGE.text, before=f"{INSTEAD}AS_EDITED='{EDITED}'")
    assert "/sign-in/link?code=" in signed_in
    assert "is ready" in signed_in
    assert "/etc/whosin/whosin.toml" in signed_in
    assert "installed and active" in signed_in
    with at_work(machine, "gone"):
        pass
    until(lambda: bool(history(machine, "session.disconnected")))
    until(lambda: any('"session.disconnected"' in it["MESSAGE"] for it in journal(machine)))
    (looked,) = machine.type(LOOK.text)
    assert '"session":"gone"' in looked.splitlines()[-1]


def test_one_command_installs_it_and_it_runs_as_a_user_of_its_own(service: Machine) -> None:
    state = status(service)
    assert (state["phase"], state["at_boot"], state["installed"]) == ("running", True, True)
    assert "0 active" in state["text"]
    uid = service.run("stat", "-c", "%u", f"/proc/{state['pid']}").stdout.strip()
    assert 61184 <= int(uid) <= 65519  # those that systemd lends
    assert service.run("stat", "-Lc", "%a", "/var/lib/whosin").stdout.strip() == "700"
    assert "is ready" in whosin(service, "status")  # found without being told where


def test_again_it_renews_what_is_there_and_keeps_settings_and_data(service: Machine, people: None) -> None:
    service.write(SETTINGS, SHORT + "\n[cleanup]\nevery_s = 777\n")
    said = whosin(service, "service", "install")
    assert "Renewed" in said
    assert "every setting" not in said
    assert json.loads(whosin(service, "cleanup", "show", "--json"))["every_s"] == 777
    until(lambda: seen_again(service))


def test_the_journal_has_levels_and_fields(service: Machine) -> None:
    entries = [it for it in journal(service) if it["MESSAGE"].startswith("{")]
    found = {(json.loads(it["MESSAGE"])["event"], it["PRIORITY"]) for it in entries}
    assert {("daemon.started", "6"), ("settings.warning", "4")} <= found


def test_killed_it_is_back_and_nobody_was_thrown_out(service: Machine, people: None) -> None:
    for _ in range(3):
        pid = show(service, "MainPID")
        service.run("kill", "-9", pid)
        until(lambda pid=pid: restarted(service, pid))
    assert [lock["resource"] for lock in json.loads(whosin(service, "locks", "--json"))] == [
        "sales-order/SO-1"
    ]
    until(lambda: seen_again(service))


def test_a_stuck_event_loop_is_killed_with_its_traces_and_started_again(
    service: Machine, people: None
) -> None:
    service.write(
        "/opt/stuck/sitecustomize.py",
        STUCK,
    )
    drop_in(service, "WatchdogSec=2\nEnvironment=PYTHONPATH=/opt/stuck")
    pid = show(service, "MainPID")
    service.run("touch", "/opt/stuck/now")
    until(lambda: show(service, "MainPID") != pid)
    service.run("rm", "/opt/stuck/now")
    until(lambda: restarted(service, pid))
    said = [it["MESSAGE"] for it in journal(service)]
    assert any("watchdog" in line.lower() for line in said)
    assert any("Fatal Python error: Aborted" in line for line in said)
    assert any("whosin/app.py" in line for line in said)


def test_a_reload_takes_settings_and_one_that_cannot_be_used_is_refused(
    service: Machine, people: None
) -> None:
    pid = show(service, "MainPID")
    service.write(SETTINGS, SHORT + "\n[cleanup]\nevery_s = 600\n")
    service.run("systemctl", "reload", "whosin")
    until(lambda: json.loads(whosin(service, "cleanup", "show", "--json"))["every_s"] == 600)
    service.write(SETTINGS, SHORT + "\n[cleanup]\nevery_s = -1\n")
    assert service.run("systemctl", "reload", "whosin", check=False).returncode != 0
    assert any("cleanup.every_s is -1" in it["MESSAGE"] for it in journal(service))
    assert show(service, "ActiveState") == "active"
    assert show(service, "MainPID") == pid
    service.write(SETTINGS, SHORT)


def test_it_stops_cleanly_within_five_seconds_and_starts_where_it_was(service: Machine, people: None) -> None:
    drop_in(service, "TimeoutStopSec=5")
    until(lambda: seen_again(service))
    assert "stopped" in whosin(service, "service", "stop")
    assert show(service, "Result") == "success"
    assert show(service, "ExecMainStatus") == "0"
    assert status(service)["phase"] == "stopped"
    assert "running" in whosin(service, "service", "start")
    until(lambda: seen_again(service))


def test_wrong_settings_end_it_with_words_and_without_a_storm_of_restarts(service: Machine) -> None:
    service.write(SETTINGS, "[cleanup]\nevry_s = 1\n")
    done = service.run(WHOSIN, "service", "restart", check=False)
    assert done.returncode == 1
    assert "failed" in done.stdout
    assert show(service, "ExecMainStatus") == "2"
    assert show(service, "NRestarts") == "0"
    assert any("every_s" in it["MESSAGE"] for it in journal(service))
    done = service.run(WHOSIN, "service", "install", check=False)
    assert done.returncode == 2
    assert "evry_s" in done.stderr


def test_it_is_ready_only_once_it_sees_and_its_secrets_are_handed_over(service: Machine) -> None:
    """A broker that is away, and whose password only root may read."""
    service.write("/etc/whosin/broker-password", "quite-secret\n", 0o600)
    service.write(SETTINGS, SHORT + BROKER)
    done = service.run(WHOSIN, "service", "install", "--no-start", check=False)
    assert done.returncode == 0
    assert "broker-password is handed over" in done.stdout
    service.run("systemctl", "restart", "--no-block", "whosin")
    until(lambda: status(service)["phase"] == "starting" and "blind" in status(service)["text"])
    service.write(
        "/etc/mosquitto-test.conf",
        "listener 18830 127.0.0.1\npassword_file /etc/mosquitto-test.pw\nuser root\n",
    )
    service.run("mosquitto_passwd", "-c", "-b", "/etc/mosquitto-test.pw", "whosin", "quite-secret")
    service.run("systemd-run", "--unit=broker", "mosquitto", "-c", "/etc/mosquitto-test.conf")
    until(lambda: status(service)["phase"] == "running")
    service.run("systemctl", "stop", "broker")
    unit = service.path("/etc/systemd/system/whosin.service").read_text()
    assert "LoadCredential=mqtt__password_file:/etc/whosin/broker-password" in unit
    assert "quite-secret" not in unit
    assert "IPAddressDeny=any\n" not in unit.replace(
        "# IPAddressDeny", ""
    )  # it may reach beyond this machine


def test_it_is_restarted_gets_a_new_token_and_moves_as_the_page_says(service: Machine, people: None) -> None:
    old = service.path("/var/lib/private/whosin/admin-token").read_text().strip()
    restart, token, move = pages.marked("docs/operate.md", "machine")
    restarted, tokens, moved = service.type(restart.text, token.text, move.text)
    assert "running" in restarted
    assert "administrator" in tokens
    refused = service.run(WHOSIN, "tokens", "list", check=False, WHOSIN_TOKEN=old)
    assert (refused.returncode, "not known here" in refused.stderr) == (1, True)
    assert "start the daemon" in moved
    assert "running" in moved
    until(lambda: seen_again(service))


def test_an_upgrade_is_pip_and_install_and_nobody_notices(service: Machine, people: None) -> None:
    before = whosin(service, "--version")
    service.type(UPGRADE.text, before=INSTEAD + f"export {LATER}")
    stats = json.loads(whosin(service, "status", "--json"))
    assert stats["version"] == NEXT
    until(lambda: seen_again(service))
    service.type("/opt/whosin/bin/pip install -q --no-deps --force-reinstall whosin", before=INSTEAD)
    assert whosin(service, "--version") == before
    whosin(service, "service", "restart")
    assert json.loads(whosin(service, "status", "--json"))["version"] != NEXT
    until(lambda: seen_again(service))


def test_after_a_power_cut_it_comes_up_with_the_machine_and_has_all(service: Machine) -> None:
    with at_work(service, "dark"):
        service.cut_power()
    link = service.path("/etc/systemd/system/ci.target.wants/whosin.service")
    link.parent.mkdir(exist_ok=True)
    link.symlink_to("/etc/systemd/system/whosin.service")  # this machine's target is not the usual one
    service.boot()
    until(lambda: status(service)["phase"] == "running")
    assert [lock["session"] for lock in json.loads(whosin(service, "locks", "--json"))] == ["dark"]
    until(lambda: [it["session"] for it in history(service, "session.disconnected")] == ["dark"])
    link.unlink()


def test_it_runs_as_an_account_that_is_named(service: Machine) -> None:
    whosin(service, "service", "uninstall", "--purge", "--yes")
    service.write(SETTINGS, SHORT)
    whosin(service, "service", "install", "--user", "whosin-svc")
    pid = show(service, "MainPID")
    assert service.run("stat", "-c", "%U", f"/proc/{pid}").stdout.strip() == "whosin-svc"


def test_uninstalled_it_is_gone_and_its_data_are_kept_unless_told_otherwise(service: Machine) -> None:
    (said,) = service.type(UNINSTALL.text)
    assert "Kept" in said
    assert status(service)["phase"] == "not installed"
    service.run("test", "-e", "/var/lib/whosin/whosin.db")
    service.run("test", "-e", SETTINGS)
    assert service.run(WHOSIN, "service", "uninstall", check=False).returncode == 1
    whosin(service, "service", "install")
    said = whosin(service, "service", "uninstall", "--purge", "--yes")
    assert "Removed" in said
    for gone in ("/var/lib/whosin", "/var/lib/private/whosin", SETTINGS):
        assert service.run("test", "-e", gone, check=False).returncode == 1
