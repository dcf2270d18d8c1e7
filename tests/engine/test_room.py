"""Companies that made room are gone from the store too, and what their tokens were is not forgotten."""

from __future__ import annotations

from pathlib import Path

from tests.engine.bench import TYPES, Bench
from whosin.model import Limits, Policy


async def test_over_a_crash_a_company_that_went_is_gone_and_its_tokens_are_never_given_again(
    tmp_path: Path,
) -> None:
    bench = await Bench(tmp_path / "whosin.db", policy=Policy(TYPES, limits=Limits(companies=1))).start()
    await bench.login("a", company="c1")
    for n in range(5):
        await bench.say("a", "lock", {"resource": f"r{n}"})
    await bench.say("a", "logout")
    last = max(answer["token"] for answer in bench.answers("lock"))
    await bench.login("b", company="c2")
    assert bench.answers("login")[-1]["accepted"]
    await bench.say("b", "logout", company="c2")
    bench = await bench.crash()
    assert set(bench.engine.roll.companies) == {("s1", "c2")}
    await bench.login("again", company="c1")
    await bench.say("again", "lock", {"resource": "r0"})
    assert bench.answers("lock")[-1]["token"] > last
    bench = await bench.crash()
    assert set(bench.engine.roll.companies) == {("s1", "c1")}
    await bench.say("again", "lock", {"resource": "other"})
    assert bench.answers("lock")[-1]["token"] > last + 1
    await bench.close()


async def test_strangers_who_name_companies_without_end_keep_nobody_out(tmp_path: Path) -> None:
    bench = await Bench(tmp_path / "whosin.db", policy=Policy(TYPES, limits=Limits(companies=50))).start()
    for n in range(200):
        await bench.say(f"s{n}", "login", {"user": "eve", "client": "web"}, company=f"x{n}", wait=False)
        await bench.say(f"s{n}", "logout", company=f"x{n}", wait=False)
        bench.clock.now += 100
    await bench.settle()
    await bench.login("real", company="books")
    assert bench.answers("login")[-1]["accepted"]
    assert len(bench.engine.roll.companies) == 50
    bench = await bench.crash()
    assert len(bench.engine.roll.companies) == 50
    await bench.close()
