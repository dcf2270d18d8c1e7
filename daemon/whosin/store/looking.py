"""A look at a database that no daemon has open, and at who has. Changes nothing.

Owns how a file is read without leaving anything beside it. Must not know what the findings mean to anybody.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from whosin.errors import StoreError, StoreRefused
from whosin.store import schema
from whosin.store.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_BYTES = 256 * 1024 * 1024
"""Of a larger file only the tables that every start reads are checked."""


class Holder(NamedTuple):
    """`pid` is None where it could not be read."""

    pid: int | None


class Look(NamedTuple):
    """`newest` is the moment of the last event (wall ms); `damage` what is wrong, None for nothing."""

    version: int
    known: int
    writer: str | None
    newest: int | None
    operators: int
    cleanup: str | None
    damage: str | None


def holder(database: Path) -> Holder | None:
    """The daemon that has it open. Raises OSError where this user may not know."""
    lock = database.with_name(database.name + ".lock")
    if not lock.exists():
        return None
    guard = Guard(lock, record=False)
    try:
        guard.take()
    except StoreRefused:
        text = lock.read_text(encoding="ascii", errors="replace").strip()
        return Holder(int(text) if text.isdigit() else None)
    guard.release()
    return None


def look(database: Path) -> Look:
    """Raises StoreRefused for another or a newer program's, StoreError where it cannot be read."""
    try:
        return _look(database)
    except (sqlite3.Error, OSError) as error:
        kind = "corrupt" if isinstance(error, sqlite3.DatabaseError) else "io"
        kind = "io" if isinstance(error, sqlite3.OperationalError) else kind
        raise StoreError(kind, str(getattr(error, "strerror", None) or error)) from error


def _look(database: Path) -> Look:
    with read_only(database) as db:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        known = schema.migrations()[-1].version
        if not version and not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return Look(0, known, None, None, 0, None, None)
        schema.refuse_strangers(db, database, known)
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        operators = db.execute("SELECT count(*) FROM operators").fetchone()[0] if "operators" in tables else 0
        cleanup = db.execute("SELECT value FROM meta WHERE key = 'cleanup'").fetchone()
        return Look(
            version, known, schema.writer(db), db.execute("SELECT max(at) FROM events").fetchone()[0],
            operators, cleanup[0] if cleanup else None, _damage(db, database, tables),
        )  # fmt: skip


def _damage(db: sqlite3.Connection, database: Path, tables: set[str]) -> str | None:
    small = database.stat().st_size <= MOST_BYTES
    for table in [""] if small else sorted(tables & set(schema.LOADED_TABLES)):
        found = db.execute(f"PRAGMA quick_check('{table}')" if table else "PRAGMA quick_check(1)").fetchone()[
            0
        ]
        if found != "ok":
            return str(found).replace("\n", " ")
    return None


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Without leaving anything beside the file. Where it has a log, as after a crash, that counts too."""
    log, index = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
    logged = log.exists() and log.stat().st_size > 0
    fresh_index = not index.exists()
    mode = "mode=ro" if logged else "mode=ro&immutable=1"
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.as_uri()}?{mode}", isolation_level=None, uri=True)
        ) as db:
            yield db
    finally:
        if logged and fresh_index:
            index.unlink(missing_ok=True)
