"""The page's routes on a small engine in memory: who may, what is refused, what the browser is allowed."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import asking
from tests.web.fake import AT, FakeFollowups, session
from whosin.operations import Caller, Page
from whosin.web.app import create_app
from whosin.web.guard import BODY_LIMIT
from whosin.web.page import orders
from whosin.web.page.assets import base
from whosin.web.page.export import COLUMNS
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


# --- what an address and a form say -------------------------------------------------------------------------

ORDERS = ["/action", "/logoff/ask", "/logoff", "/logoff/warn", "/message"]


@pytest.mark.parametrize("path", ORDERS)
@pytest.mark.parametrize("stamp", ["yesterday", "2026-11-02T08:15:00", "2026-13-02T08:15:00Z", "9" * 300])
async def test_an_order_for_all_that_match_by_then_is_refused_where_the_moment_cannot_be_read(
    server: HttpServer, operations: FakeOperations, path: str, stamp: str
) -> None:
    form = {"all": "1", "tab": "disconnected", "asked_at": stamp, "message": "x", "text": "x", "sure": "1"}
    async with asking(server, "t-operator") as client:
        response = await client.post(path, data=form)
    assert response.status_code == 400
    assert "asked_at is" in response.json()["detail"]
    assert not {"matching", "logoff", "send"} & {asked[0] for asked in operations.asked}


@pytest.mark.parametrize("path", [it for it in ORDERS if it != "/message"])
async def test_what_concerns_many_is_asked_of_the_engine_some_at_a_time(
    server: HttpServer, operations: FakeOperations, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    many(operations, monkeypatch, 2 * orders.AT_ONCE + 1)
    async with asking(server, "t-operator") as client:
        response = await client.post(path, data={"all": "1", "tab": "users", "force": "1", "message": "Hi"})
    assert response.status_code == 200
    steps = [len(asked[1]) for asked in operations.asked if asked[0] == "logoff"]
    assert steps == ([] if path == "/action" else [orders.AT_ONCE, orders.AT_ONCE, 1])


@pytest.mark.parametrize(("path", "field"), [("/message", "text"), ("/logoff/ask", "reason")])
async def test_a_form_for_more_than_can_be_named_carries_what_was_asked_and_when(
    server: HttpServer, operations: FakeOperations, monkeypatch: pytest.MonkeyPatch, path: str, field: str
) -> None:
    many(operations, monkeypatch, orders.NAMED + 1)
    form = {"all": "1", "tab": "users", "q": "pc", "site": "north", "sort": "-user"}
    async with asking(server, "t-operator") as client:
        text = (await client.post(path, data=form)).text
        assert f"{orders.NAMED + 1:,} logins" in text
        carried = dict(re.findall(r'type="hidden" name="([a-z_]+)" value="([^"]*)"', text))
        assert "ids" not in carried
        assert carried.items() >= {**form, "asked_at": AT}.items()
        operations.asked.clear()
        await client.post(path.removesuffix("/ask"), data={**carried, field: "Hello"})
    asked = {it[0]: it for it in operations.asked}
    assert asked["matching"][3] == epoch_ms(AT)
    assert (asked["matching"][1].text, asked["matching"][1].site) == ("pc", "north")
    if path == "/message":  # to those that match, and not to the whole site
        assert (len(asked["send"][6]), asked["send"][3]) == (orders.NAMED + 1, None)


def many(operations: FakeOperations, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    names = [f"m{n}" for n in range(count)]
    operations.stored |= {name: session(name) for name in names}

    async def matching(*asked: Any) -> list[str]:
        operations.asked.append(("matching", *asked))
        return names

    monkeypatch.setattr(operations, "matching", matching)


HOSTILE = {
    "cursor": ["9" * 256, "-1", "1.5", "\u0664", "x", "%00"],
    "from": ["9" * 16, "-1"],
    "sort": ["nonsense", "--site"],
    "since": ["never", "2026-02-30", "2026-10-25 02:00", "2026-10-25+25:00", "20261025"],
    "until": ["9" * 200],
    "status": ["lost"],
    "state": ["lost"],
}
VALUES = [
    *(
        (table, name)
        for table in ("history", "followups", "alerts", "locks")
        for name in ("cursor", "from")
    ),
    ("companies", "sort"), ("companies", "from"), ("history", "since"), ("history", "until"),
    ("users", "status"), ("followups", "status"), ("alerts", "state"), ("locks", "state"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "name"), VALUES)
async def test_a_value_that_cannot_be_read_is_refused_in_words(
    server: HttpServer, table: str, name: str
) -> None:
    async with asking(server, "t-viewer") as client:
        for value in HOSTILE[name]:
            response = await client.get(f"/{table}", params={name: value})
            assert response.status_code == 400, value
            assert f'{name} is "{value[:40]}' in response.json()["detail"]
            if name not in ("cursor", "from", "sort"):
                exported = await client.get(f"/export/{table}.csv", params={name: value})
                assert exported.status_code == 400, value


async def test_a_parameter_of_another_version_is_left_out(server: HttpServer) -> None:
    async with asking(server, "t-viewer") as client:
        for path in VIEWS:
            assert (await client.get(path, params={"colour": "mauve"})).status_code == 200, path


@pytest.mark.parametrize(
    ("since", "until", "begins", "ends"),
    [
        ("2026-11-02", "2026-11-02", "2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z"),
        ("2026-11-02+01:00", "2026-11-03+01:00", "2026-11-01T23:00:00Z", "2026-11-03T23:00:00Z"),
        ("2026-03-29+01:00", "2026-03-29+02:00", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),  # 23 hours
        ("2026-10-25+02:00", "2026-10-25+01:00", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),  # 25 hours
        ("2026-11-02-03:30", "2026-11-02Z", "2026-11-02T03:30:00Z", "2026-11-03T00:00:00Z"),
        ("0001-01-01+14:00", "9999-12-31-12:00", None, None),
    ],
)
async def test_days_are_those_of_whoever_looks(
    server: HttpServer,
    operations: FakeOperations,
    since: str,
    until: str,
    begins: str | None,
    ends: str | None,
) -> None:
    async with asking(server, "t-viewer") as client:
        for path in ("/history", "/export/history.json"):
            operations.asked.clear()
            response = await client.get(path, params={"since": since, "until": until})
            assert response.status_code == 200
            query = next(asked[1] for asked in operations.asked if asked[0] == "history")
            if begins is not None and ends is not None:
                assert [query.since, query.until] == [epoch_ms(begins), epoch_ms(ends)]
        page = await client.get("/history", params={"since": since, "until": until})
    assert f'value="{since[:10]}" data-given="{since}"' in page.text
    if begins is not None and ends is not None:
        for stamp in (begins, ends):
            assert f'datetime="{stamp.replace("Z", ".000Z")}"' in page.text


def epoch_ms(stamp: str) -> int:
    return round(datetime.fromisoformat(stamp).timestamp() * 1000)


# --- tables to take along -----------------------------------------------------------------------------------


async def test_every_tab_with_a_table_offers_it_as_a_file(server: HttpServer) -> None:
    async with asking(server, "t-administrator") as client:
        for table in COLUMNS:
            page = await client.get(f"/{table}")
            for form in ("csv", "json"):
                assert f'href="/export/{table}.{form}"' in page.text
                assert (await client.get(f"/export/{table}.{form}")).status_code == 200


async def test_alerts_are_taken_along_as_they_are_shown(
    server: HttpServer, operations: FakeOperations
) -> None:
    async with asking(server, "t-viewer") as client:
        text = (await client.get("/export/alerts.csv?state=over&site=north")).text
    (found,) = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    assert found["message"].startswith("1 disconnected login keeps 1 person waiting")
    assert (found["targets"], found["company"]) == ("office: pending", "acme")
    asked = next(it[1] for it in operations.asked if it[0] == "find_alerts")
    assert (asked["site"], asked["is_open"], asked["cursor"]) == ("north", False, None)


async def test_a_list_whose_end_was_not_counted_says_so(
    server: HttpServer, operations: FakeOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (await operations.alerts.find(Caller("v", "viewer"))).items

    async def find(*_: Any, cursor: str | None, **__: Any) -> Page:
        return Page(found, "7" if cursor is None else None, 1)

    monkeypatch.setattr(operations.alerts, "find", find)
    async with asking(server, "t-viewer") as client:
        first = (await client.get("/alerts")).text
        assert "1 of 1 or more<" in first
        onwards = re.search(r'href="(/alerts[^"]+)"[^>]* id="next"', first)
        assert onwards is not None
        assert "2 of 2<" in (await client.get(onwards[1].replace("&amp;", "&"))).text


@pytest.mark.parametrize("table", ["users", "disconnected", "locks", "history", "followups", "alerts"])
async def test_a_file_has_every_page_of_its_table(
    server: HttpServer, operations: FakeOperations, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    pages = [Page([{"id": "1"}], "17", 3), Page([{"id": "2"}], "9", 3), Page([{"id": "3"}], None, 3)]
    cursors = []

    async def find(*asked: Any, **query: Any) -> Page:
        about = query or {it: getattr(asked[0], it, None) for it in ("cursor", "before_seq", "before_id")}
        cursors.append(next((str(it) for it in (about.get(name) for name in PLACES) if it), None))
        return pages[len(cursors) - 1]

    for name in ("sessions", "find_locks", "history"):
        monkeypatch.setattr(operations, name, find)
    monkeypatch.setattr(FakeFollowups, "find", lambda _self, *asked: find(*asked))
    monkeypatch.setattr(operations.alerts, "find", find)
    async with asking(server, "t-viewer") as client:
        found = (await client.get(f"/export/{table}.json")).json()
    assert [it["id"] for it in found] == ["1", "2", "3"]
    assert cursors == [None, "17", "9"]


PLACES = ("cursor", "before_seq", "before_id")
