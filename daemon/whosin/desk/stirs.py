"""That something changed, for pages that ask anew: never what, and never faster than they can ask.

Owns the gathering of events into one sign. Must not know who shows what.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from whosin.engine.engine import Engine
from whosin.operations import Caller, Json
from whosin.ports import EventRow

PACE_S = 1.0
"""Between two signs to the same listener."""


async def stirs(
    engine: Engine,
    caller: Caller,
    stopping: asyncio.Event,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> AsyncIterator[tuple[str, str, Json]]:
    """("", "changed", {"what": [first words of event types]}) at once after an event that concerns the
    caller, and for all that follow within PACE_S together. Ends when `stopping` is set."""
    heard: set[str] = set()
    wake = asyncio.Event()

    def hear(row: EventRow) -> None:
        if row.site is None or caller.site in (None, row.site):
            heard.add(row.type.partition(".")[0])
            wake.set()

    engine.listeners.append(hear)
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        while not stopping.is_set():
            woken = asyncio.ensure_future(wake.wait())
            await asyncio.wait((woken, stopped), return_when=asyncio.FIRST_COMPLETED)
            woken.cancel()
            if stopping.is_set():
                return
            what = sorted(heard)
            heard.clear()
            wake.clear()
            yield "", "changed", {"what": what}
            await sleep(PACE_S)
    finally:
        stopped.cancel()
        engine.listeners.remove(hear)
