"""Before an upgrade a copy is kept; an older program is refused a newer database and told of that copy."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat

import pytest

from tests.store.fixtures import kept, story
from whosin import __version__
from whosin.errors import StoreError, StoreRefused
from whosin.store import SqliteStore, keeping, schema

NEWEST = schema.migrations()[-1].version


async def opened(path):
    store = SqliteStore(path)
    await store.open()
    await store.close()


def content(path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def make_newer(path, version: int = 99, program: str | None = "9.9.9"):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
        if program is None:
            db.execute("DELETE FROM meta WHERE key = 'program'")
        else:
            db.execute("UPDATE meta SET value = ? WHERE key = 'program'", (program,))
        db.commit()


# --- the kept copy -------------------------------------------------------------------------------------


async def test_before_an_upgrade_a_copy_of_what_was_is_kept_for_the_owner_only(path):
    kept.build(NEWEST - 1, path)
    before = content(path)
    await opened(path)
    copy = path.with_name(f"whosin.db.v{NEWEST - 1}-before-upgrade")
    assert content(copy) == before
    if os.name != "nt":
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (NEWEST - 1,)


async def test_no_copy_is_made_of_a_new_database_nor_of_one_that_is_up_to_date(path):
    await opened(path)
    await opened(path)
    assert keeping.kept(path) == {}


async def test_only_the_newest_copies_are_kept(path):
    for version in kept.versions()[:-1]:
        path.unlink(missing_ok=True)
        kept.build(version, path)
        await opened(path)
    assert list(keeping.kept(path)) == kept.versions()[:-1][-keeping.KEPT :]


async def test_an_upgrade_done_again_replaces_its_copy(path):
    kept.build(1, path)
    path.with_name("whosin.db.v1-before-upgrade").write_text("of another time")
    before = content(path)
    await opened(path)
    assert content(path.with_name("whosin.db.v1-before-upgrade")) == before


async def test_an_upgrade_that_fails_leaves_the_copy_and_the_database(path, monkeypatch):
    await opened(path)
    bad = (*schema.migrations(), schema.Migration(NEWEST + 1, "bad.sql", "INSERT INTO nowhere VALUES (1);"))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: bad)
        with pytest.raises(StoreError, match="nowhere"):
            await opened(path)
    assert list(keeping.kept(path)) == [NEWEST]
    await opened(path)


async def test_a_damaged_database_is_not_upgraded(path):
    kept.build(1, path)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(8192))
    with pytest.raises(StoreError) as refused:
        await opened(path)
    assert refused.value.kind == "corrupt"
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert keeping.kept(path) == {}


@pytest.mark.linux_root
async def test_without_room_for_the_copy_nothing_is_upgraded_and_it_says_how_much_is_needed(
    small_disk,
):
    path = small_disk / "whosin.db"
    kept.build(1, path)
    with pytest.raises(StoreError, match=r"was not upgraded: .*take up to \d\.\d MB .*free some") as refused:
        await opened(path)
    assert refused.value.kind == "full"
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert keeping.kept(path) == {}


# --- downgrade -------------------------------------------------------------------------------------------


async def test_a_newer_database_is_refused_with_who_wrote_it_and_the_way_back(path):
    kept.build(NEWEST - 1, path)
    await opened(path)
    make_newer(path)
    before = path.read_bytes()
    with pytest.raises(StoreRefused) as refused:
        await SqliteStore(path).open()
    copy = path.with_name(f"whosin.db.v{NEWEST - 1}-before-upgrade")
    assert str(refused.value) == (
        f"{path} has schema version 99, written by Whosin 9.9.9; this is Whosin {__version__}, which knows "
        f"up to {NEWEST}. It was left as it is. Run the newer Whosin again, or put back the copy from before "
        f"the upgrade, without what happened since: whosin restore {copy} --database {path}"
    )
    assert path.read_bytes() == before


async def test_a_copy_that_is_too_new_as_well_is_not_named(path):
    await opened(path)
    make_newer(path, program=None)
    path.with_name("whosin.db.v98-before-upgrade").touch()
    with pytest.raises(StoreRefused, match=r"by a newer Whosin; .*a backup from before .*restore FILE"):
        await opened(path)


async def test_each_start_leaves_its_version_in_the_database(path):
    await opened(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert schema.writer(db) == f"Whosin {__version__}"
        db.execute("UPDATE meta SET value = '0.0.1' WHERE key = 'program'")
        db.commit()
    await opened(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert schema.writer(db) == f"Whosin {__version__}"


def test_a_daemon_refuses_a_newer_database_and_the_command_that_it_names_leads_back(
    tmp_path,
):
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "whosin.db"
    kept.build(NEWEST - 1, path)
    daemon = story.daemon(tmp_path, tmp_path / "data", fast=False).start()
    daemon.stop()
    make_newer(path)
    process = daemon.launch()
    assert process.wait(30) == 1
    said = daemon.log.read_text().splitlines()[-1]
    assert said.startswith(f"whosin: cannot start: {path} has schema version 99, written by Whosin 9.9.9; ")
    command = f"whosin restore {path}.v{NEWEST - 1}-before-upgrade --database {path}"
    assert said.endswith(command)
    daemon.whosin(*command.split()[1:], "--yes")
    daemon.start()
    assert daemon.status("carl") == "disconnected"
    daemon.stop()
