"""The commands of docs/wire.md, docs/door.md and docs/api.md, typed against a real daemon."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.docs.pages import blocks, marked
from tests.docs.shells import shell, shell_env
from tests.e2e.site import Client
from tests.support.daemon import Daemon, until
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="NOT TESTED: bash is missing")
needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None, reason="NOT TESTED: mosquitto_pub is missing"
)
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="NOT TESTED: curl is missing")

HERE = "tests/docs/test_by_hand.py"
OUR_PORT = """
mosquitto_pub() {{ command mosquitto_pub -p {port} "$@"; }}
mosquitto_sub() {{ timeout 5 mosquitto_sub -p {port} "$@"; }}
curl() {{ command curl "$@" || [ $? = 28 ]; }}  # its time is over, as it was told
"""


class Place:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.daemon = Daemon(folder, f'listen = "127.0.0.1:{self.port}"').start()

    def type(self, *parts: str) -> list[str]:
        env = shell_env(self.folder, WHOSIN_URL=self.daemon.url, WHOSIN_TOKEN=self.daemon.token)
        return shell(parts, self.folder, env, OUR_PORT.format(port=self.port))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("by_hand"))
    yield made
    made.daemon.stop()


@needs_mosquitto
@pytest.mark.parametrize(
    ("page", "heard"),
    [
        ("docs/wire.md", ["/demo-1/login {", "/demo-1/lock {", ".logged_in {", ".logged_off {"]),
        ("docs/door.md", ["/s1/login {"]),
    ],
)
def test_what_is_said_by_hand_is_answered(place, page, heard):
    (block,) = marked(page, HERE)
    listen, *say = block.text.strip().splitlines()
    assert listen.endswith("&")
    loud = listen.removesuffix("&") + "> heard.txt &"
    (printed,) = place.type("\n".join([loud, "command sleep 1", *say, "wait || true", "cat heard.txt"]))
    for each in heard:
        assert each in printed


@needs_curl
def test_the_curls_of_the_api_page_answer_what_it_shows(place):
    client = Client(place.port)
    client.say("anna-friday", "login", {"user": "anna", "client": "desktop"}, company="books")
    client.say("anna-friday", "lock", {"resource": "sales-order/SO-1001"}, company="books")
    until(lambda: place.daemon.status("anna-friday") == "disconnected")
    client.say("ben-1", "login", {"user": "ben", "client": "web"}, company="books")
    client.say("ben-1", "lock", {"resource": "sales-order/SO-1001"}, company="books")
    client.close()

    page = blocks("docs/api.md")
    commands = [block.text for block in marked("docs/api.md", HERE)]
    commands[0] = commands[0].replace("http://127.0.0.1:8787", place.daemon.url)
    stats, sessions, logoff, guidance, cleanup, alerts, events = place.type(*commands)

    assert json.loads(stats)["sessions"]["disconnected"] >= 1
    session, results, problem = (json.loads(block.text) for block in page if block.language == "json")
    (item,) = [each for each in json.loads(sessions)["items"] if each["id"] == "anna-friday"]
    _same_shape(session, item)
    _same_shape(results, json.loads(logoff))
    hurting, rules, left = (json.JSONDecoder().raw_decode(each)[0] for each in _documents(guidance))
    assert hurting["items"][0]["guidance"] == ["sales-order"]
    assert "sales-order" in [rule["id"] for rule in rules["items"]]
    assert (rules["source"], left["items"]) == ("shipped", [])
    switch, switched, dry_run = (json.JSONDecoder().raw_decode(each)[0] for each in _documents(cleanup))
    assert (switch["enabled"], switched["enabled"], dry_run["dry_run"]) == (False, True, True)
    assert json.loads(alerts)["next"] is None
    assert "event: session.disconnected\ndata: {" in events

    viewer = place.daemon.whosin("tokens", "create", "watcher", "--role", "viewer").strip()
    status, refusal = place.daemon.ask("POST", "/api/v1/sessions/logoff", {"ids": ["x"]}, token=viewer)
    assert status == 403
    assert refusal == {**problem, "detail": refusal["detail"]}


def _documents(text: str) -> list[str]:
    """JSON objects that stand behind each other."""
    found, decoder = [], json.JSONDecoder()
    while text.strip():
        _, end = decoder.raw_decode(text := text.strip())
        found.append(text[:end])
        text = text[end:]
    return found


def _same_shape(shown: Any, real: Any) -> None:
    """All that is shown is there, and of its kind."""
    if isinstance(shown, dict):
        assert set(shown) <= set(real)
        for name, value in shown.items():
            _same_shape(value, real[name])
    elif isinstance(shown, list) and shown:
        assert real
        _same_shape(shown[0], real[0])
    elif shown is not None and real is not None:
        assert isinstance(real, type(shown))
