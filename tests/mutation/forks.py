"""Children that try one thing each and tell what came of it; bounded in time and memory."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

Task = TypeVar("Task")

SURVIVED, KILLED = 0, 1
TROUBLE = "trouble: "
WALL_S = 300
MEMORY = 1 << 30
"""What a child may take beyond what it is born with."""


class Trouble(Exception):  # noqa: N818 - says what it is
    """The tests fail without any mutant, or cannot be run."""


def fork(work: Callable[[int], int]) -> tuple[int, int]:
    """A child that does `work` with a pipe to write into, and ends with its result: its pid, and the pipe."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writes)
        return pid, reads
    code = KILLED
    try:
        os.close(reads)
        code = work(writes)
    except (MemoryError, RecursionError):
        os.write(writes, b"crash")
    except BaseException:  # noqa: BLE001 - a child must end here, whatever happens
        os.write(writes, TROUBLE.encode() + traceback.format_exc().encode()[-2000:])
    os._exit(code)


def _ended(pid: int, text: str) -> tuple[int, str]:
    """The child's exit code and what it told; "time" or "crash" where it came to no end of its own."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return KILLED, "time" if os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGALRM) else "crash"
    if text.startswith(TROUBLE):
        raise Trouble(text)
    return os.WEXITSTATUS(status), text


def crew(
    tasks: Iterable[Task], jobs: int, start: Callable[[Task], tuple[int, int]]
) -> Iterator[tuple[Task, int, str]]:
    """Each task in a child of its own, `jobs` at a time."""
    waiting = iter(tasks)
    running: dict[int, tuple[int, Task, bytearray]] = {}
    while True:
        while len(running) < jobs and (task := next(waiting, None)) is not None:
            pid, reads = start(task)
            running[reads] = pid, task, bytearray()
        if not running:
            return
        for reads in select.select(list(running), [], [])[0]:
            pid, task, text = running[reads]
            if some := os.read(reads, 65_536):
                text += some
                continue
            os.close(reads)
            del running[reads]
            yield task, *_ended(pid, text.decode())


def lines(pid: int, reads: int) -> Iterator[dict]:
    """What a child tells, a JSON object a line; Trouble if it ends badly."""
    with os.fdopen(reads) as told:
        for line in told:
            if line.startswith("{"):
                yield json.loads(line)
            else:
                raise Trouble(line + told.read())
    _, status = os.waitpid(pid, 0)
    if status:
        raise Trouble(f"a worker ended with status {status}")


def tell(writes: int, **what: object) -> None:
    data = json.dumps(what).encode() + b"\n"
    while data:
        data = data[os.write(writes, data) :]


def bounded() -> None:
    """A mutant that eats memory dies of it, and soon."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, WALL_S)
