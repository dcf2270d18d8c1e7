"""Host headers: only our own names are answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import asking
from whosin.web.hosts import Hosts, is_loopback_name

if TYPE_CHECKING:
    import httpx

    from whosin.web.server import HttpServer


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8787",
        "localhost.",
        "127.0.0.1",
        "127.8.9.1:1",
        "[::1]",
        "[::1]:8787",
        "[0:0::1]:80",
    ],
)
def test_loopback_names_are_ours(host: str) -> None:
    assert is_loopback_name(host)
    assert Hosts([]).allows(host, None)


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.5", "localhost:80:80",
        "a b", "user@localhost", "localhost/", "[::1", "::1", "0.0.0.0", "[::]", "127.1", "2130706433",
        "localhost:", "..",
    ],
)  # fmt: skip
def test_anything_else_is_not(host: str) -> None:
    assert not Hosts(["logins.example.com"]).allows(host, "10.0.0.9")


def test_configured_names_and_the_address_of_the_connection_are_ours() -> None:
    hosts = Hosts(["Logins.Example.com", "2001:DB8::1"])
    assert hosts.allows("logins.example.com:443", None)
    assert hosts.allows("LOGINS.example.com.", None)
    assert hosts.allows("[2001:db8:0::1]:8787", None)
    assert hosts.allows("10.0.0.5:8787", "10.0.0.5")
    assert hosts.allows("[fe80::1]", "fe80::1")
    assert not hosts.allows("xlogins.example.com", None)


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/metrics", "/api/v1/sessions", "/api/v1/openapi.json", "/nope"]
)
async def test_a_foreign_name_is_refused_everywhere(ask: httpx.AsyncClient, path: str) -> None:
    response = await ask.get(path, headers={"Host": "evil.example"})
    assert response.status_code == 421
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "host"


async def test_a_configured_name_is_answered_but_is_not_loopback(serve: Any) -> None:
    server: HttpServer = await serve(allowed_hosts=["logins.example.com"])
    async with asking(server, headers={"Host": "logins.example.com"}) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/metrics")).status_code == 401


async def test_nothing_is_said_to_other_origins(ask: httpx.AsyncClient) -> None:
    for method in ("GET", "OPTIONS"):
        response = await ask.request(
            method,
            "/api/v1/sessions",
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"},
        )
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["date"].endswith("GMT")
        assert "server" not in response.headers
