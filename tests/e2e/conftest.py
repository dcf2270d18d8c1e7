"""The same scenarios over the door and over a real Mosquitto: `site` is parametrised with both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.site import Client, Heart
from tests.support.daemon import Daemon
from tests.support.mosquitto import Mosquitto, find_program
from tests.support.ports import free_port


class Site:
    """A daemon, its way in, and whoever a test connects."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.kind = kind
        self.broker: Mosquitto | None = None
        self._closing: list[Callable[[], object]] = []
        if kind == "mosquitto":
            (folder / "broker").mkdir()
            self.broker = Mosquitto(folder / "broker")
            self.port = self.broker.port
            self._mqtt = f'url = "mqtt://127.0.0.1:{self.port}"'
        else:
            self.port = free_port()
            self._mqtt = f'listen = "127.0.0.1:{self.port}"'

    def start(self, more: str = "", data: Path | None = None) -> Site:
        if self.broker is not None:
            self.broker.start()
        self.daemon = Daemon(self.folder, self._mqtt, more, data)
        self.daemon.start()
        self.ear = self.client(hear="whosin/v1/#")
        return self

    def client(self, ident: str | None = None, **options: object) -> Client:
        made = Client(self.port, ident, **options)  # type: ignore[arg-type]
        self._closing.append(made.close)
        return made

    def heart(self, client: Client | None = None, every_s: float = 0.5) -> Heart:
        made = Heart(client or self.client(), every_s)
        self._closing.append(made.close)
        return made

    def close(self) -> None:
        for close in reversed(self._closing):
            close()
        if hasattr(self, "daemon"):
            self.daemon.stop()
        if self.broker is not None:
            self.broker.stop()


@pytest.fixture(params=["door", "mosquitto"])
def bare_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Not started yet: for tests with settings of their own."""
    if request.param == "mosquitto" and find_program("mosquitto") is None:
        pytest.skip("needs mosquitto")
    made = Site(tmp_path, request.param)
    yield made
    made.close()


@pytest.fixture
def site(bare_site: Site) -> Site:
    return bare_site.start()
