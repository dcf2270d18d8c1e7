"""The way back from an upgrade: a checked copy of the database as it was, kept just before it is migrated.

Owns the copies' names, how many there are, and the room they need. Must not know what migrations do.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from typing import TYPE_CHECKING, Final

from whosin.errors import StoreError
from whosin.store import backup
from whosin.store.faults import store_error

if TYPE_CHECKING:
    from pathlib import Path

KEPT: Final = 2
"""The newest ones stay: the last upgrade may turn out bad only after the next one was tried."""
SPARE: Final = 4 * 1024 * 1024
"""Bytes that are to be left over."""
_NAME: Final = re.compile(r"\.v([1-9][0-9]{0,8})-before-upgrade")


def kept(path: Path) -> dict[int, Path]:
    """The copies beside the database, by version of the schema, rising."""
    found = {}
    for one in path.parent.iterdir():
        match = _NAME.fullmatch(one.name.removeprefix(path.name)) if one.name.startswith(path.name) else None
        if match is not None:
            found[int(match[1])] = one
    return dict(sorted(found.items()))


def keep(db: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy the database, check the copy, and only then name it; one of the same version is replaced.

    Raises StoreError, before anything is changed, where there is no room for the copy and the upgrade.
    """
    _make_sure_of_room(db, path)
    target = path.with_name(f"{path.name}.v{version}-before-upgrade")
    part = backup.part_of(target)
    try:
        backup.fill(db, part, lambda: False)
        part.replace(target)
        backup.flush(path.parent)
    except (sqlite3.Error, OSError) as error:
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
        fault = store_error(error, path if damaged else target)
        raise StoreError(fault.kind, f"not upgraded, since no copy could be kept: {fault}") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def forget(path: Path) -> None:
    """All but the newest copies."""
    for one in list(kept(path).values())[:-KEPT]:
        one.unlink(missing_ok=True)


def _make_sure_of_room(db: sqlite3.Connection, path: Path) -> None:
    """The copy takes as much as the database, and the upgrade may write every page anew."""
    pages: int = db.execute("PRAGMA page_count").fetchone()[0]
    page_size: int = db.execute("PRAGMA page_size").fetchone()[0]
    needed = 2 * pages * page_size + SPARE
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise StoreError(
            "full",
            f"{path} was not upgraded: keeping a copy and upgrading take up to {_megabytes(needed)} in "
            f"{path.parent}, and {_megabytes(free)} are free. Nothing was changed: free some and start again",
        )


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.1f} MB"
