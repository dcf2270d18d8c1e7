"""Every route, every role, no token, and a token of another site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import asking, cookie_name
from tests.web.fake_operators import COOKIES, PASSWORD, csrf
from whosin.web.app import create_app
from whosin.web.guard import BASE, GuardedRoute
from whosin.web.stream import Streams

if TYPE_CHECKING:
    import httpx

    from tests.web.fake import FakeOperations
    from whosin.web.server import HttpServer

ROUTES: dict[tuple[str, str], tuple[str, dict[str, Any] | None]] = {
    ("GET", "/sessions"): ("viewer", None),
    ("GET", "/sessions/s1"): ("viewer", None),
    ("POST", "/sessions/logoff"): ("operator", {"ids": ["s1"]}),
    ("GET", "/locks"): ("viewer", None),
    ("POST", "/locks/free"): ("administrator", {"site": "north", "company": "acme", "resource": "menu"}),
    ("GET", "/cleanup"): ("viewer", None),
    ("PUT", "/cleanup"): ("operator", {"enabled": True}),
    ("POST", "/cleanup/run"): ("operator", {"dry_run": True}),
    ("POST", "/cleanup/confirm"): ("operator", {"site": "north"}),
    ("GET", "/cleanup/passes"): ("viewer", None),
    ("GET", "/guidance"): ("viewer", None),
    ("GET", "/followups"): ("viewer", None),
    ("POST", "/followups/17/done"): ("operator", {"note": "looked"}),
    ("POST", "/messages"): ("operator", {"text": "Leave.", "site": "north"}),
    ("GET", "/maintenance"): ("viewer", None),
    ("POST", "/maintenance"): (
        "administrator",
        {"site": "north", "until": "2026-11-02T18:00:00Z", "text": "New version."},
    ),
    ("DELETE", "/maintenance/3"): ("administrator", None),
    ("GET", "/companies"): ("viewer", None),
    ("GET", "/history"): ("viewer", None),
    ("GET", "/stats"): ("viewer", None),
    ("GET", "/stats/day"): ("viewer", None),
    ("GET", "/events"): ("viewer", None),
    ("GET", "/alerts"): ("viewer", None),
    ("GET", "/alerts/channels"): ("administrator", None),
    ("POST", "/alerts/test"): ("administrator", {"channel": "office"}),
    ("POST", "/backup"): ("administrator", {"path": "/var/backups/whosin.db"}),
    ("POST", "/reload"): ("administrator", None),
    ("GET", "/tokens"): ("administrator", None),
    ("POST", "/tokens"): ("administrator", {"name": "x", "role": "viewer", "site": "north"}),
    ("DELETE", "/tokens/x"): ("administrator", None),
    ("GET", "/clients"): ("administrator", None),
    ("POST", "/clients"): ("administrator", {"name": "x", "role": "client", "site": "north"}),
    ("DELETE", "/clients/x"): ("administrator", None),
    ("GET", "/me"): ("viewer", None),
    ("POST", "/me/password"): ("viewer", {"old": PASSWORD, "new": "staple correct horse"}),
    ("POST", "/sign-out"): ("viewer", {"everywhere": True}),
    ("GET", "/operators"): ("administrator", None),
    ("POST", "/operators"): ("administrator", {"name": "x", "role": "viewer", "site": "north"}),
    ("PATCH", "/operators/x"): ("administrator", {"disabled": True}),
    ("DELETE", "/operators/x"): ("administrator", None),
    ("POST", "/operators/x/link"): ("administrator", None),
    ("POST", "/operators/x/sign-out"): ("administrator", None),
}
FOR_EVERYBODY = {("POST", "/sign-in")}
ABOUT_ONESELF = {("GET", "/me"), ("POST", "/me/password"), ("POST", "/sign-out")}
FOR_BROWSERS = {("POST", "/me/password")}
LEVELS = ["viewer", "operator", "administrator"]
OVER_ALL_SITES = {
    ("PUT", "/cleanup"), ("POST", "/backup"), ("POST", "/reload"), ("GET", "/stats/day"),
    ("GET", "/alerts/channels"), ("POST", "/alerts/test"),
}  # fmt: skip


FILLED = {"{number}": "3", "followups/{ident}": "followups/17", "{ident}": "s1", "{name}": "x"}


def filled(path: str) -> str:
    """A route's path as the matrix has it."""
    return (
        path.replace("{number}", "3")
        .replace("followups/{ident}", "followups/17")
        .replace("{ident}", "s1")
        .replace("{name}", "x")
    )


