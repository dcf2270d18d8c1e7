"""Searches in a history of ten events for each of `--sessions`: a page of 100, and its total.

Most of them find little, so that nothing ends early. The file is in the system's cache.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from whosin.ports import Changes, EventRow, HistoryQuery
from whosin.store import SqliteStore

START = 1_700_000_000_000
EVERY_MS = 2_000
DAY_MS = 86_400_000
AT_ONCE = 20_000
RARE = 1_000  # events apart: one order, one careful person


def event(seq: int) -> EventRow:
    resource = f"sales-order/SO-{seq // RARE}" if seq % RARE == 0 else f"stock/item/{seq % 997}"
    data = b'{"client":"desktop","machine":"PC-17","resource":"%s","token":%d}' % (resource.encode(), seq)
    locked = seq % 3 == 0
    return EventRow(
        seq, START + seq * EVERY_MS, "lock.granted" if locked else "session.disconnected", "head-office",
        f"company-{seq % 50}", f"{seq * 7919 % 2**32:08x}-session", f"user-{seq % 3_000}",
        "olga" if seq % RARE == 0 else None, "silence", data if locked or seq % RARE == 0 else b"{}",
        resource if locked or seq % RARE == 0 else None,
    )  # fmt: skip


def searches(count: int) -> dict[str, HistoryQuery]:
    middle = START + count // 2 * EVERY_MS
    friday = {"since": middle, "until": middle + DAY_MS}
    return {
        "the newest": HistoryQuery(),
        "an order": HistoryQuery(resource="sales-order/SO-3"),
        "all orders, on one day": HistoryQuery(resource="sales-order", **friday),
        "a session": HistoryQuery(session=event(5).session),
        "a person": HistoryQuery(user="nobody"),
        "what somebody did, on one day": HistoryQuery(actor="nobody", **friday),
        "a company's removals": HistoryQuery(company="company-7", type="session.removed"),
        "a text": HistoryQuery(text="no such words"),
    }


async def measure(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "h.db")
        await store.open()
        for start in range(1, count + 1, AT_ONCE):
            rows = [event(seq) for seq in range(start, min(start + AT_ONCE, count + 1))]
            await store.commit(Changes(events=rows))
        print(f"{'of ' + format(count, ',') + ' events':32} {'page':>10} {'total':>10}")
        for name, query in searches(count).items():
            begun = time.perf_counter()
            found = len(await store.history(query))
            page_ms = (time.perf_counter() - begun) * 1000
            begun = time.perf_counter()
            total, exact = await store.count_history(query)
            total_ms = (time.perf_counter() - begun) * 1000
            told = f"{found} of {'' if exact else 'at least '}{total:,}"
            print(f"{name:32} {page_ms:7.1f} ms {total_ms:7.1f} ms  {told}")
        await store.close()


def run(options: argparse.Namespace) -> None:
    asyncio.run(measure(10 * options.sessions))
