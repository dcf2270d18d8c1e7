"""The first page."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any

from tests.web.conftest import asking

if TYPE_CHECKING:
    import httpx

    from tests.web.fake import FakeOperations


async def test_it_says_what_this_is_how_it_is_and_where_the_api_is(ask: httpx.AsyncClient) -> None:
    response = await ask.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    for text in (
        "Whosin",
        "Ready",
        "<dt>Active</dt><dd>3</dd>",
        "<dd>on</dd>",
        "/api/v1/openapi.json",
        "viewport",
    ):
        assert text in response.text


async def test_its_style_is_the_only_thing_allowed(ask: httpx.AsyncClient) -> None:
    response = await ask.get("/")
    style = re.search("<style>(.*)</style>", response.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-" + digest)
    assert not re.search(r"<script|style=|https?://| on\w+=", response.text)


async def test_it_tells_what_is_wrong_and_escapes_it(
    ask: httpx.AsyncClient, operations: FakeOperations
) -> None:
    operations.troubles = ["the broker <b> is away"]
    text = (await ask.get("/")).text
    assert "Not ready" in text
    assert "the broker &lt;b&gt; is away" in text


async def test_strangers_are_sent_to_the_form_on_loopback_too(serve: Any, operations: FakeOperations) -> None:
    for loopback in (True, False):
        async with asking(await serve(loopback=loopback), headers={"Accept": "text/html"}) as client:
            response = await client.get("/")
            assert (response.status_code, response.headers["location"]) == (303, "/sign-in")
        async with asking(await serve(loopback=loopback)) as client:
            assert (await client.get("/")).status_code == 401
    assert operations.asked == []


async def test_it_answers_a_head(ask: httpx.AsyncClient) -> None:
    response = await ask.head("/")
    assert (response.status_code, response.content) == (200, b"")
