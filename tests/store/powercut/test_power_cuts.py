"""A power cut at any write, and a log cut at any byte: it opens clean, with all that was acknowledged.

By hand, with more turns and other chances: `python -m tests.store.powercut --turns 40 --seed 7`.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.store import rows
from tests.store.fixtures import kept
from tests.store.powercut import judge
from tests.store.powercut.recording import content, cuts, lay, record, recorder
from whosin.ports import Changes
from whosin.store import SqliteStore, schema
from whosin.store.connection import connect
from whosin.store.transactions import load

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.store.powercut.recording import Cut

MEMORY = Path("/dev/shm")


@pytest.fixture
def desk() -> Iterator[Path]:
    """A folder in memory where there is such a thing: thousands of states are laid out in it."""
    folder = Path(tempfile.mkdtemp(prefix="whosin-cuts-", dir=MEMORY if MEMORY.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def library() -> Path:
    found = recorder()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def judged(
    found: Iterator[Cut], desk: Path, check: Callable[[Cut, Path], Awaitable[None]], *, least: int
) -> None:
    """Each state is opened and judged; one that is wrong says behind which step the power went."""
    laid = desk / "laid"
    laid.mkdir()

    async def judge_all() -> int:
        number = 0
        for cut in found:
            number += 1
            lay(cut.image, laid)
            try:
                await check(cut, laid / "whosin.db")
            except Exception as error:
                error.add_note(f"the power went behind step {cut.number}; acknowledged: {cut.said[-1:]}")
                raise
        return number

    states = asyncio.run(judge_all())
    print(f"{states} states")
    assert states >= least


def story(desk: Path) -> tuple[Path, Path]:
    (desk / "data").mkdir()
    return desk / "data", desk / "log"


def test_after_a_power_cut_at_any_write_all_that_was_acknowledged_is_there(desk: Path, library: Path) -> None:
    data, log = story(desk)
    record(library, data, log, "commits", "6")
    judged(cuts({}, log, data), desk, judge.commits, least=300)


async def filled(path: Path, **meta: str) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.commit(Changes(sessions={1: rows.session(1)}, events=[rows.event(1)], meta=meta))
    await store.close()


def test_a_power_cut_in_an_upgrade_leaves_what_was_or_what_becomes_of_it(desk: Path, library: Path) -> None:
    version = schema.migrations()[-1].version - 1
    data, log = story(desk)
    kept.build(version, data / "whosin.db")
    before = content(data)
    lay(before, data)
    after = asyncio.run(judge.opened(data / "whosin.db"))
    lay(before, data)
    record(library, data, log, "upgrade")
    judged(cuts(before, log, data, every=2), desk, judge.Upgraded(version, after), least=50)


def test_a_power_cut_in_a_backup_leaves_none_or_a_whole_one(desk: Path, library: Path) -> None:
    data, log = story(desk)
    record(library, data, log, "backup")
    judged(cuts({}, log, data, every=3), desk, judge.backed_up, least=50)


def test_a_power_cut_in_a_restore_leaves_the_former_database_or_the_restored_one(
    desk: Path, library: Path
) -> None:
    data, log = story(desk)
    asyncio.run(filled(desk / "backup.db", turn="backup"))
    asyncio.run(filled(data / "whosin.db", turn="former"))
    before = content(data)
    record(library, data, log, "restore", desk / "backup.db")
    judged(cuts(before, log, data), desk, judge.restored, least=30)


# --- the log, byte by byte -------------------------------------------------------------------------------


def test_a_log_cut_at_any_byte_gives_back_all_whole_commits_before_it(desk: Path) -> None:
    """With pages of 512 bytes, so that there are few enough of them to try each."""
    data = desk / "data"
    data.mkdir()
    path, log = data / "whosin.db", data / "whosin.db-wal"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA page_size = 512")
        db.execute("VACUUM")
    ends = asyncio.run(_three_commits(path, log))
    whole, file = log.read_bytes()[: ends[-1]], path.read_bytes()
    laid = desk / "laid"
    laid.mkdir()
    for cut in range(len(whole) + 1):
        (laid / "whosin.db").write_bytes(file)
        (laid / "whosin.db-wal").write_bytes(whole[:cut])
        with contextlib.closing(connect(laid / "whosin.db")) as db:
            loaded = load(db)
        found = int(loaded.meta.get("turn", "0"))
        assert found == sum(end <= cut for end in ends), f"cut at byte {cut} of {len(whole)}"
        assert [row.key for row in loaded.sessions] == list(range(1, found + 1)), f"cut at byte {cut}"
    print(f"{len(whole) + 1} cuts")


async def _three_commits(path: Path, log: Path) -> list[int]:
    """Where in the log each commit ends; file and log are left as a crash leaves them."""
    store = SqliteStore(path)
    await store.open()
    await store._writer.run(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
    ends = []
    for turn in range(1, 4):
        await store.commit(Changes(sessions={turn: rows.session(turn)}, meta={"turn": str(turn)}))
        ends.append(_size(log))
    crashed = content(path.parent)
    await store.close()
    lay(crashed, path.parent)
    return ends


def _size(path: Path) -> int:
    return path.stat().st_size
