"""Event to log line and count, in one table. Owns the table, and the log line for bad input (rule 11).

Must not know how lines look or who asks for counts. Events come here after their commit: a line or a count
never tells what may still be lost.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from whosin.observe.counts import bump

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from whosin.model import Event
    from whosin.observe.counts import Counts
    from whosin.observe.logs import Flood

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
SAMPLE = 80  # bytes of bad input worth showing


class Logger(Protocol):
    """The part of structlog's logger that is used here."""

    def log(self, level: int, event: str, **fields: Any) -> Any: ...

    # An exact name of the standard library's.
    def isEnabledFor(self, level: int) -> bool: ...  # noqa: N802


@dataclass(frozen=True, slots=True)
class Row:
    """What one type of event comes to. `level` None: who raised the event has said so at once.

    `fields` of the event's data follow who and where; `count` adds to the counts; both may be empty.
    """

    level: int | Callable[[Event], int] | None = INFO
    fields: tuple[str, ...] = ()
    count: Callable[[Counts, Event, str], None] | None = None  # the client type as the metrics know it


def _finished_level(event: Event) -> int:
    """The pass as a whole is news; its part of each site only for those who look closely."""
    if event.site is not None:
        return DEBUG
    return WARNING if event.data.get("result") == "failed" else INFO


def _finished(counts: Counts, event: Event, _client: str) -> None:
    if event.site is not None:
        return
    result = str(event.data.get("result", "done"))
    bump(counts.passes, result)
    if result == "done":
        counts.last_pass_s = event.at_ms / 1000
    if isinstance(seconds := event.data.get("seconds"), int | float):
        counts.pass_seconds.observe(seconds)


def _logged_in(counts: Counts, _event: Event, client: str) -> None:
    bump(counts.logged_in, client)


def _refused(counts: Counts, event: Event, _client: str) -> None:
    bump(counts.refused, str(event.data.get("code", "")))


def _disconnected(counts: Counts, event: Event, client: str) -> None:
    bump(counts.disconnected, (client, event.reason or str(event.data.get("reason", ""))))


def _reconnected(counts: Counts, _event: Event, client: str) -> None:
    bump(counts.reconnected, client)


def _removed(counts: Counts, event: Event, _client: str) -> None:
    bump(counts.removed, str(event.data.get("cause", "")))


def _alerted(counts: Counts, event: Event, _client: str) -> None:
    bump(counts.alerts, str(event.data.get("kind", "")))


_WHO = ("client", "machine")
_LOCK = (*_WHO, "resource", "mode", "sticky", "release_at_ms")
_WINDOW = ("maintenance", "from", "until", "force")
_PASS = ("pass", "result", "removed", "released", "held_back", "skipped", "failed", "seconds")

TABLE: dict[str, Row] = {
    "session.logged_in": Row(INFO, (*_WHO, "address", "app"), _logged_in),
    "session.refused": Row(WARNING, (*_WHO, "code"), _refused),
    "session.disconnected": Row(INFO, (*_WHO, "locks", "idle_s"), _disconnected),
    "session.reconnected": Row(INFO, (*_WHO, "was"), _reconnected),
    "session.idle": Row(INFO, (*_WHO, "idle", "idle_s")),
    "session.logged_off": Row(INFO, (*_WHO, "released")),
    "session.removed": Row(INFO, (*_WHO, "cause", "was", "released", "sticky"), _removed),
    "lock.granted": Row(DEBUG, _LOCK),
    "lock.released": Row(DEBUG, _LOCK),
    "lock.left_behind": Row(INFO, _LOCK),
    "followup.opened": Row(INFO, ("machine", "followup", "rule", "severity", "resource")),
    "followup.done": Row(INFO, ("followup", "rule", "severity", "resource")),
    "guidance.changed": Row(INFO, ("source", "rules", "added", "removed", "changed")),
    "cleanup.switched": Row(INFO, ("enabled",)),
    "cleanup.started": Row(INFO, ("pass",)),
    "cleanup.finished": Row(_finished_level, _PASS, _finished),
    "cleanup.confirmed": Row(INFO, ("client",)),
    "alert.raised": Row(INFO, ("kind", "id", "severity", "count", "client", "message", "action"), _alerted),
    "alert.cleared": Row(INFO, ("kind", "id", "message")),
    "alert.given_up": Row(None),
    "alert.tested": Row(INFO, ("results",)),
    "source.blind": Row(None),
    "source.regained": Row(None),
    "store.degraded": Row(None),
    "store.recovered": Row(None),
    "token.created": Row(INFO, ("name", "role")),
    "token.revoked": Row(INFO, ("name",)),
    "account.added": Row(INFO, ("name", "role")),
    "account.removed": Row(INFO, ("name",)),
    "operator.added": Row(INFO, ("name", "role")),
    "operator.changed": Row(INFO, ("name", "before", "after")),
    "operator.removed": Row(INFO, ("name",)),
    "operator.link_made": Row(INFO, ("name", "until")),
    "operator.password_changed": Row(INFO, ("name", "how")),
    "operator.signed_in": Row(INFO, ("name", "how", "address")),
    "operator.sign_in_failed": Row(WARNING, ("name", "address", "count")),
    "operator.signed_out": Row(INFO, ("name", "sessions")),
    "settings.reloaded": Row(INFO, ("changed", "needs_restart")),
    "message.sent": Row(INFO, ("to_user", "reached", "not_reached")),
    "maintenance.planned": Row(INFO, _WINDOW),
    "maintenance.warned": Row(INFO, ("maintenance", "reached")),
    "maintenance.started": Row(INFO, (*_WINDOW, "sessions")),
    "maintenance.ended": Row(INFO, _WINDOW),
    "maintenance.cancelled": Row(INFO, _WINDOW),
    "settings.changed": Row(INFO, ("values",)),
    "database.upgraded": Row(INFO, ("from", "to", "kept")),
    "database.restored": Row(WARNING, ("file", "newest")),
    "backup.made": Row(INFO, ("path", "bytes")),
    "daemon.started": Row(INFO, ("version",)),
    "daemon.stopped": Row(INFO, ("version",)),
}
"""Types that are not here are logged at info with all their data."""

