"""Real faults: each is met, told by its kind, loses nothing, and is over when its cause is gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.store import rows
from tests.store.conftest import python
from whosin.errors import StoreError
from whosin.ports import Changes, HistoryQuery
from whosin.store import SqliteStore, sqlite
from whosin.store.connection import connect

linux_root = pytest.mark.linux_root
posix = pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody remove or replace an open file")


async def seqs(store):
    return [row.seq for row in await store.events_after(0, 10_000)]


async def commit_events(store, *numbers, **fields):
    await store.commit(Changes(events=[rows.event(number, **fields) for number in numbers]))


async def refused(store, *numbers, **fields):
    """The StoreError that a commit of these events meets."""
    with pytest.raises(StoreError) as caught:
        await commit_events(store, *numbers, **fields)
    return caught.value


@contextlib.asynccontextmanager
async def opened(path):
    store = SqliteStore(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


# --- a full disk -----------------------------------------------------------------------------------


def fill(folder):
    """A file that takes the rest of the disk."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return ballast


async def until_full(store, first, **fields):
    """Commit one event after the other until the disk is full; the number of the one that failed."""
    number = first
    while True:
        try:
            await commit_events(store, number, **fields)
        except StoreError as fault:
            if fault.kind != "full":
                raise
            return number
        number += 1


@linux_root
async def test_a_full_disk_is_full_until_there_is_space_and_nothing_of_the_failed_commit_stays(small_disk):
    async with opened(small_disk / "whosin.db") as store:
        await commit_events(store, 1)
        ballast = fill(small_disk)
        failed = await until_full(store, 2, data=bytes(9000))
        fault = await refused(store, failed, failed + 1, data=bytes(9000))
        assert fault.kind == "full"
        assert "free some and it goes on by itself" in str(fault)
        assert await seqs(store) == list(range(1, failed))
        ballast.unlink()
        await commit_events(store, failed, failed + 1, data=bytes(9000))
        assert await seqs(store) == list(range(1, failed + 2))
    async with opened(small_disk / "whosin.db") as store:
        assert await seqs(store) == list(range(1, failed + 2))


@linux_root
async def test_a_commit_too_large_for_the_disk_leaves_room_for_smaller_ones(small_disk):
    async with opened(small_disk / "whosin.db") as store:
        fault = await refused(store, *range(1, 1000), data=bytes(9000))
        assert fault.kind == "full"
        assert await seqs(store) == []
        await commit_events(store, 1)
        assert await seqs(store) == [1]


@linux_root
async def test_a_full_disk_goes_on_as_long_as_the_folded_log_can_be_written_anew(small_disk):
    """Overwriting takes no space: once the log is folded into the file, it starts from its beginning."""
    async with opened(small_disk / "whosin.db") as store:
        await store.commit(Changes(meta={"big": "x" * 4000, "turn": ""}))
    async with opened(small_disk / "whosin.db") as store:
        for turn in range(20):
            await store.commit(Changes(meta={"big": "x" * 4000, "turn": str(turn)}))
        fill(small_disk)
        failures = 0
        for turn in range(100):
            try:
                await store.commit(Changes(meta={"big": "y" * 4000, "turn": str(turn)}))
            except StoreError as fault:
                failures += 1 if fault.kind == "full" else 100
        assert failures < 20


@linux_root
async def test_a_disk_too_full_to_open_on_says_so_and_opens_later(small_disk):
    ballast = fill(small_disk)
    store = SqliteStore(small_disk / "whosin.db")
    with pytest.raises(StoreError) as caught:
        await store.open()
    assert caught.value.kind == "full"
    ballast.unlink()
    await store.open()
    await store.close()


@linux_root
async def test_a_backup_that_finds_no_space_leaves_nothing_and_harms_nothing(small_disk, path):
    async with opened(path) as store:
        await commit_events(store, *range(1, 600), data=bytes(9000))
        with pytest.raises(StoreError, match=r"no backup was made.*no space") as caught:
            await store.backup(str(small_disk / "backup.db"))
        assert caught.value.kind == "full"
        assert list(small_disk.iterdir()) == []
        await commit_events(store, 600)


# --- read-only -------------------------------------------------------------------------------------


def remount(folder, how):
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


