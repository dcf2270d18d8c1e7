"""What the user has still to read. Owns the few texts that wait; must not know where they come from."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from whosin.client import wire

if TYPE_CHECKING:
    from whosin.client.errors import ClientError

KEPT_MESSAGES: Final = 100


class Inbox(AsyncIterator[wire.Message]):
    """Read with `async for`; bounded, the oldest go first. Ends, or raises, once it is closed."""

    def __init__(self) -> None:
        self._kept: deque[wire.Message] = deque(maxlen=KEPT_MESSAGES)
        self._news = asyncio.Event()
        self._closed = False
        self._error: ClientError | None = None

    def put(self, message: wire.Message) -> None:
        self._kept.append(message)
        self._news.set()

    def close(self, error: ClientError | None) -> None:
        self._closed, self._error = True, error
        self._news.set()

    async def __anext__(self) -> wire.Message:
        while not self._kept:
            if self._closed:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._kept.popleft()
