"""An asyncio event loop on virtual time, with sockets in memory.

Owns ready callbacks and timers of one process, in the order in which asyncio would call them: sockets that
are readable, then timers that are due, and what these bring comes a turn later. Must not know the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tests.simulator.world import FOR_EVER, World

if TYPE_CHECKING:
    from tests.simulator.network import Network, Socket


class Handle:
    """A callback to come; asyncio's own copies a context for each, which nothing here needs."""

    __slots__ = ("args", "call")

    def __init__(self, call: Any, args: tuple[Any, ...]) -> None:
        self.call = call
        self.args = args

    def cancel(self) -> None:
        self.call = None
        self.args = ()

    def cancelled(self) -> bool:
        return self.call is None


class SimLoop(asyncio.AbstractEventLoop):
    """`failed` gets what a callback or task raised and nobody took."""

    def __init__(self, world: World, network: Network, failed: Callable[[str], None]) -> None:
        self._world = world
        self._network = network
        self._failed = failed
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[int, int, Handle]] = []
        self._count = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self.readable: dict[Socket, None] = {}
        self.arrived: list[Socket] = []  # connections made by the system, not yet taken up
        self.listening: Callable[[], asyncio.Protocol] | None = None
        self.dead = False

    # --- taking turns ---------------------------------------------------------------------------------

    def busy(self) -> bool:
        return bool(self._ready or self.readable or (self.arrived and self.listening))

    def next_ms(self) -> int:
        """When the next timer is due, by the monotonic clock."""
        timers = self._timers
        while timers and timers[0][2].call is None:
            heapq.heappop(timers)
        return timers[0][0] if timers else FOR_EVER

    def turn(self, most: int = 1 << 30) -> None:
        """One turn; at most so many callbacks, if the process dies in it."""
        ready = self._ready
        if self.arrived and self.listening is not None:
            arrived, self.arrived = self.arrived, []
            for socket in arrived:  # asyncio: accepted, then a task, then the protocol, then reading begins
                self.call_soon(self.call_soon, socket.take_up, self.listening)
        if self.readable:
            for socket in self.readable:
                ready.append(Handle(socket.read, ()))
            self.readable.clear()
        now, timers = self._world.mono_ms(), self._timers
        while timers and timers[0][0] <= now:
            handle = heapq.heappop(timers)[2]
            if handle.call is not None:
                ready.append(handle)
        events._set_running_loop(self)
        try:
            for _ in range(min(len(ready), most)):
                handle = ready.popleft()
                if handle.call is not None:
                    try:
                        handle.call(*handle.args)
                    except Exception as error:  # noqa: BLE001 - as asyncio: told, and the loop goes on
                        self._failed(f"a callback raised {error!r}")
        finally:
            events._set_running_loop(None)
        if len(self._tasks) > 200:
            self._tasks = [task for task in self._tasks if not task.done()]

    def die(self) -> None:
        """The process is gone: nothing of it runs any more."""
        self.dead = True
        self._ready.clear()
        self._timers.clear()
        self.readable.clear()
        events._set_running_loop(self)  # what closes may begin something, which is to end here, too
        try:
            for task in self._tasks:  # grows meanwhile
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    with contextlib.suppress(RuntimeError, asyncio.CancelledError):
                        task.get_coro().close()  # type: ignore[union-attr]
        finally:
            events._set_running_loop(None)
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()

    # --- asyncio's face -------------------------------------------------------------------------------

    def time(self) -> float:
        return self._world.mono_ms() / 1000

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = Handle(callback, args)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # there are no threads

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = Handle(callback, args)
        self._count += 1
        heapq.heappush(self._timers, (math.ceil(when * 1000 - 1e-4), self._count, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Any = None
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name or "task", context=context)
        self._tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self._failed(f"{context.get('message')}: {context.get('exception')!r}")

    # --- the network ----------------------------------------------------------------------------------

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        self.listening = protocol_factory
        self._network.listen(self)
        return Server(self, host, port)

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        made: asyncio.Future[Socket] = self.create_future()
        self._network.dial_out(self, made)
        socket = await made
        protocol = protocol_factory()
        socket.begin(protocol)
        return socket, protocol


class Server:
    """What the door sees of its listening socket."""

    def __init__(self, loop: SimLoop, host: str, port: int) -> None:
        self._loop = loop
        self._address = host, port
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        return self._address

    def close(self) -> None:
        self._loop.listening = None
        self._loop._network.listen(None)
