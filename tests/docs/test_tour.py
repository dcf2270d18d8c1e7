"""The README's tour, run as it stands: its commands, against the daemon it starts, print what it shows."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tomllib
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import marked
from tests.docs.shells import plain, shell, shell_env
from tests.house import repository
from tests.support.daemon import until
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or shutil.which("mosquitto_rr") is None,
    reason="NOT TESTED: bash or mosquitto_rr is missing",
)

AT_ONCE, *TOUR = marked("README.md", "tests/docs/test_tour.py")
FIRST_TERMINAL, *SECOND_TERMINAL = TOUR

# What the reader sleeps for is waited for, however slow this machine is, and programs are sent to our ports.
WAITS = """
mosquitto_pub() {{ command mosquitto_pub -p {port} "$@"; }}
mosquitto_rr() {{ command mosquitto_rr -W 30 -p {port} "$@"; }}
sleep() {{
  case $1 in
    21) until whosin sessions --status disconnected | grep -q anna-friday; do command sleep 0.2; done ;;
    35) until whosin show carla-1 | grep -q ^removed; do command sleep 0.2; done ;;
    *) return 1 ;;
  esac
}}
"""


class Terminals:
    """The folder of the tour, with a daemon at ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, http_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{http_port}"
        self._listen = {
            "WHOSIN_MQTT__LISTEN": f"127.0.0.1:{self.port}",
            "WHOSIN_HTTP__LISTEN": f"127.0.0.1:{http_port}",
            "WHOSIN_WATCH__REGAIN_GRACE_S": "1",  # should this machine stall
        }
        activate = folder / ".venv" / "bin" / "activate"
        activate.parent.mkdir(parents=True)
        activate.touch()

    def start(self, text: str, limit_s: float = 30) -> subprocess.Popen[str]:
        """The first terminal, which `whosin run` keeps busy."""
        process = subprocess.Popen(
            ["bash", "-c", re.sub(r"(^|&& )(\S*whosin run)", r"\1exec \2", text, flags=re.MULTILINE)],
            cwd=self.folder, env=shell_env(self.folder, **self._listen), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: process.poll() is not None or self._ready(), limit_s, "the daemon is ready")
        assert process.poll() is None
        return process

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def type(self, *parts: str) -> list[str]:
        env = shell_env(self.folder, **self._listen, WHOSIN_URL=self.url)
        return shell(parts, self.folder, env, WAITS.format(port=self.port))


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    made = Terminals(tmp_path)
    process = made.start(FIRST_TERMINAL.text)
    yield made
    process.send_signal(signal.SIGTERM)
    first_line = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    where = rf"{made.url}  \(door on mqtt://127.0.0.1:{made.port}; data in "
    assert re.match(rf"Whosin \S+ is at {where}", first_line)


def test_every_command_of_the_tour_prints_what_the_readme_shows(terminals):
    printed = terminals.type(*(block.text for block in SECOND_TERMINAL))
    assert [plain(each) for each in printed] == [plain(block.shown or "") for block in SECOND_TERMINAL]
    assert len(printed) == 7


def test_the_tour_sleeps_long_enough_for_its_settings():
    text = FIRST_TERMINAL.text
    settings = tomllib.loads(text[text.index("[daemon]") : text.index("END\nwhosin")])
    timeout_s, every_s = settings["client_types"]["desktop"]["timeout_s"], settings["cleanup"]["every_s"]
    slept = [int(found) for block in TOUR for found in re.findall(r"^sleep (\d+)$", block.text, re.MULTILINE)]
    assert slept[0] > timeout_s
    assert slept[1] > timeout_s + every_s


def test_the_first_command_ends_in_a_daemon_with_people_in_it(tmp_path, monkeypatch):
    for path in repository.files():
        copy = tmp_path / repository.name(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    monkeypatch.setenv("PIP_NO_COMPILE", "1")  # what is imported is compiled soon enough
    made = Terminals(tmp_path)
    process = made.start(AT_ONCE.text, limit_s=240)
    try:
        ask = "WHOSIN_TOKEN=$(cat .local/share/whosin/admin-token) whosin sessions"
        until(lambda: "active" in made.type(ask)[0], 30)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
