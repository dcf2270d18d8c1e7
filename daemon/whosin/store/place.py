"""The database as files in a folder: made with the right modes, and noticed when they are taken away.

Owns the paths and which files were opened. Must not know SQL.

A file that was removed or replaced while it is open goes on working, without a name: all that is "stored"
in it vanishes with the process. So each commit looks whether the files are still those that were opened.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from whosin.errors import StoreError, StoreRefused
from whosin.privacy import make_private

if TYPE_CHECKING:
    from pathlib import Path


_MAGIC: Final = b"SQLite format 3\0"
_JOURNAL: Final = bytes.fromhex("d9d505f920a163d7")


class Place:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path.with_name(path.name + "-wal")
        self._file: tuple[int, int] | None = None
        self._log: tuple[int, int] | None = None

    def make_folder(self) -> None:
        """The folder, and those above it, for nobody else where there are none."""
        make_private(self.path.parent)

    def make_file(self) -> None:
        """An empty file, 0600, where there is none; SQLite gives those beside it the same mode.

        Raises StoreRefused for a file that is no database. SQLite would not: it overwrites a short one.
        """
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            with self.path.open("rb") as file:
                if file.read(len(_MAGIC)) not in {b"", _MAGIC} and not self._is_half_made():
                    raise self.no_database() from None

    def _is_half_made(self) -> bool:
        """The power went while SQLite wrote the first page: its journal beside the file undoes that."""
        try:
            with self.path.with_name(self.path.name + "-journal").open("rb") as journal:
                return journal.read(len(_JOURNAL)) == _JOURNAL
        except OSError:
            return False

    def no_database(self) -> StoreRefused:
        return StoreRefused(
            f"{self.path} is not an SQLite database, or its first page is damaged; it was left as it is. "
            "Put back the newest backup (whosin restore FILE), or set `store.url` to another file"
        )

    def note_file(self) -> None:
        self._file = _identity(self.path.stat())

    def note_log(self) -> None:
        self._log = _identity(self.log.stat())

    def check(self) -> int:
        """The log's size in bytes; raises StoreError (io) if a commit would go to a file without a name."""
        self.check_file()
        try:
            found = self.log.stat()
        except FileNotFoundError:
            found = None
        if found is None or _identity(found) != self._log:
            raise StoreError("io", f"{self.log} was removed while in use; what it holds is being saved")
        return found.st_size

    def check_file(self) -> None:
        """Raises StoreError (io) if the file is not the one that was opened."""
        try:
            found = _identity(self.path.stat())
        except FileNotFoundError:
            raise StoreError(
                "io",
                f"{self.path} was removed or renamed while in use; put that very file back, "
                "or stop the daemon and put back a backup (whosin restore FILE)",
            ) from None
        if found != self._file:
            raise StoreError(
                "io",
                f"{self.path} was replaced while in use; put the former file back, "
                "or restart the daemon to go on with the new one",
            )


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
