"""What systemd is told by a service of Type=notify: datagrams to the socket that it names.

Owns the protocol (sd_notify(3)). Must not know what the daemon does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Final

LONGEST_STATUS: Final = 400
STARTING_S: Final = 30
"""While it starts, so long may pass between two signs of life: systemd's own limit is put off by that."""


class Systemd:
    """A `ports.Supervisor`. What cannot be said is left: systemd then does what the unit says."""

    def __init__(self, address: str, watchdog_s: float | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = watchdog_s

    @property
    def alive_every_s(self) -> float | None:
        """Half of what the watchdog allows."""
        return self._watchdog_s / 2 if self._watchdog_s is not None else None

    def attach(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """It sends signals."""

    def starting(self, why: str) -> None:
        self._say(f"STATUS={_line('Starting: ' + why)}", f"EXTEND_TIMEOUT_USEC={STARTING_S * 1_000_000}")

    def ready(self, text: str) -> None:
        self._say("READY=1", f"STATUS={_line(text)}")

    def alive(self, text: str) -> None:
        self._say("WATCHDOG=1", f"STATUS={_line(text)}")

    def reloading(self) -> None:
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._say("STOPPING=1", "STATUS=Stopping")

    def failed(self, text: str) -> None:
        self._say(f"STATUS={_line(text)}")

    def _say(self, *lines: str) -> None:
        if sys.platform == "win32":
            return  # it has no systemd, nor such sockets
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.setblocking(False)  # a system that does not listen holds nobody up
            way.sendto("\n".join(lines).encode(), self._address)


def from_environment(environ: MutableMapping[str, str]) -> Systemd | None:
    """The systemd that started this process, None where that was somebody else. Its variables are taken out,
    so that no program that we start takes them for its own."""
    address = environ.pop("NOTIFY_SOCKET", "")
    microseconds, whose = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    if not address.startswith(("/", "@")) or len(address) < 2:
        return None
    ours = microseconds.isdecimal() and int(microseconds) > 0 and whose in ("", str(os.getpid()))
    return Systemd(address, int(microseconds) / 1_000_000 if ours else None)


def _line(text: str) -> str:
    return " ".join(text.split())[:LONGEST_STATUS]
