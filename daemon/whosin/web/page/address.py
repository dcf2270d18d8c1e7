"""A view's address: its filters, its order and its place, so that every view is a link.

Must not know what a view shows. What is not understood in an address is left out of it rather than refused:
links live long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

LONGEST = 256
FIRST = ("cursor", "from")  # where a list was left: meaningless once anything else changes


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
