"""The link's log lines; about trouble that repeats at most one per cause in ten seconds.

Owns: when such a line was last written. Must not know: what the trouble is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from whosin.ports import Clock

_EVERY_MS: Final = 10_000
_MOST_CAUSES: Final = 100


class Quiet:
    """`log` is a structlog logger. What was held back is counted in the next line (`repeated`)."""

    def __init__(self, log: Any, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._said: dict[tuple[str, str], tuple[int, int]] = {}  # last line at, held back since

    def tell(self, level: str, event: str, /, **fields: object) -> None:
        """Write a line in any case."""
        getattr(self._log, level)(event, **fields)

    def say(self, level: str, event: str, reason: str, /, **fields: object) -> None:
        """Write a line, unless the same event was written for the same reason less than 10 s ago."""
        now = self._clock.now_ms()
        key = event, reason
        last, held = self._said.get(key, (now - _EVERY_MS, 0))
        if now - last < _EVERY_MS:
            self._said[key] = last, held + 1
            return
        if len(self._said) >= _MOST_CAUSES:
            self._said.clear()
        self._said[key] = now, 0
        if held:
            fields["repeated"] = held
        self.tell(level, event, **fields)