by_token_or_cookie = pytest.mark.parametrize("by", ["token", "cookie"])
every_route = pytest.mark.parametrize(("method", "path"), ROUTES, ids=str)


async def status_of(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> httpx.Response:
    """The answer; of an endless one only its head."""
    async with client.stream(method, BASE + path, json=body) as response:
        if (
            response.headers["content-type"] != "text/event-stream"
            if "content-type" in response.headers
            else True
        ):
            await response.aread()
        return response


def test_the_matrix_names_every_guarded_route_and_its_role(operations: FakeOperations) -> None:
    async def render(accept: str) -> tuple[bytes, str]:
        raise NotImplementedError(accept)

    app = create_app(operations, render, Streams(1, 1), now_ms=lambda: 0, open_on_loopback=True)
    found = {
        (
            method,
            filled(route.path_format.removeprefix(BASE)),
        ): route.role
        for route in app.state.routes
        if isinstance(route, GuardedRoute)
        for method in route.methods or ()
    }
    assert found == {key: role for key, (role, _) in ROUTES.items()} | dict.fromkeys(FOR_EVERYBODY)


@every_route
async def test_without_a_token_nothing_is_answered_or_asked(
    server: HttpServer, operations: FakeOperations, method: str, path: str
) -> None:
    for headers in (
        {},
        {"Authorization": "Basic dTpw"},
        {"Authorization": "Bearer"},
        {"Authorization": "t-viewer"},
    ):
        async with asking(server, headers=headers) as client:
            response = await status_of(client, method, path, ROUTES[method, path][1])
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.json()["code"] == "token_needed"
    assert operations.asked == []


@every_route
async def test_a_session_that_is_over_is_no_session(
    server: HttpServer, operations: FakeOperations, method: str, path: str
) -> None:
    async with asking(server, cookie="c-of-yesterday") as client:
        response = await status_of(client, method, path, ROUTES[method, path][1])
    assert (response.status_code, response.json()["code"]) == (401, "signed_out")
    assert operations.asked == []


@pytest.mark.parametrize(("method", "path"), [key for key in ROUTES if key[0] != "GET"], ids=str)
async def test_a_browser_changes_nothing_without_its_csrf_token_or_from_another_site(
    server: HttpServer, operations: FakeOperations, method: str, path: str
) -> None:
    cookie = {"Cookie": f"{cookie_name(server)}=c-administrator"}
    right = {"X-CSRF-Token": csrf("c-administrator")}
    tries: list[tuple[dict[str, str], str]] = [
        ({}, "csrf_needed"),
        ({"X-CSRF-Token": csrf("c-operator")}, "csrf"),
        ({"X-CSRF-Token": ""}, "csrf"),
        ({**right, "Origin": "http://evil.example"}, "cross_site"),
        ({**right, "Origin": "null"}, "cross_site"),
        ({**right, "Origin": server.url.replace("http:", "https:")}, "cross_site"),
        ({**right, "Origin": server.url + "0"}, "cross_site"),
        ({**right, "Origin": server.url, "Sec-Fetch-Site": "cross-site"}, "cross_site"),
        ({**right, "Sec-Fetch-Site": "same-site"}, "cross_site"),
        ({**right, "Sec-Fetch-Site": "none"}, "cross_site"),
    ]
    for headers, code in tries:
        async with asking(server, headers=cookie | headers) as client:
            response = await status_of(client, method, path, ROUTES[method, path][1])
        assert (response.status_code, response.json()["code"]) == (403, code), headers
    assert operations.asked == []
    for headers in ({"Origin": server.url}, {"Sec-Fetch-Site": "same-origin", "Origin": "null"}):
        async with asking(server, headers=cookie | right | headers) as client:
            response = await status_of(client, method, path, ROUTES[method, path][1])
        assert response.status_code in {200, 201, 204}, headers
        operations.operators.known["c-administrator"] = COOKIES["c-administrator"]


@every_route
async def test_a_wrong_token_is_no_token(
    server: HttpServer, operations: FakeOperations, method: str, path: str
) -> None:
    async with asking(server, "wrong") as client:
        response = await status_of(client, method, path, ROUTES[method, path][1])
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert operations.asked == []


@by_token_or_cookie
@every_route
async def test_a_role_reaches_its_routes_and_no_higher_ones(
    server: HttpServer, operations: FakeOperations, method: str, path: str, by: str
) -> None:
    needed, body = ROUTES[method, path]
    for role in LEVELS:
        operations.asked.clear()
        async with asking(server, **{by: f"{by[0]}-{role}"}) as client:
            response = await status_of(client, method, path, body)
        if (method, path) in FOR_BROWSERS and by == "token":
            assert response.json()["code"] == "no_password"
        elif LEVELS.index(role) >= LEVELS.index(needed):
            assert response.status_code in {200, 201, 204}, role
            assert operations.asked or (method, path) == ("GET", "/me"), role
        else:
            problem = response.json()
            assert (problem["status"], problem["needs"], problem["has"]) == (403, needed, role)
            assert f"needs the role {needed}" in problem["detail"]
            assert operations.asked == []


@by_token_or_cookie
@pytest.mark.parametrize(("method", "path"), [key for key in ROUTES if key not in ABOUT_ONESELF], ids=str)
async def test_who_is_of_a_site_hands_that_limit_to_the_engine_or_is_refused(
    server: HttpServer, operations: FakeOperations, method: str, path: str, by: str
) -> None:
    async with asking(server, **{by: f"{by[0]}-north-administrator"}) as client:
        response = await status_of(client, method, path, ROUTES[method, path][1])
    if (method, path) in OVER_ALL_SITES:
        assert (response.status_code, response.json()["code"]) == (403, "site")
        assert "concerns every site" in response.json()["detail"]
        assert operations.asked == []
    else:
        assert response.status_code in {200, 201, 204}
        callers = [part for part in operations.asked[0] if getattr(part, "role", None)]
        assert [caller.site for caller in callers] == ["north"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/locks/free", {"site": "south", "company": "acme", "resource": "menu"}),
        ("/cleanup/run", {"dry_run": False}),
        ("/cleanup/run", None),
        ("/cleanup/confirm", {"site": "south"}),
        ("/tokens", {"name": "x", "role": "viewer", "site": "south"}),
        ("/tokens", {"name": "x", "role": "administrator"}),
        ("/operators", {"name": "x", "role": "viewer", "site": "south"}),
        ("/operators", {"name": "x", "role": "administrator"}),
        ("/clients", {"name": "x", "role": "client", "site": "south"}),
    ],
)
async def test_a_token_of_a_site_commands_no_other_site(
    server: HttpServer, operations: FakeOperations, path: str, body: Any
) -> None:
    async with asking(server, "t-north-administrator") as client:
        response = await client.post(BASE + path, json=body)
    assert response.status_code == 403
    assert response.json()["limited_to"] == "north"
    assert operations.asked == []


