"""A signed-in browser on the page: each command needs a role, the CSRF token, and our own origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.web.conftest import asking, cookie_name
from tests.web.fake_operators import csrf
from tests.web.test_page import LEVELS, ROUTES

if TYPE_CHECKING:
    import httpx

    from tests.web.fake import FakeOperations
    from whosin.web.server import HttpServer

HTML = {"Accept": "text/html"}
SIGN_OUT = ("POST", "/sign-out")
COMMANDS = {key: value for key, value in ROUTES.items() if key[0] == "POST"} | {SIGN_OUT: ("viewer", {})}

every_command = pytest.mark.parametrize(("method", "path"), COMMANDS, ids=str)


async def post(
    server: HttpServer, cookie: str, path: str, field: str | None = None, **headers: str
) -> httpx.Response:
    sent = HTML | {"Cookie": f"{cookie_name(server)}={cookie}"} | headers
    data = COMMANDS["POST", path][1] | ({"csrf": field} if field is not None else {})
    async with asking(server, headers=sent) as client:
        return await client.post(path, data=data)


@every_command
async def test_nothing_is_done_without_the_token_of_this_session_or_for_another_site(
    server: HttpServer, operations: FakeOperations, method: str, path: str
) -> None:
    right = csrf("c-administrator")
    tries: list[tuple[str | None, dict[str, str]]] = [
        (None, {}),
        ("", {}),
        (csrf("c-operator"), {}),
        (right, {"X-CSRF-Token": "wrong"}),  # the header counts where there is one
        (right, {"Origin": "http://evil.example"}),
        (right, {"Origin": "null"}),
        (right, {"Sec-Fetch-Site": "same-site"}),
    ]
    for field, headers in tries:
        response = await post(server, "c-administrator", path, field, **headers)
        assert response.status_code == 403, (field, headers)
        assert "<h2>You may not do this</h2>" in response.text
    assert operations.asked == []


@every_command
async def test_the_token_comes_in_a_field_or_in_the_header(
    server: HttpServer, operations: FakeOperations, method: str, path: str
) -> None:
    right = csrf("c-administrator")
    own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    if path == SIGN_OUT[1]:
        assert (await post(server, "c-administrator", path, right, **own)).status_code == 303
        return
    assert (await post(server, "c-administrator", path, right, **own)).status_code < 300
    assert (
        await post(server, "c-administrator", path, None, **own, **{"X-CSRF-Token": right})
    ).status_code < 300


@every_command
async def test_a_browser_reaches_what_its_role_reaches(
    server: HttpServer, operations: FakeOperations, method: str, path: str
) -> None:
    needed = COMMANDS[method, path][0]
    for role in LEVELS:
        operations.asked.clear()
        response = await post(server, f"c-{role}", path, csrf(f"c-{role}"))
        if LEVELS.index(role) < LEVELS.index(needed):
            assert response.status_code == 403
            assert f"needs the role {needed}" in response.text
            assert operations.asked == []
        else:
            assert response.status_code < 400, role
