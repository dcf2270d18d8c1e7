"""The page's routes on a small engine in memory: who may, what is refused, what the browser is allowed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import asking
from whosin.web.app import create_app
from whosin.web.guard import BODY_LIMIT
from whosin.web.page.assets import base
from whosin.web.page.render import POLICY
from whosin.web.pageguard import PageRoute
from whosin.web.stream import Streams

if TYPE_CHECKING:
    from tests.web.fake import FakeOperations
    from whosin.web.server import HttpServer

LEVELS = ["viewer", "operator", "administrator"]
VIEWS = [
    "/",
    "/users",
    "/disconnected",
    "/locks",
    "/followups",
    "/cleanup",
    "/history",
    "/companies",
    "/alerts",
    "/sessions/s1",
]
ROUTES: dict[tuple[str, str], tuple[str, dict[str, str]]] = {
    **{("GET", path): ("viewer", {}) for path in VIEWS},
    ("HEAD", "/"): ("viewer", {}),
    ("GET", "/changes"): ("viewer", {}),
    ("GET", "/charts.json"): ("viewer", {}),
    ("GET", "/export/users.csv"): ("viewer", {}),
    ("POST", "/action"): ("viewer", {"ids": "s1"}),
    ("POST", "/logoff/ask"): ("operator", {"ids": "s1"}),
    ("POST", "/logoff"): ("operator", {"ids": "s1"}),
    ("POST", "/locks/free"): (
        "administrator",
        {"site": "north", "company": "acme", "resource": "x", "sure": "1"},
    ),
    ("POST", "/followups/done"): ("operator", {"id": "1", "sure": "1"}),
    ("POST", "/message"): ("operator", {"site": "north", "text": "Hello", "sure": "1"}),
    ("POST", "/logoff/warn"): ("operator", {"ids": "s1", "message": "Hello"}),
    ("POST", "/maintenance"): (
        "administrator",
        {"site": "north", "until": "2026-11-02T18:00:00.000Z", "text": "Upgrade", "sure": "1"},
    ),
    ("POST", "/alerts/test"): ("administrator", {}),
    ("POST", "/maintenance/end"): ("administrator", {"id": "1"}),
    ("POST", "/cleanup/switch"): ("operator", {"enabled": "1"}),
    ("POST", "/cleanup/dry-run"): ("operator", {}),
    ("POST", "/cleanup/run"): ("operator", {}),
    ("POST", "/cleanup/confirm"): ("operator", {"site": "north", "sure": "1"}),
}  # fmt: skip
PATTERNS = {"/sessions/s1": "/sessions/{ident}", "/export/users.csv": "/export/{table}.{form}"}
INLINE = r"<style|style=|https?://| on\w+=|<script(?! (defer|type)[^>]* src=| type=\"application/json)"
COMMANDS = {"logoff", "free_lock", "switch_cleanup", "confirm"}

every_route = pytest.mark.parametrize(("method", "path"), ROUTES, ids=str)


async def status_of(server: HttpServer, token: str | None, method: str, path: str) -> int:
    data = ROUTES[method, path][1] if method == "POST" else None
    async with asking(server, token) as client, client.stream(method, path, data=data) as response:
        return response.status_code


def test_the_matrix_names_every_route_of_the_page_and_its_role(operations: FakeOperations) -> None:
    async def render(accept: str) -> tuple[bytes, str]:
        raise NotImplementedError(accept)

    app = create_app(operations, render, Streams(1, 1), now_ms=lambda: 0, open_on_loopback=True)
    found = {
        (method, route.path_format): route.role
        for route in app.state.routes
        if isinstance(route, PageRoute) and route.endpoint.__module__.startswith("whosin.web.page.")
        for method in route.methods or ()
    }
    assert found == {(method, PATTERNS.get(path, path)): role for (method, path), (role, _) in ROUTES.items()}


@every_route
async def test_without_signing_in_nothing_is_shown_or_done(
    server: HttpServer,
    operations: FakeOperations,
    method: str,
    path: str,
) -> None:
    assert await status_of(server, None, method, path) in (303, 401)
    assert operations.asked == []


@every_route
async def test_a_role_reaches_its_routes_and_a_viewer_changes_nothing(
    server: HttpServer,
    operations: FakeOperations,
    method: str,
    path: str,
) -> None:
    needed = ROUTES[method, path][0]
    for role in LEVELS:
        operations.asked.clear()
        code = await status_of(server, f"t-{role}", method, path)
        done = {asked[0] for asked in operations.asked} & COMMANDS
        if LEVELS.index(role) >= LEVELS.index(needed):
            assert code == 200, role
        else:
            assert (code, done) == (403, set()), role


async def test_whoever_is_limited_to_a_site_orders_nothing_elsewhere(
    server: HttpServer,
    operations: FakeOperations,
) -> None:
    async with asking(server, "t-north-administrator") as client:
        for path, data in {
            "/locks/free": {"site": "south", "company": "c", "resource": "x", "sure": "1"},
            "/cleanup/switch": {"enabled": "1"},
            "/cleanup/run": {},
            "/cleanup/confirm": {"site": "south", "sure": "1"},
            "/alerts/test": {},
            "/message": {"site": "south", "text": "x", "sure": "1"},
            "/maintenance": {"site": "south", "until": "2026-11-02T18:00:00Z", "sure": "1"},
        }.items():
            assert (await client.post(path, data=data)).status_code == 403, path
        assert (await client.get("/charts.json")).json() == []
    assert operations.asked == []


@pytest.mark.parametrize("path", VIEWS)
async def test_the_browser_may_run_nothing_but_what_is_shipped(server: HttpServer, path: str) -> None:
    async with asking(server, "t-administrator") as client:
        response = await client.get(path)
        assert response.headers["content-security-policy"] == POLICY
        assert "unsafe" not in POLICY
        assert not re.search(INLINE, response.text)
        for asset in re.findall(r'(?:src|href)="(/assets/[^"]+)"', response.text):
            found = await client.get(asset)
            assert found.status_code == 200
            assert "immutable" in found.headers["cache-control"]


async def test_what_is_wrong_stands_in_a_banner(server: HttpServer, operations: FakeOperations) -> None:
    stats = await operations.stats(None)  # type: ignore[arg-type]
    stats["sources"]["door"]["seeing"] = False
    stats["storage"] = {"ok": False, "kind": "full", "problem": "no space <b>"}

    async def troubled(_caller: Any) -> Any:
        return stats

    operations.stats = troubled  # type: ignore[method-assign]
    async with asking(server, "t-viewer") as client:
        text = (await client.get("/")).text
    for part in (
        "Blind: nothing is received through the door",
        "no space &lt;b&gt;",
        "Free space on the daemon",
    ):
        assert part in text


async def test_a_form_is_bounded_and_must_be_one(server: HttpServer) -> None:
    async with asking(server, "t-operator") as client:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (
            await client.post("/logoff", content=b"x" * (BODY_LIMIT + 1), headers=kind)
        ).status_code == 413
        assert (
            await client.post("/logoff", content=b"{}", headers={"Content-Type": "text/plain"})
        ).status_code == 415
        assert (await client.post("/logoff", content=b"&a=1" * 30_000, headers=kind)).status_code == 400
        assert (await client.post("/logoff/ask", content=b"\xff", headers=kind)).status_code == 400
        assert (await client.post("/logoff/ask", content=b"ids=", headers=kind)).status_code == 400


async def test_a_refusal_is_a_page_for_people_and_a_problem_for_scripts(server: HttpServer) -> None:
    async with asking(server, "t-operator", headers={"Accept": "text/html"}) as client:
        page = await client.get("/sessions/nobody")
        assert page.status_code == 404
        assert "No login" in page.text
        part = await client.post("/locks/free", data={}, headers={"HX-Request": "true"})
        assert part.status_code == 403
        assert "needs the role administrator" in part.json()["detail"]


async def test_an_order_from_a_browser_needs_its_token(
    server: HttpServer, operations: FakeOperations
) -> None:
    async with asking(server, cookie="c-operator") as client:
        right = client.headers.pop("X-CSRF-Token")
        for headers in ({}, {"X-CSRF-Token": "wrong"}):
            response = await client.post("/logoff", data={"ids": "s1"}, headers=headers)
            assert response.status_code == 403
        page = await client.get("/")
        assert f'name="csrf" content="{right}"' in page.text
        operations.asked.clear()
        response = await client.post("/logoff", data={"ids": "s1"}, headers={"X-CSRF-Token": right})
        assert response.status_code == 200
        assert operations.asked[0][0] == "logoff"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/x/page.css",
        "{base}/../../etc/passwd",
        "{base}/..%2f..%2fviews.py",
        "{base}/js/..%5c..%5crender.py",
        "{base}/templates/base.html",
        "/export/users.exe",
        "/export/..%2ftokens.json",
        "/sessions/..%2f..%2fetc%2fpasswd",
    ],
)
async def test_no_path_leads_to_another_file(server: HttpServer, path: str) -> None:
    async with asking(server, "t-administrator") as client:
        assert (await client.get(path.format(base=base()))).status_code == 404


async def test_a_name_cannot_bring_headers_or_lines_with_it(server: HttpServer) -> None:
    async with asking(server, "t-administrator") as client:
        for path in ("/users?q=a%0d%0aSet-Cookie:+x=1", "/export/users.csv?q=%0d%0aX-Evil:+1"):
            response = await client.get(path)
            assert response.status_code == 200
            assert not {"set-cookie", "x-evil"} & set(response.headers)