_UNKNOWN = Row(INFO)


class Journal:
    """Writes events down. `types` are the configured client types; all others count as `default`.

    `wall_ms` turns a moment of the events into the wall clock's. `flood` is asked before a line is made.
    """

    def __init__(
        self,
        counts: Counts,
        logger: Logger,
        *,
        types: Container[str] = ("desktop", "web"),
        flood: Flood | None = None,
        wall_ms: Callable[[int], int] = int,
    ) -> None:
        self.types = types
        self._counts = counts
        self._logger = logger
        self._flood = flood
        self._wall_ms = wall_ms

    def record(self, events: Sequence[Event]) -> None:
        """Count each event, and log one line for each that the level and the flood let through."""
        full: dict[str, int] = {}  # types whose room for lines is used up, and how many more there were
        for event in events:
            kind = event.type
            row = TABLE.get(kind, _UNKNOWN)
            if row.count is not None:
                client = str(event.data.get("client"))
                row.count(self._counts, event, client if client in self.types else "default")
            if kind in full:
                full[kind] += 1
                continue
            level = row.level(event) if callable(row.level) else row.level
            if level is None or not self._logger.isEnabledFor(level):
                continue
            if self._flood is None or not self._flood.full(kind):
                self._logger.log(level, kind, **self._fields(row, event))
            elif not callable(row.level):
                full[kind] = 0
        for kind, count in full.items():
            if self._flood is not None and count:
                self._flood.suppress(kind, count)

    def _fields(self, row: Row, event: Event) -> dict[str, Any]:
        found: dict[str, Any] = {"at": _moment(self._wall_ms(event.at_ms))}
        for name in ("site", "company", "session", "user", "actor", "reason"):
            if (value := getattr(event, name)) is not None:
                found[name] = value
        for name in event.data if row is _UNKNOWN else row.fields:
            value = event.data.get(name)
            if value is not None and value != [] and name not in _TAKEN:
                found.setdefault(name, value)
        return found


_TAKEN = frozenset({"event", "level", "timestamp", "logger", "exc_info", "stack_info", "at"})


def _moment(wall_ms: int) -> str:
    at = datetime.fromtimestamp(wall_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{wall_ms % 1000:03d}Z"


class BadInputLog:
    """The line for what was dropped: at most one per reason and `every_s`, with the count since the last.

    `clock` is in seconds and never goes back.
    """

    def __init__(
        self, logger: Logger, clock: Callable[[], float] = time.monotonic, every_s: float = 10
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._every_s = every_s
        self._seen: dict[str, tuple[float, int]] = {}  # reason: last line, dropped since

    def __call__(self, reason: str, sample: bytes, why: str = "") -> None:
        """One message was dropped."""
        now = self._clock()
        last, count = self._seen.get(reason, (-float("inf"), 0))
        if now - last < self._every_s:
            self._seen[reason] = last, count + 1
            return
        self._seen[reason] = now, 0
        shown = bytes(sample[:SAMPLE])
        fields: dict[str, Any] = {"reason": reason, "sample": shown, "bytes": len(sample), "count": count + 1}
        if why:
            fields["why"] = why
        self._logger.log(WARNING, "input.rejected", **fields)

    def flush(self) -> None:
        """Tell of what was dropped since the last line of its reason, where that is long enough ago."""
        now = self._clock()
        for reason, (last, count) in self._seen.items():
            if count and now - last >= self._every_s:
                self._seen[reason] = now, 0
                self._logger.log(WARNING, "input.rejected", reason=reason, count=count)
