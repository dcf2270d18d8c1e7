"""Locks: who holds what, who waits for it, whom it blocks (rules 5 and 6).

Owns grants, refusals, the queue, fencing tokens, what becomes of locks when their session ends. Must not know
why a session ended or when it falls silent. First come, first served; every release happens exactly once.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import islice
from typing import Any

from whosin.messages import LockRequest
from whosin.model import Company, Lock, Policy, Session, Status, Want
from whosin.rules import paths
from whosin.rules.outcome import Outcome
from whosin.rules.paths import PathIndex

REFUSAL_KEPT_MS = 900_000
BLOCKERS_KEPT = 16  # locks remembered with one refusal


class Book:
    """One company's locks and wants. A want's `order` rises, so an index over wants is in order of asking."""

    __slots__ = ("company", "held", "order", "wanted")

    def __init__(self, company: Company) -> None:
        self.company = company
        self.held: PathIndex[Lock] = PathIndex()
        self.wanted: PathIndex[Want] = PathIndex()
        self.order = 0


def book_of(company: Company) -> Book:
    if company.locks is None:
        company.locks = Book(company)
    book: Book = company.locks
    return book


def conflicts(book: Book, session: Session, resource: str, shared: bool) -> Iterator[Lock]:
    """The locks of others that stand in the way. One left behind by the same user on this very resource
    does not: a grant takes it up again (rule 6)."""
    for lock in book.held.overlapping(resource):
        if lock.session is session or (shared and lock.shared):
            continue
        if not (lock.resource == resource and lock.left_behind and lock.session.user == session.user):
            yield lock


def blocked_by(lock: Lock) -> list[Want]:
    """Who waits for this lock, or was refused because of it (and has not been granted or forgotten since)."""
    book = book_of(lock.company)
    return [want for want in book.wanted.overlapping(lock.resource) if _stands_in_the_way(lock, want)]


def blocks_somebody(session: Session) -> bool:
    if not session.locks:
        return False
    wanted = book_of(session.company).wanted
    return any(
        _stands_in_the_way(lock, want) for lock in session.locks.values() for want in wanted.overlapping(lock.resource)
    )


def _stands_in_the_way(lock: Lock, want: Want) -> bool:
    if want.session is lock.session:
        return False
    if want.waiting:
        return not (want.shared and lock.shared)
    return lock in want.refused_by


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


class Locks:
    """All companies' locks. `blocking` collects the sessions that came to stand in somebody's way."""

    def __init__(self, policy: Policy, out: Outcome) -> None:
        self.policy = policy
        self.out = out
        self.count = 0
        self.waiting = 0
        self.refusals = 0  # remembered now
        self.refused_total = 0
        self.blocking: dict[Session, None] = {}
        self._timers: list[tuple[int, int, Want | Lock]] = []
        self._timer = 0

    # --- asking and giving back ---------------------------------------------------------------------

    def request(self, session: Session, ask: LockRequest, at_ms: int) -> None:
        """Grant, queue or refuse, and answer so."""
        resource, shared = ask.resource, ask.mode == "shared"
        book = book_of(session.company)
        held = session.locks.get(resource) if session.locks else None
        if held is not None and (shared or not held.shared):
            held.activity = ask.activity or held.activity
            self.out.locks[held] = None
            self._answer(session, {"resource": resource, "granted": True, "token": held.token})
            return
        if held is None and len(session.locks or ()) >= self.policy.limits.locks_per_session:
            self._refuse_plainly(session, resource, "limit", "this session holds as many locks as it may")
            return
        before = session.wants.get(resource) if session.wants else None
        order = before.order if before is not None and before.waiting else book.order + 1
        blockers = list(islice(conflicts(book, session, resource, shared), BLOCKERS_KEPT))
        ahead = None if blockers else self._ahead(book, session, resource, shared, order)
        if not blockers and ahead is None:
            self._grant(book, session, ask, at_ms)
        elif before is not None and before.waiting:
            self._renew(before, ask, at_ms, blockers, ahead)
        else:
            self._turn_down(book, session, ask, at_ms, blockers, ahead)

    def unlock(self, session: Session, resource: str, token: int | None, at_ms: int) -> None:
        """Exact; with another token than the held one it releases nothing. A waiter leaves the queue."""
        want = session.wants.get(resource) if session.wants else None
        if want is not None:
            self._forget(want)
            if want.waiting:
                self._pump(want.company, resource, at_ms)
        lock = session.locks.get(resource) if session.locks else None
        released = lock is not None and token in (None, lock.token)
        if released:
            assert lock is not None
            self.release(lock, at_ms, "unlocked", session.user)
        self.out.answer(session, "unlock", {"resource": resource, "released": released})

    def release(self, lock: Lock, at_ms: int, reason: str, actor: str | None) -> None:
        """Give it back, once; whoever comes next in the queue gets it."""
        self._drop(lock, at_ms, reason, actor)
        self._pump(lock.company, lock.resource, at_ms)

    # --- what sessions do to their locks --------------------------------------------------------------

    def end(self, session: Session, at_ms: int, hold_until_ms: int, reason: str, actor: str | None) -> list[Lock]:
        """The session is over: sticky locks are left behind, the others released, or held on until
        `hold_until_ms` where that is still to come. Returns the released ones."""
        self._forget_all(session, at_ms)
        released, pumped = [], []
        for lock in list(session.locks.values()) if session.locks else ():
            if lock.sticky:
                self.out.locks[lock] = None
                self.out.happened("lock.left_behind", at_ms, session, actor=actor, reason=reason, **_data(lock))
            elif hold_until_ms > at_ms:
                lock.release_ms = hold_until_ms
                self.out.locks[lock] = None
                self._time(hold_until_ms, lock)
            else:
                self._drop(lock, at_ms, reason, actor)
                pumped.append(lock.resource)
                released.append(lock)
        for resource in pumped:
            self._pump(session.company, resource, at_ms)
        return released

    def leave_queue(self, session: Session, at_ms: int) -> None:
        """A session that disconnects waits no longer; that it asked is remembered like a refusal."""
        for want in [want for want in (session.wants or {}).values() if want.waiting]:
            self._remember(want, at_ms)
            self._pump(want.company, want.resource, at_ms)

    # --- moments --------------------------------------------------------------------------------------

    @property
    def next_ms(self) -> int | None:
        return self._timers[0][0] if self._timers else None

    def tick(self, at_ms: int, limit: int = 5_000) -> int:
        """What time alone does: waits run out, held-on locks go, refusals are forgotten. How many timers ran."""
        ran = 0
        while self._timers and self._timers[0][0] <= at_ms and ran < limit:
            due_ms, _, thing = heappop(self._timers)
            ran += 1
            if isinstance(thing, Lock):
                if not thing.released and thing.release_ms == due_ms:
                    self.release(thing, due_ms, "lock delay over", None)
            elif not self._known(thing):
                continue
            elif thing.waiting:
                if thing.until_ms == due_ms:
                    self._time_out(thing, due_ms)
            elif thing.asked_ms + REFUSAL_KEPT_MS == due_ms:
                self._forget(thing)
        return ran

    # --- restoring after a restart --------------------------------------------------------------------

    def restore_lock(self, lock: Lock) -> None:
        session = lock.session
        if session.locks is None:
            session.locks = {}
        session.locks[lock.resource] = lock
        book_of(lock.company).held.add(lock.resource, lock)
        self.count += 1
        if lock.release_ms:
            self._time(lock.release_ms, lock)

    def restore_want(self, want: Want) -> None:
        book = book_of(want.company)
        book.order = max(book.order, want.order)
        self._list(book, want)
        self._time(want.until_ms or want.asked_ms + REFUSAL_KEPT_MS, want)

    # --- inside ---------------------------------------------------------------------------------------

    def _ahead(self, book: Book, session: Session, resource: str, shared: bool, order: int) -> Want | None:
        """The earlier waiter that this request must not overtake. One that waits for this very session does
        not count: it would wait for ever."""
        for group in book.wanted.groups(resource):
            for want in group:
                if want.order >= order:
                    break
                if not want.waiting or want.session is session or (shared and want.shared):
                    continue
                if not self._waits_for(book, want, session):
                    return want
        return None

    def _waits_for(self, book: Book, want: Want, session: Session) -> bool:
        if not session.locks:
            return False
        return any(lock.session is session for lock in conflicts(book, want.session, want.resource, want.shared))

    def _adopt(self, book: Book, session: Session, resource: str, at_ms: int) -> None:
        """Sticky locks left behind on this resource are the same user's: the new grant takes their place."""
        for lock in list(book.held.exact(resource)):
            if lock.left_behind and lock.session is not session:
                self._drop(lock, at_ms, "taken up again", session.user)

    def _grant(self, book: Book, session: Session, ask: LockRequest, at_ms: int) -> None:
        company = session.company
        self._adopt(book, session, ask.resource, at_ms)
        if session.locks and (old := session.locks.get(ask.resource)):
            self._drop(old, at_ms, "upgraded", session.user)
        if session.wants and (want := session.wants.get(ask.resource)):
            self._forget(want)
        company.token += 1
        lock = Lock(company, session, ask.resource, company.token, at_ms)
        lock.shared = ask.mode == "shared"
        lock.sticky = bool(ask.sticky)
        lock.activity, lock.guidance = ask.activity, ask.guidance
        if session.locks is None:
            session.locks = {}
        session.locks[ask.resource] = lock
        book.held.add(ask.resource, lock)
        self.count += 1
        self.out.locks[lock] = None
        self.out.companies[company] = None
        self.out.happened("lock.granted", at_ms, session, **_data(lock))
        self._answer(session, {"resource": ask.resource, "granted": True, "token": lock.token})

    def _turn_down(
        self, book: Book, session: Session, ask: LockRequest, at_ms: int, blockers: list[Lock], ahead: Want | None
    ) -> None:
        wait_ms = round((ask.wait_s or 0) * 1000)
        if wait_ms > 0 and self.waiting >= self.policy.limits.waiters:
            self._refuse_plainly(session, ask.resource, "limit", "too many are waiting already")
            return
        if wait_ms > 0 and self._closes_cycle(book, session, blockers, ahead):
            self._refuse_plainly(
                session, ask.resource, "deadlock", "somebody waiting for you holds this; give back what they wait for"
            )
            return
        if session.wants and (old := session.wants.get(ask.resource)):
            self._forget(old)
        book.order += 1
        want = Want(session, ask.resource, ask.mode == "shared", book.order, at_ms)
        want.sticky, want.activity, want.guidance = bool(ask.sticky), ask.activity, ask.guidance
        if wait_ms > 0:
            want.until_ms = at_ms + wait_ms
        else:
            self.refused_total += 1
            want.refused_by = tuple(blockers)
            if self.refusals >= self.policy.limits.refusals or len(session.wants or ()) >= (
                self.policy.limits.locks_per_session
            ):
                self._answer_turned_down(want, blockers, ahead)
                return
        self._list(book, want)
        self.out.wants[want] = True
        self._time(want.until_ms or at_ms + REFUSAL_KEPT_MS, want)
        self._note_blocking(blockers)
        self._answer_turned_down(want, blockers, ahead)

    def _renew(self, want: Want, ask: LockRequest, at_ms: int, blockers: list[Lock], ahead: Want | None) -> None:
        """Asking again keeps the place; a new `wait_s` counts from now."""
        if ask.wait_s:
            want.until_ms = at_ms + max(1, round(ask.wait_s * 1000))
            self._time(want.until_ms, want)
        want.shared = ask.mode == "shared"
        want.activity = ask.activity or want.activity
        self.out.wants[want] = True
        self._answer_turned_down(want, blockers, ahead)

    def _answer_turned_down(self, want: Want, blockers: list[Lock], ahead: Want | None) -> None:
        if not blockers and ahead is not None:
            book = book_of(want.company)
            blockers = list(islice(conflicts(book, ahead.session, ahead.resource, ahead.shared), 1))
        payload = {"resource": want.resource, "granted": False, "waiting": want.waiting}
        if blockers:
            payload["holder"] = holder(blockers[0])
        self._answer(want.session, payload)

    def _refuse_plainly(self, session: Session, resource: str, code: str, message: str) -> None:
        self.refused_total += 1
        self._answer(session, {"resource": resource, "granted": False, "code": code, "message": message})

    def refuse_path(self, session: Session, resource: str) -> None:
        """The resource is no path."""
        self._refuse_plainly(
            session, resource, "resource", "expected segments divided by / without *, or * alone for the whole company"
        )

    def _closes_cycle(self, book: Book, session: Session, blockers: list[Lock], ahead: Want | None) -> bool:
        """Would someone this session waits for, in the end wait for this session?"""
        if not session.locks and not any(want.waiting for want in (session.wants or {}).values()):
            return False
        seen: set[int] = set()
        todo = [lock.session for lock in blockers]
        if ahead is not None:
            todo.append(ahead.session)
        while todo:
            other = todo.pop()
            if other is session:
                return True
            if other.key in seen:
                continue
            seen.add(other.key)
            for want in (other.wants or {}).values():
                if want.waiting:
                    todo += [lock.session for lock in conflicts(book, other, want.resource, want.shared)]
                    first = self._ahead(book, other, want.resource, want.shared, want.order)
                    if first is not None:
                        todo.append(first.session)
        return False

    def _pump(self, company: Company, resource: str, at_ms: int) -> None:
        """Something went away here: grant what has become free, in order of asking."""
        book = book_of(company)
        waiters = sorted(
            (want for want in book.wanted.overlapping(resource) if want.waiting), key=lambda want: want.order
        )
        for want in waiters:
            session = want.session
            if next(conflicts(book, session, want.resource, want.shared), None) is not None:
                continue
            if self._ahead(book, session, want.resource, want.shared, want.order) is None:
                self._grant(book, session, _ask_again(want), at_ms)

    def _time_out(self, want: Want, at_ms: int) -> None:
        self.refused_total += 1
        self._remember(want, at_ms)
        self._answer(
            want.session,
            {"resource": want.resource, "granted": False, "code": "timeout", "message": "not free within wait_s"},
        )
        self._pump(want.company, want.resource, at_ms)

    def _remember(self, want: Want, at_ms: int) -> None:
        """A waiter becomes a remembered refusal."""
        book = book_of(want.company)
        want.refused_by = tuple(islice(conflicts(book, want.session, want.resource, want.shared), BLOCKERS_KEPT))
        want.until_ms = 0
        want.asked_ms = at_ms
        self.waiting -= 1
        self.refusals += 1
        self.out.wants[want] = True
        self._time(at_ms + REFUSAL_KEPT_MS, want)

    def _list(self, book: Book, want: Want) -> None:
        session = want.session
        if session.wants is None:
            session.wants = {}
        session.wants[want.resource] = want
        book.wanted.add(want.resource, want)
        if want.waiting:
            self.waiting += 1
        else:
            self.refusals += 1

    def _forget(self, want: Want) -> None:
        book_of(want.company).wanted.remove(want.resource, want)
        wants = want.session.wants
        if wants is not None:
            wants.pop(want.resource, None)
            if not wants:
                want.session.wants = None
        if want.waiting:
            self.waiting -= 1
        else:
            self.refusals -= 1
        self.out.wants[want] = False

    def _forget_all(self, session: Session, at_ms: int) -> None:
        for want in list((session.wants or {}).values()):
            self._forget(want)
            if want.waiting:
                self._pump(want.company, want.resource, at_ms)

    def _drop(self, lock: Lock, at_ms: int, reason: str, actor: str | None) -> None:
        assert not lock.released, f"{lock} is released twice"
        lock.released = True
        session = lock.session
        book_of(lock.company).held.remove(lock.resource, lock)
        if session.locks is not None:
            if session.locks.get(lock.resource) is lock:
                del session.locks[lock.resource]
            if not session.locks:
                session.locks = None
        self.count -= 1
        self.out.locks[lock] = None
        self.out.happened("lock.released", at_ms, session, actor=actor, reason=reason, **_data(lock))

    def _note_blocking(self, blockers: list[Lock]) -> None:
        for lock in blockers:
            if lock.session.status is Status.DISCONNECTED:
                self.blocking[lock.session] = None

    def _known(self, want: Want) -> bool:
        return want.session.wants is not None and want.session.wants.get(want.resource) is want

    def _answer(self, session: Session, payload: dict[str, Any]) -> None:
        self.out.answer(session, "lock", payload)

    def _time(self, due_ms: int, thing: Want | Lock) -> None:
        self._timer += 1
        heappush(self._timers, (due_ms, self._timer, thing))


def _ask_again(want: Want) -> LockRequest:
    return LockRequest(
        want.resource, "shared" if want.shared else "exclusive", want.activity, want.guidance, want.sticky
    )


def _data(lock: Lock) -> dict[str, Any]:
    return {
        "resource": lock.resource,
        "mode": "shared" if lock.shared else "exclusive",
        "token": lock.token,
        "sticky": lock.sticky,
        "activity": lock.activity,
        "guidance": lock.guidance,
    }


__all__ = ["Book", "Locks", "blocked_by", "blocks_somebody", "book_of", "conflicts", "holder", "paths"]
