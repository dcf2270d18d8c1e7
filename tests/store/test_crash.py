"""kill -9 in the middle of commits: what was acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

import pytest

from tests.store import rows
from tests.store.conftest import python
from whosin.ports import Changes
from whosin.store import SqliteStore

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")

COMMIT_FOR_EVER = """
import asyncio, sys
from tests.store import rows
from whosin.ports import Changes
from whosin.store import SqliteStore

async def main():
    store = SqliteStore(sys.argv[1])
    loaded = await store.open()
    turn = int(loaded.meta.get("turn", "0"))
    while True:
        turn += 1
        keys = range(turn * 100, turn * 100 + 30)
        await store.commit(Changes(
            sessions={key: rows.session(key) for key in keys},
            events=[rows.event(key, data=bytes(500)) for key in keys],
            meta={"turn": str(turn)},
        ))
        print(turn, flush=True)

asyncio.run(main())
"""


@contextlib.contextmanager
def committing(path):
    with python(COMMIT_FOR_EVER, path, stdout=subprocess.PIPE, text=True) as program:
        try:
            yield program
        finally:
            program.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("commits", [1, 2, 7, 40, 150])
async def test_every_acknowledged_commit_survives_a_kill_and_none_is_there_by_half(path, commits):
    for _ in range(2):  # the second time on what the first crash left
        with committing(path) as program:
            acknowledged = [int(program.stdout.readline()) for _ in range(commits)][-1]
            program.send_signal(signal.SIGKILL)
            rest = program.stdout.read().split()  # said before the signal came
        acknowledged = int(rest[-1]) if rest else acknowledged
        store = SqliteStore(path)
        loaded = await store.open()
        events = await store.events_after(0, 10_000)
        await store.close()
        turn = int(loaded.meta["turn"])
        assert acknowledged <= turn <= acknowledged + 1
        expected = [key for n in range(1, turn + 1) for key in range(n * 100, n * 100 + 30)]
        assert [row.key for row in loaded.sessions] == expected
        assert [row.seq for row in events] == expected[:10_000]


async def test_a_store_killed_while_it_is_made_can_be_made_again(path):
    with committing(path) as program:
        while not path.exists():
            os.sched_yield()
        program.send_signal(signal.SIGKILL)
    store = SqliteStore(path)
    await store.open()
    await store.commit(Changes(events=[rows.event(10**6)]))
    await store.close()
