"""What people look for in the past: events and ended sessions, filtered and paged, newest first.

Owns the filters as SQL and the steps from the newest number to the oldest. Must not know connections' lives.

A search that finds little would read a whole table at once, keep everybody else waiting for the one reader,
and hold an old snapshot that makes the log grow. So it goes in steps, between which others get their turn.
"""
# ruff: noqa: S608 - only names and conditions of our own are put together; values travel as parameters

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from whosin.store.statements import EVENT_COLUMNS, FOLLOWUP_COLUMNS, SESSION_COLUMNS
from whosin.store.transactions import fetch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from whosin.ports import EndedQuery, FollowupQuery, HistoryQuery

R = TypeVar("R", bound=NamedTuple)

MOST_ROWS: Final = 10_000
"""The largest answer; a caller that wants more asks for the next page."""
STEP: Final = 20_000
"""How many numbers are looked at in one go; some 10 ms."""
COUNTED: Final = 500_000
"""How many of the newest numbers are looked at to count what no index leads to; some 0.2 s."""
_RECENT: Final = 200_000
"""Up to so many events of a time, it pays to ask the index by time where they begin and end."""
_FIRST, _LAST = -(2**62), 2**62
_LONGEST_TEXT: Final = 500

_SHELVED: Final = """
    (
      WITH RECURSIVE shelves (shelf) AS (
        SELECT :low >> 15 UNION ALL SELECT shelf + 1 FROM shelves WHERE shelf < :high >> 15
      )
      SELECT shelf FROM shelves
    ) CROSS JOIN events INDEXED BY {index} ON seq >> 15 = shelf AND {condition}
"""
_OF_SESSION: Final = _SHELVED.format(index="events_by_session", condition="session = :session")
_MOST_HOLDERS: Final = 500
_BY_RESOURCE: Final = """events INDEXED BY events_by_resource
  ON seq >> 15 = shelf AND resource >= :resource AND resource < :beyond"""
_OF_RESOURCE: Final = f"""
    (
      WITH RECURSIVE shelves (shelf) AS (
        SELECT :low >> 15 UNION ALL SELECT shelf + 1 FROM shelves WHERE shelf < :high >> 15
      ), every (shelf) AS (
        SELECT (SELECT max(seq) >> 15 FROM events)
        UNION ALL SELECT shelf - 1 FROM every WHERE shelf > (SELECT min(seq) >> 15 FROM events)
      ), holders (holder) AS MATERIALIZED (
        SELECT DISTINCT session FROM every CROSS JOIN {_BY_RESOURCE}
        WHERE session IS NOT NULL LIMIT {_MOST_HOLDERS}
      )
      SELECT seq AS found FROM shelves CROSS JOIN {_BY_RESOURCE}
      UNION
      SELECT seq FROM shelves CROSS JOIN holders CROSS JOIN events INDEXED BY events_by_session
        ON seq >> 15 = shelf AND session = holder AND type GLOB 'session.*'
    ) CROSS JOIN events ON seq = found
"""
"""What is about a resource, and what became of the newest of those who held it, though they may have got it
before the time that is searched."""
_ABOUT: Final = """(
    resource = :resource OR substr(resource, 1, length(:below)) = :below
    OR (type GLOB 'session.*' AND resource IS NULL
        AND (instr(CAST(data AS TEXT), :named) OR instr(CAST(data AS TEXT), :named_below)))
  )"""
_EVENT_TEXTS: Final = ("user", "session", "actor", "reason", "company", "site", "resource")
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
    until: int | None = None
    shortcut: str | None = None
    """What to read from instead of the table; it leads straight to the rows, so that steps may be long."""
    conditions: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, condition: str, **values: object) -> None:
        self.conditions.append(condition)
        self.values.update(values)

    def add_equal(self, **columns: str | None) -> None:
        for name, value in columns.items():
            if value is not None:
                self.add(f"{name} = :{name}", **{name: value})

    def add_text(self, text: str, columns: tuple[str, ...], *, inside: str | None = None) -> None:
        """Text in any of the columns, or in a value inside of a column of JSON, whatever its case. SQLite
        folds ASCII only; for the rest it finds candidates, which Python then looks at (`has_folded`)."""
        text = text[:_LONGEST_TEXT]
        exact = " AND has_folded({0}, :folded)" if not text.isascii() else ""
        one = "({0} LIKE :like ESCAPE '\\'" + exact + ")"
        found = [one.format(column) for column in columns]
        if inside is not None:
            # Few have it anywhere in their bytes; only theirs are taken apart.
            text_inside = f"CAST({inside} AS TEXT)"
            found.append(
                f"({text_inside} LIKE :raw ESCAPE '\\' AND json_valid({text_inside}) AND EXISTS"
                f" (SELECT 1 FROM json_tree({text_inside}) AS leaf"
                f" WHERE leaf.atom IS NOT NULL AND {one.format('leaf.atom')}))"
            )
            self.values["raw"] = "%" + "".join(map(_like, json.dumps(text, ensure_ascii=False)[1:-1])) + "%"
        self.add(
            "(" + " OR ".join(found) + ")",
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
    search = Search("events", EVENT_COLUMNS, "seq", query.limit, query.before_seq, query.since, query.until)
    search.add_equal(
        site=query.site, company=query.company, session=query.session, user=query.user, actor=query.actor
    )
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
        named = json.dumps(query.resource, ensure_ascii=False)
        search.add(
            _ABOUT,
            resource=query.resource,
            below=query.resource + "/",
            beyond=query.resource + "0",  # what comes behind "/"
            named=named,
            named_below=named[:-1] + "/",
        )
        search.shortcut = search.shortcut or _OF_RESOURCE
    if query.text:
        search.add_text(query.text, _EVENT_TEXTS, inside="data")
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
    if search.since is not None or search.until is not None:
        first, last, count = db.execute(
            "SELECT min(seq), max(seq), count(*) FROM"
            " (SELECT seq FROM events WHERE at >= ? AND at < ? ORDER BY at DESC LIMIT ?)",
            (_FIRST if search.since is None else search.since, search.until or _LAST, _RECENT),
        ).fetchone()
        if first is None:
            return 1, 0
        if count < _RECENT:  # they are all
            low, high = max(low, first), min(high, last)
    return low, high


def steps(low: int, high: int, *, long: bool) -> Iterator[tuple[int, int]]:
    """The numbers from the lowest to the highest in pieces, the highest first. With an index that leads to
    the rows the pieces may be `long`, each four times the one before."""
    size = STEP
    while high >= low:
        bottom = max(low, high - size + 1)
        yield bottom, high
        high = bottom - 1
        size = size * 4 if long else size


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
        f"SELECT count(*) FROM {search.shortcut or search.table} WHERE {search.where}",
        {**search.values, "low": numbers[0], "high": numbers[1]},
    ).fetchone()[0]
    return found
