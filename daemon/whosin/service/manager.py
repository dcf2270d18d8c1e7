"""What a service manager of a system does for us, whichever it is.

Owns the words between the command line and the systems. Must not know any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

NAME = "whosin"

Phase = Literal["not installed", "stopped", "starting", "running", "stopping", "failed"]


@dataclass(frozen=True)
class Wish:
    """How the service is to be installed. `user` None: one that the system makes for it alone."""

    config: Path | None = None  # None: at the usual place, made there if it is missing
    user: str | None = None
    start: bool = True


class State(NamedTuple):
    """`text`: what it says of itself, or why it is not running."""

    phase: Phase
    text: str = ""
    pid: int | None = None
    since: str | None = None  # RFC 3339
    at_boot: bool = False
    restarts: int = 0  # by the system, since it was started by somebody

    @property
    def installed(self) -> bool:
        return self.phase != "not installed"


class Manager(Protocol):
    """Raises Refused with a code and words where something cannot be done. Lists of lines are for people."""

    config: Path  # the settings that the service reads
    data: Path  # where it keeps its data

    def install(self, wish: Wish) -> list[str]:
        """Register it, or renew what is registered; begin it with the system."""
        ...

    def preview(self, wish: Wish) -> str:
        """What `install` would register, without doing so."""
        ...

    def start(self) -> State:
        """Start it and wait a while; how it is then."""
        ...

    def stop(self) -> State: ...

    def restart(self) -> State: ...

    def status(self) -> State: ...

    def uninstall(self, *, purge: bool) -> list[str]:
        """Stop and forget it. Data and settings are kept unless `purge`."""
        ...
