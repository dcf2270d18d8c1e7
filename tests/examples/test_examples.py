"""The examples do what they say, against the real daemon."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.daemon import Daemon
from tests.support.mosquitto import wait_for
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"

needs = {
    program: pytest.mark.skipif(shutil.which(program) is None, reason=f"NOT TESTED: {program} is missing")
    for program in ("mosquitto_pub", "node", "npm")
}


class Place:
    def __init__(self, daemon: Daemon, port: int) -> None:
        self.daemon = daemon
        self.port = port
        self.url = f"mqtt://127.0.0.1:{port}"

    def of(self, user: str) -> dict[str, str]:
        """The one login of a user, over or not."""
        found = [each for each in self.daemon.history(user=user) if each["type"] == "session.logged_in"]
        assert len(found) == 1
        item: dict[str, str] = self.daemon.api("GET", f"sessions/{found[0]['session']}")
        return item


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    port = free_port()
    daemon = Daemon(tmp_path, f'listen = "127.0.0.1:{port}"')
    try:
        yield Place(daemon.start(), port)
    finally:
        daemon.stop()


@needs["mosquitto_pub"]
def test_one_line_of_mosquitto_pub_logs_in_and_beats(place: Place) -> None:
    order = [EXAMPLES / "heartbeat.sh", "127.0.0.1", str(place.port), "my-session"]
    for _ in range(2):
        subprocess.run(order, check=True, timeout=10, env={**os.environ, "USER": "ann"})
    item = place.daemon.sessions()["my-session"]
    assert (item["user"], item["client"], item["status"]) == ("ann", "desktop", "active")
    assert place.daemon.metric('whosin_messages_total{verb="heartbeat"}') == 2
    wait_for(lambda: place.daemon.status("my-session") == "disconnected")


@pytest.mark.parametrize(("name", "user"), [("python_login.py", "ann"), ("python_plain.py", "bob")])
def test_the_python_examples_log_in_lock_and_log_out(place: Place, name: str, user: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, place.url],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{user} is in" in done.stdout
    assert "is mine; what I write carries token" in done.stdout
    assert "logged out" in done.stdout
    assert place.of(user)["status"] == "logged_off"


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with its packages, in a folder of its own."""
    folder = tmp_path_factory.mktemp("javascript")
    shutil.copytree(EXAMPLES / "javascript", folder, dirs_exist_ok=True)
    order = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
    done = subprocess.run(order, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"NOT TESTED: npm install failed: {done.stderr[-300:]}")
    return folder


@needs["node"]
@needs["npm"]
def test_the_javascript_example_logs_in_beats_locks_and_logs_out(place: Place, javascript: Path) -> None:
    order = ["node", "login.mjs", place.url]
    with subprocess.Popen(order, cwd=javascript, stdout=subprocess.PIPE, text=True) as process:
        wait_for(lambda: place.daemon.metric('whosin_messages_total{verb="heartbeat"}') >= 2, 20)
        item = place.of("cat")
        assert item["status"] == "active"
        assert [each["resource"] for each in item["locks"]] == ["sales-order/SO-1002"]  # type: ignore[index]
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "cat is in, and beats every 1 s" in out
    assert "sales-order/SO-1002 is mine, token" in out
    assert out.endswith("logged out\n")
    assert place.of("cat")["status"] == "logged_off"


@needs["node"]
@needs["npm"]
def test_the_javascript_example_dies_like_a_crash(place: Place, javascript: Path) -> None:
    with subprocess.Popen(
        ["node", "login.mjs", place.url], cwd=javascript, stdout=subprocess.PIPE
    ) as process:
        wait_for(lambda: any(each["user"] == "cat" for each in place.daemon.sessions().values()), 20)
        process.kill()
        process.communicate(timeout=10)
    wait_for(lambda: place.of("cat")["status"] == "disconnected")


def test_the_package_names_no_machine_and_no_registry() -> None:
    package = json.loads((EXAMPLES / "javascript" / "package.json").read_text())
    assert set(package["dependencies"]) == {"mqtt"}
    assert not (EXAMPLES / "javascript" / "package-lock.json").exists()


def test_the_readme_names_every_example() -> None:
    text = (EXAMPLES / "README.md").read_text()
    shown = [
        each for each in EXAMPLES.iterdir() if each.name != "README.md" and not each.name.startswith("_")
    ]
    assert len(shown) == 4
    for each in shown:
        assert each.name in text
