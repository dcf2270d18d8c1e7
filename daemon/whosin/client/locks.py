"""A client's hold on a resource, from asking to releasing.

Owns the states of one lock as its session knows them. Must not know topics or connections: it speaks
through its session (`Speaker`) and is told the daemon's answers.

    free ──ask──▶ asked ──granted──▶ held ──release──▶ releasing ──released──▶ free
                  │   ▲                │
      waiting: true   └──re-asked──────┤ (after the daemon forgot us)
                  └──refused──▶ free   └──refused──▶ lost
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self

from whosin.client import wire
from whosin.client.errors import ClientError, LockLost, LockRefused, NoAnswer

if TYPE_CHECKING:
    from types import TracebackType

    from whosin.client.wire import Holder, LockAnswer

Mode = Literal["exclusive", "shared"]

MAX_WAIT_S: Final = 86_400.0


class Phase(StrEnum):
    FREE = "free"
    ASKED = "asked"
    HELD = "held"
    RELEASING = "releasing"
    LOST = "lost"


class Speaker(Protocol):
    """What a lock needs of its session."""

    answer_s: float

    async def _claim(self, lock: Lock) -> None:
        """Make it the one lock of its resource, once an earlier one is released."""
        ...

    def _ask(self, lock: Lock) -> None:
        """Send the request soon; again whenever the daemon might not know of it."""
        ...

    def _unlock(self, lock: Lock) -> None:
        """Send the release soon; again until it is answered."""
        ...

    def _forget(self, lock: Lock) -> None: ...


class Lock:
    """Made by `Login.lock`. Use it with `async with`, or call `acquire` and `release`."""

    def __init__(
        self,
        speaker: Speaker,
        resource: str,
        *,
        mode: Mode = "exclusive",
        wait_s: float = 0.0,
        activity: str | None = None,
        guidance: str | None = None,
        sticky: bool = False,
    ) -> None:
        if not 0 <= wait_s <= MAX_WAIT_S:
            raise ValueError(f"wait_s is {wait_s}; expected 0 to {MAX_WAIT_S:g}")
        if not 0 < len(resource) <= wire.MAX_RESOURCE:
            raise ValueError(f"resource is {resource!r}; expected a path such as sales-order/SO-1001")
        wire.name("guidance", guidance)
        self.resource = resource
        self.mode = mode
        self.wait_s = wait_s
        self.activity = activity
        self.guidance = guidance
        self.sticky = sticky
        self.phase = Phase.FREE
        self.waiting = False  # queued behind `holder`
        self.holder: Holder | None = None  # whoever stands or stood in the way
        self._token = 0
        self._until = 0.0
        self._speaker = speaker
        self._granted: asyncio.Future[None] | None = None
        self._released = asyncio.Event()
        self._confirmed = False

    @property
    def token(self) -> int:
        """The fencing token; hand it to whatever you write to. `LockLost` when it is not held any more."""
        if self.phase is not Phase.HELD:
            raise LockLost(f"{self.resource}: not held ({self.phase})")
        return self._token

    @property
    def held(self) -> bool:
        return self.phase is Phase.HELD

    @property
    def lost(self) -> bool:
        return self.phase is Phase.LOST

    async def acquire(self) -> Self:
        """Ask, and wait in the queue for up to `wait_s`. `LockRefused` says who has it; `NoAnswer` when
        the daemon says nothing; `SessionEnded` when the session ends meanwhile.

        Cancelling gives the place in the queue back.
        """
        if self.phase in {Phase.ASKED, Phase.HELD, Phase.RELEASING}:
            raise RuntimeError(f"{self.resource}: already {self.phase}")
        try:
            async with asyncio.timeout(self.wait_s + self._speaker.answer_s):
                await self._speaker._claim(self)  # noqa: SLF001 - both are one thing in two parts
                await self._asked()
        except TimeoutError:
            self._give_up()
            raise NoAnswer(f"{self.resource}: no answer from the daemon") from None
        except asyncio.CancelledError:
            self._give_up()
            raise
        return self

    async def _asked(self) -> None:
        loop = asyncio.get_running_loop()
        self._granted = loop.create_future()
        self._until = loop.time() + self.wait_s
        self.phase, self.waiting, self.holder = Phase.ASKED, False, None
        self._speaker._ask(self)  # noqa: SLF001
        await self._granted

    async def release(self) -> bool:
        """Give it back; harmless when it is not held. True: the daemon confirmed. Without a connection
        it is released as soon as there is one again, and this returns False."""
        if self.phase is not Phase.HELD:
            return False
        self._give_up()
        try:
            async with asyncio.timeout(self._speaker.answer_s):
                await self._released.wait()
        except TimeoutError:
            return False
        return self._confirmed

    async def __aenter__(self) -> Self:
        return await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()

    def __repr__(self) -> str:
        return f"Lock({self.resource!r}, {self.phase}{f' #{self._token}' if self.held else ''})"

    # --- told by the session -----------------------------------------------------------------------

    @property
    def left_s(self) -> float:
        """How long it may still wait; 0 once it is held."""
        if self.phase is not Phase.ASKED:
            return 0.0
        return max(0.0, self._until - asyncio.get_running_loop().time())

    def answered(self, answer: LockAnswer) -> None:
        """What the daemon says now counts, also of a lock held for long (it was asked for again)."""
        if self.phase is Phase.RELEASING:
            return  # of a request given up; the answer to `unlock` is what is waited for
        self.waiting = answer.waiting and not answer.granted
        self.holder = answer.holder or self.holder
        if answer.granted:
            self._token = answer.token
            self.phase = Phase.HELD
            self._settle(None)
        elif not answer.waiting:
            code = answer.code or "held"
            self.fail(LockRefused(self.resource, code, answer.message, self.holder))

    def released(self, confirmed: bool) -> None:
        if self.phase is Phase.RELEASING:
            self._confirmed = confirmed
            self._leave(Phase.FREE)

    def fail(self, error: ClientError) -> None:
        """It is not ours: refused, or the session is over."""
        if self.phase is Phase.FREE:
            return
        self._leave(Phase.LOST if self.phase is Phase.HELD else Phase.FREE)
        self._settle(error)

    async def settled(self) -> None:
        """Until a release under way is over."""
        await self._released.wait()

    def _give_up(self) -> None:
        if self.phase in {Phase.ASKED, Phase.HELD}:
            self.phase, self.waiting, self._confirmed = Phase.RELEASING, False, False
            self._released.clear()
            self._speaker._unlock(self)  # noqa: SLF001

    def _leave(self, phase: Phase) -> None:
        self.phase, self.waiting = phase, False
        self._released.set()
        self._speaker._forget(self)  # noqa: SLF001

    def _settle(self, error: ClientError | None) -> None:
        granted = self._granted
        if granted is None or granted.done():
            return
        if error is None:
            granted.set_result(None)
        else:
            granted.set_exception(error)
