"""The store in one SQLite file.

Owns the connections, one that writes and one that reads, and when the log is folded into the file. Must not
know timeouts or rules: it keeps what it is given and gives it back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

from whosin.errors import StoreError, StoreRefused
from whosin.ports import AlertRow, DeliveryRow, EventRow, FollowupRow, Loaded, PassRow, SessionRow
from whosin.store import backup, schema, search, transactions
from whosin.store import statements as sql
from whosin.store.connection import Channel, connect
from whosin.store.guard import Guard
from whosin.store.place import Place

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    from whosin.ports import AlertQuery, Changes, EndedQuery, FollowupQuery, HistoryQuery
    from whosin.store.search import Search

P = ParamSpec("P")
R = TypeVar("R", bound=NamedTuple)
T = TypeVar("T")

LONGEST_LOG: Final = 16 * 1024 * 1024
"""Bytes. From here on the log is folded into the file. Rarely is cheap: a page that was written ten times
is copied once. But a crash makes the next start read the whole log."""
_BREAKING: Final = frozenset({"io", "corrupt"})
"""Faults that a connection may not survive; after the others it is as good as before, and reading goes on."""
_IDS_AT_ONCE: Final = 1_000


class SqliteStore:
    """`ports.Store` in a file at `path`, whose folder is made if need be (0700, the file 0600)."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._place = Place(Path(path).expanduser().resolve())
        self._guard = Guard(self._place.path.with_name(self._place.path.name + ".lock"))
        self._writer = Channel(self._place.path, self._connect_writer)
        self._reader = Channel(self._place.path, self._connect_reader)
        self._opened = False
        self._side_tasks: set[asyncio.Task[Any]] = set()
        self._folding: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._fold_at = LONGEST_LOG
        self._log_size = 0
        self._was_full = False

    @property
    def path(self) -> Path:
        return self._place.path

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
            return self._connect_again()
        # Guarded before it is touched: to close a file drops all locks of the process on it, SQLite's too.
        self._place.make_folder()
        self._guard.take()
        self._place.make_file()
        with contextlib.ExitStack() as undo:
            try:
                db = undo.enter_context(contextlib.closing(connect(self.path)))
                known = schema.migrations()
                schema.refuse_strangers(db, self.path, known[-1].version)
                schema.use_log(db, self.path)
                schema.migrate(db, self.path, known)
                schema.sign(db)
                schema.check(db, self.path)
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                    raise self._place.no_database() from error
                raise
            self._place.note_file()
            self._place.note_log()
            undo.pop_all()
        return db

    def _connect_again(self) -> sqlite3.Connection:
        with contextlib.ExitStack() as undo:
            db = undo.enter_context(contextlib.closing(self._connect_checked()))
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the log
            self._place.note_log()
            undo.pop_all()
        return db

    def _connect_reader(self) -> sqlite3.Connection:
        db = self._connect_checked()
        db.execute("PRAGMA query_only = ON")
        db.create_function("has_folded", 2, search.has_folded, deterministic=True)
        return db

    def _connect_checked(self) -> sqlite3.Connection:
        """Only to the file that was opened: the log would be replayed into whatever took its place."""
        self._place.check_file()
        return connect(self.path)

    async def close(self) -> None:
        """What was begun is finished first. The writer goes last: it folds the log into the file."""
        self._opened = False
        while self._side_tasks:
            await asyncio.wait(self._side_tasks)
        await self._reader.close()
        await self._empty_log()
        await self._writer.close()
        self._guard.release()

    async def _empty_log(self) -> None:
        """Fold all of the log into the file before the connection goes. SQLite does so itself, but not for
        files that were removed or renamed: then the log would stay beside whatever took the file's place,
        and be replayed into it."""
        if self._writer.connected:
            with contextlib.suppress(StoreError):
                await self._writer.run(_fold_all)

    # --- writing -----------------------------------------------------------------------------------

    async def commit(self, changes: Changes) -> None:
        """All of it, durable on return; on StoreError none of it.

        `changes` is read on another thread and must be left alone until this returns, or, after a
        cancellation, for good. Committing the same changes again is harmless. ValueError: a row that can
        never be stored (a number beyond 64 bits, half a surrogate pair, an id used by two keys).
        """
        await self._run(self._writer, self._apply, changes)
        if self._log_size >= self._fold_at and self._folding is None:
            self._folding = self._side_task(self._fold())

    def _apply(self, db: sqlite3.Connection, changes: Changes) -> None:
        self._log_size = self._place.check()
        if self._was_full:  # a folded log can be written again from its start, without more space
            with contextlib.suppress(sqlite3.Error):
                _fold_log(db)
        try:
            transactions.apply(db, changes)
        except sqlite3.Error as error:
            self._was_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            raise
        self._was_full = False

    async def prune(self, before: int, limit: int) -> int:
        """Delete at most `limit` events, ended sessions, passes and alerts from before (wall ms)."""
        gone = await self._run(self._writer, transactions.prune, before, limit)
        if gone < limit:  # nothing is left to do
            for channel in (self._writer, self._reader):
                await self._run(channel, _forget_pages)
        return gone

    async def _fold(self) -> None:
        """Fold the log into the file: nearly all of it beside the commits, on a connection of its own, and
        between two commits only what has come meanwhile. Then the log starts anew."""
        rest = self._log_size
        try:
            await self._apart(_fold_log)
            await self._apart(_fold_log)
            rest = await self._writer.run(_fold_log)
        except (StoreError, StoreRefused):
            pass  # the next commit has the same trouble and tells of it
        finally:
            # Somebody reading an old snapshot keeps the log from starting anew: try again when it has grown.
            self._fold_at = LONGEST_LOG + (self._log_size if rest else 0)
            self._folding = None

    # --- reading -----------------------------------------------------------------------------------

    async def find_ended(self, ids: Iterable[str]) -> dict[str, SessionRow]:
        found: dict[str, SessionRow] = {}
        rest = iter(ids)
        while chunk := list(islice(rest, _IDS_AT_ONCE)):
            rows = await self._read(transactions.fetch, SessionRow, sql.ENDED_AMONG, (json.dumps(chunk),))
            found.update((row.id, row) for row in rows)
        return found

    async def session(self, ident: str) -> SessionRow | None:
        """A session of any status."""
        rows = await self._read(_session, ident)
        return rows[0] if rows else None

    async def ended_sessions(self, query: EndedQuery) -> list[SessionRow]:
        return await self._walk(search.ended(query), SessionRow)

    async def count_ended(self, query: EndedQuery) -> int:
        """How many there are in all pages; `before_key` and `limit` do not matter."""
        return (await self._count(search.ended(query)))[0]

    async def _count(self, wanted: Search, most: int | None = None) -> tuple[int, bool]:
        """In all pages, newest first until `most` numbers were looked at; was that all?"""
        wanted.before = None
        low, high = await self._read(search.bounds, wanted)
        bottom = low if most is None or wanted.shortcut else max(low, high - most + 1)
        found = 0
        for step in search.steps(bottom, high, long=wanted.shortcut is not None):
            found += await self._read(search.count, wanted, step)
        return found, bottom == low

    async def history(self, query: HistoryQuery) -> list[EventRow]:
        return await self._walk(search.events(query), EventRow)

    async def count_history(self, query: HistoryQuery) -> tuple[int, bool]:
        """In all pages, and whether that is all: else of the newest COUNTED events."""
        wanted = search.events(query)
        return await self._count(wanted, search.COUNTED if wanted.conditions else None)

    async def followups(self, query: FollowupQuery) -> list[FollowupRow]:
        """Newest first."""
        return await self._walk(search.followups(query), FollowupRow)

    async def count_followups(self, query: FollowupQuery) -> int:
        """In all pages."""
        return (await self._count(search.followups(query)))[0]

    async def followup(self, ident: int) -> FollowupRow | None:
        rows = await self._read(transactions.fetch, FollowupRow, sql.FOLLOWUP, (ident,))
        return rows[0] if rows else None

    async def _walk(self, wanted: Search, row: type[R]) -> list[R]:
        found: list[R] = []
        limit = min(wanted.limit, search.MOST_ROWS)
        low, high = await self._read(search.bounds, wanted)
        for step in search.steps(low, high, long=wanted.shortcut is not None):
            found += await self._read(search.rows, row, wanted, step, limit - len(found))
            if len(found) >= limit:
                break
        return found

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        """The next events behind `seq`, oldest first."""
        limit = min(limit, search.MOST_ROWS)
        return await self._read(transactions.fetch, EventRow, sql.EVENTS_AFTER, (seq, limit))

    async def passes(self, limit: int) -> list[PassRow]:
        """Newest first."""
        limit = min(limit, search.MOST_ROWS)
        return await self._read(transactions.fetch, PassRow, sql.PASSES, (limit,))

    async def alerts(self, query: AlertQuery) -> list[AlertRow]:
        """Newest first."""
        values = {**asdict(query), "limit": min(query.limit, search.MOST_ROWS)}
        return await self._read(transactions.fetch, AlertRow, sql.ALERTS, values)

    async def deliveries(self, alerts: Iterable[int]) -> list[DeliveryRow]:
        return await self._read(transactions.fetch, DeliveryRow, sql.DELIVERIES, (json.dumps(list(alerts)),))

    async def _read(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._run(self._reader, function, *args, **kwargs)

    # --- both, and beside both ---------------------------------------------------------------------

    async def _run(
        self,
        channel: Channel,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        self._check_open()
        try:
            return await channel.run(function, *args, **kwargs)
        except StoreError as fault:
            if fault.kind in _BREAKING:
                self._renewing = self._renewing or self._side_task(self._renew())
                await asyncio.shield(self._renewing)
            raise

    async def _renew(self) -> None:
        """After a fault that a connection may not survive: the next call gets a new one. All at once, since
        they share what SQLite keeps of the file in memory."""
        try:
            while others := self._side_tasks - {asyncio.current_task()}:
                await asyncio.wait(others)
            await self._empty_log()  # first: whoever connects now may find a new log
            await self._reader.renew()
            await self._empty_log()  # a reader may have been in the way
            await self._writer.renew()
        finally:
            self._renewing = None

    async def backup(self, path: str) -> None:
        """A consistent, checked copy in one file (0600), while commits go on.

        Raises Refused `exists` or `bad_path`, StoreError if it could not be made.
        """
        self._check_open()

        def stopping() -> bool:
            return not self._opened or self._renewing is not None

        await asyncio.shield(self._side_task(self._apart(backup.copy, self.path, path, stopping)))

    async def _apart(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """On a connection made for this one call: it takes long, and nobody is to wait for it."""
        channel = Channel(self.path, self._connect_checked)
        try:
            return await channel.run(function, *args, **kwargs)
        finally:
            await channel.close()

    def _side_task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Shield it to have it done to its end even if the caller is cancelled."""
        task = asyncio.create_task(work)
        self._side_tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._side_tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked for it may be gone

    def _check_open(self) -> None:
        if not self._opened:
            raise StoreError("io", f"{self.path} is not open")


def _nothing(_: sqlite3.Connection) -> None:
    """Only to have the connection."""


def _forget_pages(db: sqlite3.Connection) -> None:
    """What was read and written is kept in memory, up to `cache_size`, long after anybody needs it: let it
    go. The system has it still."""
    db.execute("PRAGMA shrink_memory")


def _session(db: sqlite3.Connection, ident: str) -> list[SessionRow]:
    return transactions.fetch(db, SessionRow, sql.LIVE_SESSION, (ident,)) or transactions.fetch(
        db, SessionRow, sql.ENDED_AMONG, (json.dumps([ident]),)
    )


def _fold_all(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _fold_log(db: sqlite3.Connection) -> int:
    """Copy pages from the log into the file without waiting for anybody; how many are left."""
    _, in_log, folded = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    left: int = in_log - folded
    return left
