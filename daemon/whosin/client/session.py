"""One login as its program sees it: who it is, how it stands, its locks, its messages.

Owns the conversation of one session: introduce, stay, ask for locks, hear, say goodbye. Must not know
connections; it speaks through the `Voice` its owner (`Login`, `Gateway`) gives it, and is told when the
line is up or down. Everything happens in one event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from whosin.client import wire
from whosin.client.errors import (
    LoginRefused,
    NoAnswer,
    NotConnected,
    SessionEnded,
)
from whosin.client.inbox import Inbox
from whosin.client.locks import Lock, Mode, Phase

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from typing import Protocol

    from whosin.client.who import Who

    class Voice(Protocol):
        """Publishes for the session: verb, payload, QoS. `NotConnected` when it cannot."""

        async def __call__(self, verb: str, payload: bytes, qos: int) -> None: ...


log = logging.getLogger("whosin.client")

ANSWER_S: Final = 10.0
LONGEST_SILENCE_S: Final = 300.0  # between two introductions to a daemon that does not answer
SHORTEST_BEAT_S: Final = 0.05  # whatever a daemon asks for, it is not flooded


class State(StrEnum):
    """What is going on, for a program to show."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    ENDED = "ended"  # the daemon said so; `ended` tells by whom and why
    CLOSED = "closed"  # logged out by this program


Activity = str | Callable[[], str | None] | None
Idle = float | Callable[[], float | None] | None


