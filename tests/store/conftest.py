"""The stores under test: the contract suite runs once per adapter."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from whosin.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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


def python(code, *arguments, **options):
    """A program with the product and the tests on its path."""
    paths = [*sys.path, str(Path(__file__).parents[2])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=env, **options)


def pytest_collection_modifyitems(items):
    if sys.platform == "linux" and os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("linux_root"):
            item.add_marker(pytest.mark.skip(reason="NOT PROVEN HERE: real disk faults need root on Linux"))


@contextlib.contextmanager
def mounted(folder, *options):
    """A file system on `folder`, or a skipped test where mounting is forbidden."""
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT PROVEN HERE: mounting is forbidden: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path):
    """Four megabytes of their own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "-t", "tmpfs", "-o", "size=4m", "tmpfs"):
        yield folder


@pytest.fixture
def ext4_disk(tmp_path):
    """A real file system that knows immutable files, and that falls back to read-only after an error."""
    folder, image = tmp_path / "disk", tmp_path / "disk.img"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(16 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    with mounted(folder, "-o", "loop,errors=remount-ro", str(image)):
        yield folder
