"""Who logs in: the identity a session has, checked before it is said. Owns names; knows no connections."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from whosin.client import wire


@dataclass(frozen=True, slots=True)
class Who:
    """The identity a session logs in with."""

    site: str
    company: str
    session: str
    user: str
    client: str
    machine: str | None = None
    address: str | None = None
    app: str | None = None
    os_session: str | None = None

    def __post_init__(self) -> None:
        for what in ("site", "company", "session"):
            wire.ident(what, getattr(self, what))
        if not self.user or not self.client:
            raise ValueError("user and client must not be empty")
        for what in ("user", "client", "machine", "address", "app", "os_session"):
            wire.name(what, getattr(self, what))


def this_machine() -> str | None:
    """The name of the computer, as its operators know it."""
    return platform.node() or None
