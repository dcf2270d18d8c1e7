"""A backup is checked, put in the place of the database, and what was there is kept."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess

import pytest

from tests.store import rows
from tests.store.conftest import python
from tests.store.fixtures import kept
from whosin.errors import StoreError, StoreRefused
from whosin.ports import Changes
from whosin.store import SqliteStore, schema
from whosin.store.restoring import TOKENS_AHEAD, examine, restore

STAMP = "2026-11-27T04.00.00Z"


@pytest.fixture
async def backup(path):
    """A backup with two sessions, and a database that went on since then."""
    store = SqliteStore(path)
    await store.open()
    await store.commit(
        Changes(
            sessions={1: rows.session(1), 2: rows.session(2)}, events=[rows.event(1)],
            companies={("north", "acme"): 7}, meta={"turn": "backup", "fence": "9"},
        )
    )  # fmt: skip
    made = path.with_name("backup.db")
    await store.backup(str(made))
    await store.commit(Changes(sessions={3: rows.session(3)}, meta={"turn": "later"}))
    await store.close()
    return made


async def loaded(path):
    store = SqliteStore(path)
    try:
        return await store.open()
    finally:
        await store.close()


def names(path):
    return sorted(one.name for one in path.parent.iterdir())


async def test_the_backup_is_the_database_and_what_was_there_is_kept_aside(path, backup):
    done = restore(backup, path, STAMP)
    assert done.aside == path.with_name(f"whosin.db.{STAMP}-set-aside")
    assert (await loaded(path)).meta["turn"] == "backup"
    assert (await loaded(done.aside)).meta["turn"] == "later"
    assert backup.exists()
    assert (done.copy.sessions, done.copy.events, done.copy.newest) == (2, 1, rows.NOON + 1)


async def test_restoring_twice_in_a_second_keeps_both(path, backup):
    first, second = restore(backup, path, STAMP), restore(backup, path, STAMP)
    assert (first.aside.name, second.aside.name) == (
        f"whosin.db.{STAMP}-set-aside", f"whosin.db.{STAMP}-set-aside-2",
    )  # fmt: skip


async def test_on_another_machine_the_folder_is_made(path, backup, tmp_path):
    there = tmp_path / "elsewhere" / "whosin.db"
    assert restore(backup, there, STAMP).aside is None
    assert len((await loaded(there)).sessions) == 2
    if os.name != "nt":
        assert [stat.S_IMODE(one.stat().st_mode) for one in (there.parent, there)] == [0o700, 0o600]


async def test_nothing_that_was_numbered_since_the_backup_is_numbered_again(path, backup):
    before = await loaded(path)
    restore(backup, path, STAMP)
    after = await loaded(path)
    assert after.store_id != before.store_id
    assert after.companies == {("north", "acme"): 7 + TOKENS_AHEAD}
    assert int(after.meta["fence"]) == 9 + TOKENS_AHEAD


async def test_companies_that_came_after_the_backup_begin_ahead_of_their_tokens(path, backup):
    with contextlib.closing(sqlite3.connect(backup)) as db:
        db.execute("DELETE FROM meta WHERE key = 'fence'")
        db.commit()
    restore(backup, path, STAMP)
    assert int((await loaded(path)).meta["fence"]) >= TOKENS_AHEAD


async def test_a_daemon_that_runs_is_left_alone(path, backup):
    store = SqliteStore(path)
    await store.open()
    before = names(path)
    with pytest.raises(StoreRefused, match=rf"in use by another daemon \(process {os.getpid()}\); stop"):
        restore(backup, path, STAMP)
    await store.commit(Changes(meta={"turn": "goes on"}))
    await store.close()
    assert (await loaded(path)).meta["turn"] == "goes on"
    assert names(path) == [name for name in before if not name.endswith("-wal")]


async def test_an_older_backup_is_upgraded_at_the_next_start(path, backup, tmp_path):
    old = tmp_path / "old.db"
    kept.build(1, old)
    assert restore(old, path, STAMP).copy.version == 1
    found = await loaded(path)
    assert {row.id for row in found.sessions} >= {"anna", "carl"}
    assert max(found.companies.values()) > TOKENS_AHEAD


COMMIT_AND_WAIT = """
import asyncio, sys
from whosin.ports import Changes
from whosin.store import SqliteStore
async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    await store.commit(Changes(meta={"turn": "in the log only"}))
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
async def test_what_a_crash_left_in_the_log_is_kept_aside_too(path, backup):
    with python(COMMIT_AND_WAIT, path, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGKILL)
    assert path.with_name("whosin.db-wal").stat().st_size
    done = restore(backup, path, STAMP)
    assert not path.with_name("whosin.db-wal").exists()
    assert (await loaded(path)).meta["turn"] == "backup"
    assert (await loaded(done.aside)).meta["turn"] == "in the log only"


