"""A backup put in the place of the database, while no daemon runs; and what a file is, before it is trusted.

Owns the checks, the order of renames, whose the files are, and that no number is given twice. Must
not know where databases lie or who asks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from whosin import __version__
from whosin.errors import StoreError, StoreRefused
from whosin.store import backup, looking, schema
from whosin.store.connection import connect
from whosin.store.faults import store_error
from whosin.store.guard import Guard
from whosin.store.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPARE: Final = 4 * 1024 * 1024
"""Bytes that are to be left over."""
TOKENS_AHEAD: Final = 1_000_000
"""Fencing tokens given since the backup are not known, and none must come twice: so many are skipped."""


class Copy(NamedTuple):
    """What is in a file that was checked. `newest` is the moment of its last event (wall ms), None if it has
    none; `version` is the schema's, `writer` the program's."""

    path: Path
    size: int
    version: int
    writer: str | None
    sessions: int
    events: int
    newest: int | None


class Restored(NamedTuple):
    """`aside` is the former database under its new name, None where there was none."""

    copy: Copy
    database: Path
    aside: Path | None


def examine(path: Path) -> Copy:
    """Read all of a file and say what is in it. It is not changed.

    Raises StoreRefused for what is no database of ours, or of a newer program; StoreError for damage.
    """
    path = path.expanduser().absolute()
    if not path.is_file():
        raise StoreRefused(f"{path} is not a file; expected a backup made by `whosin backup`")
    try:
        with looking.read_only(path) as db:
            return _examined(db, path)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise _not_ours(path, "it is not an SQLite database, or its first page is damaged") from error
        raise _said(error, path) from error
    except OSError as error:
        raise _said(error, path) from error


def _examined(db: sqlite3.Connection, path: Path) -> Copy:
    def one(sql: str) -> int | None:
        value: int | None = db.execute(sql).fetchone()[0]
        return value

    version = one("PRAGMA user_version") or 0
    if one("PRAGMA application_id") != schema.APPLICATION_ID or not version:
        raise _not_ours(path, "it is a database of another program, or an empty one")
    newest = schema.migrations()[-1].version
    if version > newest:
        by = schema.writer(db) or "a newer Whosin"
        raise StoreRefused(
            f"{path} has schema version {version}, written by {by}; this is Whosin {__version__}, which "
            f"knows up to {newest}. Use it with that program, or take an older backup"
        )
    found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreError("corrupt", f"{path} is damaged ({found}); take another backup")
    return Copy(
        path, path.stat().st_size, version, schema.writer(db), one("SELECT count(*) FROM sessions") or 0,
        one("SELECT count(*) FROM events") or 0, one("SELECT max(at) FROM events"),
    )  # fmt: skip


def restore(path: Path, database: Path, stamp: str) -> Restored:
    """Put a copy of the backup in the place of the database, which is renamed, never deleted: with `stamp`.

    Whatever moment the power goes in, there is the former database or the restored one. Raises like
    `examine`, and StoreRefused while a daemon has the database.
    """
    place = Place(database.expanduser().resolve())
    path = path.expanduser().absolute()
    place.make_folder()
    with _guarded(place.path):
        if place.path.exists() and path.exists() and path.samefile(place.path):
            raise StoreRefused(f"{path} is the database itself; expected a backup of it")
        copy = examine(path)
        part = backup.part_of(place.path)
        try:
            _make_sure_of_room(copy, place.path.parent)
            with looking.read_only(path) as db:
                backup.fill(db, part, lambda: False, partial(_begin_anew, copy))
            _hand_over(part)
            aside = _put(part, place, stamp)
        except (sqlite3.Error, OSError) as error:
            raise _said(error, place.path) from error
        finally:
            part.unlink(missing_ok=True)
    return Restored(copy, place.path, aside)


def _begin_anew(copy: Copy, db: sqlite3.Connection) -> None:
    """Events and fencing tokens that were given out since the backup are not in it. Their numbers must not be
    given to something else: events get another beginning of their ids, tokens go on far ahead."""
    db.execute("BEGIN")
    db.execute("UPDATE meta SET value = lower(hex(randomblob(16))) WHERE key = 'store_id'")
    db.execute("UPDATE companies SET token = token + ?", (TOKENS_AHEAD,))
    db.execute(
        "INSERT OR REPLACE INTO meta VALUES ('fence', max("
        "coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'fence'), 0) + ?, "
        "coalesce((SELECT max(token) FROM companies), 0)))",
        (TOKENS_AHEAD,),
    )
    db.execute(schema.to_tell("database.restored", {"file": str(copy.path), "newest": copy.newest}))
    db.execute("COMMIT")


# --- files ---------------------------------------------------------------------------------------------


def _put(part: Path, place: Place, stamp: str) -> Path | None:
    """The log goes first: what is in it would be replayed into whatever file lies beside it."""
    aside = _free_name(place.path.with_name(f"{place.path.name}.{stamp}-set-aside"))
    there = place.path.exists()
    if place.log.exists() and place.log.stat().st_size:
        log = aside.with_name(f"{aside.name}-wal")
        shutil.copy2(place.log, log)
        if there and _fold(place.path):
            log.unlink()
        else:  # of a damaged database SQLite may throw the log away: both stay together as they were
            place.log.unlink(missing_ok=True)
    if there:
        _give_second_name(place.path, aside)
    part.replace(place.path)
    for ending in ("-wal", "-shm", "-journal"):
        place.path.with_name(place.path.name + ending).unlink(missing_ok=True)
    backup.flush(place.path.parent)
    return aside if there else None


def _fold(path: Path) -> bool:
    """Whether all of the log is in the file now."""
    try:
        with contextlib.closing(connect(path)) as db:
            schema.check(db, path)
            busy: int = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            return not busy
    except (sqlite3.Error, StoreError):
        return False


def _give_second_name(path: Path, aside: Path) -> None:
    """So that there is no moment without a database; where files have one name only, there is."""
    try:
        os.link(path, aside)
    except OSError:
        path.replace(aside)


def _free_name(path: Path) -> Path:
    number = 1
    found = path
    while os.path.lexists(found):
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found


def _make_sure_of_room(copy: Copy, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < copy.size + SPARE:
        raise StoreError(
            "full",
            f"nothing was restored: {(copy.size + SPARE) / 1e6:,.1f} MB are needed in {folder}, and "
            f"{free / 1e6:,.1f} MB are free; free some and try again",
        )


@contextlib.contextmanager
def _guarded(database: Path) -> Iterator[None]:
    lock = database.with_name(database.name + ".lock")
    fresh = not lock.exists()
    guard = Guard(lock)
    guard.take()
    if fresh:
        _hand_over(lock)
    try:
        yield
    finally:
        guard.release()


def _hand_over(path: Path) -> None:
    """To the owner of its folder: an administrator restores, and the daemon is another user."""
    if sys.platform != "win32" and os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _not_ours(path: Path, why: str) -> StoreRefused:
    return StoreRefused(f"{path} is no backup of Whosin: {why}")


def _said(error: Exception, path: Path) -> StoreError:
    """Of a copy nobody can be told that it recovers by itself."""
    fault = store_error(error, path)
    name = getattr(error, "sqlite_errorname", None)
    why = f"{name}: {error}" if name else str(getattr(error, "strerror", None) or error)
    words = {"corrupt": "is damaged", "full": "has no space left", "read_only": "cannot be written or read"}
    return StoreError(fault.kind, f"{path} {words.get(fault.kind, 'cannot be read or written')} ({why})")
