"""From what SQLite and the file system say to what a caller can act on.

Owns: which error is which kind of StoreError, and the words for it. Must not know what was being written.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from typing import TYPE_CHECKING, Final

from whosin.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

_KINDS: Final = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_PERM: "read_only",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
}
_ERRNO_KINDS: Final = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
}
_ADVICE: Final = {
    "full": "no space left for it; free some and it goes on by itself",
    "read_only": "it cannot be written; make it and its folder writable and it goes on by itself",
    "locked": "another program holds it locked; close that program and it goes on by itself",
    "corrupt": "it is damaged; stop the daemon, keep a copy of the file, and put back the newest backup",
    "io": "it cannot be read or written; see to the disk or the file and it goes on by itself",
}
_NEARLY_FULL: Final = 64 * 1024
"""Bytes. Where less is free, a failed write is taken for a full disk even if SQLite says `disk I/O error`."""


def store_error(error: Exception, path: Path) -> StoreError:
    """The StoreError for an error of sqlite3 or of the file system, to be raised from it."""
    if isinstance(error, StoreError):
        return error
    kind = _ERRNO_KINDS.get(error.errno or 0) if isinstance(error, OSError) else _sqlite_kind(error)
    kind = kind or _kind_by_disk(path)
    return StoreError(kind, f"{path}: {_ADVICE[kind]} ({_said(error)})")


def is_callers_fault(error: Exception) -> bool:
    """A row that can never be stored, now or later: trying again is no use."""
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | OverflowError | UnicodeError):
        return True
    # Python 3.11 says InterfaceError for a value of a type that SQLite does not know.
    return isinstance(error, sqlite3.InterfaceError | sqlite3.DataError) or (
        isinstance(error, sqlite3.Error) and _primary_code(error) == sqlite3.SQLITE_MISMATCH
    )


def _primary_code(error: Exception) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR)
    return code & 0xFF


def _sqlite_kind(error: Exception) -> str | None:
    if "decode to UTF-8" in str(error):  # raised by the sqlite3 module itself, without a code
        return "corrupt"
    return _KINDS.get(_primary_code(error))


def _kind_by_disk(path: Path) -> str:
    """SQLite's `disk I/O error` and `unable to open` have causes that people mend in different ways."""
    folder = path.parent
    try:
        if shutil.disk_usage(folder).free < _NEARLY_FULL:
            return "full"
        if hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY:
            return "read_only"
        if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
            return "read_only"
    except OSError:
        pass
    return "io"


def _said(error: Exception) -> str:
    name = getattr(error, "sqlite_errorname", None)
    return f"{name}: {error}" if name else str(error)
