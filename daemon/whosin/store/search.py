"""What people look for in the past: events and ended sessions, filtered and paged, newest first.

Owns the filters as SQL and the steps from the newest number to the oldest. Must not know connections' lives.

A search that finds little would read a whole table at once, keep everybody else waiting for the one reader,
and hold an old snapshot that makes the log grow. So it goes in steps, between which others get their turn.
"""
# ruff: noqa: S608 - only names and conditions of our own are put together; values travel as parameters

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from whosin.store.statements import EVENT_COLUMNS, FOLLOWUP_COLUMNS, SESSION_COLUMNS
from whosin.store.transactions import fetch

if TYPE_CHECKING:
    import sqlite3

    from whosin.ports import EndedQuery, FollowupQuery, HistoryQuery

R = TypeVar("R", bound=NamedTuple)

MOST_ROWS: Final = 10_000
"""The largest answer; a caller that wants more asks for the next page."""
STEP: Final = 20_000
"""How many numbers are looked at in one go; some 10 ms."""
_RECENT: Final = 200_000
"""Up to so many events since a moment, it pays to ask the index by time where they begin."""
_LONGEST_TEXT: Final = 500

_RESOURCE: Final = "CASE WHEN json_valid(data) THEN json_extract(CAST(data AS TEXT), '$.resource') END"
_OF_SESSION: Final = """
    (
      WITH RECURSIVE shelves (shelf) AS (
        SELECT :low >> 15 UNION ALL SELECT shelf + 1 FROM shelves WHERE shelf < :high >> 15
      )
      SELECT shelf FROM shelves
    ) CROSS JOIN events INDEXED BY events_by_session ON seq >> 15 = shelf AND session = :session
"""
_EVENT_TEXTS: Final = ("user", "session", "reason", _RESOURCE)
_SESSION_TEXTS: Final = ("id", "user", "machine", "company")
_FOLLOWUP_TEXTS: Final = ("user", "session", "machine", "resource", "rule", "text", "note")


@dataclass(slots=True)
class Search:
    """A table, the number that orders it, and the conditions that hold together."""

    table: str
    columns: str
    number: str
    limit: int
    before: int | None
    since: int | None = None
    shortcut: str | None = None
    """What to read from instead of the table; it leads straight to the rows, so that one step is enough."""
    conditions: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, condition: str, **values: object) -> None:
        self.conditions.append(condition)
        self.values.update(values)

    def add_equal(self, **columns: str | None) -> None:
        for name, value in columns.items():
            if value is not None:
                self.add(f"{name} = :{name}", **{name: value})

    def add_text(self, text: str, columns: tuple[str, ...]) -> None:
        """Text in any of the columns, whatever its case. SQLite folds ASCII only; for the rest it
        finds candidates, which Python then looks at (`has_folded`)."""
        text = text[:_LONGEST_TEXT]
        exact = " AND has_folded({0}, :folded)" if not text.isascii() else ""
        one = "({0} LIKE :like ESCAPE '\\'" + exact + ")"
        self.add(
            "(" + " OR ".join(one.format(column) for column in columns) + ")",
            like="%" + "".join(map(_like, text)) + "%",
            folded=text.casefold(),
        )

    @property
    def where(self) -> str:
        return " AND ".join([f"{self.number} BETWEEN :low AND :high", *self.conditions])


def _like(letter: str) -> str:
    if not letter.isascii():
        return "_"
    return f"\\{letter}" if letter in "%_\\" else letter


def has_folded(text: object, folded: str) -> bool:
    """An SQL function of the connection that searches."""
    return isinstance(text, str) and folded in text.casefold()


def events(query: HistoryQuery) -> Search:
    search = Search("events", EVENT_COLUMNS, "seq", query.limit, query.before_seq, query.since)
    search.add_equal(site=query.site, company=query.company, session=query.session, user=query.user)
    if query.session is not None:
        search.shortcut = _OF_SESSION
    if query.type is not None:
        if query.type.endswith("."):
            search.add("substr(type, 1, length(:type)) = :type", type=query.type)
        else:
            search.add_equal(type=query.type)
    if query.since is not None:
        search.add("at >= :since", since=query.since)
    if query.until is not None:
        search.add("at < :until", until=query.until)
    if query.resource is not None:
        search.add(
            f"({_RESOURCE} = :resource OR substr({_RESOURCE}, 1, length(:below)) = :below)",
            resource=query.resource,
            below=query.resource + "/",
        )
    if query.text:
        search.add_text(query.text, _EVENT_TEXTS)
    return search


def ended(query: EndedQuery) -> Search:
    search = Search("ended_sessions", SESSION_COLUMNS, "key", query.limit, query.before_key)
    names = [f"status_{place}" for place in range(len(query.statuses))]
    search.add(
        f"status IN (:{', :'.join(names)})" if names else "FALSE",
        **dict(zip(names, query.statuses, strict=True)),
    )
    search.add_equal(site=query.site, company=query.company, user=query.user, client=query.client)
    if query.text:
        search.add_text(query.text, _SESSION_TEXTS)
    return search


def followups(query: FollowupQuery) -> Search:
    search = Search("followups", FOLLOWUP_COLUMNS, "id", query.limit, query.before_id)
    search.add_equal(site=query.site, company=query.company, session=query.session)
    if query.open is not None:
        search.add("done = 0" if query.open else "done > 0")
    if query.text:
        search.add_text(query.text, _FOLLOWUP_TEXTS)
    return search


def bounds(db: sqlite3.Connection, search: Search) -> tuple[int, int]:
    """The lowest and the highest number that may match; (1, 0) if there are none."""
    low, high = db.execute(
        f"SELECT (SELECT min({search.number}) FROM {search.table}),"
        f" (SELECT max({search.number}) FROM {search.table})"
    ).fetchone()
    if low is None:
        return 1, 0
    if search.before is not None:
        high = min(high, search.before - 1)
    if search.since is not None:
        first, count = db.execute(
            "SELECT min(seq), count(*) FROM (SELECT seq FROM events WHERE at >= ? LIMIT ?)",
            (search.since, _RECENT),
        ).fetchone()
        if first is None:
            return 1, 0
        if count < _RECENT:
            low = max(low, first)
    return low, high


def rows(
    db: sqlite3.Connection, row: type[R], search: Search, numbers: tuple[int, int], limit: int
) -> list[R]:
    """At most `limit` matching rows with numbers from the first to the second, highest first."""
    return fetch(
        db,
        row,
        f"SELECT {search.columns} FROM {search.shortcut or search.table} WHERE {search.where}"
        f" ORDER BY {search.number} DESC LIMIT :limit",
        {**search.values, "low": numbers[0], "high": numbers[1], "limit": limit},
    )


def count(db: sqlite3.Connection, search: Search, numbers: tuple[int, int]) -> int:
    found: int = db.execute(
        f"SELECT count(*) FROM {search.table} WHERE {search.where}",
        {**search.values, "low": numbers[0], "high": numbers[1]},
    ).fetchone()[0]
    return found
