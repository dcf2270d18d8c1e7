"""The store in one SQLite file.

Owns the file: its folder, its guard, its two connections. Must not know timeouts or rules: it keeps what it
is given and gives it back.
"""

from __future__ import annotations

import json
import os
import sqlite3
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whosin.errors import StoreError, StoreRefused
from whosin.ports import EventRow, Loaded, PassRow, SessionRow
from whosin.store import schema, transactions
from whosin.store import statements as sql
from whosin.store.connection import Channel, connect
from whosin.store.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whosin.ports import Changes, EndedQuery, HistoryQuery

MOST_ROWS: Final = 10_000
"""The largest answer; a caller that wants more asks for the next page."""
_IDS_AT_ONCE: Final = 1_000


class SqliteStore:
    """`ports.Store` in a file at `path`, whose folder is made if need be (0700, the file 0600)."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser().absolute()
        self._guard = Guard(self._path.with_name(self._path.name + ".lock"))
        self._writer = Channel(self._path, self._connect_writer)
        self._reader = Channel(self._path, self._connect_reader)
        self._opened = False

    @property
    def path(self) -> Path:
        return self._path

    # --- opening and closing -----------------------------------------------------------------------

    async def open(self) -> Loaded:
        """Migrate if needed, check, and load.

        Raises StoreRefused for a file that this program must not touch (a newer schema, another program's,
        not a database, in use by another daemon), StoreError for what may be better later.
        """
        try:
            loaded = await self._writer.run(transactions.load)
            await self._reader.run(_nothing)
        except BaseException:
            await self.close()
            raise
        self._opened = True
        return loaded

    def _connect_writer(self) -> sqlite3.Connection:
        if self._opened:
            return connect(self._path)
        _make_folder(self._path.parent)
        self._guard.take()  # before the file is touched: closing it again would drop SQLite's own locks
        _make_file(self._path)
        try:
            db = connect(self._path)
        except sqlite3.DatabaseError as error:
            raise _refusal(error, self._path) from error
        try:
            db.execute("PRAGMA journal_mode = WAL")
            schema.migrate(db, self._path, schema.migrations())
        except sqlite3.DatabaseError as error:
            db.close()
            raise _refusal(error, self._path) from error
        except BaseException:
            db.close()
            raise
        return db

    def _connect_reader(self) -> sqlite3.Connection:
        db = connect(self._path)
        db.execute("PRAGMA query_only = ON")
        return db

    async def close(self) -> None:
        """What was begun is finished first. The writer goes last: it folds the log into the file."""
        self._opened = False
        await self._reader.close()
        await self._writer.close()
        self._guard.release()

    # --- writing -----------------------------------------------------------------------------------

    async def commit(self, changes: Changes) -> None:
        """All of it, durable on return; on StoreError none of it.

        `changes` is read on another thread and must be left alone until this returns, or, after a
        cancellation, for good. Committing the same changes again is harmless. ValueError: a row that can
        never be stored (a number beyond 64 bits, half a surrogate pair, an id used by two keys).
        """
        await self._on(self._writer).run(transactions.apply, changes)

    async def prune(self, before: int, limit: int) -> int:
        """Delete at most `limit` events, ended sessions and finished passes from before (wall ms)."""
        return await self._on(self._writer).run(transactions.prune, before, limit)

    # --- reading -----------------------------------------------------------------------------------

    async def find_ended(self, ids: Iterable[str]) -> dict[str, SessionRow]:
        found: dict[str, SessionRow] = {}
        rest = iter(ids)
        while chunk := list(islice(rest, _IDS_AT_ONCE)):
            rows = await self._on(self._reader).run(
                transactions.fetch, SessionRow, sql.ENDED_AMONG, (json.dumps(chunk),)
            )
            found.update((row.id, row) for row in rows)
        return found

    async def session(self, ident: str) -> SessionRow | None:
        """A session of any status."""
        rows = await self._on(self._reader).run(_session, ident)
        return rows[0] if rows else None

    async def ended_sessions(self, query: EndedQuery) -> list[SessionRow]:
        raise NotImplementedError

    async def count_ended(self, query: EndedQuery) -> int:
        raise NotImplementedError

    async def history(self, query: HistoryQuery) -> list[EventRow]:
        raise NotImplementedError

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        """The next events behind `seq`, oldest first."""
        return await self._on(self._reader).run(
            transactions.fetch, EventRow, sql.EVENTS_AFTER, (seq, min(limit, MOST_ROWS))
        )

    async def passes(self, limit: int) -> list[PassRow]:
        """Newest first."""
        return await self._on(self._reader).run(
            transactions.fetch, PassRow, sql.PASSES, (min(limit, MOST_ROWS),)
        )

    async def backup(self, path: str) -> None:
        raise NotImplementedError

    def _on(self, channel: Channel) -> Channel:
        if not self._opened:
            raise StoreError("io", f"{self._path} is not open")
        return channel


def _nothing(_: sqlite3.Connection) -> None:
    """Only to have the connection."""


def _session(db: sqlite3.Connection, ident: str) -> list[SessionRow]:
    return transactions.fetch(db, SessionRow, sql.LIVE_SESSION, (ident,)) or transactions.fetch(
        db, SessionRow, sql.ENDED_SESSION, (ident,)
    )


def _make_folder(folder: Path) -> None:
    for missing in reversed([part for part in (folder, *folder.parents) if not part.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def _make_file(path: Path) -> None:
    """SQLite gives the files that it puts beside this one the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return


def _refusal(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """A file without SQLite's header is none of ours to mend or to wait for."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
        return StoreRefused(
            f"{path} is not an SQLite database, or its first page is damaged; it was left as it is. "
            "Put back the newest backup, or set `store.url` to another file"
        )
    return error
