"""docs/guidance-cookbook.md, run as it stands: its rules are loaded, its commands print what it shows."""

from __future__ import annotations

import html
import re
import shutil
import signal
import subprocess
import tomllib
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.docs import pages
from tests.docs.shells import plain, shell, shell_env
from tests.support.daemon import until
from tests.support.ports import free_port
from whosin.settings import load
from whosin.settings.guidance import rules_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = "docs/guidance-cookbook.md"
TEXT = (pages.ROOT / PAGE).read_text(encoding="utf-8")
RULES = [block for block in pages.blocks(PAGE) if block.language == "toml"]
COMMANDS = pages.marked(PAGE, "tests/docs/test_cookbook.py")
RECIPES = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)[1:]
TIMES = "timeout_s = 20, heartbeat_every_s = 5, lost_grace_s = 10"
OUR_TIMES = "timeout_s = 1.5, heartbeat_every_s = 0.5, lost_grace_s = 1"
FALLEN = 14

# What is said goes to our port, and what the reader sleeps for is waited for.
WAITS = """
mosquitto_pub() {{ command mosquitto_pub -p {port} "$@"; }}
sleep() {{
  until [ "$(whosin sessions --status disconnected | grep -c ^disconnected)" = {fallen} ]; do
    command sleep 0.1
  done
}}
"""


@pytest.mark.parametrize("block", RULES, ids=lambda block: block.heading)
def test_the_rules_of_a_recipe_are_settings_that_load(block, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(block.text, encoding="utf-8")
    config = tmp_path / "whosin.toml"
    config.write_text('[guidance]\nfile = "rules.toml"\n', encoding="utf-8")
    found = rules_of(load(config, {}))
    assert len(found.rules) == block.text.count("[[rule]]")
    assert found.source == str(tmp_path / "rules.toml")


def test_every_recipe_has_a_rule_commands_and_a_line_in_the_table_of_the_page() -> None:
    for there in (RULES, [block for block in COMMANDS if block.shown]):
        assert {block.heading for block in there} >= set(RECIPES)
    table = re.findall(r"^\| \[[^\]]+\]\(#([^)]+)\)", TEXT, re.MULTILINE)
    assert table == [re.sub(r"[^\w -]", "", recipe.lower()).replace(" ", "-") for recipe in RECIPES]


class Place:
    """The folder of both terminals, with a daemon at ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        port, http_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{http_port}"
        self.env = shell_env(
            folder,
            WHOSIN_MQTT__LISTEN=f"127.0.0.1:{port}",
            WHOSIN_HTTP__LISTEN=f"127.0.0.1:{http_port}",
            WHOSIN_WATCH__REGAIN_GRACE_S="0.5",
            WHOSIN_LOCKS__LOCK_DELAY_S="0.5",  # less than our times, as for the reader
            WHOSIN_URL=self.url,
        )
        self._log = folder / "daemon.log"
        self._waits = WAITS.format(port=port, fallen=FALLEN)
        for name in ("docs", ".venv/bin"):
            (folder / name).mkdir(parents=True)
        (folder / ".venv/bin/activate").touch()
        shutil.copy(pages.ROOT / PAGE, folder / "docs")

    def start(self, text: str) -> subprocess.Popen[bytes]:
        """The first terminal."""
        assert text.count(TIMES) == 4
        text = text.replace(TIMES, OUR_TIMES).replace("\nwhosin run", "\nexec whosin run")
        with self._log.open("wb") as out:
            return subprocess.Popen(
                ["bash", "-c", text], cwd=self.folder, env=self.env, stdout=out, stderr=out
            )

    def wait_for(self, process: subprocess.Popen[bytes]) -> None:
        """Until the daemon that it starts is ready."""

        def ready() -> bool:
            assert process.poll() is None, self._log.read_text()
            try:
                return bool(self._ask("/readyz"))
            except OSError:
                return False

        until(ready, 60, "the daemon is ready")

    def _ask(self, path: str, form: dict[str, str] | None = None) -> str:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        token = (self.folder / "cookbook-data/admin-token").read_text().strip()
        asked = urllib.request.Request(f"{self.url}{path}", data, {"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def type(self, *parts: str, before: str = "") -> list[str]:
        """The second terminal."""
        printed = shell(parts, self.folder, self.env, f"{self._waits}\n{before}")
        return [said.replace(f"{self.folder}/", "/home/you/whosin/") for said in printed]

    def action_required(self, session: str) -> str:
        """What the page says of a chosen login."""
        return html.unescape(self._ask("/action", {"ids": session}))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    process = made.start(COMMANDS[0].text)
    try:
        made.wait_for(process)
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


@pytest.mark.skipif(
    shutil.which("bash") is None or shutil.which("mosquitto_pub") is None,
    reason="NOT TESTED: bash or mosquitto_pub is missing",
)
def test_every_command_prints_what_the_cookbook_shows_and_the_page_has_the_same_texts(place: Place) -> None:
    people, *recipes = COMMANDS[1:]
    functions, power_cut = people.text.split("\n\n", 1)
    place.type(power_cut, before=functions)
    fallen = re.findall(r"^enter \w+/(\S+)", power_cut, re.MULTILINE)
    assert len(fallen) == FALLEN
    advice = "\n".join(place.action_required(session) for session in fallen)
    rules = [rule for block in RULES for rule in tomllib.loads(block.text)["rule"]]
    unsaid = {
        rule["id"] for rule in rules for part in ("before", "after") if rule.get(part, "") not in advice
    }
    assert unsaid == {"bank"}, "nobody holds what only the general rule is for"
    printed = place.type(*(block.text for block in recipes), before=functions)
    for block, said in zip(recipes, printed, strict=True):
        assert plain(said) == plain(block.shown or ""), block.place
