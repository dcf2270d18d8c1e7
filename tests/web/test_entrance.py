"""The small pages and what browsers get: the form, cookies, links, one's account, refusals."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import Now, asking, cookie_name
from tests.web.fake_operators import PASSWORD, csrf
from whosin.operations import Caller
from whosin.web.backoff import FREE_GUESSES
from whosin.web.entrance.addresses import safe_next
from whosin.web.guard import BASE, BODY_LIMIT

if TYPE_CHECKING:
    import httpx

    from tests.web.fake import FakeOperations
    from whosin.web.server import HttpServer

EVENTS = f"{BASE}/events"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FORM = {"name": "grace", "password": PASSWORD}


def cookies(response: httpx.Response) -> dict[str, str]:
    """Name → the whole Set-Cookie."""
    return {one.partition("=")[0]: one for one in response.headers.get_list("set-cookie")}


@pytest.fixture
async def browser(server: HttpServer) -> Any:
    async with asking(server, headers=HTML) as client:
        yield client


# --- the form ----------------------------------------------------------------------------------------


async def test_who_signs_in_gets_a_cookie_and_is_sent_on(server: HttpServer, browser: Any) -> None:
    assert "Sign in" in (await browser.get("/sign-in?next=/locks%3Fsite%3Dnorth")).text
    response = await browser.post("/sign-in", data=FORM | {"next": "/locks?site=north"})
    assert (response.status_code, response.headers["location"]) == (303, "/locks?site=north")
    name = cookie_name(server)
    assert cookies(response)[name] == f"{name}=fresh; Path=/; HttpOnly; SameSite=Lax"
    assert (await browser.get("/account")).status_code == 200  # the browser sends it along
    assert (await browser.get("/sign-in?next=/x")).headers["location"] == "/x"


async def test_over_https_the_cookie_is_secure_and_of_this_host_alone(serve: Any) -> None:
    server = await serve(loopback=False, behind_proxy=True, allowed_hosts=["whosin.example"])
    headers = HTML | {"Host": "whosin.example", "Origin": "https://whosin.example"}
    async with asking(server, headers=headers) as client:
        response = await client.post("/sign-in", data=FORM)
        assert response.status_code == 303
        assert cookies(response)["__Host-whosin"] == (
            "__Host-whosin=fresh; Path=/; HttpOnly; SameSite=Lax; Secure"
        )
        plain = await client.post("/sign-in", data=FORM, headers={"Origin": "http://whosin.example"})
        assert plain.status_code == 403


async def test_a_proxy_that_hides_the_name_still_lets_our_own_page_through(serve: Any) -> None:
    server = await serve(loopback=False, behind_proxy=True, allowed_hosts=["whosin.example"])
    for origin, status in (
        ("https://whosin.example", 303), ("https://other.example", 403), ("https://whosin.example:444", 403),
        ("https://whosin.example@other.example", 403), ("https://", 403), ("https://[", 403),
    ):  # fmt: skip
        async with asking(server, headers=HTML | {"Origin": origin}) as client:
            assert (await client.post("/sign-in", data=FORM)).status_code == status, origin


async def test_the_id_is_never_one_that_the_browser_brought(
    server: HttpServer, operations: FakeOperations
) -> None:
    brought = {"Cookie": f"{cookie_name(server)}=chosen-by-eve"}
    async with asking(server, headers=HTML | brought) as client:
        response = await client.post("/sign-in", data=FORM)
    assert "chosen-by-eve" not in str(response.headers)
    assert "chosen-by-eve" not in operations.operators.known
    assert "=fresh;" in cookies(response)[cookie_name(server)]


async def test_two_different_cookies_of_one_name_are_none(server: HttpServer) -> None:
    name = cookie_name(server)
    for both, status in (
        (f"{name}=c-viewer; {name}=c-operator", 401),
        (f"{name}=c-viewer; {name}=c-viewer", 200),
    ):
        async with asking(server, headers={"Cookie": both}) as client:
            assert (await client.get(f"{BASE}/me")).status_code == status


async def test_a_wrong_password_is_told_on_the_form_which_keeps_the_name_and_never_the_password(
    browser: Any,
) -> None:
    response = await browser.post("/sign-in", data={"name": '"><b>x', "password": "a-wrong-one"})
    assert response.status_code == 403
    assert "name or the password is wrong" in response.text
    assert 'value="&#34;&gt;&lt;b&gt;x"' in response.text
    assert "a-wrong-one" not in response.text
    assert cookies(response) == {}


async def test_a_token_signs_in_too(browser: Any, operations: FakeOperations) -> None:
    assert (await browser.post("/sign-in", data={"token": "wrong"})).status_code == 403
    response = await browser.post("/sign-in", data={"token": " t-viewer "})
    assert response.status_code == 303
    assert "Change the password" not in (await browser.get("/account")).text


async def test_guesses_are_slowed_down_before_the_password_is_looked_at(
    browser: Any, operations: FakeOperations, now: Now
) -> None:
    for _ in range(FREE_GUESSES + 1):
        assert (await browser.post("/sign-in", data=FORM | {"password": "x"})).status_code == 403
    tried = len(operations.operators.tried)
    response = await browser.post("/sign-in", data=FORM)
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert len(operations.operators.tried) == tried
    now.ms += 1_000
    assert (await browser.post("/sign-in", data=FORM | {"name": "GRACE"})).status_code == 303


async def test_a_known_device_is_a_place_of_its_own(server: HttpServer, operations: FakeOperations) -> None:
    operations.operators.devices["grace", "proof"] = "laptop"
    async with asking(server, headers=HTML) as client:
        for _ in range(FREE_GUESSES + 2):
            response = await client.post("/sign-in", data=FORM | {"password": "x"})
        assert response.status_code == 429
    known = {"Cookie": f"{cookie_name(server).replace('whosin', 'whosin-device')}=proof"}
    async with asking(server, headers=HTML | known) as client:
        assert (await client.post("/sign-in", data=FORM)).status_code == 303


async def test_behind_a_proxy_each_stranger_is_who_the_proxy_says(
    serve: Any, operations: FakeOperations
) -> None:
    server = await serve(loopback=False, behind_proxy=True)
    for n in range(FREE_GUESSES + 3):
        theirs = {"X-Forwarded-For": f"203.0.113.{n}, 198.51.100.1"}  # what is before the last they made up
        async with asking(server, headers=HTML | theirs) as client:
            response = await client.post("/sign-in", data=FORM | {"password": "x"})
    assert response.status_code == 429
    async with asking(server, headers=HTML | {"X-Forwarded-For": "198.51.100.2"}) as client:
        assert (await client.post("/sign-in", data=FORM)).status_code == 303
    assert operations.operators.tried[-1][2] == "198.51.100.2"


async def test_who_is_not_behind_a_proxy_is_not_who_they_say(serve: Any, operations: FakeOperations) -> None:
    server = await serve(loopback=False)
    async with asking(server, headers=HTML | {"X-Forwarded-For": "198.51.100.2"}) as client:
        await client.post("/sign-in", data=FORM)
    assert operations.operators.tried[-1][2] == "127.0.0.1"


async def test_another_sites_page_signs_nobody_in(server: HttpServer, operations: FakeOperations) -> None:
    for foreign in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        async with asking(server, headers=HTML | foreign) as client:
            for path, data in (("/sign-in", FORM), ("/sign-in/link", {"code": "first", "name": "eve"})):
                response = await client.post(path, data=data)
                assert response.status_code == 403
                assert "another site" in response.text
            response = await client.post(f"{BASE}/sign-in", json=FORM)
            assert response.json()["code"] == "cross_site"
    assert operations.operators.tried == []


# --- where to go on ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
        "/\t/evil.example", "/x\r\nSet-Cookie: a=b", "/x\nLocation: /y", "javascript:alert(1)", "evil", "",
        "/" + "x" * 2_001, "/sign-in", "/sign-in?next=/sign-in", "/sign-out", "/ä", "/a b", "/\x7f", None,
        "http:/x", "/\u2028x", "/[",
    ],
)  # fmt: skip
def test_one_goes_on_to_no_other_place_than_ours(wanted: str | None) -> None:
    assert safe_next(wanted) in ("/", wanted if wanted == "/[" else "/")


async def test_a_made_up_next_sets_no_header_and_leads_home(browser: Any) -> None:
    for wanted in ("//evil.example", "/x\r\nSet-Cookie: a=b", "https://evil.example"):
        response = await browser.post("/sign-in", data=FORM | {"next": wanted})
        assert response.headers["location"] == "/"
        assert "a" not in cookies(response)
        browser.cookies.clear()
        shown = (await browser.get("/sign-in", params={"next": wanted})).text
        assert 'name="next" value="/"' in shown


async def test_who_is_not_signed_in_comes_back_to_where_they_wanted(server: HttpServer, browser: Any) -> None:
    response = await browser.get("/account?done=%2F%2Fevil&x=1")
    assert response.status_code == 303
    assert response.headers["location"] == "/sign-in?next=/account%3Fdone%3D%252F%252Fevil%26x%3D1"
    assert (await browser.post("/sign-out", data={})).headers["location"] == "/sign-in"
    part = {"HX-Request": "true", "HX-Current-URL": f"{server.url}/locks?site=north"}
    response = await browser.get("/", headers=part)
    assert (response.status_code, response.headers["hx-redirect"]) == (
        401, "/sign-in?next=/locks%3Fsite%3Dnorth"
    )  # fmt: skip
    foreign = part | {"HX-Current-URL": "https://evil.example//evil.example/"}
    assert (await browser.get("/", headers=foreign)).headers["hx-redirect"] == "/sign-in"
    program = await browser.get("/account", headers={"Accept": "*/*"})
    assert (program.status_code, program.json()["code"]) == (401, "token_needed")


# --- one-time links ----------------------------------------------------------------------------------


async def test_a_link_shows_whose_it_is_and_is_used_by_choosing_a_password(
    browser: Any, operations: FakeOperations
) -> None:
    text = (await browser.get("/sign-in/link?code=for-grace")).text
    assert "Choose a password, grace" in text
    chosen = {"code": "for-grace", "name": "grace", "password": PASSWORD}
    for data, status, told in (
        (chosen | {"again": "another"}, 400, "not the same"),
        (chosen | {"password": "short", "again": "short"}, 409, "12 to 256"),
    ):
        response = await browser.post("/sign-in/link", data=data)
        assert (response.status_code, told in response.text) == (status, True)
        assert "short" not in response.text
    response = await browser.post("/sign-in/link", data=chosen | {"again": PASSWORD})
    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert "fresh" in str(cookies(response))
    assert "cannot be used" in (await browser.get("/sign-in/link?code=for-grace")).text
    assert (await browser.post("/sign-in/link", data=chosen | {"again": PASSWORD})).status_code == 410


async def test_the_first_administrator_chooses_a_name_too(browser: Any, operations: FakeOperations) -> None:
    assert "Your name" in (await browser.get("/sign-in/link?code=first")).text
    data = {"code": "first", "name": "ann", "password": PASSWORD, "again": PASSWORD}
    assert (await browser.post("/sign-in/link", data=data)).status_code == 303
    assert operations.operators.known["fresh"] == Caller("ann", "administrator")


# --- one's account -----------------------------------------------------------------------------------


async def test_ones_account_says_who_one_is_and_signs_out(
    server: HttpServer, operations: FakeOperations
) -> None:
    async with asking(server, headers=HTML | {"Cookie": f"{cookie_name(server)}=c-north-operator"}) as client:
        text = (await client.get("/account")).text
        for words in ("no", "operator of the site north", "signed in 2 times", csrf("c-north-operator")):
            assert words in text
        for data in ({}, {"csrf": "x"}, {"csrf": csrf("c-viewer")}):
            response = await client.post("/sign-out", data=data)
            assert response.status_code == 403
            assert "may not" in response.text
        assert operations.asked == []
        data = {"csrf": csrf("c-north-operator"), "everywhere": "true"}
        response = await client.post("/sign-out", data=data)
        assert (response.status_code, response.headers["location"]) == (303, "/sign-in")
        assert "Max-Age=0" in cookies(response)[cookie_name(server)]
    assert operations.asked == [("sign_out", "c-north-operator", True)]


async def test_a_new_password_begins_a_new_session(server: HttpServer, operations: FakeOperations) -> None:
    async with asking(server, headers=HTML | {"Cookie": f"{cookie_name(server)}=c-viewer"}) as client:
        data = {
            "csrf": csrf("c-viewer"),
            "old": PASSWORD,
            "password": "staple correct",
            "again": "staple correct",
        }
        wrong = await client.post("/account/password", data=data | {"old": "x"})
        assert (wrong.status_code, "present password is wrong" in wrong.text) == (403, True)
        response = await client.post("/account/password", data=data)
        assert response.headers["location"] == "/account?done=password"
        assert "=fresh;" in cookies(response)[cookie_name(server)]
    assert "c-viewer" not in operations.operators.known


async def test_a_bearer_token_has_no_account(server: HttpServer) -> None:
    async with asking(server, "t-viewer") as client:
        assert (await client.get("/account")).json()["code"] == "no_session"
        assert (await client.post(f"{BASE}/me/password", json={"old": "a", "new": "b"})).status_code == 409
        assert (await client.post(f"{BASE}/sign-out")).json() == {"ended": 0}


# --- the API -----------------------------------------------------------------------------------------


async def test_a_program_can_sign_in_and_tell_who_it_is(server: HttpServer) -> None:
    async with asking(server) as client:
        response = await client.post(f"{BASE}/sign-in", json=FORM)
        me = {"name": "grace", "role": "operator", "site": "north", "kind": "operator", "csrf": csrf("fresh")}
        assert response.json() == me
        assert (await client.get(f"{BASE}/me")).json() == me
    async with asking(server, "t-viewer") as client:
        assert (await client.get(f"{BASE}/me")).json() == {
            "name": "v", "role": "viewer", "site": None, "kind": "token", "csrf": None
        }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [{}, {"name": "grace"}, {"password": "x"}, {"token": "x", "name": "grace"}, FORM | {"token": "x"},
     {"name": "x" * 257, "password": "x"}, {"name": "x", "password": "x" * 1025}, {"token": "x" * 513},
     {"name": 7, "password": "x"}],
)  # fmt: skip
async def test_signing_in_takes_a_name_with_a_password_or_a_token(
    server: HttpServer, operations: FakeOperations, body: Any
) -> None:
    async with asking(server) as client:
        response = await client.post(f"{BASE}/sign-in", json=body)
    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert operations.operators.tried == []


async def test_a_change_of_nothing_is_refused_and_only_what_is_given_changes(
    server: HttpServer, operations: FakeOperations
) -> None:
    async with asking(server, "t-administrator") as client:
        assert (await client.patch(f"{BASE}/operators/x", json={})).status_code == 400
        await client.patch(f"{BASE}/operators/x", json={"site": None})
        await client.patch(f"{BASE}/operators/x", json={"disabled": False})
        assert (await client.patch(f"{BASE}/operators/x", json={"name": "y"})).status_code == 400
    assert [call[2] for call in operations.asked] == [{"site": None}, {"disabled": False}]


# --- streams, bounds, shape --------------------------------------------------------------------------


async def test_a_stream_ends_at_once_when_the_session_does(
    server: HttpServer, operations: FakeOperations
) -> None:
    async with asking(server, cookie="c-viewer") as client, client.stream("GET", EVENTS) as response:
        lines = response.aiter_lines()
        assert "retry" in await anext(lines)
        await client.post(f"{BASE}/sign-out")
        operations.happen("1", "too.late", {})
        async with asyncio.timeout(5):
            assert "too.late" not in "".join([line async for line in lines])


async def test_a_stream_ends_when_the_session_may_no_longer_what_it_might(
    server: HttpServer, operations: FakeOperations
) -> None:
    async with (
        asking(server, cookie="c-viewer") as client,
        client.stream("GET", f"{BASE}/events") as response,
    ):
        lines = response.aiter_lines()
        assert "retry" in await anext(lines)
        operations.operators.known["c-viewer"] = Caller("v", "viewer", "north")
        for call in operations.operators.changed:
            call()
        async with asyncio.timeout(5):
            async for _ in lines:
                pass


async def test_a_form_is_bounded_and_strict(server: HttpServer, operations: FakeOperations) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, status in (
        (b"name=" + b"x" * BODY_LIMIT, 413), (b"a=&" * 20_000, 400), (b"name=\xff", 400), (b"name=%ff", 400),
    ):  # fmt: skip
        async with asking(server, headers=HTML | kind) as client:
            assert (await client.post("/sign-in", content=body)).status_code == status
    async with asking(server, headers=HTML | {"Content-Type": "multipart/form-data; boundary=x"}) as client:
        assert (await client.post("/sign-in", content=b"--x--")).status_code == 415
    assert operations.operators.tried == []


@pytest.mark.parametrize("path", ["/sign-in", "/sign-in/link?code=first", "/sign-in/link?code=", "/account"])
async def test_the_small_pages_have_no_script_and_their_own_style_only(server: HttpServer, path: str) -> None:
    cookie = {"Cookie": f"{cookie_name(server)}=c-viewer"} if path == "/account" else {}
    async with asking(server, headers=HTML | cookie) as client:
        response = await client.get(path)
    assert response.headers["referrer-policy"] == "same-origin"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<script|style=|https?://| on\w+=", response.text)
    assert '<html lang="en">' in response.text
    for field in re.findall(r'<input (?![^>]*type="hidden")[^>]*>', response.text):
        assert "autocomplete" in field
