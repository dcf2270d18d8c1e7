"""The alerts' outbox: each message to each channel until it is taken, or given up (at least once).

Owns when something is tried, and again: with jittered back-off, one at a time for each channel, so that a
target that hangs holds up nobody else. An attempt runs in a thread of its own and is cut off in time. Must
not know what an alert is about. Whoever keeps rows is told by `store` of each that changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from whosin.alerts.messages import Message
from whosin.alerts.targets import Line, LogTarget, PartlyTaken, Target, Undelivered
from whosin.errors import StoreError

if TYPE_CHECKING:
    from random import Random

    from whosin.alerts.routing import Channel

FIRST_MS, LONGEST_MS = 5_000, 900_000  # between two attempts, before the jitter
CUT_S = 40.0  # a whole attempt
BACKLOG = 1_000  # messages that one channel may owe
A_MINUTE = 30  # messages that one channel takes
UNSTORED_MS = 1_000  # while it cannot be made durable what is to be told

log = structlog.get_logger("whosin.alerts")


Send = Callable[[Target, Message], Awaitable[None]]
"""One attempt. Raises Undelivered."""


@dataclass(slots=True, eq=False)
class Delivery:
    """One message to one channel. `stored`: told only what is durable; `at_once`: told even if it is not.
    Moments are on the engine's timeline."""

    alert: int
    channel: str
    phase: str
    id: str
    since_ms: int
    due_ms: int
    compose: Callable[[Channel], Message]
    state: str = "pending"
    tries: int = 0
    at_ms: int = 0
    error: str | None = None
    stored: bool = False
    at_once: bool = False


