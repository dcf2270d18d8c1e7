"""A real broker with a daemon in miniature behind it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.client.scripted_daemon import ScriptedDaemon
from whosin.client import Backoff, Login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.mosquitto import Mosquitto

QUICK = Backoff(first_s=0.02, most_s=0.05)


@pytest.fixture
def daemon(mosquitto: Mosquitto) -> Iterator[ScriptedDaemon]:
    scripted = ScriptedDaemon(mosquitto.port).start()
    try:
        yield scripted
    finally:
        scripted.stop()


@pytest.fixture
def login(daemon: ScriptedDaemon) -> Callable[..., Login]:
    """A login with the usual names, to be entered."""
    return partial(Login, f"mqtt://127.0.0.1:{daemon.port}", **ann())


def ann(**about: Any) -> dict[str, Any]:
    return {
        "site": "head-office",
        "company": "books",
        "user": "ann",
        "machine": "PC-7",
        "backoff": QUICK,
        **about,
    }
