"""From what SQLite and the file system say to what a caller can act on.

Owns: which error is which kind of StoreError, and the words for it. Must not know what was being written.
"""

from __future__ import annotations

import errno
import os
import secrets
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
    "corrupt": "it is damaged; stop the daemon and put back the newest backup: whosin restore FILE",
    "io": "it cannot be read or written; see to the disk or the file and it goes on by itself",
}
_PROBE_BYTES: Final = 64 * 1024


def store_error(error: Exception, path: Path) -> StoreError:
    """The StoreError for an error of sqlite3 or of the file system, to be raised from it."""
    if isinstance(error, StoreError):
        return error
    kind = _ERRNO_KINDS.get(error.errno or 0) if isinstance(error, OSError) else _sqlite_kind(error)
    kind = kind or _kind_by_trying(path.parent)
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


def _kind_by_trying(folder: Path) -> str:
    """SQLite's `disk I/O error` and `unable to open` do not tell why, and people mend each cause in another
    way: whoever writes a page of their own there is told."""
    probe = folder / f".whosin-{secrets.token_hex(4)}.probe"
    try:
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, bytes(_PROBE_BYTES))
            os.fsync(handle)
        finally:
            os.close(handle)
            probe.unlink()
    except OSError as error:
        return _ERRNO_KINDS.get(error.errno or 0, "io")
    return "io"


def _said(error: Exception) -> str:
    name = getattr(error, "sqlite_errorname", None)
    return f"{name}: {error}" if name else str(error)
