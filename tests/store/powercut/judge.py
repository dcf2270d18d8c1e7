"""Whether a state that a power cut left is whole: it opens, with all that was acknowledged, nothing by half.

Owns what is asked of each story. Every state is opened by the store itself.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from tests.store.powercut.stories import KEYS
from whosin.ports import EventRow, Loaded
from whosin.store import SqliteStore, keeping
from whosin.store.restoring import examine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.store.powercut.recording import Cut


async def opened(path: Path) -> tuple[Loaded, list[EventRow]]:
    """What the store makes of it; it must be sound to the last page."""
    store = SqliteStore(path)
    try:
        loaded = await store.open()
        events = await store.events_after(0, 1_000)
    finally:
        await store.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return loaded, events


async def commits(cut: Cut, path: Path) -> None:
    loaded, events = await opened(path)
    turn = int(loaded.meta.get("turn", "0"))
    acknowledged = int(cut.said[-1]) if cut.said else 0
    assert acknowledged <= turn <= acknowledged + 1
    keys = [key for one in range(1, turn + 1) for key in range(one * 100, one * 100 + KEYS)]
    assert [row.seq for row in events] == keys
    assert [(row.key, row.status) for row in loaded.sessions] == [
        (key, "active" if key >= turn * 100 else "disconnected") for key in keys
    ]


class Upgraded:
    """`before` and `after` are what the sessions and events were and shall be."""

    def __init__(self, version: int, after: tuple[Loaded, list[EventRow]]) -> None:
        self.version = version
        self.loaded, self.events = after

    async def __call__(self, cut: Cut, path: Path) -> None:
        """It is upgraded or not yet; opening it upgrades it. The copy, if it has its name, is whole."""
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            in_file = db.execute("PRAGMA user_version").fetchone()[0]
        for copy in keeping.kept(path).values():
            with contextlib.closing(sqlite3.connect(copy)) as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert db.execute("PRAGMA user_version").fetchone() == (self.version,)
        if in_file > self.version:
            assert list(keeping.kept(path)) == [self.version], "what was is kept before it is changed"
        loaded, events = await opened(path)
        assert (loaded.sessions, loaded.locks) == (self.loaded.sessions, self.loaded.locks)
        assert events == self.events
        if "committed" in cut.said:
            assert loaded.meta["turn"] == "after"


async def backed_up(cut: Cut, path: Path) -> None:
    """What has the backup's name is one; and the database is whole meanwhile."""
    backup = path.with_name("backup.db")
    if "backed-up" in cut.said or backup.exists():
        assert examine(backup).sessions == 1
    loaded, _ = await opened(path)
    if backup.exists():
        assert loaded.meta["turn"] == "1"


async def restored(cut: Cut, path: Path) -> None:
    """The former database or the restored one; and in this case the former one is kept aside, whole."""
    loaded, _ = await opened(path)
    assert loaded.meta["turn"] in {"former", "backup"}
    if "restored" in cut.said:
        assert loaded.meta["turn"] == "backup"
    if loaded.meta["turn"] == "backup":
        (aside,) = [one for one in path.parent.iterdir() if one.name.endswith("-set-aside")]
        former, _ = await opened(aside)
        assert former.meta["turn"] == "former"
