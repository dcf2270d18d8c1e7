"""What is asked of the engine, and what becomes of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import asking
from tests.web.fake import TOKENS, FakeOperations, session
from whosin.operations import SessionQuery
from whosin.ports import FollowupQuery, HistoryQuery
from whosin.web import schemas
from whosin.web.guard import BASE

if TYPE_CHECKING:
    import httpx

    from whosin.web.server import HttpServer

ADMINISTRATOR = TOKENS["t-administrator"]


async def test_every_filter_of_sessions_reaches_the_engine(
    ask: httpx.AsyncClient, operations: FakeOperations
) -> None:
    await ask.get(
        f"{BASE}/sessions?status=removed,%20active,removed&site=n&company=c&user=u&client=web&q=SO-1&sort=-since"
        "&limit=7&cursor=abc"
    )
    expected = SessionQuery(("removed", "active"), "n", "c", "u", "web", "SO-1", "-since", 7, "abc")
    assert operations.asked == [("sessions", expected, ADMINISTRATOR)]


async def test_an_empty_parameter_is_an_absent_one(
    ask: httpx.AsyncClient, operations: FakeOperations
) -> None:
    await ask.get(f"{BASE}/sessions?status=&site=&company=&user=&client=&q=&sort=&limit=&cursor=")
    assert operations.asked == [("sessions", SessionQuery(), ADMINISTRATOR)]


async def test_every_filter_of_the_history_reaches_the_engine(
    ask: httpx.AsyncClient, operations: FakeOperations
) -> None:
    await ask.get(
        f"{BASE}/history?site=n&company=c&session=s&user=u&type=lock.&resource=r&q=t&since=1970-01-01T00:00:01.5Z"
        "&until=1970-01-01T01:00:02%2B01:00&limit=5&cursor=42&actor=a"
    )
    expected = HistoryQuery("n", "c", "s", "u", "lock.", "r", "t", 1500, 2000, 42, 5, "a")
    assert operations.asked == [("history", expected, ADMINISTRATOR)]


async def test_every_filter_of_follow_ups_reaches_the_engine(
    ask: httpx.AsyncClient, operations: FakeOperations
) -> None:
    await ask.get(f"{BASE}/followups?status=done&site=n&company=c&session=s&q=t&limit=5&cursor=42")
    await ask.get(f"{BASE}/followups")
    filtered = FollowupQuery(False, "n", "c", "s", "t", 42, 5)
    expected = [("followups", query, ADMINISTRATOR) for query in (filtered, FollowupQuery())]
    assert operations.asked == expected
    assert (await ask.get(f"{BASE}/followups?status=new")).status_code == 400


async def test_a_follow_up_is_ticked_off_with_a_note_or_without(
    ask: httpx.AsyncClient, operations: FakeOperations
) -> None:
    await ask.post(f"{BASE}/followups/17/done", json={"note": "looked"})
    await ask.post(f"{BASE}/followups/18/done")
    expected = [("tick_off", 17, "looked", ADMINISTRATOR), ("tick_off", 18, None, ADMINISTRATOR)]
    assert operations.asked == expected
    assert (await ask.post(f"{BASE}/followups/x/done")).status_code == 400


async def test_every_filter_of_alerts_reaches_the_engine(
    ask: httpx.AsyncClient, operations: FakeOperations
) -> None:
    await ask.get(f"{BASE}/alerts?state=open&kind=blocking&site=n&limit=5&cursor=42")
    expected = {"site": "n", "kind": "blocking", "is_open": True, "cursor": "42", "limit": 5}
    assert operations.asked == [("find_alerts", expected, ADMINISTRATOR)]
    assert (await ask.get(f"{BASE}/alerts?state=closed")).status_code == 400
    await ask.post(f"{BASE}/alerts/test")
    assert operations.asked[1:] == [("test_channels", None, ADMINISTRATOR)]


async def test_a_plan_and_a_message_reach_the_engine_as_they_were_meant(
    ask: httpx.AsyncClient, operations: FakeOperations
) -> None:
    plan = {"site": "n", "company": "c", "from": "1970-01-01T00:00:01Z", "until": "1970-01-01T01:00:02+01:00"}
    await ask.post(f"{BASE}/maintenance", json={**plan, "text": "x", "force": True})
    await ask.post(f"{BASE}/messages", json={"text": "t", "sessions": ["s1"]})
    assert operations.asked == [
        ("plan", ADMINISTRATOR, "n", "c", 1000, 2000, "x", True),
        ("send", "t", ADMINISTRATOR, None, None, None, ["s1"]),
    ]
    for wrong in ({"begins": plan["from"]}, {"force": "yes"}, {"until": "18:00"}):
        assert (await ask.post(f"{BASE}/maintenance", json={**plan, "text": "x", **wrong})).status_code == 400


@pytest.mark.parametrize(
    "query", ["since=yesterday", "since=2026-11-02T08:00:00", "cursor=x", "cursor=-1", "cursor=%D9%A3"]
)
async def test_a_moment_without_a_zone_or_a_foreign_cursor_is_refused(
    ask: httpx.AsyncClient, operations: FakeOperations, query: str
) -> None:
    assert (await ask.get(f"{BASE}/history?{query}")).status_code == 400
    assert operations.asked == []


async def test_a_log_off_reaches_the_engine_as_it_was_meant(
    ask: httpx.AsyncClient, operations: FakeOperations
) -> None:
    body = {"ids": ["s1", "zz"], "force": True, "reason": "PC lost power", "dry_run": True}
    answer = (await ask.post(f"{BASE}/sessions/logoff", json=body)).json()
    assert operations.asked == [("logoff", ["s1", "zz"], ADMINISTRATOR, True, "PC lost power", True)]
    assert [result["result"] for result in answer["results"]] == ["would_remove", "not_found"]
    assert answer["dry_run"] is True


async def test_an_ended_session_is_shown_and_an_unknown_one_is_not_found(ask: httpx.AsyncClient) -> None:
    assert (await ask.get(f"{BASE}/sessions/s3")).json()["status"] == "removed"
    assert (await ask.get(f"{BASE}/sessions/nobody")).status_code == 404


async def test_a_pass_without_a_body_is_a_real_one(
    ask: httpx.AsyncClient, operations: FakeOperations
) -> None:
    await ask.post(f"{BASE}/cleanup/run")
    await ask.post(f"{BASE}/cleanup/run", json={})
    await ask.post(f"{BASE}/cleanup/run", json={"dry_run": True})
    assert [call[2] for call in operations.asked] == [False, False, True]


async def test_a_long_list_is_paged(ask: httpx.AsyncClient) -> None:
    first = (await ask.get(f"{BASE}/locks?limit=2")).json()
    assert ([lock["token"] for lock in first["items"]], first["next"], first["total"]) == ([0, 1], "2", 3)
    last = (await ask.get(f"{BASE}/locks?limit=2&cursor={first['next']}")).json()
    assert ([lock["token"] for lock in last["items"]], last["next"], last["total"]) == ([2], None, 3)
    assert (await ask.get(f"{BASE}/locks?cursor=x")).json()["errors"][0]["field"] == "cursor"


@pytest.mark.parametrize(
    ("method", "path", "body", "model"),
    [
        ("GET", "sessions", None, schemas.Sessions),
        ("GET", "sessions/s1", None, schemas.Session),
        ("POST", "sessions/logoff", {"ids": ["s1"]}, schemas.LogOffResults),
        ("GET", "locks", None, schemas.Locks),
        ("POST", "locks/free", {"site": "n", "company": "c", "resource": "r"}, schemas.FreedLock),
        ("GET", "cleanup", None, schemas.Cleanup),
        ("PUT", "cleanup", {"enabled": False}, schemas.Cleanup),
        ("POST", "cleanup/run", None, schemas.Pass),
        ("POST", "cleanup/confirm", {"site": "n"}, schemas.Confirmed),
        ("GET", "cleanup/passes", None, schemas.Passes),
        ("GET", "guidance", None, schemas.Guidance),
        ("GET", "followups", None, schemas.Followups),
        ("POST", "followups/17/done", {"note": "looked"}, schemas.Followup),
        ("POST", "messages", {"text": "Leave.", "user": "ada"}, schemas.MessageSent),
        ("GET", "maintenance", None, schemas.Maintenance),
        (
            "POST",
            "maintenance",
            {"site": "n", "until": "2026-11-02T18:00:00Z", "text": "x"},
            schemas.MaintenanceWindow,
        ),
        ("DELETE", "maintenance/3", None, schemas.MaintenanceWindow),
        ("GET", "companies", None, schemas.Companies),
        ("GET", "history", None, schemas.History),
        ("GET", "stats", None, schemas.Stats),
        ("POST", "backup", {"path": "/b"}, schemas.BackedUp),
        ("POST", "reload", None, schemas.Reloaded),
        ("GET", "tokens", None, schemas.Tokens),
        ("POST", "tokens", {"name": "x", "role": "viewer"}, schemas.CreatedToken),
        ("GET", "clients", None, schemas.Accounts),
        ("POST", "clients", {"name": "x", "role": "client", "site": "n"}, schemas.CreatedAccount),
    ],
)
async def test_an_answer_is_as_documented(
    ask: httpx.AsyncClient, method: str, path: str, body: Any, model: type[schemas.Answer]
) -> None:
    response = await ask.request(method, f"{BASE}/{path}", json=body)
    model.model_validate(response.json(), strict=True, extra="forbid")


async def test_a_thousand_sessions_fit_one_page(server: HttpServer, operations: FakeOperations) -> None:
    operations.stored = {f"s{n}": session(f"s{n}") for n in range(1200)}
    async with asking(server, "t-viewer") as client:
        answer = (await client.get(f"{BASE}/sessions?limit=1000")).json()
    assert len(answer["items"]) == 1000
