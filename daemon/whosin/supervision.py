"""Telling the supervisor how the daemon fares, for as long as it runs.

Owns when what is said. Must not know who the supervisor is, or what the problems are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whosin.ports.supervisor import Supervisor

LOOK_EVERY_S = 0.25  # while not ready
SAY_EVERY_S = 2.0
STATUS_EVERY_S = 10.0  # once ready, where no sign of life is asked for sooner


class Supervision:
    """`begin`, then `stopping` or `failed`. Without a supervisor nothing is said.

    `problems`: why the daemon is not ready, none when it is. `status`: how things are, in one line.
    """

    def __init__(
        self, supervisor: Supervisor | None, problems: Callable[[], list[str]], status: Callable[[], str]
    ) -> None:
        self._supervisor = supervisor
        self._problems = problems
        self._status = status
        self._task: asyncio.Task[None] | None = None
        self._was_ready = False

    def begin(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """From here on it is told, and may order. `stop` and `reload` are called in the event loop."""
        if self._supervisor is None:
            return
        loop = asyncio.get_running_loop()
        self._supervisor.attach(_from_anywhere(loop, stop), _from_anywhere(loop, reload))
        self._supervisor.starting("loading")
        self._task = loop.create_task(self._tell(self._supervisor), name="supervision")

    async def _tell(self, supervisor: Supervisor) -> None:
        waited_s = 0.0
        while problems := self._problems():
            if waited_s <= 0:
                supervisor.starting("; ".join(problems))
                waited_s = SAY_EVERY_S
            await asyncio.sleep(LOOK_EVERY_S)
            waited_s -= LOOK_EVERY_S
        self._was_ready = True
        supervisor.ready(self._now())
        while True:
            supervisor.alive(self._now())
            await asyncio.sleep(min(supervisor.alive_every_s or STATUS_EVERY_S, STATUS_EVERY_S))

    def _now(self) -> str:
        problems = self._problems()
        return "; ".join([self._status(), *(["not ready: " + "; ".join(problems)] if problems else [])])

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Around the reading of settings, whether or not they can be used."""
        if self._supervisor is None or not self._was_ready:
            yield
            return
        self._supervisor.reloading()
        try:
            yield
        finally:
            self._supervisor.ready(self._now())

    def stopping(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._supervisor is not None:
            self._supervisor.stopping()

    def failed(self, text: str) -> None:
        if self._supervisor is not None:
            self._supervisor.failed(text)


def _from_anywhere(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> Callable[[], None]:
    def order() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: there is nothing left to order
            loop.call_soon_threadsafe(call)

    return order
