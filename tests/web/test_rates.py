"""One caller asks so much and no more; others are not held up by that."""

from __future__ import annotations

from typing import Any

from tests.web.conftest import Now, asking
from whosin.web.guard import BASE
from whosin.web.rates import BURST_S, Rates


def test_a_burst_after_a_pause_and_then_the_rate() -> None:
    now = Now()
    rates = Rates(now, lambda: 10)
    burst = round(BURST_S * 10)
    assert [rates.wait_s("a") for _ in range(burst + 1)] == [0] * burst + [1]
    now.ms += 99
    assert rates.wait_s("a") == 1
    now.ms += 1
    assert [rates.wait_s("a"), rates.wait_s("a")] == [0, 1]
    now.ms += 3_600_000
    assert [rates.wait_s("a") for _ in range(burst + 1)] == [0] * burst + [1]


def test_being_refused_costs_nothing_more() -> None:
    now = Now()
    rates = Rates(now, lambda: 1)
    for _ in range(1_000):
        rates.wait_s("a")
    now.ms += 1_000
    assert rates.wait_s("a") == 0


def test_callers_do_not_share_and_memory_is_bounded() -> None:
    rates = Rates(Now(), lambda: 1, remembered=10)
    for n in range(1_000):
        assert rates.wait_s(f"caller {n}") == 0
    assert len(rates._used) == 10


def test_the_rate_may_change_while_running_and_nought_is_no_limit() -> None:
    allowed = [0.0]
    rates = Rates(Now(), lambda: allowed[0])
    assert {rates.wait_s("a") for _ in range(10_000)} == {0}
    allowed[0] = 0.1
    assert [rates.wait_s("a") for _ in range(2)] == [0, 10]  # at least one, however slow the rate


async def test_who_asks_too_much_is_told_when_to_ask_again(serve: Any, now: Now, operations: Any) -> None:
    server = await serve(requests_per_s=lambda: 2)
    for how in ({"token": "t-viewer"}, {"cookie": "c-viewer"}):
        async with asking(server, **how) as client:
            found = [await client.get(f"{BASE}/stats") for _ in range(7)]
            assert [one.status_code for one in found] == [200] * 6 + [429]
            assert found[-1].json()["code"] == "too_many_requests"
            assert found[-1].headers["retry-after"] == "1"
    async with asking(server, "t-operator") as client:
        assert (await client.get(f"{BASE}/stats")).status_code == 200
    now.ms += 500
    async with asking(server, "t-viewer") as client:
        assert (await client.get(f"{BASE}/stats")).status_code == 200


async def test_strangers_count_by_address_and_keep_no_known_caller_out(serve: Any) -> None:
    server = await serve(requests_per_s=lambda: 2)
    async with asking(server) as client:
        found = [(await client.get(f"{BASE}/stats")).status_code for _ in range(4)]
        found += [(await client.get("/sign-in")).status_code for _ in range(2)]
        found += [(await client.get("/account")).status_code]
        found += [(await client.post(f"{BASE}/sign-in", json={"token": "x"})).status_code]
        assert found == [401] * 4 + [200] * 2 + [429] * 2
        assert (await client.get("/healthz")).status_code == 200
    async with asking(server, headers={"Authorization": "Basic x"}) as client:
        assert (await client.get(f"{BASE}/stats")).status_code == 429
    async with asking(server, "t-viewer") as client:
        assert (await client.get(f"{BASE}/stats")).status_code == 200
