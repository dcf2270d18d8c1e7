"""Room for another company when there are as many as the limits allow: one in which nothing is left goes.

Strangers can name companies without end; what they leave empty must not keep a real one out. Owns the choice,
and that tokens grow all the same: `floor` is at or above every token of those that went, and whoever comes
later begins there. Must not know the limits, nor who asks.
"""

from __future__ import annotations

from whosin.model import Company

LOOK_EVERY_MS = 1_000  # at all of them, at most so often: logins that are refused must cost little

Place = tuple[str, str]


class Room:
    """`companies` are the roll's."""

    def __init__(self, companies: dict[Place, Company]) -> None:
        self.floor = 0
        self._companies = companies
        self._empty: list[Company] = []  # as they were found, those with the lowest token last
        self._looked_ms = -LOOK_EVERY_MS

    def make(self, at_ms: int) -> Company | None:
        """The company that went, None when there is something in each."""
        if not self._empty and at_ms - self._looked_ms >= LOOK_EVERY_MS:
            self._looked_ms = at_ms
            self._empty = [it for it in self._companies.values() if is_empty(it)]
            self._empty.sort(key=lambda it: -it.token)  # where most was locked, somebody works
        while self._empty:
            company = self._empty.pop()
            place = company.site, company.name
            if self._companies.get(place) is company and is_empty(company):
                del self._companies[place]
                self.floor = max(self.floor, company.token)
                return company
        return None


def is_empty(company: Company) -> bool:
    """No live session, no lock (not one left behind either), nobody who waits."""
    book = company.locks
    return not company.sessions and (book is None or not (len(book.held) or len(book.wanted)))
