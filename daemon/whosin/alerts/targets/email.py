"""By e-mail, over SMTP: plain text and HTML, TLS unless it was set otherwise.

Owns the mail's form. Its headers are made by the standard library's policy, which refuses line breaks; what
strangers name stands in the body and in a subject of one printable line.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from whosin.alerts.messages import Message
from whosin.alerts.targets.base import (
    ATTEMPT_S,
    SAID,
    Line,
    PartlyTaken,
    Undelivered,
    in_words,
    secret,
    trust,
)

PORTS = {"starttls": 587, "on": 465, "off": 25}


@dataclass(frozen=True)
class EmailTarget:
    """`tls`: starttls, on, off. `password_file` goes with `username`."""

    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 0
    tls: str = "starttls"
    ca_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None

    @property
    def shown(self) -> str:
        return f"{', '.join(self.to)} by {self.host}:{self._port}"

    @property
    def _port(self) -> int:
        return self.port or PORTS[self.tls]

    def send(self, message: Message, line: Line) -> None:
        where = f"{self.host}:{self._port}"
        try:
            with contextlib.closing(self._connect(line)) as smtp:
                self._greet(smtp, line)
                refused = smtp.send_message(self._mail(message), self.sender, list(self.to))
                with contextlib.suppress(smtplib.SMTPException, OSError):
                    smtp.quit()
        except smtplib.SMTPNotSupportedError as error:
            raise Undelivered(f"{where}: {error}", for_good=True) from None
        except smtplib.SMTPRecipientsRefused as error:
            raise self._nobody(where, error.recipients) from None
        except smtplib.SMTPResponseException as error:
            raise Undelivered(
                f"{where} said {_said(error.smtp_code, error.smtp_error)}",
                for_good=500 <= error.smtp_code < 600,
            ) from None
        except smtplib.SMTPServerDisconnected as error:
            late = isinstance(error.__context__, TimeoutError)
            why = in_words(error.__context__) if late else "it broke the connection off"  # type: ignore[arg-type]
            raise Undelivered(f"{where}: {why}") from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise Undelivered(f"{where}: {in_words(error)}") from None
        if refused and len(refused) < len(self.to):
            said = "; ".join(f"{name}: {_said(*answer)}" for name, answer in list(refused.items())[:3])
            raise PartlyTaken(f"{where} took it, but not for {said}")

    def _connect(self, line: Line) -> smtplib.SMTP:
        host = self.host.strip("[]")
        if self.tls == "on":
            smtp: smtplib.SMTP = _OverTls(line, host, timeout=ATTEMPT_S, context=trust(self.ca_file))
        else:
            smtp = _Held(line, host, timeout=ATTEMPT_S)
        with contextlib.ExitStack() as undo:
            undo.callback(smtp.close)
            code, said = smtp.connect(host, self._port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, said)
            undo.pop_all()
        line.hold(smtp.sock)
        return smtp

    def _greet(self, smtp: smtplib.SMTP, line: Line) -> None:
        if self.tls == "starttls":
            smtp.ehlo()
            if not smtp.has_extn("starttls"):
                raise smtplib.SMTPNotSupportedError(
                    'it offers no TLS; nothing is sent in clear unless tls = "off" says so'
                )
            smtp.starttls(context=trust(self.ca_file))
            line.hold(smtp.sock)
            smtp.ehlo()
        if self.username is not None:
            smtp.login(self.username, secret(self.password_file) or "")

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        mail["Subject"] = message.subject
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = f"<{message.id}@{self.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Whosin-Alert"] = message.payload["id"]
        if message.severity == "critical" and message.payload["phase"] != "cleared":
            mail["Importance"] = "high"
        mail.set_content(message.text)
        mail.add_alternative(message.html, subtype="html")
        return mail

    @staticmethod
    def _nobody(where: str, refused: dict[str, tuple[int, bytes]]) -> Undelivered:
        said = "; ".join(f"{name}: {_said(*answer)}" for name, answer in list(refused.items())[:3])
        return Undelivered(
            f"{where} takes it for nobody: {said}", for_good=all(code >= 500 for code, _ in refused.values())
        )


class _Held(smtplib.SMTP):
    """Its socket can be cut off from the moment there is one. `host` is whom a certificate has to name."""

    def __init__(self, line: Line, host: str, **options: Any) -> None:
        self._line = line
        super().__init__(**options)
        self._host = host  # else only a constructor that connects sets it

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        self._line.hold(made)
        return made


class _OverTls(smtplib.SMTP_SSL, _Held):
    def __init__(self, line: Line, host: str, **options: Any) -> None:
        self._line = line
        smtplib.SMTP_SSL.__init__(self, **options)
        self._host = host


def _said(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(words.split())}"[:SAID]
