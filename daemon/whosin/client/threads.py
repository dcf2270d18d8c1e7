"""Selector threads: event loops with `add_reader`, for programs whose own loop has none.

Owns the threads and how many lines share one. Must not know what runs on them. Windows' select() watches
at most 512 sockets, so a thread takes no more lines than leave room for its own; the last line out ends it.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

LINES_PER_THREAD: Final = 400

_guard = threading.Lock()
_threads: list[SelectorThread] = []
_can_read: dict[type[asyncio.AbstractEventLoop], bool] = {}


def has_readers(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether sockets can be watched on this loop; tried once per kind of loop."""
    kind = type(loop)
    if kind not in _can_read:
        ours, theirs = socket.socketpair()
        try:
            loop.add_reader(ours, lambda: None)
            loop.remove_reader(ours)
            _can_read[kind] = True
        except RuntimeError:  # "not implemented", as Windows' Proactor loop puts it
            _can_read[kind] = False
        finally:
            ours.close()
            theirs.close()
    return _can_read[kind]


class LoopThread:
    """An event loop in a thread of its own, from construction until `stop`.

    A daemon thread: a program that dies without goodbye is not kept alive, and its session is found lost.
    """

    def __init__(self, name: str) -> None:
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name=name, daemon=True)
        self._thread.start()
        self.loop = started.result()

    def _run(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        async def serve() -> None:
            started.set_result(asyncio.get_running_loop())
            await self._stopping.wait()

        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(serve())

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def stop(self) -> None:
        """Cancel what still runs there, close the loop, wait for the thread."""
        self.loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()


class SelectorThread(LoopThread):
    """Shared by lines; `lease` and `release` count them."""

    def __init__(self) -> None:
        super().__init__("whosin-mqtt")
        self.lines = 0


def lease() -> SelectorThread:
    """A thread with room for one more line. Blocks for the moment a new one needs to start."""
    with _guard:
        thread = next((each for each in _threads if each.lines < LINES_PER_THREAD), None)
        if thread is None:
            thread = SelectorThread()
            _threads.append(thread)
        thread.lines += 1
        return thread


def release(thread: SelectorThread) -> None:
    """The line is gone; blocks until the thread is, when it was the last."""
    with _guard:
        thread.lines -= 1
        if thread.lines:
            return
        _threads.remove(thread)
    thread.stop()


class Relay:
    """Brings calls from a selector thread to the loop they belong to, in order.

    Bounded: while that loop does not keep up, at most `most` wait; `offer` then says no.
    """

    def __init__(self, home: asyncio.AbstractEventLoop, most: int = 10_000) -> None:
        self._home = home
        self._most = most
        self._waiting: list[Callable[[], None]] = []
        self._guard = threading.Lock()

    def offer(self, call: Callable[[], None], *, must: bool = False) -> bool:
        """From the thread. `must`: kept even above the bound."""
        with self._guard:
            if len(self._waiting) >= self._most and not must:
                return False
            self._waiting.append(call)
            first = len(self._waiting) == 1
        if first:
            try:
                self._home.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop was closed under us: nobody is left to hear
                return False
        return True

    def _deliver(self) -> None:
        with self._guard:
            calls, self._waiting = self._waiting, []
        for call in calls:
            call()