async def test_a_damaged_database_is_set_aside_with_its_log(path, backup):
    path.write_bytes(b"SQLite format 3\0" + bytes(4080))
    log = path.with_name("whosin.db-wal")
    log.write_bytes(b"what is left of it")
    done = restore(backup, path, STAMP)
    assert done.aside.read_bytes().startswith(b"SQLite format 3\0\0")
    assert done.aside.with_name(done.aside.name + "-wal").read_bytes() == b"what is left of it"
    assert (await loaded(path)).meta["turn"] == "backup"


async def test_a_log_without_its_database_does_not_get_into_the_restored_one(path, backup):
    path.unlink()
    path.with_name("whosin.db-wal").write_bytes(b"stray" * 100)
    restore(backup, path, STAMP)
    assert path.with_name(f"whosin.db.{STAMP}-set-aside-wal").exists()
    assert (await loaded(path)).meta["turn"] == "backup"


@pytest.mark.linux_root
async def test_as_root_the_files_belong_to_the_owner_of_the_folder(path, backup, tmp_path):
    there = tmp_path / "state" / "whosin.db"
    there.parent.mkdir()
    os.chown(there.parent, 4321, 4322)
    restore(backup, there, STAMP)
    for one in (there, there.with_name("whosin.db.lock")):
        assert (one.stat().st_uid, one.stat().st_gid) == (4321, 4322)


# --- what is not taken ---------------------------------------------------------------------------------


def damage(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(bytes(8192))


def make_newer(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def make_foreign(path):
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE bookmarks (url)")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (damage, "is damaged"),
        (make_newer, "schema version 99, written by Whosin"),
        (make_foreign, "is no backup of Whosin: it is a database of another program"),
        (lambda path: path.write_text("not a database at all" * 500), "not an SQLite database"),
        (lambda path: path.write_bytes(b""), "is no backup of Whosin"),
        (lambda path: path.unlink(), "is not a file"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), "is damaged"),
    ],
    ids=["damaged", "newer", "foreign", "text", "empty", "missing", "half"],
)
async def test_what_is_no_whole_backup_is_refused_and_nothing_changes(path, backup, spoil, words):
    spoil(backup)
    before = names(path), path.read_bytes()
    with pytest.raises((StoreRefused, StoreError), match=words):
        examine(backup)
    with pytest.raises((StoreRefused, StoreError), match=words):
        restore(backup, path, STAMP)
    assert (names(path), path.read_bytes()) == before


async def test_the_database_itself_is_no_backup_of_it(path, backup):
    path.with_name("link.db").symlink_to(path)
    for one in (path, path.with_name("link.db")):
        with pytest.raises(StoreRefused, match="is the database itself"):
            restore(one, path, STAMP)


@pytest.mark.linux_root
async def test_without_room_nothing_is_restored(path, backup, small_disk):
    there = small_disk / "whosin.db"
    with pytest.raises(StoreError, match="MB are needed in") as refused:
        restore(backup, there, STAMP)
    assert refused.value.kind == "full"
    assert not there.exists()


async def test_examining_leaves_nothing_behind_and_changes_nothing(path, backup):
    shutil.copy(path, path.with_name("copied.db"))
    for one in (backup, path.with_name("copied.db")):
        before = names(path), one.read_bytes()
        assert examine(one).version == schema.migrations()[-1].version
        assert (names(path), one.read_bytes()) == before


async def test_a_copy_with_its_log_is_examined_and_restored_with_it(path, backup, tmp_path):
    """As one finds them after a crash: they belong together."""
    store = SqliteStore(path)
    await store.open()
    await store.commit(Changes(sessions={4: rows.session(4)}))
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", tmp_path / f"copied.db{ending}")
    await store.close()
    assert examine(tmp_path / "copied.db").sessions == 4
    there = tmp_path / "elsewhere" / "whosin.db"
    restore(tmp_path / "copied.db", there, STAMP)
    assert len((await loaded(there)).sessions) == 4
    assert not (tmp_path / "copied.db-shm").exists()
