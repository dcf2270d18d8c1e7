"""Versions of the schema: numbered SQL files, applied in order, all or none.

Owns `user_version` and `application_id`, and the decision whether a file is ours. Must not know the rows.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final, NamedTuple

from whosin.errors import StoreError, StoreRefused

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

APPLICATION_ID: Final = int.from_bytes(b"WHOS", "big")
"""Marks a file as ours (set by the first migration)."""


_LOADED_TABLES: Final = (
    "meta", "sessions", "beats", "companies", "locks", "wants", "holds", "accounts", "tokens", "observers",
    "followups",
    "operators", "web_sessions",
)  # fmt: skip


class Migration(NamedTuple):
    version: int
    name: str
    sql: str


def migrations() -> tuple[Migration, ...]:
    """All that this program knows, from `migrations/NNNN_name.sql`, by version from 1 without gaps."""
    files = resources.files("whosin.store").joinpath("migrations").iterdir()
    known = sorted(
        Migration(int(file.name[:4]), file.name, file.read_text(encoding="utf-8"))
        for file in files
        if file.name.endswith(".sql")
    )
    assert [step.version for step in known] == list(range(1, len(known) + 1)), "numbered 1, 2, …"
    return tuple(known)


def refuse_strangers(db: sqlite3.Connection, path: Path, newest: int) -> None:
    """Raises StoreRefused, before anything is changed, for a newer schema and for another program's file."""
    version = _number(db, "PRAGMA user_version")
    found = _number(db, "PRAGMA application_id")
    empty = version == found == 0 and not _number(db, "SELECT count(*) FROM sqlite_master")
    if found != APPLICATION_ID and not empty:
        raise StoreRefused(
            f"{path} is a database of another program (application id {found}, expected {APPLICATION_ID}); "
            "it was left as it is. Set `store.url` to a file of its own"
        )
    if version > newest:
        raise StoreRefused(
            f"{path} has schema version {version}, made by a newer Whosin; this one knows up to {newest}. "
            "Run the newer Whosin again, or put back a backup from before the upgrade"
        )


def use_log(db: sqlite3.Connection, path: Path) -> None:
    """Write ahead, so that readers and the writer do not wait for each other; the file remembers it."""
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreRefused(
            f"{path}: SQLite cannot keep a write-ahead log there (journal mode {mode}); "
            "set `store.url` to a file on a local disk"
        )


def migrate(db: sqlite3.Connection, known: Sequence[Migration]) -> None:
    """Bring the file to the newest version, in one transaction."""
    version = _number(db, "PRAGMA user_version")
    steps = [step for step in known if step.version > version]
    if not steps:
        return
    script = "\n".join(step.sql for step in steps)
    try:
        db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {steps[-1].version};\nCOMMIT;")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def check(db: sqlite3.Connection, path: Path) -> None:
    """Raises StoreError (corrupt) if what is loaded at each start is damaged. What is only history is not
    looked at: it may be a thousand times as large, and its damage shows when it is touched."""
    for table in _LOADED_TABLES:
        found = db.execute(f"PRAGMA quick_check('{table}')").fetchone()[0]
        if found != "ok":
            raise StoreError(
                "corrupt",
                f"{path} is damaged ({table}: {found}); keep a copy of it and put back the newest backup",
            )


def _number(db: sqlite3.Connection, sql: str) -> int:
    row = db.execute(sql).fetchone()
    assert row is not None
    value: int = row[0]
    return value
