"""Locks: who holds what, who waits for it, whom it blocks (rules 5 and 6).

Owns grants, refusals, the queue, fencing tokens, what becomes of locks when their session ends. Must not know
why a session ended or when it falls silent. First come, first served; every release happens exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush, merge
from itertools import islice
from typing import Any

from whosin.messages import LockRequest
from whosin.model import Company, Lock, Policy, Session, Status, Want
from whosin.rules import paths
from whosin.rules.book import (
    Book,
    blocked_by,
    blocks_somebody,
    book_of,
    closes_cycle,
    conflicts,
    free_for,
    holder,
    to_blame,
)  # fmt: skip
from whosin.rules.outcome import Outcome

REFUSAL_KEPT_MS = 900_000
BLOCKERS_KEPT = 16  # locks remembered with one refusal
BLOCKERS_NOTED = 256  # of those who go on waiting, in one walk along the queue
STALE_TIMERS = 1_000  # may lie about before the timers are sorted out
DEADLOCK = ("deadlock", "somebody waiting for you holds this; give back what they wait for")


class Locks:
    """All companies' locks. `blocking` collects the sessions that came to stand in somebody's way; so does
    `stirred`, for somebody else who empties it: those that tell people of it.

    `fallen` tells whether a session's time has come by a moment, though it may not be known yet that it fell.
    """

    def __init__(self, policy: Policy, out: Outcome, fallen: Callable[[Session, int], bool]) -> None:
        self.policy = policy
        self.out = out
        self.fallen = fallen
        self.count = 0
        self.waiting = 0
        self.refusals = 0  # remembered now
        self.refused_total = 0
        self.blocking: dict[Session, None] = {}
        self.stirred: dict[Session, None] = {}
        self._timers: list[tuple[int, int, Want | Lock]] = []
        self._timer = 0
        self._to_note = 0  # blockers, in this walk

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
        if held is None and self._has_enough(session, resource):
            self._refuse_plainly(session, resource, "limit", "this session has as many locks as it may")
            return
        before = session.wants.get(resource) if session.wants else None
        waiting = before is not None and before.waiting
        if before is not None and waiting:
            order = before.order
        else:
            book.order += 1
            order = book.order
        if free_for(book, session, resource, shared, order):
            if self._grant(book, session, ask, at_ms) or waiting:
                self._serve(book, (resource,), at_ms)
        elif before is not None and waiting:
            self._renew(book, before, ask, at_ms)
        else:
            self._turn_down(book, session, ask, order, at_ms)

    def unlock(self, session: Session, resource: str, token: int | None, at_ms: int) -> None:
        """Exact; with another token than the held one nothing happens. A waiter leaves the queue."""
        lock = session.locks.get(resource) if session.locks else None
        if token is None or (lock is not None and lock.token == token):
            want = session.wants.get(resource) if session.wants else None
            left = want is not None and want.waiting
            if want is not None and left:
                self._forget(want)
            if lock is not None:
                self._drop(lock, at_ms, "unlocked", session.user)
            if lock is not None or left:
                self._serve(book_of(session.company), (resource,), at_ms)
        else:
            lock = None
        self.out.answer(session, "unlock", {"resource": resource, "released": lock is not None})

    def release(self, lock: Lock, at_ms: int, reason: str, actor: str | None) -> None:
        """Give it back, once; whoever comes next in the queue gets it. Harmless if it is released already."""
        if not lock.released:
            self._drop(lock, at_ms, reason, actor)
            self._serve(book_of(lock.company), (lock.resource,), at_ms)

    # --- what sessions do to their locks --------------------------------------------------------------

    def end(
        self, session: Session, at_ms: int, hold_until_ms: int, reason: str, actor: str | None
    ) -> list[Lock]:
        """The session is over: sticky locks are left behind, the others released, or held on until
        `hold_until_ms` where that is still to come. Returns the released ones."""
        self.blocking.pop(session, None)
        self.stirred.pop(session, None)
        if not session.locks and not session.wants:
            return []
        book = book_of(session.company)
        changed = [want.resource for want in (session.wants or {}).values() if want.waiting]
        for want in list((session.wants or {}).values()):
            self._forget(want)
        released = []
        for lock in list((session.locks or {}).values()):
            self._no_more_because_of(book, lock)
            if lock.sticky:
                changed.append(lock.resource)  # it is free now for another session of the same user
                book.left.setdefault(lock.resource, {})[lock] = None
                self.out.locks[lock] = None
                self.out.happened(
                    "lock.left_behind", at_ms, session, actor=actor, reason=reason, **_data(lock)
                )
            elif hold_until_ms > at_ms:
                lock.release_ms = hold_until_ms
                self.out.locks[lock] = None
                self._time(hold_until_ms, lock)
            else:
                self._drop(lock, at_ms, reason, actor)
                changed.append(lock.resource)
                released.append(lock)
        self._serve(book, changed, at_ms)
        return released

    def leave_queue(self, session: Session, at_ms: int) -> None:
        """A session that disconnects waits no longer, and is told; that is remembered like a refusal."""
        left = [want for want in (session.wants or {}).values() if want.waiting]
        book = book_of(session.company) if left else None
        if book is None:
            return
        for want in left:
            self._leave(book, want)
        for want in left:
            blockers = self._remember(book, want, at_ms)
            self._answer(session, _turned_down(want, blockers))
        self._serve(book, [want.resource for want in left], at_ms)

    # --- moments --------------------------------------------------------------------------------------

    def stir(self, session: Session) -> None:
        """It has fallen and holds locks, or somebody was turned away by it."""
        self.blocking[session] = self.stirred[session] = None

    @property
    def next_ms(self) -> int | None:
        return self._timers[0][0] if self._timers else None

    def tick(self, at_ms: int) -> None:
        """What time alone does, moment by moment: refusals are forgotten, waits run out, held-on locks go."""
        while self._timers and self._timers[0][0] <= at_ms:
            due_ms = self._timers[0][0]
            due: dict[Want | Lock, None] = {}
            while self._timers and self._timers[0][0] == due_ms:
                thing = heappop(self._timers)[2]
                if self._due(thing) == due_ms:
                    due[thing] = None
            self._fall_due(list(due), due_ms)

    def _fall_due(self, due: list[Want | Lock], at_ms: int) -> None:
        """All that falls due in one moment goes before anybody is served in it, so it does not matter whose
        timer was set first: a wait that has run out gets nothing of what goes with it."""
        wants = [it for it in due if isinstance(it, Want)]
        waits = [want for want in wants if want.waiting]
        gone: dict[Company, list[str]] = {}
        for want in wants:
            if not want.waiting:
                self._forget(want)
        # the last first: each can still be told who is in the way of those before it
        for want in sorted(waits, key=lambda want: want.order, reverse=True):
            self._time_out(want, at_ms)
            gone.setdefault(want.company, []).append(want.resource)
        for lock in due:
            if isinstance(lock, Lock):
                self._drop(lock, at_ms, "lock delay over", None)
                gone.setdefault(lock.company, []).append(lock.resource)
        for company, resources in gone.items():
            self._serve(book_of(company), resources, at_ms)

    # --- restoring after a restart --------------------------------------------------------------------

    def restore_lock(self, lock: Lock) -> None:
        session = lock.session
        if session.locks is None:
            session.locks = {}
        session.locks[lock.resource] = lock
        book = book_of(lock.company)
        book.held.add(lock.resource, lock, shared=lock.shared)
        self.count += 1
        if lock.release_ms:
            self._time(lock.release_ms, lock)
        elif lock.left_behind:
            book.left.setdefault(lock.resource, {})[lock] = None

    def restore_want(self, want: Want) -> None:
        """After the locks, in order of asking. A refusal whose locks have gone is forgotten."""
        book = book_of(want.company)
        book.order = max(book.order, want.order)
        if want.waiting or want.refused_by:
            self._list(book, want)
        else:
            self.out.wants[want] = False

    # --- inside: turning down -------------------------------------------------------------------------

    def _has_enough(self, session: Session, resource: str) -> bool:
        """As many locks as one may have, those waited for included."""
        most = self.policy.limits.locks_per_session
        if len(session.locks or ()) + len(session.wants or ()) < most:
            return False
        waits = sum(
            1 for want in (session.wants or {}).values() if want.waiting and want.resource != resource
        )
        return len(session.locks or ()) + waits >= most

    def _turn_down(self, book: Book, session: Session, ask: LockRequest, order: int, at_ms: int) -> None:
        shared, wait_ms = ask.mode == "shared", round((ask.wait_s or 0) * 1000)
        if wait_ms > 0 and self.waiting >= self.policy.limits.waiters:
            self._refuse_plainly(session, ask.resource, "limit", "too many are waiting already")
            return
        if session.wants and (old := session.wants.get(ask.resource)):
            self._forget(old)
        want = Want(session, ask.resource, shared, order, at_ms)
        want.sticky, want.activity, want.guidance = bool(ask.sticky), ask.activity, ask.guidance
        closes = wait_ms > 0 and closes_cycle(book, session, ask.resource, shared, order)
        if wait_ms > 0 and not closes:
            want.until_ms = at_ms + wait_ms
            self._list(book, want)
            self.out.wants[want] = True
            blockers = self._blockers(book, want)
        else:
            self.refused_total += 1
            blockers = self._remember(book, want, at_ms)
        self._note_blocking(blockers)
        self._answer(session, _turned_down(want, blockers, *(DEADLOCK if closes else ())))

    def _renew(self, book: Book, want: Want, ask: LockRequest, at_ms: int) -> None:
        """Asking again keeps the place; a new `wait_s` counts from now; a new mode must not close a cycle."""
        session, shared = want.session, ask.mode == "shared"
        turns = shared is not want.shared
        if turns:
            self._turn(book, want, shared=shared)
            if not shared and closes_cycle(book, session, want.resource, shared, want.order):
                self._turn(book, want, shared=True)
                self.refused_total += 1
                blockers = list(islice(to_blame(book, session, want.resource, shared, want.order), 1))
                self._answer(session, _turned_down(want, blockers, *DEADLOCK))
                return
        if ask.wait_s:
            want.until_ms = at_ms + max(1, round(ask.wait_s * 1000))
            self._time(want.until_ms, want)
        want.sticky = want.sticky if ask.sticky is None else ask.sticky
        want.activity = ask.activity or want.activity
        want.guidance = ask.guidance or want.guidance
        self.out.wants[want] = True
        blockers = list(islice(to_blame(book, session, want.resource, shared, want.order), 1))
        self._answer(session, _turned_down(want, blockers))
        if turns:
            self._serve(book, (want.resource,), at_ms)

    def _refuse_plainly(self, session: Session, resource: str, code: str, message: str) -> None:
        self.refused_total += 1
        self._answer(session, {"resource": resource, "granted": False, "code": code, "message": message})

    def refuse_path(self, session: Session, resource: str) -> None:
        """The resource is no path."""
        self._refuse_plainly(
            session,
            resource,
            "resource",
            "expected segments divided by / without *, or * alone for the whole company",
        )

    def _time_out(self, want: Want, at_ms: int) -> None:
        book = book_of(want.company)
        self.refused_total += 1
        self._leave(book, want)
        blockers = self._remember(book, want, at_ms)
        self._answer(want.session, _turned_down(want, blockers, "timeout", "not free within wait_s"))

    # --- inside: granting -----------------------------------------------------------------------------

    def _grant(self, book: Book, session: Session, ask: LockRequest, at_ms: int) -> bool:
        """True if a lock went for it that may have been in others' way: one left behind by the same user."""
        company = session.company
        company.token += 1
        lock = Lock(company, session, ask.resource, company.token, at_ms)
        lock.shared = ask.mode == "shared"
        lock.activity, lock.guidance = ask.activity, ask.guidance
        if session.wants and (want := session.wants.get(ask.resource)):
            self._forget(want)
        adopted = [old for old in book.left.get(ask.resource, ()) if old.session.user == session.user]
        for old in adopted:
            self._hand_on(book, old, lock)
            self._drop(old, at_ms, "taken up again", session.user)
        upgraded = session.locks.get(ask.resource) if session.locks else None
        if upgraded is not None:
            self._hand_on(book, upgraded, lock)
            self._drop(upgraded, at_ms, "upgraded", session.user)
        lock.sticky = bool(ask.sticky) or any(old.sticky for old in (upgraded, *adopted) if old is not None)
        if session.locks is None:
            session.locks = {}
        session.locks[ask.resource] = lock
        if session.wants:
            book.torn[session] = None
        book.held.add(ask.resource, lock, shared=lock.shared)
        self.count += 1
        self.out.locks[lock] = None
        self.out.companies[company] = None
        self.out.happened("lock.granted", at_ms, session, **_data(lock))
        self._answer(session, {"resource": ask.resource, "granted": True, "token": lock.token})
        return bool(adopted)

    def _serve(self, book: Book, resources: Iterable[str], at_ms: int) -> None:
        """Something went away here: grant what has become free, in order of asking."""
        self._to_note = BLOCKERS_NOTED
        where = list(dict.fromkeys(resources))
        while where and (also := self._serve_once(book, where, at_ms)) is not None:
            where = list(dict.fromkeys((*where, also)))

    def _serve_once(self, book: Book, resources: list[str], at_ms: int) -> str | None:
        """One walk along the queue, as far as anybody can be granted. A resource where something else went
        away by that, if so: then it has to be walked again.

        An exclusive lock or waiter that covers all of `resources` ends the walk: nobody behind it gets
        through but its own session, and those whose locks it waits for itself.
        """
        lock = _barrier(book, resources)
        queue = self._queue(book, resources) if lock is None else iter(_behind(lock, resources))
        for want in queue:
            if not self._known(want):
                continue
            granted, adopted = self._serve_one(book, want, at_ms)
            if adopted:
                return want.resource
            if (
                lock is None
                and not want.shared
                and all(paths.covers(want.resource, path) for path in resources)
            ):
                passing = [want.session] if granted else [want.session, *book.torn]
                for other in _wants_of(dict.fromkeys(passing), resources, want.order):
                    if self._serve_one(book, other, at_ms)[1]:
                        return other.resource
                return None
        return None

    def _serve_one(self, book: Book, want: Want, at_ms: int) -> tuple[bool, bool]:
        """Was it granted, and did a lock left behind go for it? Not if its wait is over or its session falls
        by this moment: it is about to leave the queue, and those behind it are served then."""
        if want.until_ms <= at_ms:
            return False, False
        if not free_for(book, want.session, want.resource, want.shared, want.order):
            if self._to_note > 0:  # others may be in its way than when it asked
                blockers = self._blockers(book, want)
                self._to_note -= len(blockers)
                self._note_blocking(blockers)
            return False, False
        if self.fallen(want.session, at_ms):
            return False, False
        return True, self._grant(book, want.session, _ask_again(want), max(at_ms, want.asked_ms))

    @staticmethod
    def _queue(book: Book, resources: list[str]) -> Iterator[Want]:
        groups: dict[int, dict[Want, None]] = {}
        for path in resources:
            for group in book.wanted.opposing(path, shared=False):
                groups[id(group)] = group
        return merge(*[list(group) for group in groups.values()], key=lambda want: want.order)

    # --- inside: listing and forgetting ---------------------------------------------------------------

    def _list(self, book: Book, want: Want) -> None:
        """Among the waiters, or as a refusal under the locks it was refused because of."""
        session = want.session
        if session.wants is None:
            session.wants = {}
        session.wants[want.resource] = want
        if want.waiting:
            book.wanted.add(want.resource, want, shared=want.shared)
            self.waiting += 1
            if session.locks:
                book.torn[session] = None
        else:
            for lock in want.refused_by:
                book.refused.setdefault(lock, {})[want] = None
            self.refusals += 1
        self._time(want.until_ms or want.asked_ms + REFUSAL_KEPT_MS, want)

    def _unlist(self, book: Book, want: Want) -> None:
        if want.waiting:
            book.wanted.remove(want.resource, want, shared=want.shared)
            self.waiting -= 1
        else:
            for lock in want.refused_by:
                refused = book.refused.get(lock, {})
                refused.pop(want, None)
                if not refused:
                    book.refused.pop(lock, None)
            self.refusals -= 1

    def _forget(self, want: Want) -> None:
        self._unlist(book_of(want.company), want)
        wants = want.session.wants
        if wants is not None:
            wants.pop(want.resource, None)
            if not wants:
                want.session.wants = None
                book_of(want.company).torn.pop(want.session, None)
        self.out.wants[want] = False

    def _leave(self, book: Book, want: Want) -> None:
        """A waiter leaves the queue; what becomes of it is the caller's."""
        self._unlist(book, want)
        want.until_ms = 0

    def _remember(self, book: Book, want: Want, at_ms: int) -> list[Lock]:
        """As a refusal, if there is room and a lock to name. Returns the locks it was refused because of."""
        session, limits = want.session, self.policy.limits
        blockers = self._blockers(book, want)
        want.asked_ms, want.refused_by = at_ms, tuple(blockers)
        listed = (session.wants or {}).get(want.resource) is want
        room = self.refusals < limits.refusals and (
            listed or len(session.wants or ()) < limits.locks_per_session
        )
        if blockers and room:
            self._list(book, want)
            self.out.wants[want] = True
        elif listed:
            self.refusals += 1  # `_forget` takes it off again
            self._forget(want)
        return blockers

    def _no_more_because_of(self, book: Book, lock: Lock) -> None:
        """The lock blocks nobody any more: a refusal that has no other lock to name is forgotten."""
        for want in book.refused.pop(lock, {}):
            want.refused_by = tuple(other for other in want.refused_by if other is not lock)
            if want.refused_by:
                self.out.wants[want] = True
            else:
                self._forget(want)

    def _hand_on(self, book: Book, old: Lock, new: Lock) -> None:
        """Another lock takes the place of one that is dropped next: who was refused because of the old is so
        for the new."""
        for want in book.refused.get(old, ()):
            if want.session is not new.session and not (want.shared and new.shared):
                want.refused_by = tuple(dict.fromkeys(new if it is old else it for it in want.refused_by))
                book.refused.setdefault(new, {})[want] = None

    def _turn(self, book: Book, want: Want, *, shared: bool) -> None:
        """A waiter asks for the other mode and keeps its place: a queue is in order of asking."""
        book.wanted.remove(want.resource, want, shared=want.shared)
        want.shared = shared
        lane = book.wanted.shared if shared else book.wanted.exclusive
        later = [other for other in lane.overlapping(paths.WHOLE) if other.order > want.order]
        for other in sorted([want, *later], key=lambda other: other.order):
            lane.remove(other.resource, other)
            lane.add(other.resource, other)

    def _drop(self, lock: Lock, at_ms: int, reason: str, actor: str | None) -> None:
        assert not lock.released, f"{lock} is released twice"
        lock.released = True
        session, book = lock.session, book_of(lock.company)
        book.held.remove(lock.resource, lock, shared=lock.shared)
        if left := book.left.get(lock.resource):
            left.pop(lock, None)
            if not left:
                del book.left[lock.resource]
        self._no_more_because_of(book, lock)
        if session.locks is not None:
            if session.locks.get(lock.resource) is lock:
                del session.locks[lock.resource]
            if not session.locks:
                session.locks = None
                book.torn.pop(session, None)
        self.count -= 1
        self.out.locks[lock] = None
        self.out.happened("lock.released", at_ms, session, actor=actor, reason=reason, **_data(lock))

    @staticmethod
    def _blockers(book: Book, want: Want) -> list[Lock]:
        """The locks to name as being in its way; of very many only some, for looking at them takes time."""
        found = to_blame(book, want.session, want.resource, want.shared, want.order)
        return list(islice(found, BLOCKERS_KEPT))

    def _note_blocking(self, blockers: list[Lock]) -> None:
        for lock in blockers:
            if lock.session.status is Status.DISCONNECTED:
                self.stir(lock.session)

    def _known(self, want: Want) -> bool:
        return want.session.wants is not None and want.session.wants.get(want.resource) is want

    def _answer(self, session: Session, payload: dict[str, Any]) -> None:
        self.out.answer(session, "lock", payload)

    def _time(self, due_ms: int, thing: Want | Lock) -> None:
        self._timer += 1
        heappush(self._timers, (due_ms, self._timer, thing))
        if len(self._timers) > STALE_TIMERS + 2 * (self.waiting + self.refusals + self.count):
            self._timers = [timer for timer in self._timers if self._due(timer[2]) == timer[0]]
            heapify(self._timers)

    def _due(self, thing: Want | Lock) -> int:
        """When its timer runs; 0: never."""
        if isinstance(thing, Lock):
            return 0 if thing.released else thing.release_ms
        if not self._known(thing):
            return 0
        return thing.until_ms or thing.asked_ms + REFUSAL_KEPT_MS


