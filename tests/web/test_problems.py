"""Refusals are problem details, wherever they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import asking
from whosin.errors import Refused, StoreError
from whosin.web.guard import BASE

if TYPE_CHECKING:
    import httpx

    from tests.web.fake import FakeOperations
    from whosin.web.server import HttpServer


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    body: dict[str, Any] = response.json()
    assert body["status"] == response.status_code
    assert body["type"] == f"urn:whosin:problem:{body['code']}"
    assert body["title"]
    assert body["detail"]
    return body


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (Refused("not_found", "no such thing"), 404),
        (Refused("exists", "it exists"), 409),
        (Refused("in_use", "it is in use"), 409),
        (Refused("bad_cursor", "no cursor"), 400),
        (Refused("forbidden", "not yours"), 403),
        (StoreError("full", "the disk is full"), 503),
    ],
)
async def test_what_the_engine_refuses_keeps_its_code_and_words(
    ask: httpx.AsyncClient, operations: FakeOperations, raised: Exception, status: int
) -> None:
    operations.failure = raised
    response = await ask.get(f"{BASE}/stats")
    body = problem(response)
    assert body["status"] == status
    assert body["instance"] == f"{BASE}/stats"
    assert body["code"] == getattr(raised, "code", "storage")
    assert str(raised) in body["detail"]
    assert ("retry-after" in response.headers) == (status == 503)


async def test_a_failure_of_ours_tells_nothing_of_the_inside(
    ask: httpx.AsyncClient, operations: FakeOperations, caplog: pytest.LogCaptureFixture
) -> None:
    operations.failure = ZeroDivisionError("secret")
    body = problem(await ask.get(f"{BASE}/stats"))
    assert (body["status"], body["code"]) == (500, "internal")
    assert "secret" not in str(body)
    assert "ZeroDivisionError" in caplog.text
    assert (await ask.get(f"{BASE}/stats")).status_code == 200


async def test_an_unknown_path_is_a_404(ask: httpx.AsyncClient) -> None:
    for path in ("/nope", f"{BASE}/nope", f"{BASE}/sessions/", f"{BASE}/sessions/a/b", "/docs", "/%00"):
        assert problem(await ask.get(path))["status"] == 404


async def test_a_wrong_method_is_a_405_that_names_all_the_right_ones(ask: httpx.AsyncClient) -> None:
    response = await ask.patch(f"{BASE}/cleanup")
    assert problem(response)["code"] == "method_not_allowed"
    assert response.headers["allow"] == "GET, PUT"
    assert (await ask.put(f"{BASE}/sessions/logoff")).headers["allow"] == "POST"
    assert (await ask.put(f"{BASE}/sessions/s1")).headers["allow"] == "GET"
    assert (await ask.options(f"{BASE}/sessions")).status_code == 405
    assert (await ask.post("/healthz")).headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("status=activ", "status", "allowed: active, disconnected, logged_off, removed"),
        ("status=active,gone", "status", '"gone" is not a status'),
        ("status=,", "status", '"" is not a status'),
        ("limit=0", "limit", "greater than or equal to 1"),
        ("limit=1001", "limit", "less than or equal to 1000"),
        ("limit=ten", "limit", "valid integer"),
        ("limit=1e3", "limit", "valid integer"),
        ("stauts=active", "stauts", 'did you mean "status"?'),
        ("company=" + "x" * 257, "company", "at most 256"),
    ],
)
async def test_a_wrong_parameter_is_named(
    ask: httpx.AsyncClient, operations: FakeOperations, query: str, field: str, words: str
) -> None:
    body = problem(await ask.get(f"{BASE}/sessions?{query}"))
    assert body["status"] == 400
    assert [(wrong["in"], wrong["field"]) for wrong in body["errors"]] == [("query", field)]
    assert words in body["errors"][0]["message"]
    assert words in body["detail"]
    assert operations.asked == []


async def test_all_that_is_wrong_is_told_at_once(ask: httpx.AsyncClient) -> None:
    body = problem(
        await ask.post(f"{BASE}/sessions/logoff", json={"ids": [1, "a", ""], "dryrun": True, "force": 1})
    )
    assert [wrong["field"] for wrong in body["errors"]] == ["ids[0]", "ids[2]", "force", "dryrun"]


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "sessions/logoff", {"ids": ["a"], "dry-run": True}, 'did you mean "dry_run"?'),
        ("POST", "sessions/logoff", {"ids": ["a"], "dry_run": "true"}, "valid boolean"),
        ("POST", "sessions/logoff", {"ids": ["a"], "dry_run": 1}, "valid boolean"),
        ("POST", "sessions/logoff", {"ids": ["a"], "dry_run": None}, "valid boolean"),
        ("POST", "sessions/logoff", {"ids": "a"}, "valid list"),
        ("POST", "sessions/logoff", {"ids": []}, "at least 1"),
        ("POST", "sessions/logoff", {}, "required"),
        ("POST", "sessions/logoff", [], "valid dictionary"),
        ("POST", "sessions/logoff", {"ids": ["a"], "force": "no"}, "valid boolean"),
        ("POST", "cleanup/run", {"dryRun": True}, 'did you mean "dry_run"?'),
        ("PUT", "cleanup", {"enabled": "on"}, "valid boolean"),
        ("PUT", "cleanup", {"enabled": 1}, "valid boolean"),
        ("PUT", "cleanup", {"enable": True}, 'did you mean "enabled"?'),
        ("POST", "tokens", {"name": "x", "role": "root"}, "'viewer', 'operator' or 'administrator'"),
        ("POST", "clients", {"name": "x", "role": "client"}, "required"),
    ],
)
async def test_a_slip_in_a_command_never_becomes_the_real_thing(
    ask: httpx.AsyncClient, operations: FakeOperations, method: str, path: str, body: Any, words: str
) -> None:
    found = problem(await ask.request(method, f"{BASE}/{path}", json=body))
    assert found["status"] == 400
    assert any(words in wrong["message"] for wrong in found["errors"]), found["errors"]
    assert operations.asked == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"dry_run": NaN}', "NaN"),
        (b'{"dry_run": true, "dry_run": false}', '"dry_run" is given twice'),
        (b"[" * 100_000, "too deep"),
        (b'{"ids": ["\\ud800"]}', "string"),
    ],
)
async def test_what_is_not_json_is_refused(
    ask: httpx.AsyncClient, operations: FakeOperations, content: bytes, words: str
) -> None:
    headers = {"Content-Type": "application/json"}
    found = problem(await ask.post(f"{BASE}/sessions/logoff", content=content, headers=headers))
    assert found["status"] == 400
    assert words in found["detail"]
    assert operations.asked == []


@pytest.mark.parametrize(
    "sent", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
async def test_a_body_that_does_not_say_json_is_a_415(ask: httpx.AsyncClient, sent: str | None) -> None:
    headers = {"Content-Type": sent} if sent else {}
    response = await ask.post(f"{BASE}/cleanup/run", content=b'{"dry_run": true}', headers=headers)
    assert problem(response)["status"] == 415


async def test_json_with_a_charset_is_json(ask: httpx.AsyncClient, operations: FakeOperations) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    response = await ask.post(f"{BASE}/cleanup/run", content=b'{"dry_run": true}', headers=headers)
    assert response.json()["dry_run"] is True


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("POST", "cleanup/run?dry_run=true", "JSON body"),
        ("POST", "reload?x", "JSON body"),
        ("DELETE", "tokens/x?dry_run=true", "JSON body"),
        ("GET", "sessions?status=active&status=removed", '"status" is given twice'),
    ],
)
async def test_nothing_in_the_query_is_silently_ignored(
    ask: httpx.AsyncClient, operations: FakeOperations, method: str, path: str, words: str
) -> None:
    found = problem(await ask.request(method, f"{BASE}/{path}", json={} if method == "POST" else None))
    assert found["status"] == 400
    assert words in found["detail"]
    assert operations.asked == []


@pytest.mark.parametrize(("method", "path"), [("POST", "reload"), ("DELETE", "tokens/x")])
async def test_a_body_where_none_is_taken_is_refused(
    ask: httpx.AsyncClient, operations: FakeOperations, method: str, path: str
) -> None:
    found = problem(await ask.request(method, f"{BASE}/{path}", json={"dry_run": True}))
    assert (found["status"], found["code"]) == (400, "no_body")
    assert operations.asked == []
    assert (await ask.request(method, f"{BASE}/{path}", json={})).status_code in {200, 204}


async def test_a_stranger_learns_nothing_of_his_body(server: HttpServer) -> None:
    async with asking(server) as client:
        assert (await client.post(f"{BASE}/sessions/logoff", content=b"{")).status_code == 401
    async with asking(server, "t-viewer") as client:
        assert (await client.post(f"{BASE}/sessions/logoff", content=b"{")).status_code == 403
