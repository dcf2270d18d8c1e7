"""One company's locks and wants, and what can be asked about them: what stands in whose way (rule 5).

Owns the questions; changes nothing but its own indexes. Must not know who grants, answers or counts time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from whosin.model import Company, Lock, Session, Want
from whosin.rules.paths import Lanes, overlap


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
    return bool(session.locks) and any(
        not (want.shared and lock.shared) and overlap(lock.resource, want.resource)
        for lock in session.locks.values()  # type: ignore[union-attr]
    )


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
    """Would the session wait for someone who, in the end, waits for it?"""
    return any(
        _stands_before(other, session, resource, shared, order) for other in _waiting_for(book, session)
    )


def _stands_before(other: Session, session: Session, resource: str, shared: bool, order: int) -> bool:
    for lock in (other.locks or {}).values():
        if not (shared and lock.shared) and overlap(lock.resource, resource):
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


def _waiting_for(book: Book, session: Session) -> Iterator[Session]:
    """Everybody who waits for the session, or for somebody who does. Asked backwards, since most sessions
    have nobody waiting for them; a queue walked from an earlier place is not walked again."""
    seen = {session.key}
    todo = [session]
    walked: dict[tuple[str, bool], int] = {}
    while todo:
        awaited = todo.pop()
        for waiter in _directly_waiting_for(book, awaited, walked):
            if waiter.key not in seen:
                seen.add(waiter.key)
                yield waiter
                todo.append(waiter)


def _directly_waiting_for(
    book: Book, awaited: Session, walked: dict[tuple[str, bool], int]
) -> Iterator[Session]:
    for lock in (awaited.locks or {}).values():
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
        "activity": lock.activity or session.activity,
    }