@linux_root
async def test_a_disk_mounted_read_only_is_told_at_opening_and_opens_when_writable(small_disk):
    async with opened(small_disk / "whosin.db") as store:
        await commit_events(store, 1)
    remount(small_disk, "ro")
    store = SqliteStore(small_disk / "whosin.db")
    for _ in range(2):
        with pytest.raises(StoreError, match="goes on by itself") as caught:
            await store.open()
        assert caught.value.kind == "read_only"
    remount(small_disk, "rw")
    await store.open()
    assert await seqs(store) == [1]
    await store.close()


@contextlib.contextmanager
def immutable(folder):
    """What makes even root's writes fail, also to files that are open."""
    names = [str(folder), *map(str, folder.iterdir())]
    subprocess.run(["chattr", "+i", *names], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *names], check=True)


@linux_root
async def test_files_that_become_read_only_under_way_are_told_and_written_again_when_they_may(ext4_disk):
    folder = ext4_disk / "data"
    async with opened(folder / "whosin.db") as store:
        await commit_events(store, 1)
        with immutable(folder):
            for _ in range(3):
                assert (await refused(store, 2)).kind == "read_only"
        await commit_events(store, 2)
        assert await seqs(store) == [1, 2]
    async with opened(folder / "whosin.db") as store:
        assert await seqs(store) == [1, 2]


@linux_root
async def test_a_disk_that_failed_is_read_only_and_all_that_was_acknowledged_is_on_it(ext4_disk):
    """ext4 lets itself be told that it found an error; then it takes no more writes until it is checked."""
    trigger = error_trigger(ext4_disk)
    async with opened(ext4_disk / "whosin.db") as store:
        await commit_events(store, 1)
        os.sync()
        trigger.write_text("1")
        for _ in range(3):
            assert (await refused(store, 2)).kind == "read_only"
            assert await seqs(store) == [1], "reading goes on"
    check_and_mount_again(ext4_disk)
    async with opened(ext4_disk / "whosin.db") as store:
        assert await seqs(store) == [1]
        await commit_events(store, 2)


def error_trigger(disk):
    source = subprocess.run(
        ["findmnt", "-no", "SOURCE", str(disk)], capture_output=True, text=True, check=True
    ).stdout.strip()
    trigger = Path(f"/sys/fs/ext4/{Path(source).name}/trigger_fs_error")
    if not trigger.exists():
        pytest.skip("NOT PROVEN HERE: this kernel's ext4 has no trigger_fs_error")
    return trigger


def check_and_mount_again(disk):
    subprocess.run(["umount", str(disk)], check=True)
    subprocess.run(["e2fsck", "-fy", f"{disk}.img"], capture_output=True, check=False)
    subprocess.run(["mount", "-o", "loop", f"{disk}.img", str(disk)], check=True)


AS_NOBODY = """
import asyncio, os, sys
from whosin.errors import StoreError
from whosin.store import SqliteStore
os.setgroups([]); os.setgid(65534); os.setuid(65534)
async def main():
    try:
        await SqliteStore(sys.argv[1]).open()
    except StoreError as fault:
        print(fault.kind)
asyncio.run(main())
"""


@linux_root
async def test_an_ordinary_user_who_may_not_write_is_told_so(tmp_path):
    folder = tmp_path / "data"
    async with opened(folder / "whosin.db"):
        pass
    for part in (folder, *folder.parents):
        if part.is_relative_to(tmp_path.parents[1]):
            part.chmod(0o755)
    for name in folder.iterdir():
        name.chmod(0o644)
    with python(AS_NOBODY, folder / "whosin.db", stdout=subprocess.PIPE) as other:
        assert other.stdout.read() == b"read_only\n"


# --- locked ----------------------------------------------------------------------------------------

