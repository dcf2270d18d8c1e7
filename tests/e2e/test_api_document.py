"""The API does what its own document says: a real daemon, asked by what the document allows and forbids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from tests.e2e.site import Client
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.web.fake import FakeOperations
from whosin.web.app import create_app
from whosin.web.openapi import describe
from whosin.web.stream import Streams

GENTLE = settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, database=None
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """With a session, a lock and a past in it."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("api")
    made = Daemon(folder, f'listen = "127.0.0.1:{port}"', "[limits]\nrequests_per_s = 0")
    made.start()
    client = Client(port)
    client.login("7d1c0a9e", "ada", site="north", company="acme")
    client.say("7d1c0a9e", "lock", {"resource": "sales-order/SO-1001"}, site="north", company="acme")
    yield made
    client.close()
    made.stop()


async def _render(accept: str) -> tuple[bytes, str]:
    raise NotImplementedError(accept)


DOCUMENT = describe(
    create_app(FakeOperations(), _render, Streams(1, 1), now_ms=lambda: 0, open_on_loopback=True)
)
# Without an end the one, and with a file that it writes the other: both are tried by hand elsewhere.
bounded = schemathesis.openapi.from_dict(DOCUMENT).exclude(path_regex="/(events|backup)$")


def test_the_daemon_gives_out_the_document_that_it_is_asked_by(daemon: Daemon) -> None:
    assert daemon.api("GET", "openapi.json") == DOCUMENT


@pytest.fixture(scope="module")
def tokens(daemon: Daemon) -> dict[str, str]:
    roles = ("viewer", "operator", "administrator")
    return {
        role: daemon.whosin("tokens", "create", f"for-the-{role}s-test", "--role", role).strip()
        for role in roles
    }


@bounded.parametrize()
@GENTLE
def test_whatever_is_asked_is_answered_as_documented(
    case: Any, daemon: Daemon, tokens: dict[str, str]
) -> None:
    """No 500, no undocumented status or shape; what it allows is not called wrong, what it forbids is."""
    ask(case, daemon, tokens["administrator"])


@bounded.parametrize()
@settings(GENTLE, max_examples=3)
def test_a_viewer_is_answered_as_documented_too(case: Any, daemon: Daemon, tokens: dict[str, str]) -> None:
    ask(case, daemon, tokens["viewer"])


def ask(case: Any, daemon: Daemon, token: str) -> None:
    # Wrong tokens by the hundred are slowed down, and that they open nothing the matrix of roles tells.
    beside: list[Any] = [ignored_auth]
    # No schema can say that a cursor is one that a listing gave, that a moment is still to come, or that a
    # message has to name somebody in one of four ways.
    if case.operation.path.endswith(("/sessions", "/maintenance", "/messages")):
        beside.append(positive_data_acceptance)
    if (
        case.method == "GET"
    ):  # in a query the number 5 and the text "5" are the same; tests/web has the bounds
        beside.append(negative_data_rejection)
    headers = {"Authorization": f"Bearer {token}"}
    case.call_and_validate(base_url=daemon.url, headers=headers, excluded_checks=beside)
