"""One daemon per database: an exclusive lock on a file beside it, which the system lets go of when we die.

Owns the lock file. Must not know SQL. SQLite's own locks would not do: they come and go with transactions.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Final

from whosin.errors import StoreRefused

if TYPE_CHECKING:
    from pathlib import Path

_TRIES: Final = 3
_PAUSE_S: Final = 0.03

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # Windows forbids reading what is locked: lock a byte behind the text

    def _lock(handle: int) -> None:
        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_soon(handle: int) -> None:
    """Whoever only looks whether it is held (`looking`) holds it for a moment."""
    for _ in range(_TRIES):
        with contextlib.suppress(OSError):
            return _lock(handle)
        time.sleep(_PAUSE_S)
    return _lock(handle)


class Guard:
    """Held from `take` to `release`, or to the end of the process however it ends.

    The file itself stays: removing it would let two daemons lock two files of the same name.
    """

    def __init__(self, path: Path, *, record: bool = True) -> None:
        """`record`: write our process's number into it."""
        self._path = path
        self._record = record
        self._handle: int | None = None

    def take(self) -> None:
        """Raises StoreRefused while another daemon holds it, OSError if the file cannot be made."""
        if self._handle is not None:
            return
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock_soon(handle)
        except OSError as error:
            holder = _read(handle)
            os.close(handle)
            raise StoreRefused(
                f"{self._path.with_suffix('')} is in use by another daemon{holder}; "
                "stop that one first, or give this one a `store.url` of its own"
            ) from error
        self._handle = handle
        if not self._record:
            return
        with contextlib.suppress(OSError):  # the number is for people; a full disk does not matter
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _read(handle: int) -> str:
    with contextlib.suppress(OSError):
        os.lseek(handle, 0, os.SEEK_SET)
        text = os.read(handle, 20)
        if text.isdigit():
            return f" (process {text.decode()})"
    return ""
