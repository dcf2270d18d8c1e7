"""What the store costs, on the disk of the temporary folder (`TMPDIR` names another).

`--history` first fills in N ended sessions with three events each, as after months of work.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
import uuid
from pathlib import Path

from whosin.ports import BeatRow, Changes, EndedQuery, EventRow, HistoryQuery, SessionRow
from whosin.store import SqliteStore

NOON = 1_700_000_000_000


def session(key: int, ident: str, status: str = "active") -> SessionRow:
    ended = NOON + key if status == "removed" else 0
    return SessionRow(
        key, ident, f"site-{key % 20}", f"company-{key % 400}", f"user{key % 3000}@example.com", "desktop",
        f"PC-{key % 5000:05}", "192.0.2.7", "Desk 1.2", "3", 1, "2026-01-05T09:00:00.000Z", status,
        NOON + key, NOON + key, 0, 0, ended, None, None, None, 5, 0, "amends an order", "door",
    )  # fmt: skip


def event(seq: int, key: int, ident: str, kind: str) -> EventRow:
    data = b'{"resource":"sales-order/SO-%d","machine":"PC-7"}' % key
    where = f"site-{key % 20}", f"company-{key % 400}"
    return EventRow(seq, NOON + seq, kind, *where, ident, f"user{key % 3000}@example.com", None, None, data)


class Watch:
    """Wall and CPU time since it was made; the second says more on a busy machine."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def say(self, what: str, rows: int = 0) -> None:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        each = f"  {wall / rows * 1e6:6.1f} us each ({cpu / rows * 1e6:.1f} CPU)" if rows else ""
        print(f"{what:44} {wall * 1000:9.1f} ms{each}")


class Bench:
    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path)
        self.seq = 0
        self.key = 0
        self.ids: dict[int, str] = {}

    def login(self, count: int) -> Changes:
        changes = Changes()
        for _ in range(count):
            self.key += 1
            self.ids[self.key] = str(uuid.uuid4())
            changes.sessions[self.key] = session(self.key, self.ids[self.key])
            self.note(changes, self.key, "session.logged_in")
        return changes

    def end(self, keys: list[int], *extra: str) -> Changes:
        changes = Changes(sessions={key: session(key, self.ids[key], "removed") for key in keys})
        for key in keys:
            for kind in (*extra, "session.removed"):
                self.note(changes, key, kind)
        return changes

    def note(self, changes: Changes, key: int, kind: str) -> None:
        self.seq += 1
        changes.events.append(event(self.seq, key, self.ids[key], kind))

    async def timed(self, changes: Changes) -> float:
        begun = time.perf_counter()
        await self.store.commit(changes)
        return time.perf_counter() - begun

    async def fill(self, count: int) -> None:
        for _ in range(0, count, 20_000):
            await self.store.commit(self.login(20_000))
            gone = list(range(self.key - 19_999, self.key + 1))
            await self.store.commit(self.end(gone, "lock.granted"))
            for key in gone[50:]:
                del self.ids[key]


async def single_commits(bench: Bench, count: int) -> None:
    times = sorted([await bench.timed(bench.login(1)) for _ in range(count)])
    print(
        f"one session and one event: p50 {times[count // 2] * 1e6:.0f} us, "
        f"p99 {times[count * 99 // 100] * 1e6:.0f} us, longest {times[-1] * 1000:.1f} ms"
    )


async def under_load(bench: Bench) -> None:
    """Commits of 200 rows without a pause, long enough for several foldings of the log."""
    times = sorted([await bench.timed(bench.login(200)) for _ in range(600)])
    log = bench.store.path.with_name(bench.store.path.name + "-wal").stat().st_size
    print(
        f"600 commits of 200 sessions and events: {120_000 / sum(times):.0f} sessions/s, "
        f"p50 {times[300] * 1000:.1f} ms, p99 {times[594] * 1000:.1f} ms, longest {times[-1] * 1000:.1f} ms, "
        f"log {log >> 20} MiB"
    )


async def commit(bench: Bench, what: str, *several: Changes, rows: int) -> None:
    watch = Watch()
    for changes in several:
        await bench.store.commit(changes)
    watch.say(what, rows)


async def beats(bench: Bench, keys: list[int]) -> None:
    some = random.sample(keys, len(keys) // 12)
    for what, beaten in (("first", keys), ("again", keys), ("a flush of 5 s", some)):
        rows = [BeatRow(NOON + len(what), 1, None, 7, what, "door", key) for key in beaten]
        await commit(bench, f"{len(rows)} beats, {what}", Changes(beats=rows), rows=len(rows))


async def reading(bench: Bench) -> None:
    store, ids = bench.store, [bench.ids[key] for key in list(bench.ids)[:50]]
    for what, query in (
        ("history: the newest 100", HistoryQuery()),
        ("history of a session", HistoryQuery(session=ids[0])),
        ("history of a site", HistoryQuery(site="site-7")),
        ("history: a type that is nowhere", HistoryQuery(type="nowhere")),
        ("history: a text that is nowhere", HistoryQuery(text="nowhere")),
    ):
        watch = Watch()
        await store.history(query)
        watch.say(what)
    watch = Watch()
    await store.find_ended(ids + [str(uuid.uuid4()) for _ in range(50)])
    watch.say("find 100 ids among the ended")
    wanted = EndedQuery(("logged_off", "removed"), site="site-7")
    watch = Watch()
    await store.ended_sessions(wanted)
    watch.say("ended sessions of a site, a page")
    watch = Watch()
    found = await store.count_ended(wanted)
    watch.say(f"count of them ({found})")


async def restart(bench: Bench) -> None:
    for _ in range(3):
        await bench.store.close()
        watch = Watch()
        loaded = await bench.store.open()
        watch.say(f"open with {len(loaded.sessions)} live sessions", len(loaded.sessions))


async def upkeep(bench: Bench, path: Path) -> None:
    watch = Watch()
    gone = await bench.store.prune(NOON + 2_000, 1_000)
    watch.say(f"pruning {gone} rows")
    watch = Watch()
    await bench.store.backup(str(path.with_name("backup.db")))
    watch.say("backup, checked")


async def measure(path: Path, many: int, history: int) -> None:
    bench = Bench(path)
    await bench.store.open()
    await bench.fill(history)
    print(f"{history} ended sessions, {bench.seq} events")
    base, part = bench.key, many // 5
    for _ in range(5):
        await commit(bench, f"{part:,} logins in one commit", bench.login(part), rows=part)
    live = list(range(base + 1, bench.key + 1))
    await beats(bench, live)
    await restart(bench)
    await single_commits(bench, many // 50)
    await under_load(bench)
    random.shuffle(live)
    removals = [bench.end(live[at : at + part]) for at in range(0, len(live), part)]
    await commit(bench, f"{len(live):,} removals in five commits", *removals, rows=len(live))
    await reading(bench)
    await upkeep(bench, path)
    await bench.store.close()


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "whosin.db", options.sessions, options.history))
