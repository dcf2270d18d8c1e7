"""A real SMTP server in a thread, that can be told to fail in every way a mail server does."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import threading
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class _Mute(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport


class MailServer:
    """`said` answers each step by name (RCPT, DATA): a text such as `451 later`, or nothing. `hang` answers
    nothing at all. `mails` are what was taken; `logins` who signed in."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        password: str | None = None,
        port: int = 0,
    ) -> None:
        self.said: dict[str, str] = {}
        self.hang = False
        self.envelopes: list[Envelope] = []
        self.logins: list[str] = []
        self.attempts = 0
        self._tls, self._implicit, self._password = tls, implicit, password
        self.port = port
        self._mute: list[_Mute] = []
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    # --- what aiosmtpd calls ----------------------------------------------------------------------------

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if "RCPT" in self.said and self.said["RCPT"].partition(" ")[2] in (address, "all"):
            return self.said["RCPT"].partition(" ")[0] + " not here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if "DATA" in self.said:
            return self.said["DATA"]
        self.envelopes.append(envelope)
        return "250 taken"

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        good = data.password.decode() == self._password
        self.logins.append(data.login.decode())
        return AuthResult(success=good, handled=good)

    # --- life -------------------------------------------------------------------------------------------

    def _protocol(self) -> asyncio.Protocol:
        self.attempts += 1
        if self.hang:
            self._mute.append(_Mute())
            return self._mute[-1]
        starts = self._tls if self._tls and not self._implicit else None
        return SMTP(
            self, loop=self._loop, hostname="mail.test", tls_context=starts,
            auth_required=self._password is not None, auth_require_tls=starts is not None,
            authenticator=self._authenticate if self._password is not None else None,
        )  # fmt: skip

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(
            self._protocol, "127.0.0.1", self.port, ssl=self._tls if self._implicit else None
        )

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._call(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        async def stop() -> None:
            assert self._server is not None
            self._server.close()
            for mute in self._mute:
                mute.transport.abort()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._call(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def mails(self) -> list[EmailMessage]:
        return [
            email.message_from_bytes(one.original_content or b"", policy=email.policy.default)  # type: ignore[misc]
            for one in self.envelopes
        ]


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    part = mail.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content
