"""The blocks marked `run: daemon`, typed as they stand, beside a daemon with people in it.

Nothing is put in their place but the ports: ours here, and back to the usual ones in what is printed.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.docs import pages
from tests.docs.shells import plain, shell, shell_env
from tests.e2e.site import Client
from tests.support.daemon import Daemon, until
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = [page for page in pages.documents() if pages.marked(page, "daemon")]
ALONE = {"docs/operate.md", "docs/troubleshooting.md"}
"""They show what others' commands would change."""
PROGRAMS = ("bash", "curl", "mosquitto_pub")

SETTINGS = """
[daemon]
name = "head-office-1"
data_dir = "{data}"
[mqtt]
{mqtt}
[http]
listen = "127.0.0.1:{http_port}"
[client_types.desktop]
timeout_s = 1
heartbeat_every_s = 0.4
lost_grace_s = 0.5
[watch]
regain_grace_s = 0.5
tick_s = 0.1
[locks]
lock_delay_s = 0
{more}
"""
OUR_PORT = 'mosquitto_pub() {{ command mosquitto_pub -p {port} "$@"; }}\n'


class Place:
    """A daemon, and who is in: Anna fell silent with an order that Ben asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.daemon = Daemon(folder, f'listen = "127.0.0.1:{self.port}"', settings=SETTINGS).start()
        client = Client(self.port)
        for name, kind, machine in (("anna-friday", "desktop", "PC-07"), ("ben-1", "web", "PC-12")):
            about = {"user": name.partition("-")[0], "client": kind, "machine": machine}
            client.say(name, "login", about, site="head-office", company="books")
            wanted = {"resource": "sales-order/SO-1001", "activity": "amending SO-1001"}
            client.say(name, "lock", wanted, site="head-office", company="books")
            until(
                lambda name=name: (
                    self.daemon.status(name) == ("active" if name == "ben-1" else "disconnected")
                )
            )
        client.close()

    def type(self, page: str) -> list[tuple[pages.Block, str]]:
        """All blocks of the page in one shell, each with what it printed."""
        found = pages.marked(page, "daemon")
        own = self.folder / page.replace("/", "-")
        own.mkdir()
        listens = {
            "WHOSIN_DAEMON__DATA_DIR": str(self.daemon.data),
            "WHOSIN_MQTT__LISTEN": f"127.0.0.1:{self.port}",
            "WHOSIN_HTTP__LISTEN": f"127.0.0.1:{self.daemon.http_port}",
        }
        texts = [one.text.replace(":8787", f":{self.daemon.http_port}") for one in found]
        printed = shell(texts, own, shell_env(own, **listens), OUR_PORT.format(port=self.port))
        return list(zip(found, [self._usual(said) for said in printed], strict=True))

    def _usual(self, said: str) -> str:
        said = said.replace(f":{self.daemon.http_port}", ":8787").replace(f":{self.port}", ":1883")
        return said.replace(str(self.daemon.data), "/var/lib/whosin")


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("commands"))
    yield made
    made.daemon.stop()


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(page, request, tmp_path):
    used = " ".join(one.text for one in pages.marked(page, "daemon"))
    if lacking := [name for name in PROGRAMS if name in f"bash {used}" and shutil.which(name) is None]:
        pytest.skip(f"NOT TESTED: {lacking[0]} is missing")
    place = Place(tmp_path) if page in ALONE else request.getfixturevalue("common")
    try:
        for block, printed in place.type(page):
            if block.shown is not None:
                assert plain(printed) == plain(block.shown), block.place
    finally:
        if page in ALONE:
            place.daemon.stop()


def test_pages_are_found():
    assert "docs/guidance.md" in PAGES
