"""A backup of the living store."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat

import pytest

from tests.store import rows
from whosin.errors import StoreError
from whosin.ports import Changes
from whosin.store import SqliteStore


async def fill(store, commits, size=4000):
    for turn in range(commits):
        await store.commit(
            Changes(
                events=[rows.event(turn * 10 + n, data=bytes(size)) for n in range(10)],
                meta={"turn": str(turn)},
            )
        )


async def test_a_backup_opens_as_a_store_with_the_same_content(store, path):
    await fill(store, 5)
    await store.commit(Changes(sessions={1: rows.session(1), 2: rows.ended(2)}, beats=[]))
    await store.backup(str(path.with_name("backup.db")))
    copy = SqliteStore(path.with_name("backup.db"))
    loaded = await copy.open()
    assert loaded.sessions == [rows.session(1)]
    assert loaded.meta == {"turn": "4"}
    assert len(await copy.events_after(0, 99)) == 49
    await copy.close()


@pytest.mark.skipif(os.name == "nt", reason="file modes are POSIX")
async def test_a_backup_is_one_file_for_the_owner_only(store, path):
    await store.backup(str(path.with_name("backup.db")))
    assert stat.S_IMODE(path.with_name("backup.db").stat().st_mode) == 0o600
    assert [name.name for name in path.parent.iterdir() if "backup" in name.name] == ["backup.db"]


async def test_commits_go_on_during_a_backup_which_is_of_one_moment(store, path):
    await fill(store, 100, size=60_000)
    commits_meanwhile = 0
    backup = asyncio.create_task(store.backup(str(path.with_name("backup.db"))))
    while not backup.done():
        number = 10_000 + 2 * commits_meanwhile
        await store.commit(
            Changes(
                events=[rows.event(number), rows.event(number + 1)],
                meta={"meanwhile": str(commits_meanwhile)},
            )
        )
        commits_meanwhile += 1
    await backup
    assert commits_meanwhile > 1, "the first may have come before the backup"
    with contextlib.closing(sqlite3.connect(path.with_name("backup.db"))) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        last = db.execute("SELECT value FROM meta WHERE key = 'meanwhile'").fetchone()
        seen = -1 if last is None else int(last[0])
        count = db.execute("SELECT count(*) FROM events WHERE seq >= 10000").fetchone()[0]
        assert count == 2 * (seen + 1)


async def test_a_file_that_comes_meanwhile_is_not_overwritten(store, path):
    await fill(store, 200)
    target = path.with_name("backup.db")
    backup = asyncio.create_task(store.backup(str(target)))
    while not list(path.parent.glob(".backup.db.*.part")):
        await asyncio.sleep(0)
        assert not backup.done()
    target.write_text("mine")
    with pytest.raises(Exception, match="exists already"):
        await backup
    assert target.read_text() == "mine"
    assert list(path.parent.glob(".backup*")) == []


async def test_closing_the_store_stops_a_backup_and_leaves_nothing_of_it(store, path):
    await fill(store, 150)
    backup = asyncio.create_task(store.backup(str(path.with_name("backup.db"))))
    while not list(path.parent.glob(".backup.db.*.part")):
        await asyncio.sleep(0)
        assert not backup.done()
    await store.close()
    with pytest.raises(StoreError, match="stopping"):
        await backup
    assert [name.name for name in path.parent.iterdir() if "backup" in name.name] == []
