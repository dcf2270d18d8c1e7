"""A copy of the living database, proven before it gets its name.

Owns the temporary file and its renaming. Must not know tables.

The copy is made from a connection of its own that holds one snapshot from the first page to the last:
without it, each commit in between would make SQLite begin anew.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whosin.errors import Refused, StoreError
from whosin.store.faults import store_error

if TYPE_CHECKING:
    from collections.abc import Callable

_PAGES: Final = 256
"""Copied in one step, a megabyte; between two the interpreter is let go."""


def copy(db: sqlite3.Connection, source: Path, target: str, stopping: Callable[[], bool]) -> None:
    """Copy, check, flush, and only then name it `target`.

    Raises Refused `exists` or `bad_path`, StoreError with what went wrong at either end.
    """
    path = Path(target).expanduser().absolute()
    _check_target(path)
    part = part_of(path)
    try:
        fill(db, part, stopping)
        _name(part, path)
        flush(path.parent)
    except (sqlite3.Error, OSError) as error:
        if stopping():
            raise StoreError(
                "io", "no backup was made: the daemon is stopping, or its storage is in trouble"
            ) from error
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
        fault = store_error(error, source if damaged else path)
        raise StoreError(fault.kind, f"no backup was made: {fault}") from error
    finally:
        part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """A name for what is not whole yet."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _check_target(path: Path) -> None:
    if os.path.lexists(path):
        raise Refused("exists", f"{path} exists already; a backup overwrites nothing")
    if not path.parent.is_dir():
        raise Refused("bad_path", f"{path.parent} is not a folder; make it first")


def fill(
    db: sqlite3.Connection,
    part: Path,
    stopping: Callable[[], bool],
    change: Callable[[sqlite3.Connection], None] | None = None,
) -> None:
    """Make `part` (0600) a copy of the database, changed if wished, check it and flush it to the disk."""

    def go_on(*_: int) -> None:
        if stopping():
            raise InterruptedError

    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as target:
        target.set_progress_handler(lambda: int(stopping()), 100_000)
        target.execute("PRAGMA synchronous = OFF")  # it is flushed as a whole
        db.execute("BEGIN")
        try:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on the snapshot stands
            db.backup(target, pages=_PAGES, progress=go_on)
        finally:
            db.execute("ROLLBACK")
        target.execute("PRAGMA journal_mode = DELETE")  # one file, that a read-only place can serve too
        if change is not None:
            change(target)
        found = target.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreError("corrupt", f"the database is damaged, so no backup was made of it: {found}")
    flush(part)


def flush(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows flushes names by itself
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _name(part: Path, path: Path) -> None:
    """Rename, but not over a file that has come meanwhile."""
    try:
        os.link(part, path)
    except FileExistsError:
        _check_target(path)
    except OSError:  # a file system without links
        _check_target(path)
        part.rename(path)
