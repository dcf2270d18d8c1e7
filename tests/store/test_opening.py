"""Making, guarding, migrating and checking the file."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys

import pytest

from tests.store import rows
from tests.store.rows import NOON
from whosin.errors import StoreError, StoreRefused
from whosin.ports import Changes, HistoryQuery, SessionRow
from whosin.store import SqliteStore, schema, search
from whosin.store import statements as sql

posix = pytest.mark.skipif(os.name == "nt", reason="file modes are POSIX")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@posix
async def test_folder_and_files_are_for_the_owner_only(tmp_path):
    old = os.umask(0)
    try:
        store = SqliteStore(tmp_path / "a" / "b" / "whosin.db")
        await store.open()
        await store.commit(Changes(meta={"a": "b"}))
    finally:
        os.umask(old)
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == [0o700, 0o700]
    assert {path.name: mode(path) for path in (tmp_path / "a" / "b").iterdir()} == {
        "whosin.db": 0o600, "whosin.db-wal": 0o600, "whosin.db.lock": 0o600,
    }  # fmt: skip
    await store.close()


@posix
async def test_a_folder_that_was_there_keeps_its_mode(tmp_path):
    (tmp_path / "a").mkdir(mode=0o755)
    (tmp_path / "a").chmod(0o755)
    store = SqliteStore(tmp_path / "a" / "whosin.db")
    await store.open()
    await store.close()
    assert mode(tmp_path / "a") == 0o755


async def test_a_path_may_hold_any_character(tmp_path):
    folder = tmp_path / ("Daten % # ä" if sys.platform == "win32" else "Daten % ? # ä")
    store = SqliteStore(folder / "who's in.db")
    await store.open()
    await store.close()
    assert (folder / "who's in.db").stat().st_size > 0


async def test_commits_are_synced_and_logged_ahead(store):
    def settings(db):
        return [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

    assert await store._writer.run(settings) == ["wal", 2]


async def test_what_the_store_keeps_in_memory_for_the_next_time_is_small(store):
    """Pages of the file, for each connection; and statements, which SQLite keeps with their last values."""
    for channel in (store._writer, store._reader):
        kib = await channel.run(lambda db: -db.execute("PRAGMA cache_size").fetchone()[0])
        assert 0 < kib <= 1_024
    assert max(rows for rows, _ in sql.PUT_SESSION.forms) * len(SessionRow._fields) < 10_000


# --- two daemons -----------------------------------------------------------------------------------


async def test_a_second_opener_is_refused_and_told_who_has_it(store, path):
    second = SqliteStore(path)
    with pytest.raises(StoreRefused, match=rf"in use by another daemon \(process {os.getpid()}\)"):
        await second.open()
    await store.commit(Changes(meta={"still": "works"}))
    await store.close()
    assert (await second.open()).meta == {"still": "works"}
    await second.close()


@posix
async def test_a_second_opener_through_a_link_is_refused(store, path, tmp_path):
    (tmp_path / "link.db").symlink_to(path)
    with pytest.raises(StoreRefused, match="in use"):
        await SqliteStore(tmp_path / "link.db").open()


HOLD = """
import asyncio, sys
from whosin.store import SqliteStore
async def main():
    await SqliteStore(sys.argv[1]).open()
    print("open", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@posix
async def test_the_guard_is_gone_with_a_killed_daemon(path):
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as other:  # noqa: ASYNC220
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StoreRefused, match=f"process {other.pid}"):
            await SqliteStore(path).open()
        other.send_signal(signal.SIGKILL)
    store = SqliteStore(path)
    await store.open()
    await store.close()


FORGET = """
import asyncio, sys
from whosin.store import SqliteStore
async def main():
    global store
    store = SqliteStore(sys.argv[1])
    await store.open()
    raise SystemExit(7)
asyncio.run(main())
"""


def test_a_program_that_dies_without_closing_does_not_hang(path):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORGET, path], timeout=30, check=False)
    assert done.returncode == 7


# --- what is not ours ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"[daemon]\nname = 'x'\n" * 99, b"x", b"SQLite format 3\0" + bytes(4080)]
)
async def test_a_file_that_is_no_database_is_refused_and_left_alone(path, content):
    path.write_bytes(content)
    with pytest.raises(StoreRefused, match="not an SQLite database"):
        await SqliteStore(path).open()
    assert path.read_bytes() == content


