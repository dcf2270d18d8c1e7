"""One company's locks and wants, and what can be asked about them: what stands in whose way (rule 5).

Owns the questions; changes nothing but its own indexes. Must not know who grants, answers or counts time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from whosin.model import Company, Lock, Session, Want
from whosin.rules.paths import Lanes, ancestry, overlap

FEW = 8  # locks of a session that are sooner looked through than looked up
STRIDE = 16  # steps of one search before it is the other's turn


class Book:
    """`held` are the locks, `wanted` the waiters, `refused` by lock who was refused because of it.

    A want's `order` rises, so a group of waiters is in order of asking. `torn` are the sessions that hold and
    wait at once: only they may pass a waiter (see `ahead`). `left` are the locks left behind, by resource.
    """

    __slots__ = ("held", "left", "order", "refused", "torn", "wanted")

    def __init__(self) -> None:
        self.held: Lanes[Lock] = Lanes()
        self.wanted: Lanes[Want] = Lanes()
        self.refused: dict[Lock, dict[Want, None]] = {}
        self.torn: dict[Session, None] = {}
        self.left: dict[str, dict[Lock, None]] = {}
        self.order = 0


def book_of(company: Company) -> Book:
    if company.locks is None:
        company.locks = Book()
    book: Book = company.locks
    return book


# --- what stands in the way --------------------------------------------------------------------------------


def conflicts(book: Book, session: Session, resource: str, shared: bool) -> Iterator[Lock]:
    """The locks of others that stand in the way. One left behind by the same user on this very resource
    does not: a grant takes it up again (rule 6)."""
    for group in book.held.opposing(resource, shared=shared):
        for lock in group:
            if lock.session is not session and not adoptable(lock, session.user, resource):
                yield lock


def adoptable(lock: Lock, user: str, resource: str) -> bool:
    return lock.resource == resource and lock.left_behind and lock.session.user == user


def holds_against(session: Session, want: Want) -> bool:
    """Does the want wait for a lock of this live session?"""
    return bool(session.locks) and _holds(book_of(want.company), session, want.resource, want.shared)


def _holds(book: Book, session: Session, resource: str, shared: bool) -> bool:
    """Has this live session a lock that opposes such a request? Its own are looked through, or where they are
    many, looked up: those that cover the resource, and those below it."""
    locks = session.locks or {}
    if len(locks) <= FEW:
        return any(
            not (shared and lock.shared) and overlap(lock.resource, resource) for lock in locks.values()
        )
    for path in ancestry(resource):
        if (own := locks.get(path)) is not None and not (shared and own.shared):
            return True
    for group in book.held.opposing_below(resource, shared=shared):
        if len(group) < len(locks):
            if any(lock.session is session for lock in group):
                return True
        elif any(lock in group for lock in locks.values()):
            return True
    return False


def ahead(book: Book, session: Session, resource: str, shared: bool, order: int) -> Want | None:
    """The earliest waiter that must not be overtaken by a request with this place. One that waits for this
    very session does not count: it would wait for ever."""
    first: Want | None = None
    for group in book.wanted.opposing(resource, shared=shared):
        for want in group:
            if want.order >= order or (first is not None and want.order > first.order):
                break
            if want.session is not session and not holds_against(session, want):
                first = want
                break
    return first


def free_for(book: Book, session: Session, resource: str, shared: bool, order: int) -> bool:
    if next(conflicts(book, session, resource, shared), None) is not None:
        return False
    return ahead(book, session, resource, shared, order) is None


def to_blame(book: Book, session: Session, resource: str, shared: bool, order: int) -> Iterator[Lock]:
    """The locks in the way; if there are none, those in the way of the earliest waiter before."""
    while True:
        found = False
        for lock in conflicts(book, session, resource, shared):
            found = True
            yield lock
        want = None if found else ahead(book, session, resource, shared, order)
        if want is None:
            return
        session, resource, shared, order = want.session, want.resource, want.shared, want.order


# --- who waits for whom ------------------------------------------------------------------------------------


def closes_cycle(book: Book, session: Session, resource: str, shared: bool, order: int) -> bool:
    """Would the session wait for someone who, in the end, waits for it? Looked for from both ends in turns:
    when either has seen all there is, there is no circle, and mostly one of them has little to see."""
    searches = (
        _from_those_behind(book, session, resource, shared, order),
        _from_those_before(book, session, resource, shared, order),
    )
    while True:
        for search in searches:
            for found in islice(search, STRIDE):
                if found is not None:
                    return found


def _from_those_behind(
    book: Book, session: Session, resource: str, shared: bool, order: int
) -> Iterator[bool | None]:
    """Does anybody who waits for the session, or for somebody who does, stand before this request? None after
    each that was looked at in vain, False when there are no more."""
    seen = {session.key}
    todo = [session]
    walked: dict[tuple[str, bool], int] = {}
    while todo:
        for waiter in _waiting_for(book, todo.pop(), walked):
            yield None
            if waiter is not None and waiter.key not in seen:
                seen.add(waiter.key)
                if _stands_before(book, waiter, session, resource, shared, order):
                    yield True
                todo.append(waiter)
    yield False


def _stands_before(
    book: Book, other: Session, session: Session, resource: str, shared: bool, order: int
) -> bool:
    if other.locks and _holds(book, other, resource, shared):
        return True
    for want in (other.wants or {}).values():
        if (
            want.waiting
            and want.order < order
            and not (shared and want.shared)
            and overlap(want.resource, resource)
            and not holds_against(session, want)
        ):
            return True
    return False


def _waiting_for(
    book: Book, awaited: Session, walked: dict[tuple[str, bool], int]
) -> Iterator[Session | None]:
    """Who waits for it; None now and then where looking takes long. A queue walked from an earlier place is
    not walked again."""
    for lock in (awaited.locks or {}).values():
        yield None
        for group in book.wanted.opposing(lock.resource, shared=lock.shared):
            for want in group:
                if want.session is not awaited:
                    yield want.session
    waits = [want for want in (awaited.wants or {}).values() if want.waiting]
    if len(waits) == len(book.wanted):
        return  # nobody else waits for anything
    for own in waits:
        if walked.get((own.resource, own.shared), own.order + 1) <= own.order:
            continue
        walked[own.resource, own.shared] = own.order
        for group in book.wanted.opposing(own.resource, shared=own.shared):
            for want in group:
                if want.order > own.order and not holds_against(want.session, own):
                    yield want.session
                else:
                    yield None


def _from_those_before(
    book: Book, session: Session, resource: str, shared: bool, order: int
) -> Iterator[bool | None]:
    """The same from the other end: does anybody whom the request waits for, or whom they wait for, wait for
    the session? None after each that was looked at in vain, False when there are no more."""
    seen: set[int] = set()
    queues = _Queues(book)
    todo = [(session, resource, shared, order)]
    while todo:
        waiter, path, only_reads, place = todo.pop()
        if waiter is not session and session.locks and _holds(book, session, path, only_reads):
            yield True
        for other in chain(
            _holders_who_wait(book, waiter, path, only_reads),
            queues.before(waiter, path, only_reads, place),
        ):
            yield other is session or None
            if other is not None and other.key not in seen:
                seen.add(other.key)
                todo += [
                    (other, want.resource, want.shared, want.order)
                    for want in (other.wants or {}).values()
                    if want.waiting
                ]
    yield False


def _holders_who_wait(book: Book, waiter: Session, resource: str, shared: bool) -> Iterator[Session | None]:
    """Of those whose locks oppose such a request; None for each other one that was looked at."""
    for group in book.held.opposing(resource, shared=shared):
        if len(group) <= len(book.torn):
            for lock in group:
                yield lock.session if lock.session is not waiter and lock.session.wants else None
        else:
            for other in book.torn:
                stands = other is not waiter and _holds(book, other, resource, shared)
                yield other if stands else None


class _Queues:
    """The queues that one search has walked: for each the latest place it was walked from, and who let that
    one pass, or was that one itself. From an earlier place only these are looked at again."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._walked: dict[tuple[str, bool], tuple[int, list[Want]]] = {}

    def before(self, waiter: Session, resource: str, shared: bool, order: int) -> Iterator[Session | None]:
        """Who must not be overtaken from this place; None for each other one that was looked at."""
        reached, passed = self._walked.get((resource, shared), (0, []))
        if order <= reached:
            for want in passed:
                stands = want.order < order and self._stands(want, waiter)
                yield want.session if stands else None
            return
        passed = []
        for group in self._book.wanted.opposing(resource, shared=shared):
            for want in group:
                if want.order >= order:
                    break
                if self._stands(want, waiter):
                    yield want.session
                else:
                    passed.append(want)
                    yield None
        self._walked[resource, shared] = order, passed

    @staticmethod
    def _stands(want: Want, waiter: Session) -> bool:
        return want.session is not waiter and not holds_against(waiter, want)


# --- whom a lock blocks ------------------------------------------------------------------------------------


def blocked_by(lock: Lock) -> list[Want]:
    """Who waits for this lock, or was refused because of it (and has not been granted or forgotten since)."""
    return list(_blocked(book_of(lock.company), lock))


def blocks_somebody(session: Session) -> bool:
    book = book_of(session.company)
    return any(True for lock in (session.locks or {}).values() for _ in _blocked(book, lock))


def _blocked(book: Book, lock: Lock) -> Iterator[Want]:
    for group in book.wanted.opposing(lock.resource, shared=lock.shared):
        for want in group:
            if want.session is not lock.session and not adoptable(lock, want.session.user, want.resource):
                yield want
    yield from book.refused.get(lock, ())


def holder(lock: Lock) -> dict[str, Any]:
    """Whom a refusal names."""
    session = lock.session
    return {
        "user": session.user,
        "machine": session.machine,
        "client": session.client,
        "status": session.status.value,
        "since_ms": lock.since_ms,
        "activity": lock.activity or session.told.activity,
    }