def _barrier(book: Book, resources: list[str]) -> Lock | None:
    """An exclusive lock that covers all of these paths."""
    for path in paths.ancestry(resources[0]):
        for lock in book.held.exclusive.exact(path):
            if all(paths.covers(path, other) for other in resources):
                return lock
    return None


def _behind(lock: Lock, resources: list[str]) -> list[Want]:
    """Those whom this exclusive lock does not block: its own session, and its user once it is left behind."""
    if not lock.left_behind:
        return _wants_of([lock.session], resources, 0)
    of_user = [it for it in lock.company.sessions.values() if it.user == lock.session.user]
    return _wants_of(of_user, resources, 0)


def _wants_of(sessions: Iterable[Session], resources: list[str], after: int) -> list[Want]:
    """What these sessions wait for here, in order of asking."""
    found = [
        want
        for session in sessions
        for want in (session.wants or {}).values()
        if want.waiting
        and want.order > after
        and any(paths.overlap(want.resource, path) for path in resources)
    ]
    return sorted(found, key=lambda want: want.order)


def _turned_down(
    want: Want, blockers: list[Lock], code: str | None = None, message: str | None = None
) -> dict[str, Any]:
    """The answer to a request that was not granted."""
    payload: dict[str, Any] = {"resource": want.resource, "granted": False}
    payload.update({"waiting": want.waiting} if code is None else {"code": code, "message": message})
    if blockers:
        payload["holder"] = holder(blockers[0])
    return payload


def _ask_again(want: Want) -> LockRequest:
    return LockRequest(
        want.resource, "shared" if want.shared else None, want.activity, want.guidance, want.sticky
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
