"""`Gateway`: one connection that speaks for many sessions, as a web portal's server does.

Owns the line, the sessions' registry and the batches of heartbeats. The conversation of each session is
`session`'s. There is no will: one broken connection says nothing about the people behind it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from whosin.client import wire
from whosin.client.connection import Broker
from whosin.client.errors import NoAnswer, NotConnected
from whosin.client.line import Backoff, Line, RemoteLine, Terms, make_line
from whosin.client.login import GOODBYE_S
from whosin.client.session import ANSWER_S, Activity, Idle, Session, State
from whosin.client.who import Who

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

log = logging.getLogger("whosin.client")

BATCH: Final = 500  # ids in one message: some 20 KiB with UUIDs, 34 KiB at most, of the 256 KiB allowed
IDLE_EVERY_S: Final = 60.0  # with nobody to beat for
AT_ONCE: Final = 100  # logins under way together; the others wait their turn


class Gateway:
    """The connection of a portal's server.

    ```python
    async with Gateway("mqtt://127.0.0.1", site="head-office", company="books") as gateway:
        login = await gateway.login(user="ann", address="203.0.113.7").open()
        ...
        await login.close("signed out")
    ```

    `company` is where its sessions belong unless they say otherwise; with `one_company` it listens to
    that company only. Leaving disconnects and logs nobody out: the portal may come back, with the same
    session ids. Sessions beat in batches while `alive` says so.
    """

    def __init__(
        self,
        url: str = "mqtt://127.0.0.1",
        *,
        site: str,
        company: str,
        one_company: bool = False,
        client: str = "web",
        app: str | None = None,
        client_id: str | None = None,
        username: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        tls: ssl.SSLContext | None = None,
        connect_timeout_s: float = 30.0,
        keep_alive_s: int = 30,
        session_expiry_s: int = 300,
        backoff: Backoff | None = None,
    ) -> None:
        self.site = wire.ident("site", site)
        self.company = wire.ident("company", company)
        self.client = client
        self.app = app
        self.beats = 0  # heartbeats sent, each session's counted
        self.why = ""  # the last reason for not being connected
        self.state = State.CONNECTING
        self._connect_timeout_s = connect_timeout_s
        self._sessions: dict[str, GatewayLogin] = {}
        self._entering = asyncio.Semaphore(AT_ONCE)
        self._up = asyncio.Event()
        self._settled = asyncio.Event()
        self._error: BaseException | None = None
        self._every_s = IDLE_EVERY_S
        self._beat_at = 0.0
        self._sooner = asyncio.Event()
        self._beater: asyncio.Task[None] | None = None
        self._draw = random.Random()  # noqa: S311 - jitter, not a secret
        self._line: Line | RemoteLine | None = None
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
            client_id=client_id or f"gateway-{uuid.uuid4()}",
            filters=[wire.down(site, company) if one_company else wire.down(site)],
            will=lambda: None,
            keep_alive_s=keep_alive_s,
            session_expiry_s=session_expiry_s,
            backoff=backoff or Backoff(),
        )

    @property
    def sessions(self) -> Mapping[str, GatewayLogin]:
        """Those opened and not over, by id."""
        return dict(self._sessions)

    def login(
        self,
        *,
        user: str,
        company: str | None = None,
        client: str | None = None,
        machine: str | None = None,
        address: str | None = None,
        app: str | None = None,
        os_session: str | None = None,
        session: str | None = None,
        alive: Callable[[], bool] | None = None,
        activity: Activity = None,
        idle_s: Idle = None,
        on_message: Callable[[wire.Message], object] | None = None,
        on_state: Callable[[State], object] | None = None,
        login_timeout_s: float = 30.0,
        answer_s: float = ANSWER_S,
    ) -> GatewayLogin:
        """A login to be opened (`async with`, or `open` and `close`).

        `alive` is asked before each heartbeat: a portal says whether the browser was heard of lately, so
        that a closed tab falls silent. A session with an `activity` or `idle_s` beats by itself, the
        others share messages.
        """
        who = Who(
            site=self.site,
            company=company or self.company,
            session=session or str(uuid.uuid4()),
            user=user,
            client=client or self.client,
            machine=machine,
            address=address,
            app=app or self.app,
            os_session=os_session,
        )
        return GatewayLogin(
            self,
            who,
            alive=alive,
            login_timeout_s=login_timeout_s,
            activity=activity,
            idle_s=idle_s,
            on_message=on_message,
            on_state=on_state,
            answer_s=answer_s,
        )

    async def open(self) -> Self:
        """Connect. `LoginRefused` when the broker will not have us, `NotConnected` after a while."""
        if self._line is not None:
            raise RuntimeError("this gateway was opened before")
        self._line = make_line(self._terms, self)
        try:
            await self._line.start()
            await self._connected()
        except BaseException:
            await self.close()
            raise
        self._beater = asyncio.create_task(self._beat_on(), name="whosin-batches")
        self._beater.add_done_callback(self._beaten)
        return self

    async def _connected(self) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self._settled.wait()
        except TimeoutError:
            raise NotConnected(self.why or "no connection") from None
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """Disconnect. Nobody is logged out; each session's `close` does that."""
        if self._beater is not None:
            self._beater.cancel()
            await asyncio.wait([self._beater])
        if self._line is not None:
            await self._line.stop()
        self.state = State.CLOSED
        for session in list(self._sessions.values()):
            await session.shut()
        self._sessions.clear()

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
        await self.close()

    # --- told by the line ------------------------------------------------------------------------------

    def line_up(self) -> None:
        self.state, self.why = State.CONNECTED, ""
        self._beat_at = 0.0  # long ago: at once
        self._sooner.set()
        self._up.set()
        self._settled.set()
        for session in list(self._sessions.values()):
            session.line_up(introduce=False)

    def line_down(self, why: str) -> None:
        self.why = why
        self._up.clear()
        if self.state is State.CONNECTED:
            self.state = State.RECONNECTING
        for session in list(self._sessions.values()):
            session.line_down(why)

    def line_over(self, why: BaseException) -> None:
        self.line_down(str(why))
        self.state = State.ENDED
        self._error = why
        self._settled.set()
        for session in list(self._sessions.values()):
            session.line_over(why)

    def heard(self, topic: str, payload: bytes) -> None:
        if (address := wire.address(topic)) is None:
            return
        session = self._sessions.get(address[1])  # others' answers pass by here too
        if session is not None and session.who.company == address[0]:
            session.hear(address[2], payload)

    # --- inside ------------------------------------------------------------------------------------------

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        if self._line is None:
            raise NotConnected("not opened")
        await self._line.publish(topic, payload, qos)

    def admit(self, session: GatewayLogin) -> None:
        if self.state in {State.CLOSED, State.ENDED}:
            raise NotConnected(f"the gateway is {self.state}: {self.why}")
        if self._sessions.setdefault(session.id, session) is not session:
            raise RuntimeError(f"session {session.id} is open already")

    def dismiss(self, session: GatewayLogin) -> None:
        self._sessions.pop(session.id, None)

    def paced(self, session: GatewayLogin) -> None:
        """The daemon told this session how often to beat."""
        if session.heartbeat_every_s < self._every_s:
            self._every_s = session.heartbeat_every_s
            self._sooner.set()

    async def _beat_on(self) -> None:
        """All of them, whenever the most impatient wants it; at once after coming back."""
        while True:
            await self._up.wait()
            await self._until_due()
            paces = [each.heartbeat_every_s for each in self._sessions.values() if each.logins]
            self._every_s = min(paces, default=IDLE_EVERY_S)
            self._beat_at = asyncio.get_running_loop().time()
            with suppress(NotConnected, NoAnswer):
                await self._beat_all()

    async def _until_due(self) -> None:
        """A little early each time, and never in step with other gateways."""
        early = self._draw.uniform(0.85, 1.0)
        with suppress(TimeoutError):
            while True:
                self._sooner.clear()
                async with asyncio.timeout_at(self._beat_at + self._every_s * early):
                    await self._sooner.wait()

    def _beaten(self, task: asyncio.Task[None]) -> None:
        """A defect here ends all sessions loudly instead of letting them fall silent."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the gateway failed", exc_info=error)
            self.line_over(error)

    async def _beat_all(self) -> None:
        companies: dict[str, list[GatewayLogin]] = {}
        for session in list(self._sessions.values()):
            if session.logins and session.alive():
                if session.has_news:
                    await session.beat()
                    self.beats += 1
                else:
                    companies.setdefault(session.who.company, []).append(session)
        for company, sessions in companies.items():
            for batch in _chunks(sessions):
                await self._beat_batch(company, batch)

    async def _beat_batch(self, company: str, sessions: list[GatewayLogin]) -> None:
        topic = wire.up(self.site, company, wire.BATCH, "heartbeat")
        await self.publish(topic, wire.encode_batch([each.id for each in sessions]), 0)
        self.beats += len(sessions)
        for session in sessions:
            session.beats += 1


class GatewayLogin(Session):
    """One of the many. Like `Login`, but on its gateway's connection."""

    def __init__(
        self,
        gateway: Gateway,
        who: Who,
        *,
        alive: Callable[[], bool] | None,
        login_timeout_s: float,
        **about: Any,
    ) -> None:
        super().__init__(who, self._publish, **about)
        self.alive: Callable[[], bool] = alive or (lambda: True)
        self._gateway = gateway
        self._login_timeout_s = login_timeout_s

    async def open(self) -> Self:
        """Log in. `LoginRefused`, or `NoAnswer` in time."""
        gateway = self._gateway
        gateway.admit(self)
        try:
            async with gateway._entering:  # noqa: SLF001 - one thing in two parts
                if gateway._up.is_set():  # noqa: SLF001
                    self.line_up()
                await self.enter(self._login_timeout_s)
        except BaseException:
            await self._go("gave up logging in", patience_s=1.0 if self._up.is_set() else 0.0)
            raise
        return self

    async def close(self, reason: str | None = None) -> None:
        """Log out. Harmless when it is over."""
        await self._go(reason, patience_s=GOODBYE_S)

    async def abandon(self) -> None:
        """Fall silent without logging out, as a forgotten browser tab does."""
        self._gateway.dismiss(self)
        await self.shut()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(None if kind is None else f"the program stopped: {kind.__name__}")

    async def _publish(self, verb: str, payload: bytes, qos: int) -> None:
        who = self.who
        await self._gateway.publish(wire.up(who.site, who.company, who.session, verb), payload, qos)

    def _settle_in(self, *, ask_held: bool) -> None:
        super()._settle_in(ask_held=ask_held)
        self._gateway.paced(self)

    def _ended(self) -> None:
        self._gateway.dismiss(self)

    async def _go(self, reason: str | None, *, patience_s: float) -> None:
        try:
            if patience_s > 0:
                await self.leave(reason, patience_s)
        finally:
            self._gateway.dismiss(self)
            await self.shut()


def _chunks(sessions: list[GatewayLogin]) -> Iterable[list[GatewayLogin]]:
    for start in range(0, len(sessions), BATCH):
        yield sessions[start : start + BATCH]
