"""A real store that can be told to fail, to hang, or to be unreadable; and how to wait for its recovery."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from tests.engine.bench import Bench
from whosin.errors import StoreError
from whosin.ports import Changes, EventRow, SessionRow
from whosin.store.sqlite import SqliteStore


class Moody(SqliteStore):
    """A real store that can be told to fail, to hang, and to be late. `begun`: commits, `asked`: look-ups."""

    begun = 0
    asked = 0
    problem: StoreError | None = None
    unreadable = False
    late: asyncio.Event | None = None
    hangs: asyncio.Event | None = None

    async def commit(self, changes: Changes) -> None:
        self.begun += 1
        if self.hangs is not None:
            await self.hangs.wait()
        if self.problem is not None:
            raise self.problem
        await super().commit(changes)

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        if self.unreadable:
            raise StoreError("io", "cannot read")
        return await super().events_after(seq, limit)

    async def find_ended(self, ids: Iterable[str]) -> dict[str, SessionRow]:
        self.asked += 1
        if self.unreadable:
            raise StoreError("io", "cannot read")
        if self.late is not None:
            await self.late.wait()
        return await super().find_ended(ids)

    async def session(self, ident: str) -> SessionRow | None:
        if self.unreadable:
            raise StoreError("io", "cannot read")
        return await super().session(ident)


def moody(bench: Bench) -> Moody:
    assert isinstance(bench.store, Moody)
    return bench.store


async def recovered(bench: Bench) -> None:
    moody(bench).problem = None
    await until(lambda: bench.engine.committer.problem is None and not bench.engine.committer.busy)


async def turns(count: int = 10) -> None:
    """What needs nothing but the loop is done."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(5_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it does not come to that")
