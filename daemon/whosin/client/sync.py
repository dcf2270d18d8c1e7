"""`SyncLogin`: the login for programs without an event loop: scripts, desktop programs, services.

Owns a thread with a loop of its own, on which an ordinary `Login` lives; every call here waits for that
one. Must not know the wire. Safe to use from several threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from whosin.client.login import Login
from whosin.client.threads import LoopThread

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from types import TracebackType

    from whosin.client.errors import SessionEnded
    from whosin.client.locks import Lock
    from whosin.client.session import Activity, Idle, State
    from whosin.client.wire import Holder, Message

T = TypeVar("T")

_LOOK_UP_S: Final = 0.5  # a blocked wait cannot be interrupted on Windows: wait in pieces


class SyncLogin:
    """Logged in while inside `with`; takes what `Login` takes, raises what it raises.

    ```python
    with SyncLogin("mqtt://127.0.0.1", site="head-office", company="books", user="ann") as login:
        with login.lock("vat-return", activity="submitting") as held:
            submit(fence=held.token)
    ```

    It beats in the background. Callbacks (`on_message`, `on_state`, callable `activity` and `idle_s`)
    are called in that background thread.
    """

    def __init__(self, url: str = "mqtt://127.0.0.1", **about: Any) -> None:
        self._login = Login(url, **about)
        self._thread: LoopThread | None = None

    def open(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("opened already")
        self._thread = LoopThread(f"whosin-{self._login.id}")
        try:
            self._do(self._login.open())
        except BaseException:
            self._stop()
            raise
        return self

    def close(self, reason: str | None = None) -> None:
        """Log out. Harmless when it is over or was never opened."""
        if self._thread is not None:
            try:
                self._do(self._login.close(reason))
            finally:
                self._stop()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(None if kind is None else f"the program stopped: {kind.__name__}")

    def lock(self, resource: str, **about: Any) -> SyncLock:
        """As `Login.lock`, to be entered with `with`."""
        return SyncLock(self, self._login.lock(resource, **about))

    def messages(self) -> Iterator[Message]:
        """Texts for the user, as they come; ends with the login, raises `SessionEnded` as `Login` does."""
        while (message := self._do(_next(self._login))) is not None:
            yield message

    @property
    def id(self) -> str:
        return self._login.id

    @property
    def state(self) -> State:
        return self._login.state

    @property
    def ended(self) -> SessionEnded | None:
        return self._login.ended

    @property
    def activity(self) -> Activity:
        return self._login.activity

    @activity.setter
    def activity(self, value: Activity) -> None:
        self._login.activity = value

    @property
    def idle_s(self) -> Idle:
        return self._login.idle_s

    @idle_s.setter
    def idle_s(self, value: Idle) -> None:
        self._login.idle_s = value

    def __repr__(self) -> str:
        return f"Sync{self._login!r}"

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for it in the loop's thread. Ctrl+C cancels it there."""
        if self._thread is None:
            work.close()
            raise RuntimeError("not open")
        future = self._thread.submit(work)
        try:
            while True:
                try:
                    return future.result(_LOOK_UP_S)
                except TimeoutError:
                    if future.done():
                        raise
        except BaseException:
            future.cancel()
            raise

    def _stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()


class SyncLock:
    """A lock of a `SyncLogin`: `with login.lock("stock/count") as held: ...`."""

    def __init__(self, login: SyncLogin, lock: Lock) -> None:
        self._login = login
        self._lock = lock

    def acquire(self) -> Self:
        """Ask, and wait in the queue for up to `wait_s`; raises what `Lock.acquire` raises."""
        self._login._do(self._lock.acquire())  # noqa: SLF001 - a lock and its login are one thing
        return self

    def release(self) -> bool:
        """Give it back; True when the daemon confirmed."""
        return self._login._do(self._lock.release())  # noqa: SLF001

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def resource(self) -> str:
        return self._lock.resource

    @property
    def token(self) -> int:
        """The fencing token; `LockLost` when it is not held any more."""
        return self._lock.token

    @property
    def held(self) -> bool:
        return self._lock.held

    @property
    def lost(self) -> bool:
        return self._lock.lost

    @property
    def holder(self) -> Holder | None:
        """Whoever stands or stood in the way."""
        return self._lock.holder

    def __repr__(self) -> str:
        return f"Sync{self._lock!r}"


async def _next(login: Login) -> Message | None:
    return await anext(login.messages(), None)
