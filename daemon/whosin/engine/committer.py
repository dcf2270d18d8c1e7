"""The group commit: what the rules brought forth becomes durable, and only then is let out (rule 10).

Owns batches: while one is being committed the next fills, so a burst shares commits. A store that fails is
tried again with everything since; nothing is let out until it succeeds. Must not know SQL, MQTT or rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import structlog

from whosin.errors import StoreError
from whosin.model import Answer, Event
from whosin.observe.counts import Counts
from whosin.ports import Changes, EventRow, Store

RETRY_S = (0.05, 0.2, 0.5, 1.0)
WAIT_S = 5.0
ROWS = (
    "sessions",
    "turns",
    "companies",
    "locks",
    "wants",
    "passes",
    "holds",
    "followups",
    "meta",
    "accounts",
    "tokens",
    "observers",
    "operators",
    "web_sessions",
    "alerts",
    "deliveries",
)

log = structlog.get_logger("whosin.store")


@dataclass(slots=True, eq=False)
class Slot:
    """One QoS 1 message's acknowledgement: free to go once its batch is committed."""

    packet_id: int
    ready: bool = False


@dataclass(slots=True, eq=False)
class Batch:
    """What one commit makes true, and what it then lets out."""

    changes: Changes = field(default_factory=Changes)
    answers: list[Answer] = field(default_factory=list)
    events: list[tuple[EventRow, Event]] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changes or self.answers or self.slots or self.waiters)

    @property
    def leaving(self) -> int:
        """How much it will let out."""
        return len(self.events) + len(self.answers) + len(self.slots)

    def absorb(self, later: Batch) -> None:
        """Take over what came after; of a row the later state counts."""
        mine, its = self.changes, later.changes
        for beat in its.beats:
            if (whole := mine.sessions.get(beat.key)) is None:
                mine.beats.append(beat)
            else:  # of before this beat, and it would win
                mine.sessions[beat.key] = whole._replace(**beat._asdict())
        mine.events += its.events
        for key in its.sessions:
            mine.turns.pop(key, None)
        for name in ROWS:
            getattr(mine, name).update(getattr(its, name))
        self.answers += later.answers
        self.events += later.events
        self.slots += later.slots
        self.waiters += later.waiters


class Committer:
    """`open` is the batch that fills; `kick` sees to its commit; `let_out` gets each committed batch."""

    def __init__(self, store: Store, counts: Counts, let_out: Callable[[Batch], None]) -> None:
        self.open = Batch()
        self.problem: StoreError | None = None
        self.failing_since: float | None = None
        self._store = store
        self._counts = counts
        self._let_out = let_out
        self._task: asyncio.Task[None] | None = None
        self._under_way: Batch | None = None
        self._stopping = False
        self._began: float | None = None  # the commit on its way
        self.changed: Callable[[StoreError | None], None] = lambda _problem: None

    @property
    def busy(self) -> bool:
        return self._task is not None

    @property
    def pending(self) -> int:
        """Events, answers and acknowledgements that are decided and not durable yet."""
        return self.open.leaving + (self._under_way.leaving if self._under_way is not None else 0)

    @property
    def unstored(self) -> list[Changes]:
        """What is decided and not durable yet, the oldest first: to show, never to tell the world."""
        under_way = [self._under_way.changes] if self._under_way is not None else []
        return [*under_way, self.open.changes]

    @property
    def trouble(self) -> StoreError | None:
        """Why nothing can be made durable now: the last failure, or a commit that hangs."""
        if self.problem is None and self._began is not None:
            took_s = perf_counter() - self._began
            if took_s > WAIT_S:
                return StoreError("slow", f"nothing was stored for {took_s:.0f} s: the disk does not answer")
        return self.problem

    def kick(self) -> None:
        """Commit what is open, unless a commit is on its way: then it follows."""
        if self._task is None and self.open:
            if not self.open.changes:
                batch, self.open = self.open, Batch()
                self._done(batch)
            else:
                self._task = asyncio.get_running_loop().create_task(self._run(), name="commit")

    async def durable(self) -> None:
        """Return once everything so far is durable. Raises StoreError if that takes too long."""
        if (trouble := self.trouble) is not None:
            raise trouble
        if not self.open and self._task is None:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.open.waiters.append(waiter)
        self.kick()
        try:
            await asyncio.wait_for(waiter, WAIT_S)
        except TimeoutError:
            raise self.problem or StoreError("slow", f"not durable within {WAIT_S:g} s") from None

    async def close(self) -> None:
        """Commit what is left; a store that still fails then loses only what was never let out."""
        self._stopping = True
        self.kick()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            while self.open:
                batch, self.open = self.open, Batch()
                self._under_way = batch
                if not await self._commit(batch):
                    return
                self._under_way = None
                self._done(batch)
        finally:
            self._task = self._under_way = self._began = None

    async def _commit(self, batch: Batch) -> bool:
        attempt = 0
        while True:
            started = self._began = perf_counter()
            try:
                await self._store.commit(batch.changes)
            except ValueError:  # a row that can never be stored: a bug of ours, which must not stop the rest
                await self._salvage(batch)
            except StoreError as error:
                self._counts.commit_failures += 1
                self._failed(error)
                self._began = None
                if self._stopping:
                    return False
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                attempt += 1
                later, self.open = self.open, Batch()
                batch.absorb(later)
            else:
                self._counts.commit_seconds.observe(perf_counter() - started)
                self._recovered()
                return True

    async def _salvage(self, batch: Batch) -> None:
        """Leave out what can never be stored, loudly, and keep the rest for the next attempt."""
        for name in ROWS:
            rows = getattr(batch.changes, name)
            for key in list(rows):
                alone = Changes()
                getattr(alone, name)[key] = rows[key]
                if not await self._storable(alone):
                    del rows[key]
        batch.changes.events = [
            row for row in batch.changes.events if await self._storable(Changes(events=[row]))
        ]
        batch.changes.beats = [
            row for row in batch.changes.beats if await self._storable(Changes(beats=[row]))
        ]

    async def _storable(self, alone: Changes) -> bool:
        try:
            await self._store.commit(alone)
        except ValueError:
            log.exception("engine.bug", left_out=repr(alone)[:500])
            return False
        except StoreError:
            return True  # that is another matter, and dealt with elsewhere
        return True

    def _failed(self, error: StoreError) -> None:
        if self.problem is None:
            self.failing_since = perf_counter()
            self.changed(error)
        self.problem = error

    def _recovered(self) -> None:
        if self.problem is not None:
            self.problem = None
            self.failing_since = None
            self.changed(None)

    def _done(self, batch: Batch) -> None:
        self._began = None
        try:
            self._let_out(batch)
        except Exception:  # what is durable stays so; who waits must learn of it
            log.exception("engine.bug")
        for waiter in batch.waiters:
            if not waiter.done():
                waiter.set_result(None)
