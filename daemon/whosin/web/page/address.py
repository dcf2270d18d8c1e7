"""A view's address: its filters, its order and its place, so that every view is a link.

Must not know what a view shows. A parameter that the view does not know is left out: links live long, and may
be of another version. A value that cannot be read is refused in words: left out, it would show, or log off,
more than was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

from whosin.web.problem import Problem

LONGEST = 256
DIGITS = 15  # the database's numbers have 63 bits
FIRST = ("cursor", "from")  # where a list was left: meaningless once anything else changes
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))?")
_DAY_MS, _MINUTE_MS = 86_400_000, 60_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Address:
    """`path` and those of the query's parameters that the view knows and that are not empty."""

    path: str
    given: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, path: str, query: Mapping[str, str], known: tuple[str, ...]) -> Address:
        names = [*known, *FIRST]
        return cls(path, {name: query[name][:LONGEST] for name in names if query.get(name, "").strip()})

    def get(self, name: str) -> str | None:
        return self.given.get(name)

    def number(self, name: str) -> int | None:
        """The whole number under this name, as a listing's cursor is one."""
        given = self.get(name)
        return None if given is None else number(name, given)

    def choice(self, name: str, allowed: Collection[str]) -> str:
        """One of `allowed`, or "" where nothing is given."""
        given = self.get(name) or ""
        if given and given not in allowed:
            words = ", ".join(it for it in allowed if it)
            raise Problem(400, "invalid", f'{name} is "{given}"; allowed are {words}, or nothing.')
        return given

    def day(self, name: str, after: int = 0) -> int | None:
        """The moment at which the day under this name begins, or the one so many days later, as epoch
        milliseconds. "2026-10-25+02:00": a day where clocks are two hours ahead of UTC at that moment; with
        nothing behind it, a day in UTC."""
        given = self.get(name)
        if given is None:
            return None
        found = _DAY.fullmatch(given)
        try:
            day = date.fromisoformat(found[1]) if found else None
        except ValueError:
            day = None
        if found is None or day is None:
            raise Problem(400, "invalid", f'{name} is "{given}"; expected a day, as in 2026-10-25+02:00.')
        ahead = (int(found[3]) * 60 + int(found[4])) * (-1 if found[2] == "-" else 1) if found[2] else 0
        return (day.toordinal() + after - _EPOCH.toordinal()) * _DAY_MS - ahead * _MINUTE_MS

    @property
    def filtered(self) -> bool:
        """Whether anything is left out of the list."""
        return bool(self.given.keys() - {"sort", *FIRST})

    def link(self, **changes: object) -> str:
        """This view with some parameters changed; None leaves one out. A change leads to the first page."""
        kept = dict(self.given)
        if not set(FIRST) & set(changes):
            kept = {name: value for name, value in kept.items() if name not in FIRST}
        for name, value in changes.items():
            kept.pop(name, None)
            if value not in (None, ""):
                kept[name] = str(value)
        return self.path + ("?" + urlencode(kept) if kept else "")

    def sorted_by(self, name: str, now: str | None) -> str:
        """The link of a column's head: ascending, then descending."""
        return self.link(sort=f"-{name}" if now == name else name)


def number(name: str, given: str, digits: int = DIGITS) -> int:
    """A whole number of at most so many digits, as somebody has sent it."""
    if not (given.isascii() and given.isdecimal() and len(given) <= digits):
        raise Problem(
            400, "invalid", f'{name} is "{given[:40]}"; expected a number of at most {digits} digits.'
        )
    return int(given)


def moment(name: str, given: str) -> int:
    """A moment with its zone, as epoch milliseconds."""
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        detail = f'{name} is "{given[:40]}"; expected a moment with its zone, as in 2026-11-02T08:15:00Z.'
        raise Problem(400, "invalid", detail)
    return (at - _EPOCH) // timedelta(milliseconds=1)
