"""Events on their way out: at least once, in order, each with one id (the durable outbox).

Owns one cursor per transport: every event up to it need not be sent again. Events are rows of the history;
what is fresh is kept in memory until all have taken it, what is older is read back. Must not know MQTT or
SQL.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice

import structlog

from whosin import wire
from whosin.errors import StoreError
from whosin.observe.counts import Counts
from whosin.ports import EventRow, Store, Transport

WINDOW = 2_000  # events handed over and not yet done
FRESH = 20_000  # events kept in memory for who cannot take them yet
WAVE = 100_000  # the same while somebody takes them, turn by turn
PAGE = 500
AT_ONCE = 4_000  # told in one turn of the loop, each hearer of each event: others are to have their turns

log = structlog.get_logger("whosin.outbox")


class Sink:
    """One transport's place in the events. `cursor`: all up to it are done. `wake` is called when it can take
    more after it could not."""

    def __init__(self, transport: Transport, cursor: int, wake: Callable[[], None]) -> None:
        self.transport = transport
        self._wake = wake
        self._full = False
        self.cursor = cursor
        self.handed = cursor  # the last one handed over
        self.hearers = 1  # of that one
        self.reading = False  # it is being read back for, and takes nothing else meanwhile
        self._done: set[int] = set()

    @property
    def open(self) -> bool:
        self._full = self.handed - self.cursor >= WINDOW
        return not self._full and self.transport.ready

    def hand(self, row: EventRow, store_id: str, name: str) -> int:
        """To how many it went."""
        self.handed, self.hearers = row.seq, 0
        try:
            message = wire.event(row, store_id, name)
        except Exception:  # a bug of ours in one event must not keep back all that follow
            log.exception("engine.bug", seq=row.seq)
            message = None
        if message is None:
            self.done(row.seq)
        else:
            topic, payload = message
            self.hearers = self.transport.announce(topic, payload, partial(self.done, row.seq), row.seq)
        return self.hearers

    def skip_to(self, seq: int) -> None:
        """Nothing lies between what was handed over and this one (pruned)."""
        if self.handed == self.cursor and not self._done:
            self.cursor = seq
        else:
            self._done.update(range(self.handed + 1, seq + 1))
        self.handed = seq

    def done(self, seq: int) -> None:
        if seq == self.cursor + 1 and not self._done:
            self.cursor = seq
        else:
            self._done.add(seq)
            while self.cursor + 1 in self._done:
                self.cursor += 1
                self._done.remove(self.cursor)
        if self._full and self.handed - self.cursor <= WINDOW // 2:
            self._full = False
            self._wake()


class Outbox:
    """Feeds every sink in order. `add` gets what was just committed; `pump` goes on where it is held up."""

    def __init__(self, store: Store, counts: Counts, name: str) -> None:
        self.sinks: dict[str, Sink] = {}
        self.store_id = ""
        self._store = store
        self._counts = counts
        self._name = name
        self._fresh: deque[EventRow] = deque()
        self._last = 0
        self._reading: asyncio.Task[None] | None = None
        self._pumping = False

    def begin(
        self, store_id: str, last_seq: int, cursors: dict[str, int], transports: Sequence[Transport]
    ) -> None:
        """After loading: each sink goes on behind its cursor; a new one starts with what comes next."""
        self.store_id, self._last = store_id, last_seq
        for transport in transports:
            cursor = min(cursors.get(transport.source, last_seq), last_seq)
            self.sinks[transport.source] = Sink(transport, cursor, self._pump_soon)

    def add(self, rows: Sequence[EventRow]) -> None:
        if rows:
            self._fresh.extend(rows)
            self._last = rows[-1].seq
            self.pump()

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def pump(self) -> None:
        """Hand over what each sink can take. Cheap when there is nothing, or when it comes to it anyway."""
        if not self._pumping:
            self._pump()

    def _pump(self) -> None:
        self._pumping = False
        for sink in self.sinks.values():
            if sink.handed < self._last and sink.open and not sink.reading:
                if self._fresh and self._fresh[0].seq <= sink.handed + 1:
                    self._hand_fresh(sink)
                elif self._reading is None:
                    sink.reading = True
                    self._reading = asyncio.get_running_loop().create_task(
                        self._read_back(sink), name="outbox"
                    )
        taken = min((sink.handed for sink in self.sinks.values()), default=self._last)
        while self._fresh and self._fresh[0].seq <= taken:
            self._fresh.popleft()
        most = WAVE if self._pumping else FRESH  # a wave need not be read back
        while len(self._fresh) > most:
            self._fresh.popleft()

    def _hand_fresh(self, sink: Sink) -> None:
        self._hand(sink, islice(self._fresh, sink.handed + 1 - self._fresh[0].seq, None))

    def _hand(self, sink: Sink, rows: Iterable[EventRow]) -> None:
        """Until it can take no more, or has told so many that it is others' turn."""
        told = 0
        for row in rows:
            if row.seq > sink.handed + 1:
                sink.skip_to(row.seq - 1)
            told += sink.hand(row, self.store_id, self._name)
            self._counts.events_published += 1
            if told >= AT_ONCE:
                self._pump_soon()
                return
            if not sink.open:
                return

    async def _read_back(self, sink: Sink) -> None:
        try:
            most = max(1, min(PAGE, AT_ONCE // max(1, sink.hearers)))
            rows = await self._store.events_after(sink.handed, most)
            if not rows:
                sink.skip_to(self._last if not self._fresh else min(self._last, self._fresh[0].seq - 1))
            self._hand(sink, rows)
        except StoreError as error:
            log.warning("outbox.unreadable", problem=str(error))
            return
        finally:
            self._reading = None
            sink.reading = False
        self._pump_soon()

    @property
    def waiting(self) -> int:
        """How many events the slowest sink has still to take."""
        return max((self._last - sink.cursor for sink in self.sinks.values()), default=0)

    def cursors(self) -> dict[str, str]:
        return {f"published.{source}": str(sink.cursor) for source, sink in self.sinks.items()}

    async def close(self) -> None:
        if self._reading is not None:
            await self._reading
