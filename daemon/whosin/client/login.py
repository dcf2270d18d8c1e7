"""`Login`: one session on a connection of its own, what most client programs use.

Owns the line, the will and the rhythm of the heartbeats of its session. The conversation itself is
`session`'s, the connection `line`'s.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from whosin.client import wire
from whosin.client.connection import Broker, Will
from whosin.client.errors import NoAnswer, NotConnected
from whosin.client.line import Backoff, Line, RemoteLine, Terms, make_line
from whosin.client.session import ANSWER_S, Activity, Idle, Session, State
from whosin.client.who import Who, this_machine

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

GOODBYE_S: Final = 5.0


class Login(Session):
    """Who is in: logged in while inside `async with`.

    ```python
    async with Login("mqtt://127.0.0.1", site="head-office", company="books", user="ann") as login:
        async with login.lock("sales-order/SO-1001", activity="amending") as held:
            save(order, fence=held.token)
    ```

    Entering raises `LoginRefused`, or `NoAnswer` after `login_timeout_s`. Inside, it beats and comes back
    by itself; `state` tells how it stands. A session ended from outside does not come back: `ended` then
    holds the `SessionEnded`, which everything asked of the login raises. Leaving logs out.

    `session` is the session's id and MQTT client id (a new UUID unless given; each is used for one login
    only). `activity` and `idle_s` go with every heartbeat: values or callables, to be set at any time.
    `on_message` and `on_state` are called in the event loop and should return at once.
    """

    def __init__(
        self,
        url: str = "mqtt://127.0.0.1",
        *,
        site: str,
        company: str,
        user: str,
        client: str = "desktop",
        machine: str | None = None,
        address: str | None = None,
        app: str | None = None,
        os_session: str | None = None,
        session: str | None = None,
        username: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        tls: ssl.SSLContext | None = None,
        activity: Activity = None,
        idle_s: Idle = None,
        on_message: Callable[[wire.Message], object] | None = None,
        on_state: Callable[[State], object] | None = None,
        login_timeout_s: float = 30.0,
        answer_s: float = ANSWER_S,
        keep_alive_s: int = 30,
        session_expiry_s: int = 300,
        backoff: Backoff | None = None,
    ) -> None:
        who = Who(
            site=site,
            company=company,
            session=session or str(uuid.uuid4()),
            user=user,
            client=client,
            machine=machine or this_machine(),
            address=address,
            app=app,
            os_session=os_session,
        )
        super().__init__(
            who,
            self._publish,
            activity=activity,
            idle_s=idle_s,
            on_message=on_message,
            on_state=on_state,
            answer_s=answer_s,
        )
        # An id that outlives this program goes on counting its connections above the earlier ones.
        self.conn = int(time.time()) if session else 0
        self._login_timeout_s = login_timeout_s
        self._draw = random.Random()  # noqa: S311 - jitter, not a secret
        self._terms = Terms(
            broker=Broker.at(
                url,
                username=username,
                password=password,
                ca_file=ca_file,
                cert_file=cert_file,
                key_file=key_file,
                tls=tls,
            ),
            client_id=who.session,
            filters=[wire.down(site, company, who.session)],
            will=self._next_will,
            keep_alive_s=keep_alive_s,
            session_expiry_s=session_expiry_s,
            backoff=backoff or Backoff(),
        )
        self._line: Line | RemoteLine | None = None

    async def open(self) -> Self:
        """Log in, once. Then `close` must be called; `async with` does both."""
        if self._line is not None:
            raise RuntimeError(f"session {self.id} was opened before; an id is used for one login")
        self._line = make_line(self._terms, self)
        try:
            await self._line.start()
            await self.enter(self._login_timeout_s)
        except BaseException:
            # The daemon may have let us in without our hearing of it: leave nothing behind.
            await self._go("gave up logging in", patience_s=1.0 if self._up.is_set() else 0.0)
            raise
        self._spawn(self._beat_on(), "beats")
        return self

    async def close(self, reason: str | None = None) -> None:
        """Log out, releasing all locks but the sticky ones, and disconnect. Harmless when it is over."""
        await self._go(reason, patience_s=GOODBYE_S)

    async def abandon(self, *, broken: bool = True) -> None:
        """Leave without logging out, for tests and rehearsals: as a crash does (`broken`: the connection
        breaks and the broker publishes our will), or as a program that is simply switched off."""
        self._up.clear()
        if self._line is not None:
            await (self._line.drop() if broken else self._line.stop())
        await self.shut()

    async def cut(self) -> None:
        """Lose the network until `mend`, for tests and rehearsals."""
        if self._line is not None:
            await self._line.cut()

    async def mend(self) -> None:
        if self._line is not None:
            await self._line.mend()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(None if kind is None else f"the program stopped: {kind.__name__}")

    # --- told by the line ------------------------------------------------------------------------------

    def heard(self, topic: str, payload: bytes) -> None:
        if (address := wire.address(topic)) is not None:
            self.hear(address[2], payload)

    # --- inside ------------------------------------------------------------------------------------------

    def _next_will(self) -> Will:
        """A new connection: its number tells the daemon which will is a late one."""
        self.conn = (self.conn or 0) + 1
        return Will(self._topic("lost"), wire.encode(conn=self.conn))

    def _topic(self, verb: str) -> str:
        return wire.up(self.who.site, self.who.company, self.who.session, verb)

    async def _publish(self, verb: str, payload: bytes, qos: int) -> None:
        if self._line is None:
            raise NotConnected("not opened")
        await self._line.publish(self._topic(verb), payload, qos)

    async def _beat_on(self) -> None:
        """A little early each time, and never in step with other clients."""
        while True:
            await asyncio.sleep(self.heartbeat_every_s * self._draw.uniform(0.85, 1.0))
            with suppress(NotConnected, NoAnswer):
                await self.beat()

    def _ended(self) -> None:
        if self._line is not None:
            self._spawn(self._line.stop(), "stop")  # hold no connection

    async def _go(self, reason: str | None, *, patience_s: float) -> None:
        try:
            if patience_s > 0:
                await self.leave(reason, patience_s)
        finally:
            if self._line is not None:
                await self._line.stop()
            await self.shut()