HOLD_LOCK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
db.execute("BEGIN " + sys.argv[2])
db.execute("SELECT count(*) FROM meta").fetchone()
print("locked", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("how", ["DEFERRED", "IMMEDIATE", "EXCLUSIVE"])
async def test_a_database_that_another_program_uses_is_locked_until_it_lets_go(path, how):
    async with opened(path) as store:
        await commit_events(store, 1)
    with python(HOLD_LOCK, path, how, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline().strip() == b"locked"
        again = SqliteStore(path)
        for _ in range(2):
            with pytest.raises(StoreError, match="close that program") as caught:
                await again.open()
            assert caught.value.kind == "locked"
        other.communicate(b"\n")
    async with opened(path) as store:
        assert await seqs(store) == [1]


@posix
async def test_no_other_program_gets_into_an_open_store(store, path):
    await commit_events(store, 1)
    with python(HOLD_LOCK, path, "IMMEDIATE", stderr=subprocess.PIPE) as other:
        assert b"database is locked" in other.communicate()[1]
    await commit_events(store, 2)


async def test_a_lock_of_a_stranger_is_met_by_each_commit_until_it_is_gone(store, path):
    with contextlib.closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            fault = await refused(store, 1)
            assert fault.kind == "locked"
        assert await seqs(store) == [], "reading goes on"
        other.execute("ROLLBACK")
        await commit_events(store, 2)
    assert await seqs(store) == [2]


# --- damage ----------------------------------------------------------------------------------------

PAGE = 4096


def flip(path, at, count=64):
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(count)
        file.seek(at)
        file.write(bytes(byte ^ 0xFF for byte in old))


def root_page(path, table):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]


async def filled(path):
    """A closed store with sessions and enough events for a table of many pages."""
    async with opened(path) as store:
        await store.commit(Changes(sessions={key: rows.session(key) for key in range(1, 200)}))
        await commit_events(store, *range(1, 3000))


@pytest.mark.parametrize("at", [0, 16, 40, 100], ids=lambda at: f"byte {at}")
async def test_a_damaged_first_page_is_refused_or_told_as_damage(path, at):
    await filled(path)
    flip(path, at, 16)
    with pytest.raises(Exception, match=r"damaged|newer Whosin|another program") as caught:
        await SqliteStore(path).open()
    assert type(caught.value).__name__ in {"StoreRefused", "StoreError"}


async def test_damage_in_what_is_loaded_is_told_at_opening(path):
    await filled(path)
    flip(path, (root_page(path, "sessions") - 1) * PAGE)
    store = SqliteStore(path)
    for _ in range(2):
        with pytest.raises(StoreError, match="put back the newest backup") as caught:
            await store.open()
        assert caught.value.kind == "corrupt"


def _has_dbstat() -> bool:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        return bool(db.execute("SELECT sqlite_compileoption_used('ENABLE_DBSTAT_VTAB')").fetchone()[0])


async def test_damage_in_the_history_is_told_when_it_is_touched_and_everything_else_goes_on(path):
    await filled(path)
    flip(path, (root_page(path, "events") - 1) * PAGE)
    store = SqliteStore(path)
    with pytest.raises(StoreError) as caught:  # the newest number is there
        await store.open()
    assert caught.value.kind == "corrupt"


@pytest.mark.skipif(not _has_dbstat(), reason="needs SQLite with dbstat")
async def test_damage_in_a_page_of_old_events_is_told_to_who_reads_them_and_commits_go_on(path):
    await filled(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        first = db.execute(
            "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' LIMIT 1 OFFSET 3"
        )
        page = first.fetchone()[0]
    flip(path, (page - 1) * PAGE)
    async with opened(path) as store:
        for _ in range(2):
            with pytest.raises(StoreError, match="damaged") as caught:
                await store.history(HistoryQuery(limit=5000))
            assert caught.value.kind == "corrupt"
        await commit_events(store, 3000)
        assert (await store.history(HistoryQuery(limit=1)))[0].seq == 3000
        with pytest.raises(StoreError, match="damaged") as caught:
            await store.backup(str(path.with_name("backup.db")))
        assert caught.value.kind == "corrupt"
        assert sorted(name.name for name in path.parent.iterdir() if "backup" in name.name) == []


COMMIT_AND_DIE = """
import asyncio, os, signal, sys
from tests.store import rows
from whosin.ports import Changes
from whosin.store import SqliteStore
async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    for number in range(1, 41):
        await store.commit(Changes(events=[rows.event(number)], meta={"last": str(number)}))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


@posix
async def test_a_damaged_log_opens_with_all_that_was_stored_before_the_damage(path):
    with python(COMMIT_AND_DIE, path) as other:
        other.wait()
    log = path.with_name(path.name + "-wal")
    flip(log, log.stat().st_size * 3 // 4)
    async with opened(path) as store:
        found = await seqs(store)
        assert 0 < len(found) < 40
        assert found == list(range(1, len(found) + 1))
        await commit_events(store, 40)
    async with opened(path) as store:
        assert await seqs(store) == [*found, 40]


@posix
async def test_a_log_cut_short_or_lost_after_a_crash_opens(path):
    with python(COMMIT_AND_DIE, path) as other:
        other.wait()
    log = path.with_name(path.name + "-wal")
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 5000)
    async with opened(path) as store:
        found = await seqs(store)
        assert found == list(range(1, len(found) + 1))


# --- files taken away ------------------------------------------------------------------------------


@posix
async def test_a_removed_file_is_told_rather_than_written_without_a_name(store, path):
    await commit_events(store, 1)
    path.unlink()
    for _ in range(2):
        fault = await refused(store, 2)
        assert fault.kind == "io"
    assert not path.exists(), "an empty one in its place would hide the loss"


@posix
async def test_a_file_that_was_renamed_is_written_again_once_it_is_back(store, path):
    await commit_events(store, 1)
    path.rename(path.with_name("away"))
    fault = await refused(store, 2)
    assert "put that very file back" in str(fault)
    assert (await refused(store, 2)).kind == "io"
    path.with_name("away").rename(path)
    await commit_events(store, 2)
    assert await seqs(store) == [1, 2]


@posix
async def test_another_file_in_its_place_is_left_alone_until_a_restart(store, path, tmp_path):
    await commit_events(store, 1)
    await store.backup(str(tmp_path / "backup.db"))
    await commit_events(store, 2)
    (tmp_path / "backup.db").replace(path)
    for _ in range(2):
        assert "restart the daemon" in str(await refused(store, 3))
    await store.close()
    async with opened(path) as again:
        assert await seqs(again) == [1]


@posix
async def test_a_log_that_was_removed_is_saved_into_the_file(store, path):
    await commit_events(store, 1)
    path.with_name(path.name + "-wal").unlink()
    assert "was removed while in use" in str(await refused(store, 2))
    await commit_events(store, 2)
    assert await seqs(store) == [1, 2]
    copied = path.with_name("copy.db")
    await store.close()
    shutil.copy(path, copied)
    async with opened(copied) as again:
        assert await seqs(again) == [1, 2]


# --- faults and the commits around them ------------------------------------------------------------


async def test_commits_that_wait_behind_a_fault_are_done_or_told(store, path):
    """Whatever the connection goes through, each caller gets its own answer."""
    with contextlib.closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        tasks = [asyncio.create_task(commit_events(store, number)) for number in range(1, 4)]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        other.execute("ROLLBACK")
    assert [getattr(answer, "kind", None) for answer in done] == ["locked"] * 3
    await commit_events(store, 9)
    assert await seqs(store) == [9]


@linux_root
async def test_readers_and_writers_at_once_survive_a_fault_that_renews_the_connections(ext4_disk):
    folder = ext4_disk / "data"
    async with opened(folder / "whosin.db") as store:
        await commit_events(store, 1)
        with immutable(folder):
            calls = [commit_events(store, 2), store.session("x"), commit_events(store, 3), seqs(store)] * 5
            await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 30)
        await commit_events(store, 2, 3)
        assert await seqs(store) == [1, 2, 3]


async def test_a_cancelled_commit_that_fails_leaves_the_next_one_alone(store, path):
    with contextlib.closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(commit_events(store, 1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        other.execute("ROLLBACK")
    await commit_events(store, 2)
    assert 2 in await seqs(store)


# --- the log ---------------------------------------------------------------------------------------


async def test_the_log_is_folded_into_the_file_beside_the_commits(store, path):
    log = path.with_name(path.name + "-wal")
    longest = 0
    for number in range(1, 251):
        await commit_events(store, number, data=bytes(250_000))
        longest = max(longest, log.stat().st_size)
    assert longest < 40 << 20, "of the 62 MB that were written"
    assert len(await seqs(store)) == 250


async def test_somebody_reading_an_old_snapshot_only_makes_the_log_longer(store, path, monkeypatch):
    monkeypatch.setattr(sqlite, "LONGEST_LOG", 1 << 18)
    store._fold_at = 1 << 18
    await commit_events(store, 1)
    with contextlib.closing(connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        for number in range(2, 60):
            await commit_events(store, number, data=bytes(50_000))
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
    for number in range(60, 120):
        await commit_events(store, number, data=bytes(50_000))
    assert len(await seqs(store)) == 119
