"""What every target is: something that takes a message, or says why not."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Protocol

from whosin.alerts.messages import Message
from whosin.errors import WhosinError

ATTEMPT_S = 15.0  # for each thing that is waited for
SAID = 200  # characters of what a target said that are worth keeping


class Undelivered(WhosinError):  # noqa: N818 - the domain's word
    """The target did not take it. `for_good`: trying again is no use. `after_s`: it asked for that much time.
    The text names the target without its secrets."""

    def __init__(self, why: str, *, for_good: bool = False, after_s: float = 0.0) -> None:
        super().__init__("".join(mark if mark.isprintable() else " " for mark in why))
        self.for_good = for_good
        self.after_s = after_s


class PartlyTaken(Undelivered):
    """Some got it. Trying again would send it to them twice."""


class Line:
    """The socket of one attempt, so that whoever waits for it can end it."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._cut = False

    def hold(self, connected: socket.socket | None) -> None:
        self._socket = connected
        if self._cut:
            self.cut()

    def cut(self) -> None:
        """From another thread."""
        self._cut = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class Target(Protocol):
    """`shown` names it without secrets."""

    @property
    def shown(self) -> str: ...

    def send(self, message: Message, line: Line) -> None:
        """In a thread of its own; returns once it is taken. Raises Undelivered."""
        ...


def secret(path: Path | None) -> str | None:
    """The first line of a file, read anew each time, so that a changed password needs no reload."""
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Undelivered(f"{path} cannot be read: {why}") from None
    return text.split("\n", 1)[0].removesuffix("\r")


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """The target must prove who it is."""
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise Undelivered(f"{ca_file} cannot be used: {error}") from None


def in_words(error: Exception) -> str:
    """What went wrong on the way, without addresses that might be secrets."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or 'broken off'}"
    if isinstance(error, TimeoutError):
        return f"no answer within {ATTEMPT_S:g} s"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
