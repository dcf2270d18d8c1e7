"""A backup taken while the daemon runs, put back on another machine: later, earlier, by one command each."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.site import Client, Heart
from tests.faults.shim import Shim, built
from tests.support.daemon import WHOSIN, Daemon, until
from tests.support.ports import free_port

DAY_S = 86_400
PASSWORD = "correct horse battery"


def restored(backup: Path, config: Path, *, code: int = 0) -> str:
    """What `whosin restore` said."""
    done = subprocess.run(
        [WHOSIN, "restore", backup, "--config", config, "--yes"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Of a site with two people in, one fallen who blocks one of them, an operator and a token."""
    folder = tmp_path / "first"
    folder.mkdir()
    port = free_port()
    daemon = Daemon(folder, f'listen = "127.0.0.1:{port}"').start()
    body = {"name": "olga", "role": "operator", "password": PASSWORD}
    assert daemon.ask("POST", "/api/v1/operators", body)[0] == 201
    (tmp_path / "token").write_text(
        daemon.whosin("tokens", "create", "wallboard", "--role", "viewer").strip()
    )
    client = Client(port, hear="whosin/v1/#")
    client.login("fallen", "fred")
    client.say("fallen", "lock", {"resource": "order/1"})
    until(lambda: daemon.status("fallen") == "disconnected", what="fred falls")
    client.login("beats", "anna", "web")
    client.login("dies", "ben", "web")
    client.say("dies", "lock", {"resource": "order/1"})
    made = tmp_path / "backup.db"
    assert "and checked it" in daemon.whosin("backup", str(made))
    assert "is in use by another daemon" in restored(made, daemon.config, code=1)
    client.login("after", "carl", "web")
    client.say("after", "lock", {"resource": "order/2"})
    assert client.answer("after", "lock")["token"] == 2
    client.close()
    daemon.kill()
    return made


@pytest.mark.parametrize("clock_s", [0, 2 * DAY_S, -2 * DAY_S], ids=["now", "in two days", "two days ago"])
def test_on_another_machine_nobody_is_taken_for_silent_and_everybody_is_known(
    backup: Path, tmp_path: Path, clock_s: int
) -> None:
    library = built()
    if isinstance(library, str):
        pytest.skip(library)
    folder = tmp_path / "second"
    folder.mkdir()
    shim = Shim(folder, library)
    shim.step_clock(clock_s)
    port = free_port()
    sooner = {"TIMEOUT_S": "4", "HEARTBEAT_EVERY_S": "1", "LOST_GRACE_S": "2"}
    environ = {f"WHOSIN_CLIENT_TYPES__WEB__{name}": value for name, value in sooner.items()}
    daemon = Daemon(folder, f'listen = "127.0.0.1:{port}"', environ={**environ, **shim.environ})
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "admin-token").write_text("of another daemon")
    restored(backup, daemon.config)
    daemon.start()
    try:
        assert {name: one["status"] for name, one in daemon.sessions().items()} == {
            "fallen": "disconnected", "beats": "active", "dies": "active",
        }  # fmt: skip
        client = Client(port, hear="whosin/v1/#")
        heart = Heart(client)
        heart.add("beats")
        if clock_s <= 0:  # a refusal is forgotten after a while, by the clock too
            assert [one["user"] for one in daemon.sessions()["fallen"]["blocks"]] == ["ben"]
        assert daemon.ask("GET", "/api/v1/stats", token=(tmp_path / "token").read_text())[0] == 200
        body = {"name": "olga", "password": PASSWORD}
        assert daemon.ask("POST", "/api/v1/sign-in", body, token=None)[0] == 200
        assert daemon.whosin("status")  # by the administrator's token, which was made anew
        client.say("after", "heartbeat", {})
        client.answer("after", "unknown")  # it came after the backup: it logs in again
        client.say("beats", "lock", {"resource": "order/2"})
        assert client.answer("beats", "lock")["token"] > 2  # tokens since the backup are not given again
        until(lambda: daemon.status("dies") == "disconnected", 30, what="who really is gone is found")
        assert daemon.status("beats") == "active"
        (told,) = daemon.history(type="database.restored")
        assert told["data"]["file"] == str(backup)
        falls = [one["session"] for one in daemon.history(type="session.disconnected")]
        assert sorted(falls) == ["dies", "fallen"]
        heart.close()
        client.close()
    finally:
        daemon.stop()