async def test_a_token_of_a_site_sees_no_other_site(server: HttpServer, operations: FakeOperations) -> None:
    async with asking(server, "t-north-operator") as client:
        assert (await client.get(f"{BASE}/sessions/s2")).status_code == 404
        for path in ("sessions", "locks", "history"):
            operations.asked.clear()
            other = (await client.get(f"{BASE}/{path}", params={"site": "south"})).json()
            exact = {"total_exact": True} if path == "history" else {}
            assert other == {"items": [], "next": None, "total": 0, **exact}
            assert operations.asked == []
        listed = (await client.get(f"{BASE}/sessions")).json()
        assert {item["site"] for item in listed["items"]} == {"north"}
        results = (await client.post(f"{BASE}/sessions/logoff", json={"ids": ["s2"]})).json()["results"]
        assert [result["result"] for result in results] == ["not_found"]


async def test_metrics_are_open_on_loopback_only(serve: Any) -> None:
    local, remote = await serve(loopback=True), await serve(loopback=False)
    async with asking(local) as client:
        assert (await client.get("/metrics", headers={"Accept": "text/x"})).text == "# for text/x\n"
        for proxied in ({"X-Forwarded-For": "203.0.113.9"}, {"Forwarded": "for=203.0.113.9"}):
            assert (await client.get("/metrics", headers=proxied)).status_code == 401
    async with asking(remote) as client:
        assert (await client.get("/metrics")).status_code == 401
    for role in LEVELS:
        async with asking(remote, f"t-{role}") as client:
            assert (await client.get("/metrics")).status_code == 200
    async with asking(remote, "t-north-viewer") as client:
        assert (await client.get("/metrics")).status_code == 403


async def test_health_is_open_and_tells_the_reasons(serve: Any, operations: FakeOperations) -> None:
    remote = await serve(loopback=False)
    async with asking(remote) as client:
        assert (await client.get("/healthz")).json() == {"alive": True}
        assert (await client.get("/readyz")).json() == {"ready": True, "problems": []}
        operations.troubles = ["the broker is away"]
        response = await client.get("/readyz")
        assert (response.status_code, response.json()["problems"]) == (503, ["the broker is away"])
        assert (await client.head("/healthz")).status_code == 200
        assert (await client.head("/readyz")).status_code == 503
