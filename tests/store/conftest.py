"""The stores under test: the contract suite runs once per adapter."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from whosin.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from whosin.ports import Loaded, Store


class SqliteAdapter:
    """How the contract suite gets a store, and gets at the same data again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "whosin.db"

    def store(self) -> Store:
        """A new object on the same data."""
        return SqliteStore(self._path)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[Store, Loaded]]:
        store = self.store()
        loaded = await store.open()
        try:
            yield store, loaded
        finally:
            await store.close()

    async def reloaded(self) -> Loaded:
        async with self.opened() as (_, loaded):
            return loaded


@pytest.fixture(params=[SqliteAdapter], ids=["sqlite"])
def adapter(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "whosin.db"


@pytest.fixture
async def store(path):
    """An open SQLite store."""
    opened = SqliteStore(path)
    await opened.open()
    yield opened
    await opened.close()
