"""Versions of the schema: numbered SQL files, applied in order, all or none.

Owns `user_version` and `application_id`, and the decision whether a file is ours. Must not know the rows.
"""

from __future__ import annotations

import json
import shlex
from importlib import resources
from typing import TYPE_CHECKING, Final, NamedTuple

from whosin import __version__
from whosin.errors import StoreError, StoreRefused
from whosin.store import keeping

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from pathlib import Path

APPLICATION_ID: Final = int.from_bytes(b"WHOS", "big")
"""Marks a file as ours (set by the first migration)."""


LOADED_TABLES: Final = (
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
        older = [copy for number, copy in keeping.kept(path).items() if number <= newest]
        copy = shlex.quote(str(older[-1])) if older else "FILE"
        way_back = (
            f"{'the copy' if older else 'a backup'} from before the upgrade, without what happened since: "
            f"whosin restore {copy} --database {shlex.quote(str(path))}"
        )
        raise StoreRefused(
            f"{path} has schema version {version}, written by {writer(db) or 'a newer Whosin'}; this is "
            f"Whosin {__version__}, which knows up to {newest}. It was left as it is. "
            f"Run the newer Whosin again, or put back {way_back}"
        )


def use_log(db: sqlite3.Connection, path: Path) -> None:
    """Write ahead, so that readers and the writer do not wait for each other; the file remembers it."""
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreRefused(
            f"{path}: SQLite cannot keep a write-ahead log there (journal mode {mode}); "
            "set `store.url` to a file on a local disk"
        )


def writer(db: sqlite3.Connection) -> str | None:
    """Which program wrote it last; None where it did not say."""
    if not _number(db, "SELECT count(*) FROM sqlite_master WHERE name = 'meta'"):
        return None
    row = db.execute("SELECT value FROM meta WHERE key = 'program'").fetchone()
    return f"Whosin {row[0]}" if row is not None else None


def sign(db: sqlite3.Connection) -> None:
    """Leave our version, for a program that does not know what we have written."""
    if writer(db) != f"Whosin {__version__}":
        db.execute("INSERT OR REPLACE INTO meta VALUES ('program', ?)", (__version__,))


def to_tell(kind: str, data: Mapping[str, object]) -> str:
    """SQL that leaves an event for the daemon to put into the history, once it has opened the database."""
    text = json.dumps({"type": kind, "data": data}).replace("'", "''")
    before = "coalesce((SELECT value FROM meta WHERE key = 'untold'), '[]')"
    return f"INSERT OR REPLACE INTO meta VALUES ('untold', json_insert({before}, '$[#]', json('{text}')));"  # noqa: S608 - quoted above


def migrate(db: sqlite3.Connection, path: Path, known: Sequence[Migration]) -> None:
    """Bring the file to the newest version, in one transaction, after a copy of what it was is kept."""
    version = _number(db, "PRAGMA user_version")
    steps = [step for step in known if step.version > version]
    if not steps:
        return
    script = "\n".join(step.sql for step in steps)
    if version:
        kept = keeping.keep(db, path, version)
        done = {"from": version, "to": steps[-1].version, "kept": kept.name}
        script += "\n" + to_tell("database.upgraded", done)
    try:
        db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {steps[-1].version};\nCOMMIT;")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    keeping.forget(path)


def check(db: sqlite3.Connection, path: Path) -> None:
    """Raises StoreError (corrupt) if what is loaded at each start is damaged. What is only history is not
    looked at: it may be a thousand times as large, and its damage shows when it is touched."""
    for table in LOADED_TABLES:
        found = db.execute(f"PRAGMA quick_check('{table}')").fetchone()[0]
        if found != "ok":
            raise StoreError(
                "corrupt",
                f"{path} is damaged ({table}: {found}); keep a copy of it and put back the newest backup: "
                "whosin restore FILE",
            )


def _number(db: sqlite3.Connection, sql: str) -> int:
    row = db.execute(sql).fetchone()
    assert row is not None
    value: int = row[0]
    return value
