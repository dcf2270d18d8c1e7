"""Whatever stands in an address or a form of the page, it is answered, and never by a 500."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.site import Client
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.web.fake import FakeOperations
from whosin.web.app import create_app
from whosin.web.page import views
from whosin.web.pageguard import PageRoute
from whosin.web.stream import Streams

GENTLE = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, database=None)

ENDLESS = {"/changes"}
TRIED_ELSEWHERE = {"/sign-in", "/sign-in/link", "/sign-out", "/account/password"}  # slowed down, or ends it


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """With logins, locks, somebody who waits, follow-ups and a past in it."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("page")
    made = Daemon(folder, f'listen = "127.0.0.1:{port}"', "[limits]\nrequests_per_s = 0")
    made.start()
    client = Client(port)
    for ident, user in (("s-anna", "anna"), ("s-ben", "ben"), ("s-carla", "carla")):
        client.login(ident, user, site="north", company="acme")
    client.say("s-anna", "lock", {"resource": "vat-return"}, site="north", company="acme")
    client.say("s-ben", "lock", {"resource": "vat-return", "wait_s": 600}, site="north", company="acme")
    made.api("POST", "sessions/logoff", {"ids": ["s-anna"], "force": True})
    yield made
    client.close()
    made.stop()


async def _render(accept: str) -> tuple[bytes, str]:
    raise NotImplementedError(accept)


def routes(method: str) -> list[str]:
    app = create_app(FakeOperations(), _render, Streams(1, 1), now_ms=lambda: 0, open_on_loopback=True)
    return sorted(
        route.path_format
        for route in app.state.routes
        if isinstance(route, PageRoute) and method in (route.methods or ())
    )


def cursor(content: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=")


NUMBERS = [-1, 0, 2**31, 2**53, 2**63, 10**30, 10**200, 1.5]
SIMPLE = st.sampled_from(
    [
        b"", b"0", b"-1", b"9" * 15, b"9" * 16, b"9" * 256, b"9" * 5000, "\u0664".encode(), b"1e9", b"\xff",
        b"\0", b"\xed\xa0\x80", "\U0001f41f".encode(), b"%", b"'", b'"><b>', b"x" * 300,
        b"a\r\nb: c", b"hurt",
        b"-hurt", b"user", b"-since", b"nonsense", b"north", b"acme", b"s-anna", b"s-ben", b"vat-return",
        b"all",
        b"left", b"done", b"over", b"blocking", b"session.", b"2026-10-25", b"2026-10-25+02:00",
        b"0001-01-01",
        b"9999-12-31-12:00", b"0000-00-00", b"2026-11-02T08:15:00Z", b"0001-01-01T00:00:00+23:59",
        b"9999-12-31T23:59:59-23:59", b"users", b"disconnected", b"1", b"csv", b"json",
    ]
)  # fmt: skip
CURSORS = st.builds(
    lambda where, key, number: cursor([where, [key, number]]),
    st.sampled_from(["live", "ended", "gone", 7]),
    st.sampled_from([0, "x", None, *NUMBERS]),
    st.sampled_from([*NUMBERS, None, "x"]),
)
VALUES = st.one_of(SIMPLE, CURSORS, st.binary(max_size=30), st.integers().map(lambda it: str(it).encode()))
KNOWN = sorted(
    {
        "cursor", "from", "next", "code", "done",
        *views.SESSION_FILTERS, *views.LOCK_FILTERS, *views.FOLLOWUP_FILTERS, *views.ALERT_FILTERS,
        *views.HISTORY_FILTERS,
    }
)  # fmt: skip
FIELDS = [
    "ids", "all", "tab", "asked_at", "sure", "text", "message", "force", "wait_s", "reason", "resource",
    "user", "id", "note", "enabled", "until", "n", *KNOWN,
]  # fmt: skip


def queries(names: list[str]) -> st.SearchStrategy[str]:
    return st.dictionaries(st.sampled_from(names), VALUES, max_size=5).map(
        lambda it: "&".join(f"{name}={quote_from_bytes(value, safe='')}" for name, value in it.items())
    )


def fill(path: str, parts: list[bytes]) -> str:
    """The route's parameters, each from `parts`."""
    for part in parts:
        begin, brace, rest = path.partition("{")
        if brace:
            path = begin + quote_from_bytes(part, safe="") + rest.partition("}")[2]
    return path


def ask(daemon: Daemon, method: str, address: str, form: str | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=40)
    try:
        headers = {"Authorization": f"Bearer {daemon.token}"}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, address, form, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


TABLES = st.sampled_from([*(name.encode() for name in ("users", "disconnected", "history", "alerts"))])
PARTS = st.tuples(st.one_of(TABLES, VALUES), st.one_of(st.just(b"csv"), st.just(b"json"), VALUES)).map(list)
LOOKED_AT = [path for path in routes("GET") if path not in ENDLESS]
ORDERED = [path for path in routes("POST") if path not in TRIED_ELSEWHERE]


@given(path=st.sampled_from(LOOKED_AT), parts=PARTS, query=queries(KNOWN))
@settings(GENTLE, max_examples=250)
def test_an_address_is_answered_whatever_stands_in_it(
    daemon: Daemon, path: str, parts: list[bytes], query: str
) -> None:
    assert ask(daemon, "GET", f"{fill(path, parts)}?{query}") < 500


@pytest.mark.parametrize("path", LOOKED_AT)
def test_every_address_is_answered_with_every_parameter_hostile(daemon: Daemon, path: str) -> None:
    address = fill(path, [b"history", b"csv"])
    for name in KNOWN:
        for value in (b"9" * 256, b"\xff"):
            query = f"{name}={quote_from_bytes(value, safe='')}"
            assert ask(daemon, "GET", f"{address}?{query}") < 500, name
    for number in NUMBERS:
        query = f"status=left&cursor={cursor(['ended', [0, number]]).decode()}"
        assert ask(daemon, "GET", f"{address}?{query}") < 500, number


@given(path=st.sampled_from(ORDERED), form=queries(FIELDS))
@settings(GENTLE, max_examples=150)
def test_an_order_is_answered_whatever_stands_in_it(daemon: Daemon, path: str, form: str) -> None:
    assert ask(daemon, "POST", path, form) < 500


@pytest.mark.parametrize(
    "path", ["/sessions/%ff", "/sessions/%00", "/sessions/%ed%a0%80", "/%ff", "/sessions/"]
)
def test_an_address_that_is_no_text_is_answered(daemon: Daemon, path: str) -> None:
    assert ask(daemon, "GET", path) == 404