class Outbox:
    """`tick` starts what is due. `channels` may be replaced at any time."""

    def __init__(
        self,
        *,
        durable: Callable[[], Awaitable[None]],
        now: Callable[[], int],
        store: Callable[[Delivery], None],
        ended: Callable[[Delivery], None],
        random: Random,
        give_up_ms: int,
        send: Send,
    ) -> None:
        self.channels: dict[str, Channel] = {}
        self.give_up_ms = give_up_ms
        self._durable = durable
        self._now = now
        self._store = store
        self._ended = ended
        self._random = random
        self._send = send
        self._queues: dict[str, list[Delivery]] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._trying: dict[str, Delivery] = {}
        self._sent: dict[str, deque[int]] = {}

    @property
    def pending(self) -> int:
        return sum(1 for queue in self._queues.values() for one in queue if one.state == "pending")

    def owed(self, channel: str) -> list[Delivery]:
        return list(self._queues.get(channel, ()))

    def of(self, alert: int) -> list[Delivery]:
        """What is still to be delivered of one alert."""
        return [
            one
            for queue in self._queues.values()
            for one in queue
            if one.alert == alert and one.state == "pending"
        ]

    def will_tell(self, alert: int, channel: str) -> bool:
        """A message of this alert waits for the channel, and is not on its way yet: what has changed by then
        will be in it."""
        trying = self._trying.get(channel)
        return any(one.alert == alert and one is not trying for one in self._queues.get(channel, ()))

    def add(self, delivery: Delivery) -> None:
        queue = self._queues.setdefault(delivery.channel, [])
        if len(queue) >= BACKLOG:
            self._give_up(queue.pop(0), f"more than {BACKLOG} messages wait for this channel")
        queue.append(delivery)

    def tick(self, now: int) -> None:
        """Start an attempt for each channel that has something due and is not at one."""
        for name in list(self._queues):
            queue = self._queues[name]
            if name in self._busy:
                continue
            if name not in self.channels:
                for delivery in queue:
                    self._give_up(delivery, "the channel is no more in the settings")
                queue.clear()
            if not queue:
                del self._queues[name]
                continue
            ahead = {one.alert: one for one in reversed(queue)}  # of one alert in order
            first = min(ahead.values(), key=lambda one: one.due_ms)
            if first.due_ms <= now and self._may(name, now):
                self._trying[name] = first
                task = asyncio.get_running_loop().create_task(self._attempt(first), name=f"alert {name}")
                self._busy[name] = task

    def _may(self, channel: str, now: int) -> bool:
        sent = self._sent.setdefault(channel, deque(maxlen=A_MINUTE))
        return len(sent) < A_MINUTE or sent[0] + 60_000 <= now

    # --- one attempt ----------------------------------------------------------------------------------

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            await self._try(delivery)
        except Exception as error:  # a bug of ours must not be tried for ever
            log.exception("engine.bug")
            self._give_up(delivery, f"{type(error).__name__}")
        finally:
            del self._busy[delivery.channel], self._trying[delivery.channel]
            queue = self._queues.get(delivery.channel, [])
            if delivery.state != "pending" and delivery in queue:
                queue.remove(delivery)

    async def _try(self, delivery: Delivery) -> None:
        if not await self._may_tell(delivery):
            delivery.due_ms = self._now() + UNSTORED_MS
            return
        channel = self.channels.get(delivery.channel)
        if channel is None:
            return  # it went while we waited; the next tick sees to it
        delivery.tries += 1
        delivery.at_ms = self._now()
        self._sent.setdefault(channel.name, deque(maxlen=A_MINUTE)).append(delivery.at_ms)
        try:
            await self._send(channel.target, delivery.compose(channel))
        except PartlyTaken as partly:
            self._taken(delivery, str(partly))
        except Undelivered as no:
            self._refused(delivery, no)
        else:
            self._taken(delivery, None)

    async def _may_tell(self, delivery: Delivery) -> bool:
        """Nothing is told that a crash could undo, but for what is told because nothing can be stored."""
        if delivery.stored:
            return True
        try:
            await self._durable()
        except StoreError:
            return delivery.at_once
        delivery.stored = True
        return True

    def _taken(self, delivery: Delivery, remark: str | None) -> None:
        delivery.state, delivery.error = "sent", remark
        if remark is not None:
            log.warning("alert.partly_delivered", channel=delivery.channel, id=delivery.id, problem=remark)
        self._store(delivery)
        self._ended(delivery)

    def _refused(self, delivery: Delivery, no: Undelivered) -> None:
        delivery.error = str(no)
        now = self._now()
        wait_ms = min(FIRST_MS * 2 ** min(delivery.tries - 1, 20), LONGEST_MS)
        wait_ms = max(round(wait_ms * self._random.uniform(0.5, 1.0)), round(no.after_s * 1000))
        if no.for_good:
            self._give_up(delivery, str(no))
        elif now + wait_ms > delivery.since_ms + self.give_up_ms:
            self._give_up(delivery, f"{no} (tried {delivery.tries} times)")
        else:
            delivery.due_ms = now + wait_ms
            log.warning(
                "alert.undelivered", channel=delivery.channel, id=delivery.id, tries=delivery.tries,
                again_s=wait_ms / 1000, problem=str(no),
            )  # fmt: skip
            self._store(delivery)

    def _give_up(self, delivery: Delivery, why: str) -> None:
        delivery.state, delivery.error = "given_up", why
        log.error(
            "alert.given_up", channel=delivery.channel, id=delivery.id, tries=delivery.tries, problem=why
        )
        self._store(delivery)
        self._ended(delivery)

    async def close(self) -> None:
        """What is under way is cut off; it is tried again after the next start."""
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def send(target: Target, message: Message, cut_s: float = CUT_S) -> None:
    """One attempt, in a daemon thread: a target that hangs keeps neither us nor the end of the process.
    Raises Undelivered."""
    if isinstance(target, LogTarget):
        target.send(message, Line())
        return
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    line = Line()

    def tell(error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: Exception | None = None
        try:
            target.send(message, line)
        except Exception as failed:  # noqa: BLE001 - handed on
            error = failed
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=run, name="alert", daemon=True).start()
    try:
        async with asyncio.timeout(cut_s):
            await done
    except TimeoutError:
        line.cut()
        raise Undelivered(f"{target.shown}: no end within {cut_s:g} s") from None
    except asyncio.CancelledError:
        line.cut()
        raise
