"""`python -m tests.store.powercut --turns 40 --seed 7`: more commits, other chances, every state."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.store.powercut import judge
from tests.store.powercut.recording import cuts, lay, record, recorder


async def run(turns: int, seed: int, folder: Path, library: Path) -> int:
    """How many states there were; the first that is wrong raises."""
    data, laid, log = folder / "data", folder / "laid", folder / "log"
    for one in (data, laid):
        one.mkdir()
    record(library, data, log, "commits", str(turns))
    states = 0
    for cut in cuts({}, log, data, seed=seed):
        lay(cut.image, laid)
        try:
            await judge.commits(cut, laid / "whosin.db")
        except Exception as error:
            error.add_note(f"turns {turns}, seed {seed}: the power went behind step {cut.number}")
            raise
        states += 1
    return states


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.store.powercut", description=__doc__)
    parser.add_argument("--turns", type=int, default=40, help="commits")
    parser.add_argument("--seed", type=int, default=1, help="which sectors survive")
    given = parser.parse_args()
    library = recorder()
    if isinstance(library, str):
        print(library)
        return 1
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="whosin-cuts-", dir=memory if memory.is_dir() else None))
    begun = time.monotonic()
    try:
        states = asyncio.run(run(given.turns, given.seed, folder, library))
    finally:
        shutil.rmtree(folder)
    took = time.monotonic() - begun
    print(f"{states} states after a power cut, each opened with all that was acknowledged, in {took:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
