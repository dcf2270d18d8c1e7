"""The rules of sessions and locks told a second time, naively: plain lists, full scans, no queue kept.

Written from the rules' text, not from the code that it judges. `advance` looks for the one thing that is due
first, does it, and looks again. Mass silence, limits and seats are not told here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from whosin.messages import Heartbeat, LockRequest, Login, Logout, Lost, Message, Unlock
from whosin.model import Policy

REFUSALS_KEPT = 900_000
ANSWER_EVERY = 10_000


@dataclass(eq=False)
class OSession:
    id: str
    number: int
    company: str
    user: str
    client: str
    machine: str | None
    os_session: str | None
    conn: int | None
    source: str
    seen: int
    status: str = "active"
    lost: int | None = None
    idle: bool = False
    reason: str | None = None
    disconnected: int | None = None
    replaced_by: str | None = None

    @property
    def over(self) -> bool:
        return self.status in ("logged_off", "removed")

    @property
    def who(self) -> tuple[Any, ...]:
        return self.company, self.user, self.machine, self.os_session, self.client


@dataclass(eq=False)
class OLock:
    session: OSession
    resource: str
    shared: bool
    sticky: bool
    token: int
    release: tuple[int, int] | None = None  # when, and the number of its timer

    @property
    def left_behind(self) -> bool:
        return self.session.over and self.release is None


@dataclass(eq=False)
class OWant:
    session: OSession
    resource: str
    shared: bool
    sticky: bool
    place: int
    asked: int
    until: tuple[int, int] | None  # a waiter's; None: a remembered refusal
    forget: tuple[int, int] | None = None  # a refusal's
    because: list[OLock] = field(default_factory=list)


@dataclass
class OSource:
    proof: int
    blind_since: int | None = None
    doubted: bool = False
    gaps: list[tuple[int, int, bool]] = field(default_factory=list)


def overlap(a: str, b: str) -> bool:
    if "*" in (a, b):
        return True
    return all(x == y for x, y in zip(a.split("/"), b.split("/"), strict=False))


class Oracle:
    def __init__(self, policy: Policy, sources: tuple[str, ...], start: int = 0) -> None:
        self.policy = policy
        self.sources = {name: OSource(start) for name in sources}
        self.sessions: dict[str, OSession] = {}
        self.locks: list[OLock] = []
        self.wants: list[OWant] = []
        self.tokens: dict[str, int] = {}
        self.events: list[tuple[Any, ...]] = []
        self.answers: list[tuple[Any, ...]] = []
        self.answered: dict[tuple[str, str], int] = {}
        self.number = 0

    def next_number(self) -> int:
        self.number += 1
        return self.number

    # --- sight ----------------------------------------------------------------------------------------

    def prove(self, at: int, source: str) -> None:
        s = self.sources[source]
        if s.doubted:
            self.regain(at, source)
        elif s.blind_since is None:
            s.proof = max(s.proof, at)

    def blind(self, source: str) -> None:
        s = self.sources[source]
        s.doubted = False
        if s.blind_since is None:
            s.blind_since = s.proof

    def doubt(self, source: str) -> None:
        s = self.sources[source]
        if s.blind_since is None:
            s.blind_since, s.doubted = s.proof, True

    def regain(self, at: int, source: str) -> None:
        s = self.sources[source]
        if s.blind_since is not None:
            s.gaps.append((s.blind_since, at, True))
            s.proof, s.blind_since, s.doubted = at, None, False

    def stall(self, at: int, source: str, *, graced: bool) -> None:
        s = self.sources[source]
        if s.blind_since is None and at > s.proof:
            s.gaps.append((s.proof, at, graced))
            s.proof = at

    def run_out(self, source: str, since: int, patience: int, grace: int) -> int:
        """When patience is over: blind time does not count, and nobody falls in the grace after it."""
        due = since + patience
        for start, end, graced in self.sources[source].gaps:
            if due <= start:
                break  # it was over, and proven, before this blindness
            if end > since:
                due += end - max(start, since)
            if graced:
                due = max(due, end + grace)
        return due

    def deadline(self, s: OSession) -> int:
        kind = self.policy.client_type(s.client)
        grace = max(self.policy.regain_grace_ms, kind.heartbeat_every_ms * 5 // 4)
        due = self.run_out(s.source, s.seen, kind.timeout_ms, grace)
        if s.lost is not None:
            due = min(due, self.run_out(s.source, s.lost, kind.lost_grace_ms, grace))
        return due

    def fallen(self, s: OSession, at: int) -> bool:
        return s.status == "active" and self.deadline(s) <= min(at, self.sources[s.source].proof)

    # --- time -----------------------------------------------------------------------------------------

    def agenda(self) -> list[tuple[int, int, int, Any]]:
        """All that is to come by itself: when, what comes first at the same moment, and what."""
        found: list[tuple[int, int, int, Any]] = []
        found += [(lock.release[0], 0, lock.release[1], lock) for lock in self.locks if lock.release]
        for want in self.wants:
            when = want.until or want.forget
            assert when is not None
            found.append((when[0], 0, when[1], want))
        for s in self.sessions.values():
            if s.status == "active":
                due = self.deadline(s)
                if due <= self.sources[s.source].proof:  # a source is never proven inside its blindness
                    found.append((due, 1, s.number, s))
        return sorted(found, key=lambda entry: entry[:3])

    def advance(self, now: int) -> None:
        while True:
            agenda = self.agenda()
            if not agenda or agenda[0][0] > now:
                return
            at, _, _, thing = agenda[0]
            if isinstance(thing, OSession):
                kind = self.policy.client_type(thing.client)
                grace = max(self.policy.regain_grace_ms, kind.heartbeat_every_ms * 5 // 4)
                silent = self.run_out(thing.source, thing.seen, kind.timeout_ms, grace)
                self.disconnect(thing, at, "lost" if at < silent else "silence")
            else:
                self.fall_due([entry[3] for entry in agenda if entry[0] == at and entry[1] == 0], at)

    def fall_due(self, things: list[OLock | OWant], at: int) -> None:
        """All of one moment at once: nobody is served before all that ends with it has ended."""
        for want in [it for it in things if isinstance(it, OWant) and not it.until]:
            self.wants.remove(want)
        over = [it for it in things if isinstance(it, OWant) and it.until]
        blamed = [self.blame(want.session, want.resource, want.shared, want.place) for want in over]
        for want, because in zip(over, blamed, strict=True):
            self.answers.append((want.session.id, "lock", want.resource, False, None, None, "timeout"))
            self.refuse(want, at, because)
        for lock in [it for it in things if isinstance(it, OLock)]:
            self.drop(lock, at)
        for company in sorted({thing.session.company for thing in things}):
            self.serve(company, at)

    def sweep(self, at: int) -> None:
        self.advance(at)

    # --- messages -------------------------------------------------------------------------------------

    def hear(self, at: int, ident: str, message: Message, *, source: str, company: str) -> None:
        self.prove(at, source)
        self.advance(at)
        s = self.sessions.get(ident)
        if s is None:
            if isinstance(message, Heartbeat) and message.user and message.client:
                s = self.log_in(at, ident, message, source, company)
                self.note_idle(s, message, at)
            elif isinstance(message, Login):
                self.log_in(at, ident, message, source, company)
            else:
                self.answer_once(at, ident, "unknown")
        elif s.company != company:
            if isinstance(message, Login):
                self.refuse_login(at, ident)
            else:
                self.answer_once(at, ident, "unknown")
        elif s.over:
            self.answer_once(at, ident, "ended", s.status)
        elif isinstance(message, Login):
            if (s.user, s.client, s.machine) != (message.user, message.client, message.machine):
                self.refuse_login(at, ident)
            else:
                self.alive(s, message, at, source)
                self.answers.append((ident, "login", True, s.status))
        elif isinstance(message, Logout):
            self.end(s, at, "logged_off", None, "session.logged_off")
        elif isinstance(message, Lost):
            self.lose(s, message, at)
        else:
            self.alive(s, message, at, source)
            if isinstance(message, LockRequest):
                self.lock(s, message, at)
            elif isinstance(message, Unlock):
                self.unlock(s, message, at)

    def answer_once(self, at: int, ident: str, kind: str, status: str | None = None) -> None:
        if at - self.answered.get((ident, kind), -ANSWER_EVERY) >= ANSWER_EVERY:
            self.answered[ident, kind] = at
            self.answers.append((ident, kind, status))

    def refuse_login(self, at: int, ident: str) -> None:
        self.answers.append((ident, "login", False, "conflict"))
        if at - self.answered.get((ident, "conflict"), -ANSWER_EVERY) >= ANSWER_EVERY:
            self.answered[ident, "conflict"] = at
            self.events.append(("session.refused", at, ident, "conflict"))

    def log_in(self, at: int, ident: str, message: Login | Heartbeat, source: str, company: str) -> OSession:
        assert message.user is not None
        assert message.client is not None
        os_session = None if message.os_session is None else str(message.os_session)
        new = OSession(
            ident, self.next_number(), company, message.user, message.client, message.machine, os_session,
            message.conn, source, at,
        )  # fmt: skip
        for old in list(self.sessions.values()):
            if new.machine is None or new.os_session is None or old.who != new.who:
                continue
            if old.status == "disconnected":
                self.remove(old, at, "replaced")
            elif old.status == "active" and old.lost is not None:
                old.replaced_by = ident
        self.sessions[ident] = new
        self.events.append(("session.logged_in", at, ident, None))
        self.answers.append((ident, "login", True, "active"))
        return new

    def alive(self, s: OSession, message: Message, at: int, source: str) -> None:
        """A sign of life: the deadline starts anew, a disconnected one comes back, unless known idle."""
        kind = self.policy.client_type(s.client)
        s.seen, s.source, s.lost, s.replaced_by = at, source, None, None
        conn = getattr(message, "conn", None)
        if conn is not None:
            s.conn = conn if s.conn is None else max(conn, s.conn)
        idle_s = message.idle_s if isinstance(message, Heartbeat) else None
        person = isinstance(message, LockRequest | Unlock) or (
            idle_s is not None and (not kind.idle_limit_s or idle_s < kind.idle_limit_s)
        )
        if s.status == "disconnected" and (s.reason != "idle" or person):
            s.status, s.reason, s.disconnected = "active", None, None
            self.events.append(("session.reconnected", at, s.id, None))
        if person and s.idle:
            s.idle = False
            self.events.append(("session.idle", at, s.id, False))
        self.note_idle(s, message, at)

    def note_idle(self, s: OSession, message: Message, at: int) -> None:
        kind = self.policy.client_type(s.client)
        idle_s = message.idle_s if isinstance(message, Heartbeat) else None
        if idle_s is None or not kind.idle_limit_s or idle_s < kind.idle_limit_s:
            return
        if kind.idle_disconnects and s.status == "active":
            s.idle = True
            self.disconnect(s, at, "idle")
        elif not s.idle:
            s.idle = True
            self.events.append(("session.idle", at, s.id, True))

    def lose(self, s: OSession, message: Lost, at: int) -> None:
        if message.conn is not None:
            if s.conn is not None and message.conn < s.conn:
                return
            s.conn = message.conn
        if s.status == "active" and s.lost is None:
            s.lost = at

    # --- falling silent, ending -----------------------------------------------------------------------

    def disconnect(self, s: OSession, at: int, reason: str) -> None:
        s.status, s.reason, s.disconnected = "disconnected", reason, at
        self.events.append(("session.disconnected", at, s.id, reason))
        left = [want for want in self.wants if want.session is s and want.until]
        for want in left:
            want.until = None
        for want in left:
            self.refuse(want, at, self.blame(s, want.resource, want.shared, want.place))
            self.answers.append((s.id, "lock", want.resource, False, False, None, None))
        self.serve(s.company, at)
        if s.replaced_by is not None and reason != "idle":
            self.remove(s, at, "replaced")

    def remove(self, s: OSession, at: int, cause: str) -> None:
        if not s.over:
            self.end(s, at, "removed", s.seen + self.policy.lock_delay_ms, "session.removed", cause)

    def end(
        self, s: OSession, at: int, status: str, hold_until: int | None, event: str, cause: str | None = None
    ) -> None:
        s.status, s.replaced_by = status, None
        self.events.append((event, at, s.id, cause))
        self.wants = [want for want in self.wants if want.session is not s]
        for lock in [lock for lock in self.locks if lock.session is s]:
            self.no_more_because_of(lock)
            if lock.sticky:
                self.events.append(("lock.left_behind", at, s.id, lock.token))
            elif hold_until is not None and hold_until > at:
                lock.release = hold_until, self.next_number()
            else:
                self.drop(lock, at)
        self.serve(s.company, at)

    # --- locks ----------------------------------------------------------------------------------------

    def in_the_way(self, s: OSession, resource: str, shared: bool) -> list[OLock]:
        return [
            lock
            for lock in self.locks
            if lock.session.company == s.company
            and lock.session is not s
            and overlap(lock.resource, resource)
            and not (shared and lock.shared)
            and not (lock.left_behind and lock.session.user == s.user and lock.resource == resource)
        ]

    def ahead(self, s: OSession, resource: str, shared: bool, place: int) -> list[OWant]:
        """Who came earlier and must not be overtaken, but for those that wait for this very session."""
        return [
            want
            for want in sorted(self.wants, key=lambda want: want.place)
            if want.until
            and want.place < place
            and want.session.company == s.company
            and want.session is not s
            and overlap(want.resource, resource)
            and not (shared and want.shared)
            and not any(
                lock.session is s for lock in self.in_the_way(want.session, want.resource, want.shared)
            )
        ]

    def free_for(self, s: OSession, resource: str, shared: bool, place: int) -> bool:
        return not self.in_the_way(s, resource, shared) and not self.ahead(s, resource, shared, place)

    def waits_for(self, s: OSession, resource: str, shared: bool, place: int) -> list[OSession]:
        return [lock.session for lock in self.in_the_way(s, resource, shared)] + [
            want.session for want in self.ahead(s, resource, shared, place)
        ]

    def closes_cycle(self, s: OSession, first: list[OSession]) -> bool:
        seen: list[OSession] = []
        todo = list(first)
        while todo:
            other = todo.pop()
            if other is s:
                return True
            if other in seen:
                continue
            seen.append(other)
            for want in self.wants:
                if want.session is other and want.until:
                    todo += self.waits_for(other, want.resource, want.shared, want.place)
        return False

    def blame(self, s: OSession, resource: str, shared: bool, place: int) -> list[OLock]:
        """The locks in the way, or those in the way of whoever is next in the queue before."""
        found = self.in_the_way(s, resource, shared)
        todo = self.ahead(s, resource, shared, place)
        while not found and todo:
            want = todo.pop(0)
            found = self.in_the_way(want.session, want.resource, want.shared)
            todo = self.ahead(want.session, want.resource, want.shared, want.place)
        return found

    def lock(self, s: OSession, ask: LockRequest, at: int) -> None:
        shared = ask.mode == "shared"
        held = next(
            (lock for lock in self.locks if lock.session is s and lock.resource == ask.resource), None
        )
        if held and (shared or not held.shared):
            self.answers.append((s.id, "lock", ask.resource, True, None, held.token, None))
            return
        mine = [want for want in self.wants if want.session is s]
        if held is None and (
            len([lock for lock in self.locks if lock.session is s])
            + len([want for want in mine if want.until and want.resource != ask.resource])
            >= self.policy.limits.locks_per_session
        ):
            self.answers.append((s.id, "lock", ask.resource, False, None, None, "limit"))
            return
        before = next((want for want in mine if want.resource == ask.resource), None)
        place = before.place if before and before.until else self.next_number()
        if self.free_for(s, ask.resource, shared, place):
            self.grant(OWant(s, ask.resource, shared, bool(ask.sticky), place, at, None), at)
            self.serve(s.company, at)
            return
        wait = round((ask.wait_s or 0) * 1000)
        if before and before.until:
            was, before.shared = before.shared, shared
            if was and not shared and self.closes_cycle(s, self.waits_for(s, ask.resource, shared, place)):
                before.shared = was
                self.answers.append((s.id, "lock", ask.resource, False, None, None, "deadlock"))
                return
            if ask.sticky is not None:
                before.sticky = ask.sticky
            if wait:
                before.until = at + wait, self.next_number()
            self.answers.append((s.id, "lock", ask.resource, False, True, None, None))
            self.serve(s.company, at)
            return
        if before:
            self.wants.remove(before)
        want = OWant(s, ask.resource, shared, bool(ask.sticky), place, at, None)
        self.wants.append(want)
        if not wait:
            self.answers.append((s.id, "lock", ask.resource, False, False, None, None))
        elif self.closes_cycle(s, self.waits_for(s, ask.resource, shared, place)):
            self.answers.append((s.id, "lock", ask.resource, False, None, None, "deadlock"))
        else:
            want.until = at + wait, self.next_number()
            self.answers.append((s.id, "lock", ask.resource, False, True, None, None))
            return
        if len([want for want in self.wants if want.session is s]) > self.policy.limits.locks_per_session:
            self.wants.remove(want)  # there is no room to remember it
        else:
            self.refuse(want, at, self.blame(s, ask.resource, shared, place))

    def refuse(self, want: OWant, at: int, because: list[OLock]) -> None:
        """Remember it."""
        want.until = None
        want.asked = at
        want.because = because
        if not because:
            self.wants.remove(want)
        want.forget = at + REFUSALS_KEPT, self.next_number()

    def no_more_because_of(self, lock: OLock, instead: OLock | None = None) -> None:
        for want in list(self.wants):
            if lock in want.because:
                want.because.remove(lock)
                if instead and instead.session is not want.session and not (instead.shared and want.shared):
                    want.because = [*(it for it in want.because if it is not instead), instead]
                if not want.because:
                    self.wants.remove(want)

    def unlock(self, s: OSession, ask: Unlock, at: int) -> None:
        held = next(
            (lock for lock in self.locks if lock.session is s and lock.resource == ask.resource), None
        )
        if ask.token is not None and (held is None or held.token != ask.token):
            self.answers.append((s.id, "unlock", ask.resource, False))
            return
        self.wants = [
            want
            for want in self.wants
            if not (want.session is s and want.resource == ask.resource and want.until)
        ]
        if held:
            self.drop(held, at)
        self.answers.append((s.id, "unlock", ask.resource, held is not None))
        self.serve(s.company, at)

    def grant(self, want: OWant, at: int) -> None:
        s = want.session
        self.wants = [
            other for other in self.wants if not (other.session is s and other.resource == want.resource)
        ]
        token = self.tokens[s.company] = self.tokens.get(s.company, 0) + 1
        new = OLock(s, want.resource, want.shared, want.sticky, token)
        for old in list(self.locks):
            here = old.session.company == s.company and old.resource == want.resource
            if here and (old.session is s or (old.left_behind and old.session.user == s.user)):
                new.sticky = new.sticky or old.sticky
                self.no_more_because_of(old, instead=new)
                self.drop(old, at)
        self.locks.append(new)
        self.events.append(("lock.granted", at, s.id, token))
        self.answers.append((s.id, "lock", want.resource, True, None, token, None))

    def drop(self, lock: OLock, at: int) -> None:
        self.locks.remove(lock)
        self.no_more_because_of(lock)
        self.events.append(("lock.released", at, lock.session.id, lock.token))

    def serve(self, company: str, at: int) -> None:
        """Whoever can be granted now, in order of asking."""
        while True:
            for want in sorted(self.wants, key=lambda want: want.place):
                if (
                    want.until
                    and want.session.company == company
                    and not self.fallen(want.session, at)
                    and self.free_for(want.session, want.resource, want.shared, want.place)
                ):
                    self.grant(want, max(at, want.asked))
                    break
            else:
                return