class Session:
    """What `Login` and a gateway's logins have in common. Made by them, not by programs."""

    def __init__(
        self,
        who: Who,
        speak: Voice,
        *,
        activity: Activity = None,
        idle_s: Idle = None,
        on_message: Callable[[wire.Message], object] | None = None,
        on_state: Callable[[State], object] | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.who = who
        self.activity: Activity = activity
        self.idle_s: Idle = idle_s
        self.on_message = on_message
        self.on_state = on_state
        self.answer_s = answer_s
        self.heartbeat_every_s = 60.0
        self.timeout_s = 300.0
        self.beats = 0  # heartbeats sent
        self.logins = 0  # logins answered with yes: more than 1 after the daemon or the line went away
        self.why = ""  # the last reason for not being connected
        self.ended: SessionEnded | None = None
        self.state = State.CONNECTING
        self.conn: int | None = None
        self._speak = speak
        self._locks: dict[str, Lock] = {}
        self._messages = Inbox()
        self._entered = asyncio.Event()  # let in, or refused for good
        self._refusal: BaseException | None = None
        self._leaving = False
        self._over = asyncio.Event()
        self._up = asyncio.Event()
        self._answer: asyncio.Future[wire.LoginAnswer] | None = None
        self._introduction: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- for programs ------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self.who.session

    @property
    def locks(self) -> Mapping[str, Lock]:
        """By resource: those held, asked for, or being released."""
        return MappingProxyType(self._locks)

    def lock(
        self,
        resource: str,
        *,
        mode: Mode = "exclusive",
        wait_s: float = 0.0,
        activity: str | None = None,
        guidance: str | None = None,
        sticky: bool = False,
    ) -> Lock:
        """A lock to be entered with `async with`, or acquired. It covers `resource` and all below it.

        `wait_s` > 0 queues behind whoever has it. `activity` tells others what is being done, `guidance`
        names what an operator must follow if this session is lost, `sticky` keeps the lock beyond it.
        """
        return Lock(
            self,
            resource,
            mode=mode,
            wait_s=wait_s,
            activity=activity,
            guidance=guidance,
            sticky=sticky,
        )

    def messages(self) -> AsyncIterator[wire.Message]:
        """Texts for the user, as they come; ends when this program logs out, raises `SessionEnded` when
        the session is ended. At most 100 wait to be read, the oldest go first."""
        return self._messages

    async def wait_ended(self) -> SessionEnded | None:
        """Until the session is over: why, or None when this program logged out."""
        await self._over.wait()
        return self.ended

    def __repr__(self) -> str:
        who = self.who
        return f"{type(self).__name__}({who.user!r} at {who.site}/{who.company}, {self.state}, {self.id})"

    # --- told by the owner of the line ---------------------------------------------------------------

    def hear(self, kind: str, payload: bytes) -> None:
        """One answer of the daemon to this session."""
        answer = wire.decode(kind, payload)
        match answer:
            case wire.LoginAnswer():
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(answer)
            case wire.LockAnswer() if lock := self._locks.get(answer.resource):
                lock.answered(answer)
            case wire.UnlockAnswer() if lock := self._locks.get(answer.resource):
                lock.released(answer.released)
            case wire.MessageAnswer():
                self._tell(wire.Message(answer.text, answer.sender, answer.at))
            case wire.EndedAnswer():
                self._end(SessionEnded(answer.status, at=answer.at, by=answer.by, reason=answer.reason))
            case wire.UnknownAnswer():
                self._introduce()
            case None:
                log.debug("session %s: an answer of kind %r was not understood", self.id, kind)

    def line_up(self, *, introduce: bool = True) -> None:
        """The line can be used. `introduce`: log in again, which is harmless and restores everything."""
        self._up.set()
        if introduce or not self.logins:
            self._introduce_anew()
        else:
            self._settle_in(ask_held=False)

    def line_down(self, why: str) -> None:
        self._up.clear()
        self.why = why
        if self.state is State.CONNECTED and not self._leaving:
            self._become(State.RECONNECTING)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(NotConnected(why))

    def line_over(self, why: BaseException) -> None:
        """There will be no line any more."""
        self.line_down(str(why))
        self._let_in(why)
        taken = isinstance(why, NotConnected)
        ended = SessionEnded("taken_over" if taken else "failed", reason=str(why))
        ended.__cause__ = why
        self._end(ended)

    # --- coming in, going out ------------------------------------------------------------------------

    async def enter(self, patience_s: float) -> None:
        """Until the daemon let us in. `LoginRefused`, or `NoAnswer` after `patience_s`."""
        try:
            async with asyncio.timeout(patience_s):
                await self._entered.wait()
        except TimeoutError:
            why = self.why or "the daemon did not answer"
            raise NoAnswer(f"not logged in after {patience_s:g} s: {why}") from None
        if self._refusal is not None:
            raise self._refusal

    async def leave(self, reason: str | None, patience_s: float) -> bool:
        """Log out; True when the broker has our goodbye. Otherwise the daemon notices by our silence."""
        if self.state in {State.ENDED, State.CLOSED}:
            return False
        self._leaving = True
        said = False
        with suppress(TimeoutError, NoAnswer):
            async with asyncio.timeout(patience_s):
                while not said:
                    await self._up.wait()
                    with suppress(NotConnected):  # the line is about to say that it is down
                        await self._speak("logout", wire.encode(reason=_short(reason)), 1)
                        said = True
        if not said:
            log.warning("session %s could not log out: %s", self.id, self.why or "no answer")
        return said

    async def shut(self) -> None:
        """Nothing runs on any more, nobody waits on any more."""
        self._leaving = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._finish(State.CLOSED if self.ended is None else State.ENDED)

    # --- heartbeats ----------------------------------------------------------------------------------

    @property
    def has_news(self) -> bool:
        """A heartbeat of its own says more than one in a batch would."""
        return self.activity is not None or self.idle_s is not None

    async def beat(self) -> None:
        """One heartbeat, now. `NotConnected` when there is no line."""
        idle_s = _asked(self.idle_s, self.id)
        await self._speak(
            "heartbeat",
            wire.encode(
                activity=_short(_asked(self.activity, self.id)),
                idle_s=None if idle_s is None else max(0.0, round(idle_s, 1)),
                conn=self.conn,
            ),
            0,
        )
        self.beats += 1

    # --- introducing ourselves -----------------------------------------------------------------------

    def _introduce(self) -> None:
        """Unless we are about it already."""
        if self._introduction is None or self._introduction.done():
            self._introduce_anew()

    def _introduce_anew(self) -> None:
        if self._introduction is not None:
            self._introduction.cancel()
        if self.ended is None and not self._leaving:
            self._introduction = self._spawn(self._log_in(), "introduce")

    async def _log_in(self) -> None:
        """Say who we are until we are answered; the next `line_up` starts over if the line breaks."""
        who = self.who
        patience_s = self.answer_s
        while True:
            self._answer = asyncio.get_running_loop().create_future()
            payload = wire.encode(
                user=who.user,
                client=who.client,
                machine=who.machine,
                address=who.address,
                app=who.app,
                os_session=who.os_session,
                conn=self.conn,
            )
            try:
                await self._speak("login", payload, 1)
                async with asyncio.timeout(patience_s):
                    answer = await self._answer
            except NotConnected:
                return
            except (TimeoutError, NoAnswer):
                patience_s = min(LONGEST_SILENCE_S, patience_s * 2)
                self.why = "the daemon does not answer"
                continue
            self._answered(answer)
            return

    def _answered(self, answer: wire.LoginAnswer) -> None:
        if not answer.accepted:
            refused = LoginRefused(answer.code, answer.message)
            self._let_in(refused)
            self._end(SessionEnded("refused", reason=str(refused)))
            return
        self.logins += 1
        self.heartbeat_every_s = max(SHORTEST_BEAT_S, answer.heartbeat_every_s)
        self.timeout_s = answer.timeout_s
        self._let_in(None)
        self._settle_in(ask_held=self.logins > 1)

    def _let_in(self, refusal: BaseException | None) -> None:
        """Tell `enter`, once."""
        if not self._entered.is_set():
            self._refusal = refusal
            self._entered.set()

    def _settle_in(self, *, ask_held: bool) -> None:
        """Connected. Requests whose answers may be lost are sent again: the daemon keeps our place, and
        answers for a lock we hold with its token."""
        self.why = ""
        self._become(State.CONNECTED)
        for lock in list(self._locks.values()):
            if lock.phase is Phase.RELEASING:
                self._unlock(lock)
            elif lock.phase is Phase.ASKED or ask_held:
                self._ask(lock)

    # --- locks -----------------------------------------------------------------------------------------

    async def _claim(self, lock: Lock) -> None:
        while (other := self._locks.get(lock.resource)) is not None:
            if other.phase is not Phase.RELEASING:
                raise RuntimeError(f"{lock.resource}: {other.phase} by this session already")
            await other.settled()
        if self.ended is not None:
            raise self.ended
        if self.state is State.CLOSED:
            raise SessionEnded("logged_off", reason="this program logged out")
        self._locks[lock.resource] = lock

    def _ask(self, lock: Lock) -> None:
        payload = wire.encode(
            resource=lock.resource,
            mode=None if lock.mode == "exclusive" else lock.mode,
            activity=_short(lock.activity),
            guidance=lock.guidance,
            sticky=lock.sticky or None,
            wait_s=round(lock.left_s, 3) or None,
        )
        self._spawn(self._say("lock", payload), "lock")

    def _unlock(self, lock: Lock) -> None:
        self._spawn(self._say("unlock", wire.encode(resource=lock.resource)), "unlock")

    def _forget(self, lock: Lock) -> None:
        if self._locks.get(lock.resource) is lock:
            del self._locks[lock.resource]

    async def _say(self, verb: str, payload: bytes) -> None:
        """What `_settle_in` says again after the line was away."""
        with suppress(NotConnected, NoAnswer):
            await self._speak(verb, payload, 1)

    # --- the end -----------------------------------------------------------------------------------

    def _end(self, ended: SessionEnded) -> None:
        """The daemon ended it; nothing of ours may go on as if it had not."""
        if self.ended is None and not self._leaving:
            self.ended = ended
            self._let_in(ended)
            self._finish(State.ENDED)
            self._ended()

    def _ended(self) -> None:
        """For the owner to let go of what it keeps for the session. Called once."""

    def _finish(self, state: State) -> None:
        reason = self.ended or SessionEnded("logged_off", reason="this program logged out")
        for lock in list(self._locks.values()):
            lock.fail(reason)
        self._messages.close(self.ended)
        self._become(state)
        self._over.set()

    def _become(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            if self.on_state is not None:
                _call(self.on_state, state, self.id)

    def _tell(self, message: wire.Message) -> None:
        if self.on_message is not None:
            _call(self.on_message, message, self.id)
        else:
            self._messages.put(message)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"whosin-{name}-{self.id}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        """A defect in a task of ours ends the session loudly instead of leaving it half alive."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("session %s failed", self.id, exc_info=error)
            ended = SessionEnded("failed", reason=str(error))
            ended.__cause__ = error
            self._end(ended)


def _asked(value: Any, ident: str) -> Any:
    """A value, or what a program's callable says; its defects are told and do not stop the beats."""
    if not callable(value):
        return value
    try:
        return value()
    except Exception:
        log.exception("session %s: the program's activity or idle_s failed", ident)
        return None


def _call(callback: Callable[[Any], object], argument: object, ident: str) -> None:
    try:
        callback(argument)
    except Exception:
        log.exception("session %s: the program's callback failed", ident)


def _short(text: str | None) -> str | None:
    """What fits the wire of a text that is only shown."""
    return text if text is None else text[: wire.MAX_TEXT].encode(errors="replace").decode()
