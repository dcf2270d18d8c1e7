"""The seam to whoever started the process and looks after it: systemd, or Windows' service manager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Supervisor(Protocol):
    """Hears how the daemon fares. All is called from the event loop's thread, and must not block or raise.
    Texts are one line, for people."""

    @property
    def alive_every_s(self) -> float | None:
        """How often `alive` is due at least; None: as it suits."""
        ...

    def attach(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """What it may order. Both may be called from any thread, at any time, again and again."""
        ...

    def starting(self, why: str) -> None:
        """Not ready yet, and why. Said again at least every five seconds while that is so."""
        ...

    def ready(self, text: str) -> None:
        """The daemon sees and stores: for the first time, or after `reloading`."""
        ...

    def alive(self, text: str) -> None:
        """The event loop turns. `text`: how things are now."""
        ...

    def reloading(self) -> None:
        """The settings are being read again; `ready` follows."""
        ...

    def stopping(self) -> None: ...

    def failed(self, text: str) -> None:
        """It could not start, or could not go on; the process ends."""
        ...