async def test_another_programs_database_is_refused_and_left_alone(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE bookmarks (url)")
    before = path.read_bytes()
    with pytest.raises(StoreRefused, match="another program"):
        await SqliteStore(path).open()
    assert path.read_bytes() == before


async def test_a_folder_in_the_place_of_the_file_is_a_store_error(path):
    path.mkdir()
    with pytest.raises(StoreError):
        await SqliteStore(path).open()


async def test_a_refused_open_lets_go_of_everything(path):
    path.write_bytes(b"no database, surely not" * 100)
    store = SqliteStore(path)
    for _ in range(2):
        with pytest.raises(StoreRefused, match="not an SQLite database"):
            await store.open()
    path.unlink()
    await store.open()
    await store.close()


# --- versions --------------------------------------------------------------------------------------


async def made(path, **meta):
    store = SqliteStore(path)
    await store.open()
    await store.commit(Changes(meta=meta))
    await store.close()


def version(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


def test_migrations_are_numbered_without_gaps():
    known = schema.migrations()
    assert [step.version for step in known] == list(range(1, len(known) + 1))
    assert known[0].name == "0001_first.sql"


async def test_a_newer_schema_is_refused_with_both_versions_and_the_way_back(path):
    await made(path)
    newest = version(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(
        StoreRefused, match=rf"version 99.* up to {newest}\. .*newer Whosin again.*backup from before"
    ):
        await SqliteStore(path).open()
    assert version(path) == 99


async def test_an_upgrade_takes_the_missing_steps_only(path, monkeypatch):
    await made(path, kept="yes")
    newest = schema.migrations()[-1].version
    steps = (*schema.migrations(), schema.Migration(newest + 1, "more.sql", "CREATE TABLE more (a);"))
    monkeypatch.setattr(schema, "migrations", lambda: steps)
    store = SqliteStore(path)
    meta = (await store.open()).meta
    assert (meta.pop("kept"), meta.keys()) == ("yes", {"untold"})
    await store.close()
    assert version(path) == newest + 1


async def test_an_older_database_is_searched_by_resource_after_the_upgrade(path):
    first, *_ = schema.migrations()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(f"{first.sql}; PRAGMA user_version = 1")
        for seq, data in ((1, b'{"resource":"sales-order/1"}'), (2, b"{}")):
            values = (seq, NOON, "lock.granted", "n", "c", "s", "u", None, None, data)
            db.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?)", values)
        db.commit()
    store = SqliteStore(path)
    await store.open()
    assert [row.seq for row in await store.history(HistoryQuery(resource="sales-order"))] == [1]
    assert [row.resource for row in await store.events_after(0, 9)] == ["sales-order/1", None]
    await store.close()


async def test_what_observers_have_left_is_told_from_the_moments_of_an_older_database(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        for step in schema.migrations()[:5]:
            db.executescript(step.sql)
        db.execute("PRAGMA user_version = 5")
        db.execute("INSERT INTO meta VALUES ('clock', ?)", (str(NOON),))
        for name, expires in (("a", NOON + 60_000), ("b", NOON - 7_200_000)):
            db.execute("INSERT INTO observers VALUES (?, NULL, '{}', 3, ?)", (name, expires))
        db.commit()
    store = SqliteStore(path)
    rows = (await store.open()).observers
    await store.close()
    assert {row.client_id: row.left_ms for row in rows} == {"a": 60_000, "b": 1}


async def test_a_migration_that_fails_leaves_the_old_version_as_it_was(path, monkeypatch):
    await made(path, kept="yes")
    known = schema.migrations()
    good, worse = len(known) + 1, len(known) + 2
    bad = (
        *known,
        schema.Migration(good, "good.sql", "CREATE TABLE more (a); DELETE FROM meta;"),
        schema.Migration(worse, "bad.sql", "CREATE TABLE still_more (a); INSERT INTO nowhere VALUES (1);"),
    )
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: bad)
        with pytest.raises(StoreError, match="nowhere"):
            await SqliteStore(path).open()
    assert version(path) == len(known)
    store = SqliteStore(path)
    assert (await store.open()).meta == {"kept": "yes"}
    await store.close()


async def test_a_first_migration_that_fails_leaves_an_empty_file_that_opens_later(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: (schema.Migration(1, "0001.sql", "CREATE TABLE a (b"),))
        with pytest.raises(StoreError):
            await SqliteStore(path).open()
    await made(path, now="works")


# --- indexes that searches rely on -----------------------------------------------------------------


async def test_searches_by_id_go_through_their_indexes(store):
    """They are in shelves: only the exact expression finds them."""

    def plan(db, statement, values):
        return " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values))

    ended = await store._reader.run(plan, sql.ENDED_AMONG, ("[]",))
    assert "SEARCH ended USING INDEX ended_sessions_by_id (<expr>=? AND id=?)" in ended
    wanted = search.events(HistoryQuery(session="x"))
    statement = f"SELECT 1 FROM {wanted.shortcut} WHERE {wanted.where}"
    history = await store._reader.run(plan, statement, {**wanted.values, "low": 1, "high": 9})
    assert "INDEX events_by_session (<expr>=? AND session=? AND rowid>? AND rowid<?)" in history
    wanted = search.events(HistoryQuery(resource="x"))
    statement = f"SELECT 1 FROM {wanted.shortcut} WHERE {wanted.where}"
    history = await store._reader.run(plan, statement, {**wanted.values, "low": 1, "high": 9})
    assert "INDEX events_by_resource (<expr>=? AND resource>? AND resource<?)" in history


async def test_ids_are_found_on_every_shelf(store):
    keys = [1, 65_535, 65_536, 500_000]
    await store.commit(Changes(sessions={key: rows.ended(key) for key in keys}))
    assert sorted(row.key for row in (await store.find_ended([f"id-{key}" for key in keys])).values()) == keys
