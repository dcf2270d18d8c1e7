"""What is done while it is recorded, each in a process of its own; `said` gets what was acknowledged."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.store import rows
from whosin.ports import Changes
from whosin.store import SqliteStore, connection, sqlite
from whosin.store.restoring import restore

KEYS = 2  # sessions and events of one turn
SAID = "said"  # a file: what is written to it counts as acknowledged


def said(folder: Path, text: str) -> None:
    with (folder / SAID).open("a") as file:
        file.write(f"{text}\n")


async def commits(folder: Path, turns: int) -> None:
    """Commits of new and of changed rows; the log is folded in between, and the store closed at last."""
    sqlite.LONGEST_LOG = 60_000
    small = "PRAGMA journal_size_limit = 20000"
    connection._SETTINGS = tuple(small if "size_limit" in it else it for it in connection._SETTINGS)
    store = SqliteStore(folder / "whosin.db")
    await store.open()
    for turn in range(1, turns + 1):
        keys = range(turn * 100, turn * 100 + KEYS)
        await store.commit(
            Changes(
                sessions={key: rows.session(key) for key in keys},
                turns={key - 100: rows.turn(key - 100) for key in keys if turn > 1},
                events=[rows.event(key, data=bytes(turn % 3 * 900)) for key in keys],
                meta={"turn": str(turn)},
            )
        )
        said(folder, str(turn))
        if store._folding is not None:
            await asyncio.wait([store._folding])
    await store.close()


async def upgrade(folder: Path) -> None:
    store = SqliteStore(folder / "whosin.db")
    await store.open()
    said(folder, "upgraded")
    await store.commit(Changes(meta={"turn": "after"}))
    said(folder, "committed")
    await store.close()


async def backup(folder: Path) -> None:
    store = SqliteStore(folder / "whosin.db")
    await store.open()
    await store.commit(Changes(sessions={1: rows.session(1)}, meta={"turn": "1"}))
    await store.backup(str(folder / "backup.db"))
    said(folder, "backed-up")
    await store.close()


def restored(folder: Path, backup: Path) -> None:
    restore(backup, folder / "whosin.db", "2026-11-27T04.00.00Z")
    said(folder, "restored")


def main() -> None:
    story, folder, *more = sys.argv[1:]
    where = Path(folder)
    if story == "commits":
        asyncio.run(commits(where, int(more[0])))
    elif story == "upgrade":
        asyncio.run(upgrade(where))
    elif story == "backup":
        asyncio.run(backup(where))
    else:
        restored(where, Path(more[0]))


if __name__ == "__main__":
    os.umask(0o077)
    main()
