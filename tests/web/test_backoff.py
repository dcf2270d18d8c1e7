"""Wrong tokens slow down who sends them, and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.web.conftest import Now, asking
from whosin.web.backoff import FORGET_MS, FREE_REPEATS, FREE_TOKENS, Backoff

if TYPE_CHECKING:
    from tests.web.fake import FakeOperations
    from whosin.web.server import HttpServer


def test_a_token_that_stays_wrong_waits_twice_as_long_each_time_up_to_a_minute() -> None:
    now = Now()
    backoff = Backoff(now)
    for _ in range(FREE_REPEATS):
        backoff.failed("10.0.0.1", "old")
        assert backoff.wait_s("10.0.0.1", "old") == 0
    waits = []
    for _ in range(8):
        backoff.failed("10.0.0.1", "old")
        waits.append(backoff.wait_s("10.0.0.1", "old"))
        now.ms += waits[-1] * 1000 - 1
        assert backoff.wait_s("10.0.0.1", "old") == 1
        now.ms += 1
        assert backoff.wait_s("10.0.0.1", "old") == 0
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_one_forgotten_script_never_holds_up_its_neighbours() -> None:
    backoff = Backoff(Now())
    for _ in range(1000):
        backoff.failed("10.0.0.1", "old")
    assert backoff.wait_s("10.0.0.1", "another") == 0


def test_an_address_that_tries_many_tokens_waits_with_every_token_that_has_not_worked() -> None:
    backoff = Backoff(Now())
    backoff.succeeded("good")
    told = [backoff.failed("10.0.0.1", f"guess{n}") for n in range(FREE_TOKENS + 3)]
    assert told == [False] * FREE_TOKENS + [True, False, False]
    assert backoff.wait_s("10.0.0.1", "next guess") == 4
    assert backoff.wait_s("10.0.0.1", "good") == 0
    assert backoff.wait_s("10.0.0.2", "next guess") == 0


def test_a_token_that_no_longer_works_waits_like_any_other() -> None:
    backoff = Backoff(Now())
    backoff.succeeded("good")
    for _ in range(FREE_REPEATS + 1):
        backoff.failed("10.0.0.1", "good")
    assert backoff.wait_s("10.0.0.1", "good") == 1


def test_what_failed_long_ago_is_forgiven() -> None:
    now = Now()
    backoff = Backoff(now)
    for _ in range(FREE_REPEATS + 5):
        backoff.failed("10.0.0.1", "old")
    now.ms += FORGET_MS + 1
    backoff.failed("10.0.0.1", "old")
    assert backoff.wait_s("10.0.0.1", "old") == 0


def test_one_ipv6_network_is_one_address() -> None:
    backoff = Backoff(Now())
    for n in range(FREE_TOKENS + 1):
        backoff.failed(f"2001:db8:1:2::{n:x}", f"guess{n}")
    assert backoff.wait_s("2001:db8:1:2:ffff::1", "x") == 1
    assert backoff.wait_s("2001:db8:1:3::1", "x") == 0
    assert backoff.wait_s("not an address", "x") == 0


def test_memory_is_bounded() -> None:
    backoff = Backoff(Now(), remembered=100)
    for n in range(1000):
        backoff.failed(f"10.0.{n // 256}.{n % 256}", f"guess{n}")
        backoff.succeeded(f"good{n}")
    assert max(len(backoff._tokens), len(backoff._addresses), len(backoff._good)) == 100


async def test_too_many_wrong_tokens_are_not_even_looked_at(
    server: HttpServer, operations: FakeOperations, now: Now
) -> None:
    async with asking(server, "old") as client:
        answers = [(await client.get("/api/v1/stats")).status_code for _ in range(FREE_REPEATS + 3)]
        assert answers == [401] * (FREE_REPEATS + 1) + [429, 429]
        looked_at = operations.authenticated
        refused = await client.get("/api/v1/stats")
        assert operations.authenticated == looked_at
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["code"] == "too_many_failures"
        now.ms += 1000
        assert (await client.get("/api/v1/stats")).status_code == 401
    async with asking(server, "t-viewer") as client:
        assert (await client.get("/api/v1/stats")).status_code == 200


async def test_what_cannot_be_a_token_is_not_looked_at(
    server: HttpServer, operations: FakeOperations
) -> None:
    async with asking(server, "x" * 513) as client:
        assert (await client.get("/api/v1/stats")).status_code == 401
    assert operations.authenticated == 0
