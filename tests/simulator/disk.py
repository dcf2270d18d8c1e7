"""The daemon's disk: a real SQLite file, and all that can happen to it between a write and its fsync.

Owns latency, failures, hangs, and what a crash leaves of the file and its log. Must not know what is stored.
The store's own code and SQL run unmodified; only the thread that they would run on is replaced (`SimThread`),
so that each call takes virtual time. What was written and not synced is lost or torn by a power cut. Whether
a commit syncs is asked of SQLite itself (`PRAGMA synchronous`), so a product that stops asking for it loses.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.simulator.world import World
from whosin.ports import Changes
from whosin.store import connection as connection_room
from whosin.store import faults as faults_room
from whosin.store import schema

SECTOR = 512
FULL_SYNC = 2
STORE_ID = "0123456789abcdef0123456789abcdef"

CODES = {
    "full": ("SQLITE_FULL", sqlite3.SQLITE_FULL),
    "read_only": ("SQLITE_READONLY", sqlite3.SQLITE_READONLY),
    "locked": ("SQLITE_BUSY", sqlite3.SQLITE_BUSY),
    "io": ("SQLITE_IOERR", sqlite3.SQLITE_IOERR),
}

_template: dict[str, bytes] = {}


def _fresh(folder: Path) -> bytes:
    """An empty database with a known id, made once per process."""
    if "db" not in _template:
        path = folder / "template.db"
        db = sqlite3.connect(path, isolation_level=None)
        schema.use_log(db, path)
        schema.migrate(db, path, schema.migrations())
        schema.sign(db)
        db.execute("UPDATE meta SET value = ? WHERE key = 'store_id'", (STORE_ID,))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        _template["db"] = path.read_bytes()
        path.unlink()
    return _template["db"]


class Disk:
    """`fault` names what every write meets now; `unreadable`: reads as well."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._random = world.random("disk")
        self.folder = folder
        self.path = folder / "whosin.db"
        self._log = folder / "whosin.db-wal"
        self.fault: str | None = None
        self.unreadable = False
        self.after_all = 0.0  # how often a write that fails has been done all the same
        self.hung = False
        self.slow_ms = 0
        self._waiting: list[Call] = []
        self._threads: list[SimThread] = []
        self._pending: list[Call] = []
        self.generation = 0
        self.on_write: Callable[[int], None] | None = (
            None  # told of each commit with events, and how long it takes
        )
        for path in (self.path, self._log):
            path.unlink(missing_ok=True)
        self.path.write_bytes(_fresh(folder))
        self.path.chmod(0o600)
        self._durable = self._files()

    def install(self) -> None:
        """From now on the store of this process runs on this disk."""
        connection_room._Thread = lambda connector: SimThread(self, connector)  # type: ignore[assignment,misc]
        faults_room._kind_by_trying = lambda _folder: "io"

    def hang(self, *, on: bool) -> None:
        self.hung = on
        if not on:
            waiting, self._waiting = self._waiting, []
            for call in waiting:
                self._world.after(self._random.randrange(1, 20), self._do, call)

    # --- calls ----------------------------------------------------------------------------------------

    def submit(self, call: Call) -> None:
        random = self._random
        delay = 1 + int(random.random() * 3)
        if random.random() < 0.03:
            delay += random.randrange(40)
        if self.slow_ms:
            delay += random.randrange(self.slow_ms)
        self._pending.append(call)
        self._world.after(delay, self._do, call)
        if call.tells and self.on_write is not None and not self.hung:
            self.on_write(delay)

    def _do(self, call: Call) -> None:
        if call.generation != self.generation:
            return
        if self.hung:
            self._waiting.append(call)
            return
        call.run(self._failure(call))
        # Done, and the process does not know it yet.
        self._world.after(int(self._random.random() * 3), self._done, call)

    def _failure(self, call: Call) -> tuple[Exception | None, bool]:
        """What the call meets, and whether it is done all the same."""
        if self.fault is None or not (call.writes or self.unreadable):
            return None, True
        name, code = CODES[self.fault]
        error = sqlite3.OperationalError(f"simulated {name}")
        error.sqlite_errorcode, error.sqlite_errorname = code, name  # type: ignore[misc]
        return error, self.fault == "io" and self._random.random() < self.after_all

    def _done(self, call: Call) -> None:
        if call.generation != self.generation:
            return
        self._pending.remove(call)
        call.tell()

    # --- crashes --------------------------------------------------------------------------------------

    def crash(self, *, power: bool, inside: bool) -> str:
        """The process dies. `inside`: in the middle of the write that was under way, if one was."""
        before = self._files()
        told = "between commits"
        if inside:
            for call in self._pending:
                if call.writes and not call.ran:
                    call.run((None, True))
                    told = "inside a commit"
                    break
        elif any(call.writes and call.ran for call in self._pending):
            told = "behind a commit that it never learned of"
        after = self._files()
        syncs = all(thread.synchronous >= FULL_SYNC for thread in self._threads)
        if power:
            durable = before if syncs else self._durable
            left = tuple(_torn(a, b, self._random) for a, b in zip(durable, after, strict=True))
        elif inside:  # the system keeps what the process wrote, which stopped halfway
            left = tuple(_prefix(a, b, self._random) for a, b in zip(before, after, strict=True))
        else:
            left = after
        self._forget_process()
        self.path.write_bytes(left[0])
        self.path.chmod(0o600)
        if left[1]:
            self._log.write_bytes(left[1])
        self._durable = self._files()
        return told

    def stopped(self) -> None:
        """The process has ended in good order; what it synced on closing is durable."""
        self._forget_process(keep=True)
        self._durable = self._files()

    def _forget_process(self, *, keep: bool = False) -> None:
        self.generation += 1
        self._waiting.clear()
        self._pending.clear()
        if not keep:
            for path in (self.path, self._log):
                path.unlink(missing_ok=True)  # first: closing would fold the log into the file
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.discard()

    def attach(self, thread: SimThread) -> None:
        self._threads.append(thread)

    def _files(self) -> tuple[bytes, bytes]:
        found = []
        for path in (self.path, self._log):
            try:
                found.append(path.read_bytes())
            except FileNotFoundError:
                found.append(b"")
        return found[0], found[1]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What is stored now, as of the last commit."""
        db = sqlite3.connect(f"{self.path.as_uri()}?mode=ro&vfs=unix-excl", uri=True)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()


def _prefix(old: bytes, new: bytes, random: Random) -> bytes:
    """The writes of one call, done up to somewhere."""
    if old == new:
        return new
    return _mixed(old, new, "prefix", random)


def _torn(old: bytes, new: bytes, random: Random) -> bytes:
    """What a power cut leaves: of the sectors that were not synced each may be old, new, or half."""
    if old == new:
        return new
    return _mixed(old, new, random.choice(("none", "all", "prefix", "any", "any")), random)


def _mixed(old: bytes, new: bytes, how: str, random: Random) -> bytes:
    if how == "none":
        return old
    if how == "all":
        return new
    changed = [
        at
        for at in range(0, max(len(old), len(new)), SECTOR)
        if old[at : at + SECTOR] != new[at : at + SECTOR]
    ]
    if how == "prefix":
        kept = changed[: random.randrange(len(changed) + 1)]
    else:
        kept = [at for at in changed if random.random() < 0.5]
    mixed = bytearray(old)
    for at in kept:
        piece = new[at : at + SECTOR]
        if len(mixed) < at:
            mixed += bytes(at - len(mixed))
        mixed[at : at + len(piece)] = piece
    if kept and how == "prefix" and random.random() < 0.5:  # the last one is half written
        at = kept[-1] + random.randrange(SECTOR)
        mixed[at : kept[-1] + SECTOR] = (old + bytes(len(mixed)))[at : kept[-1] + SECTOR][
            : len(mixed[at : kept[-1] + SECTOR])
        ]
    return bytes(mixed)


class Call:
    """One function on its way to a connection and back."""

    def __init__(
        self, disk: Disk, work: Callable[[], Any], answer: asyncio.Future[Any], *, writes: bool, tells: bool
    ) -> None:
        self.generation = disk.generation
        self.writes = writes
        self.tells = tells  # it stores events
        self.ran = False
        self._work = work
        self._answer = answer
        self._error: BaseException | None = None
        self._result: Any = None

    def run(self, meets: tuple[Exception | None, bool]) -> None:
        error, done = meets
        self.ran = True
        if done:
            try:
                self._result = self._work()
            except Exception as found:  # noqa: BLE001 - raised where it was awaited
                self._error = found
        if error is not None:
            self._error = error

    def tell(self) -> None:
        if self._answer.done():
            return
        if self._error is not None:
            self._answer.set_exception(self._error)
        else:
            self._answer.set_result(self._result)


class SimThread:
    """Takes the place of the store's thread with its connection."""

    def __init__(self, disk: Disk, connector: Callable[[], sqlite3.Connection]) -> None:
        self._disk = disk
        self._connector = connector
        self._db: sqlite3.Connection | None = None
        self._writes = True
        self.synchronous = FULL_SYNC

    async def start(self) -> None:
        await self._call(self._connect, writes=False)

    def _connect(self) -> None:
        self._db = self._connector()
        self.synchronous = self._db.execute("PRAGMA synchronous").fetchone()[0]
        self._writes = not self._db.execute("PRAGMA query_only").fetchone()[0]
        self._disk.attach(self)

    async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        tells = bool(args) and isinstance(args[0], Changes) and bool(args[0].events)
        return await self._call(lambda: function(self._db, *args, **kwargs), writes=self._writes, tells=tells)

    async def close(self) -> None:
        await self._call(self.discard, writes=False)

    def discard(self) -> None:
        db, self._db = self._db, None
        if self in self._disk._threads:
            self._disk._threads.remove(self)
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    async def _call(self, work: Callable[[], Any], *, writes: bool, tells: bool = False) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._disk.submit(Call(self._disk, work, answer, writes=writes, tells=tells))
        return await answer


def scratch(name: str) -> Path:
    """A folder in memory, for databases that are thrown away."""
    base = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(os.environ.get("TMPDIR", "/tmp"))
    folder = base / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
