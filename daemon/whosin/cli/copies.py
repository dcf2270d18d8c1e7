"""How a backup reads: what is in it, and whether it can be trusted. Knows the store's findings, not files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from whosin.cli.words import age, clean, count, local, now, size

if TYPE_CHECKING:
    from whosin.store.restoring import Copy

Json = dict[str, Any]


def newest(copy: Copy) -> str | None:
    """The moment of its last event, as the API writes moments."""
    if copy.newest is None:
        return None
    return datetime.fromtimestamp(copy.newest / 1000, UTC).isoformat(timespec="milliseconds")


def in_json(copy: Copy) -> Json:
    found = {"path": str(copy.path), "bytes": copy.size, "schema": copy.version, "written_by": copy.writer}
    return {**found, "sessions": copy.sessions, "events": copy.events, "newest": newest(copy)}


def sentences(copy: Copy) -> tuple[str, str]:
    """What it is, and of when."""
    by = f", written by {clean(copy.writer)}" if copy.writer else ""
    last, at = newest(copy), now()
    until = f"Its last event was {age(last, at)} ago, at {local(last, at)}." if last else "It has no events."
    what = f"{count(copy.sessions, 'live session')}, {count(copy.events, 'event')}, {size(copy.size)}"
    return f"{clean(copy.path)} is a whole backup: {what}, schema version {copy.version}{by}.", until
