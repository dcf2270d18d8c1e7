"""Connections: how they are set up, and how whole functions are run on them.

Owns aiosqlite, its threads, and SQLite's settings. Must not know tables, nor what is to be done about faults.

Never statement by statement: a task that is cancelled between BEGIN and COMMIT would leave the transaction
open, and each statement would wait for the event loop anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar

import aiosqlite

from whosin.store.faults import is_callers_fault, store_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

P = ParamSpec("P")
T = TypeVar("T")

BUSY_TIMEOUT_S: Final = 0.25
"""How long a statement waits for somebody else's lock. Short: whoever called tries again, and says so."""

_VFS: Final = "" if os.name == "nt" else "&vfs=unix-excl"
"""Lets no other process in, and so keeps the index of the log in memory of our own. Else it would be a file,
mapped: a disk that fails and goes read-only answers a write to a mapping by killing the process (SIGBUS)."""

_SETTINGS: Final = (
    "PRAGMA synchronous = FULL",  # durable on return, not only consistent
    "PRAGMA wal_autocheckpoint = 16384",  # pages; only a backstop, the store folds the log in time
    "PRAGMA journal_size_limit = 12582912",  # bytes a folded log keeps: overwriting syncs faster than growing
    "PRAGMA cache_size = -1024",  # KiB, for each connection; the system has the file at hand, too
    "PRAGMA cache_spill = OFF",  # a large commit rather takes more memory for a while
    "PRAGMA temp_store = MEMORY",  # a sort must not need the disk that may be full
    "PRAGMA cell_size_check = ON",  # notice damaged pages early
    "PRAGMA trusted_schema = OFF",
    "PRAGMA secure_delete = OFF",  # some builds zero what is deleted: every page touched twice
)

# It logs each call with its arguments, which here are whole transactions, secrets' hashes included.
logging.getLogger("aiosqlite").setLevel(logging.WARNING)


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode to a file that exists."""
    db = sqlite3.connect(
        f"{path.as_uri()}?mode=rw{_VFS}", timeout=BUSY_TIMEOUT_S, isolation_level=None, uri=True
    )
    try:
        for setting in _SETTINGS:
            db.execute(setting)
    except BaseException:
        db.close()
        raise
    return db


class _Thread(aiosqlite.Connection):
    """aiosqlite's connection with its thread, to run whole functions there."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(self._try, iter_chunk_size=64)
        self._wanted = connector
        self._failed: Exception | None = None
        # A process that dies of an error elsewhere must not stay for a thread that waits for work.
        self._thread.daemon = True

    async def start(self) -> None:
        await self
        if self._failed is not None:
            await self.close()
            raise self._failed

    def _try(self) -> sqlite3.Connection:
        """Where connecting fails, aiosqlite leaves its thread to itself, which then may meet a closed loop.
        So it gets a connection in any case, and is closed like any other."""
        try:
            return self._wanted()
        except Exception as error:  # noqa: BLE001 - raised again in `start`
            self._failed = error
            return sqlite3.connect(":memory:")

    async def run(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        result: T = await self._execute(function, self._conn, *args, **kwargs)  # type: ignore[no-untyped-call]
        return result


class Channel:
    """One connection, made when it is first needed; one call at a time, in the order of the calls."""

    def __init__(self, path: Path, connector: Callable[[], sqlite3.Connection]) -> None:
        self._path = path
        self._connector = connector
        self._thread: _Thread | None = None
        self._turn = asyncio.Lock()
        self._calls: set[asyncio.Task[object]] = set()

    @property
    def connected(self) -> bool:
        return self._thread is not None

    async def run(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The function's result. Cancelling the caller does not stop a function that was handed over.

        Raises StoreError, or ValueError for a row that can never be stored.
        """
        call = asyncio.create_task(self._run(function, *args, **kwargs))
        self._calls.add(call)
        call.add_done_callback(self._forget)
        return await asyncio.shield(call)

    def _forget(self, call: asyncio.Task[T]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # if the caller has gone, nobody else takes note of it

    async def _run(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        async with self._turn:
            try:
                if self._thread is None:
                    thread = _Thread(self._connector)
                    await thread.start()
                    self._thread = thread
                return await self._thread.run(function, *args, **kwargs)
            except (sqlite3.Error, OSError, OverflowError, UnicodeError) as error:
                if is_callers_fault(error):
                    raise ValueError(f"a row that cannot be stored: {error}") from error
                raise store_error(error, self._path) from error

    async def close(self) -> None:
        """After all calls that were handed over."""
        while self._calls:
            await asyncio.wait(self._calls)
        await self.renew()

    async def renew(self) -> None:
        """The next call gets a new connection."""
        async with self._turn:
            thread, self._thread = self._thread, None
            if thread is not None:
                with contextlib.suppress(sqlite3.Error):
                    await thread.close()
