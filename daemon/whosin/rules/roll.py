"""The roll of all live sessions: a message, a moment or a command in, events and answers out (rules 2 to 6).

Owns what becomes of a session. Must not know clocks, I/O, JSON or logs; every moment is passed in, and the
order is always `expire` up to a moment, then what was received at that moment. Locks, deadlines, sight and
mass silence are rules of their own, told from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from whosin.messages import BARE_HEARTBEAT, Heartbeat, LockRequest, Login, Logout, Lost, Message, Unlock
from whosin.model import Company, Ended, Followup, Lock, Policy, Session, Status, line_of
from whosin.rules import admission, paths
from whosin.rules.admission import Refusal, Sender
from whosin.rules.clearing import Clearing
from whosin.rules.deadlines import Deadlines
from whosin.rules.guidance import Advice, Guidance
from whosin.rules.limiter import Limiter
from whosin.rules.locks import Locks, blocked_by
from whosin.rules.maintenance import Closures, Window
from whosin.rules.outcome import Outcome
from whosin.rules.persons import Persons
from whosin.rules.room import Room
from whosin.rules.sight import Sight
from whosin.rules.silence import Silence
from whosin.rules.states import Trigger, after
from whosin.rules.words import Words

ANSWER_EVERY_MS = 10_000
NAMED_LOCKS = 100  # at most so many resources are named in one event


class Patience(NamedTuple):
    """How long with one client type silence may last, and a lost connection; the grace after blindness."""

    timeout_ms: int
    lost_grace_ms: int
    grace_ms: int


class Watch:
    """One source: what we see through it, and when those heard through it fall silent.

    `lags` are its connections of which something may be unread, each with the moment up to which all has been
    read; `broken` those that ended so, with that moment and the one at which they did; `held` those whose
    deadlines came behind that, by connection: in no queue until it has been read, or given up.
    """

    __slots__ = ("broken", "deadlines", "held", "lags", "sight")

    def __init__(self, sight: Sight, deadlines: Deadlines) -> None:
        self.sight = sight
        self.deadlines = deadlines
        self.lags: dict[int, int] = {}
        self.broken: dict[int, tuple[int, int]] = {}
        self.held: dict[int, dict[Session, None]] = {}

    def take(self, until_ms: int, limit: int) -> list[tuple[int, Session]]:
        """Of those due, but for those whose connection has not been read as far: they are held."""
        taken = self.deadlines.take(until_ms, limit)
        found = len(taken)
        while self.lags or self.broken:
            due = [it for it in taken if not self._hold(*it)]
            if len(due) == len(taken) or found < limit:
                return due
            more = self.deadlines.take(until_ms, limit - len(due))
            taken, found = due + more, len(due) + len(more)
        return taken

    def _hold(self, due_ms: int, session: Session) -> bool:
        line = self.waits_for(session, due_ms)
        if line:
            self.held.setdefault(line, {})[session] = None
        return bool(line)

    def waits_for(self, session: Session, due_ms: int) -> int:
        """Of which connection a sign of life from before this deadline may be unread: the one it was heard
        through last, or its own, whose client id is its id. 0: none."""
        if not self.lags and not self.broken:
            return 0
        ident = session.id
        for line in (session.line, line_of(None, ident), line_of(session.company.site, ident)):
            if self.lags.get(line, due_ms) < due_ms:
                return line
            read_ms, broke_ms = self.broken.get(line, (due_ms, 0))
            if read_ms < due_ms and session.seen_ms <= broke_ms:
                return line
        return 0

    def give_up(self, line: int, broke_ms: int) -> None:
        """Those heard through it have had the time to come back, unless it broke once more since."""
        if self.broken.get(line, (0, 0))[1] == broke_ms:
            del self.broken[line]


class Roll:
    """All live sessions. `out` collects what happens, `beats` the sessions whose last sign is not stored."""

    def __init__(self, policy: Policy, *, first_key: int = 1) -> None:
        self.out = Outcome()
        self.sessions: dict[str, Session] = {}
        self.companies: dict[tuple[str, str], Company] = {}
        self.watches: dict[str, Watch] = {}
        self.tombs: dict[str, Ended] = {}  # ended sessions met lately; the engine looks older ones up
        self.beats: list[Session] = []
        self.tally: dict[tuple[Status, str], int] = {}
        self.locks = Locks(policy, self.out, self._fallen)
        self.silence = Silence(policy, self.out)
        self.limiter = Limiter(ANSWER_EVERY_MS)
        self.guidance = Guidance()
        self.closures = Closures()
        self.warn: Callable[[Session, Window, int], object] = lambda _session, _window, _at_ms: None
        self.next_key = first_key
        self.next_followup = 1
        self._persons = Persons()
        self._words = Words()  # names of programs, and numbers of system sessions
        self.room = Room(self.companies)
        self._clearing = Clearing(policy, self.companies, self.locks, self.silence)
        self.policy = policy
        self.closures.set_administrators(policy.administrators)
        self._patience = _patience(policy)
        self._timeout_ms = _timeouts(policy)

    def set_policy(self, policy: Policy) -> None:
        """Settings changed while running. Deadlines follow at once where they come sooner."""
        self.policy = self.locks.policy = policy
        self.silence.set_policy(policy)
        self._patience = _patience(policy)
        self._timeout_ms = _timeouts(policy)
        self._clearing.set_policy(policy)
        self.closures.set_administrators(policy.administrators)
        self.tally.clear()
        for session in self.sessions.values():
            label = session.status, self.label(session.client)
            self.tally[label] = self.tally.get(label, 0) + 1
            if session.status is Status.ACTIVE:
                self._file(session)
            else:
                self._stir(session)

    def set_guidance(self, guidance: Guidance) -> None:
        """Other rules: who was spared for something critical may not be any more."""
        self.guidance = guidance
        for session in self.sessions.values():
            if session.status is Status.DISCONNECTED:
                self._stir(session)

    def watch(self, source: str, since_ms: int) -> Watch:
        """A source to be heard through from now on; blind since `since_ms` until it is said to see."""

        def due(session: Session) -> int | None:
            alive = session.status is Status.ACTIVE and session.source == source
            return self.deadline(session) if alive else None

        watch = self.watches[source] = Watch(Sight(since_ms), Deadlines(due))
        return watch

    def behind(self, source: str, line: int, since_ms: int) -> None:
        """Of what came by this connection, only what arrived before `since_ms` has surely been read."""
        self.watches[source].lags[line] = since_ms
        self._file_held(source, line)

    def caught_up(self, source: str, line: int) -> None:
        """All of it has been read, or never will be: the source's own proof counts for it again."""
        if self.watches[source].lags.pop(line, None) is not None:
            self._file_held(source, line)

    def broke(self, source: str, line: int, at_ms: int) -> None:
        """It ended with something unread: those heard through it have to come back first."""
        watch = self.watches[source]
        read_ms = watch.lags.pop(line, None)
        if read_ms is not None:
            watch.broken[line] = min(read_ms, watch.broken.get(line, (read_ms, 0))[0]), at_ms

    def give_up(self, source: str, line: int, broke_ms: int) -> None:
        """They have had the time for that."""
        self.watches[source].give_up(line, broke_ms)
        self._file_held(source, line)

    def _file_held(self, source: str, line: int) -> None:
        for session in self.watches[source].held.pop(line, ()):
            if session.status is Status.ACTIVE:
                self._file(session)

    # --- time -----------------------------------------------------------------------------------------

    def deadline(self, session: Session) -> int:
        """When this active session falls silent, unless it gives a sign of life: the one place that says."""
        timeout_ms, lost_grace_ms, grace_ms = self._patience.get(session.client) or self._patience["default"]
        sight = self.watches[session.source].sight
        due = sight.due(session.seen_ms, timeout_ms, grace_ms)
        if session.lost_ms:
            due = min(due, sight.due(session.lost_ms, lost_grace_ms, grace_ms))
        return due

    def expire(self, at_ms: int, limit: int = 1 << 30) -> int:
        """Disconnect those whose deadline is at or before `at_ms` and proven silent; how many.

        All that time brings happens in the order of its dates: sessions of all sources and, before those of
        the same moment, the locks' timers. So it does not matter how often this is called. Having done
        `limit`, it has not come to `at_ms` yet.
        """
        due: list[tuple[int, int, Session]] = []
        for watch in self.watches.values():
            until_ms = min(at_ms, watch.sight.silent_ms)
            if watch.deadlines.next_ms <= until_ms:
                due += [(due_ms, session.key, session) for due_ms, session in watch.take(until_ms, limit)]
        due.sort()
        for due_ms, _, session in due[limit:]:
            self.watches[session.source].deadlines.file(session, due_ms)
        del due[limit:]
        for due_ms, _, session in due:
            self.locks.tick(due_ms)
            self._disconnect(session, due_ms)
        if len(due) < limit:
            self.locks.tick(at_ms)
        return len(due)

    def unproven(self, at_ms: int) -> Iterable[str]:
        """The sources that see, but whose proof does not reach up to what may be due."""
        for name, watch in self.watches.items():
            sight = watch.sight
            if not sight.blind and sight.proof_ms < at_ms and watch.deadlines.next_ms <= at_ms:
                yield name

    def tick(self, at_ms: int) -> None:
        """What time alone does besides silence: locks' timers, holds that run out."""
        self.locks.tick(at_ms)
        seeing = [watch for watch in self.watches.values() if not watch.sight.blind]
        proofs = [watch.sight.proof_ms for watch in seeing]
        proofs += [read_ms for watch in seeing for read_ms in watch.lags.values()]
        proofs += [read_ms for watch in seeing for read_ms, _ in watch.broken.values()]
        self.silence.tick(at_ms, min(proofs, default=at_ms))

    def clear_blocking(self, at_ms: int) -> int:
        """Remove disconnected sessions that block somebody, `blocking_after_ms` after their deadline
        (rule 7), unless they are held back or have critical guidance."""
        removed = 0
        for session in self._clearing.due(at_ms, self.guidance.critical):
            self.remove(session, at_ms, actor="cleanup", cause="blocking", reason="it blocked somebody")
            removed += 1
        return removed

    def suspect(self, session: Session, at_ms: int) -> None:
        """Before an automatic removal: may this be a mass silence that is still building up?"""
        self._clearing.suspect(session, at_ms)

    # --- messages -------------------------------------------------------------------------------------

    def beat(self, session: Session, at_ms: int, source: str, line: int = 0) -> None:
        """A bare heartbeat of a known session."""
        self.beats_of((session,), at_ms, source, line)

    def beats_of(self, sessions: Iterable[Session], at_ms: int, source: str, line: int) -> None:
        """Bare heartbeats of known sessions, in this order: the hot path."""
        timeout_ms, other_ms = self._timeout_ms.get, self._timeout_ms["default"]
        active, beats = Status.ACTIVE, self.beats
        for session in sessions:
            if (
                session.status is active
                and at_ms < session.seen_ms + timeout_ms(session.client, other_ms)
                and session.lost_ms == 0
                and session.source == source
            ):
                session.seen_ms = at_ms
                if session.line != line or not session.filed_ms:
                    self._heard_by(session, line)
                if not session.dirty:
                    session.dirty = True
                    beats.append(session)
            else:  # it may have ended since it was found
                company = session.company
                sender = Sender(source, company.site, company.name, session.id, None, line)
                self.receive(sender, BARE_HEARTBEAT, at_ms)

    def _heard_by(self, session: Session, line: int) -> None:
        """By another connection than before, or while it waited for one to be read: more of it may lie there,
        so it goes on waiting for that one, too."""
        if session.line not in self.watches[session.source].lags:
            session.line = line
        if not session.filed_ms and session.status is Status.ACTIVE:
            self._file(session)

    def receive(self, sender: Sender, message: Message, at_ms: int) -> None:
        """Take one message. Ids that are not live must have been looked up in `tombs` before."""
        session = self.sessions.get(sender.session)
        if session is None:
            self._from_nobody(sender, message, at_ms)
            return
        company = session.company
        if company.site != sender.site or company.name != sender.company:
            if isinstance(message, Login):
                self._refuse(sender, message, at_ms, ("conflict", "this id is in use in another company"))
            else:
                self._answer_once(sender, "unknown", {}, at_ms)
            return
        if not isinstance(message, Login) and not self.speaks_for(sender.account, session):
            return
        self._settle(session, at_ms)
        if session.id not in self.sessions:  # replaced at its deadline
            self._from_nobody(sender, message, at_ms)
        elif isinstance(message, Login):
            self._login_again(session, sender, message, at_ms)
        elif isinstance(message, Lost):
            self._lost(session, message, at_ms)
        elif isinstance(message, Logout):
            self._logout(session, message, at_ms)
        elif isinstance(message, Heartbeat):
            self._sign(session, message, at_ms, sender)
        else:
            self._sign(session, message, at_ms, sender)
            self._lock_or_unlock(session, message, at_ms)

    def _from_nobody(self, sender: Sender, message: Message, at_ms: int) -> None:
        tomb = self.tombs.get(sender.session)
        if tomb is not None:
            if tomb.site == sender.site and tomb.company == sender.company:
                payload = {
                    "status": tomb.status.value,
                    "at_ms": tomb.at_ms,
                    "by": tomb.by,
                    "reason": tomb.reason,
                }
                self._answer_once(sender, "ended", payload, at_ms)
            elif isinstance(message, Login):
                self._refuse(sender, message, at_ms, ("conflict", "this id was used in another company"))
            else:
                self._answer_once(sender, "unknown", {}, at_ms)
        elif isinstance(message, Login):
            self._login(sender, message, at_ms)
        elif isinstance(message, Heartbeat) and message.user and message.client:
            login = Login(
                message.user, message.client, message.machine, message.address, message.app,
                message.os_session,
            )  # fmt: skip
            session = self._login(sender, login, at_ms)
            if session is not None:
                self._sign(session, message, at_ms, sender)
        else:
            self._answer_once(sender, "unknown", {}, at_ms)

    def _answer_once(self, sender: Sender, kind: str, payload: dict[str, Any], at_ms: int) -> None:
        if self.limiter.allows((sender.session, kind), at_ms):
            self.out.answers.append(sender.answer(kind, payload))

    # --- logging in -----------------------------------------------------------------------------------

    def _login(self, sender: Sender, message: Login, at_ms: int) -> Session | None:
        company = self.companies.get((sender.site, sender.company))
        refusal = admission.forbidden(sender, message) or self._over_limit(company is None, at_ms)
        shut = self.closures.closed(sender.site, sender.company, message.user)
        if refusal is None and shut is not None:
            refusal = "maintenance", shut.text
        if refusal is not None:
            self._refuse(sender, message, at_ms, refusal)
            return None
        if company is None:
            company = self.companies[sender.site, sender.company] = Company(sender.site, sender.company)
            company.token = self.room.floor
            self.out.companies[company] = None
            self.out.gone.pop((company.site, company.name), None)
            self._clearing.moved()
        session = Session(
            self.next_key, sender.session, company, message.user, self._words.same(message.client), at_ms
        )
        self.next_key += 1
        session.source, session.line = sender.source, sender.line
        session.machine = message.machine
        session.os_session = None if message.os_session is None else self._words.same(str(message.os_session))
        app = None if message.app is None else self._words.same(message.app)
        session.tell(address=message.address, app=app, conn=message.conn, at=message.at)
        self._replace_older(session, at_ms)
        self.enter(session)
        self._file(session)
        self.out.entered[session.key] = session
        self.out.happened(
            "session.logged_in", at_ms, session,
            address=message.address, app=app, os_session=session.os_session, source=session.source,
        )  # fmt: skip
        self._accept(session)
        if (coming := self.closures.coming(company.site, company.name, session.user)) is not None:
            self.warn(session, coming, at_ms)
        return session

    def _over_limit(self, new_company: bool, at_ms: int) -> admission.Refusal | None:
        limits = self.policy.limits
        full = new_company and len(self.companies) >= limits.companies
        if full and len(self.sessions) < limits.sessions and (gone := self.room.make(at_ms)) is not None:
            self.out.companies.pop(gone, None)
            self.out.gone[gone.site, gone.name] = None
        return admission.over_limit(limits, len(self.sessions), len(self.companies), new_company=new_company)

    speaks_for = staticmethod(admission.speaks_for)

    def _login_again(self, session: Session, sender: Sender, message: Login, at_ms: int) -> None:
        if not admission.same_identity(session, message):
            self._refuse(sender, message, at_ms, ("conflict", "this session id belongs to another login"))
            return
        if refusal := admission.forbidden(sender, message):
            self._refuse(sender, message, at_ms, refusal)
            return
        told = session.told
        session.tell(address=message.address or told.address, app=message.app or told.app)
        self.out.entered[session.key] = session
        self._sign(session, message, at_ms, sender)
        self._accept(session)

    def _accept(self, session: Session) -> None:
        kind = self.policy.client_type(session.client)
        self.out.answer(session, "login", admission.accepted(session.status, kind))

    def _refuse(self, sender: Sender, message: Login, at_ms: int, refusal: Refusal) -> None:
        code, why = refusal
        self.out.answers.append(sender.answer("login", {"accepted": False, "code": code, "message": why}))
        if self.limiter.allows((sender.session, code), at_ms):
            self.out.events.append(admission.refused(sender, message, at_ms, refusal))

    def _replace_older(self, newer: Session, at_ms: int) -> None:
        """Same person again (rule 4): a disconnected older one goes at once, a lost one at its deadline."""
        for older in self._persons.others(newer):
            self._settle(older, at_ms)
            if older.status is Status.DISCONNECTED:
                self.remove(
                    older, at_ms, actor=newer.user, cause="replaced", reason=f"replaced by {newer.id}"
                )
            elif older.status is Status.ACTIVE and older.lost_ms:
                older.replaced_by = newer.id
                self.out.sessions[older.key] = older

    # --- signs of life --------------------------------------------------------------------------------

    def _settle(self, session: Session, at_ms: int) -> None:
        """A session whose proven deadline has come is disconnected before anything else happens to it."""
        if self._fallen(session, at_ms):
            self._disconnect(session, self.deadline(session))

    def _fallen(self, session: Session, at_ms: int) -> bool:
        """Has its deadline come, proven, and nothing been done about it yet?"""
        if session.status is not Status.ACTIVE:
            return False
        watch, due_ms = self.watches[session.source], self.deadline(session)
        return due_ms <= min(at_ms, watch.sight.silent_ms) and not watch.waits_for(session, due_ms)

    def _sign(self, session: Session, message: Message, at_ms: int, sender: Sender) -> None:
        idle_s = message.idle_s if isinstance(message, Heartbeat) else None
        limit_s = self.policy.client_type(session.client).idle_limit_s
        too_idle = limit_s > 0 and idle_s is not None and idle_s >= limit_s
        awake = isinstance(message, LockRequest | Unlock) or (idle_s is not None and not too_idle)
        weak = session.status is Status.DISCONNECTED and session.reason == "idle" and not awake
        following = after(session.status, Trigger.WEAK_SIGN if weak else Trigger.SIGN)
        self._seen(session, message, at_ms, sender)
        if session.status is Status.DISCONNECTED and following is Status.ACTIVE:
            self._reconnect(session, at_ms)
        if too_idle or awake:
            self._judge_idle(session, at_ms, too_idle=too_idle)

    def _seen(self, session: Session, message: Message, at_ms: int, sender: Sender) -> None:
        """Note the sign of life and what it brought along."""
        session.seen_ms = max(session.seen_ms, at_ms)
        if session.lost_ms:
            session.lost_ms = 0
            session.replaced_by = None
            self.out.sessions[session.key] = session
        if session.source != sender.source:
            session.source, session.line = sender.source, sender.line
            session.filed_ms = 0
            if session.status is Status.ACTIVE:
                self._file(session)
        elif session.line != sender.line or not session.filed_ms:
            self._heard_by(session, sender.line)
        if isinstance(message, Heartbeat | Login) and message is not BARE_HEARTBEAT:
            self._note_told(session, message)
        self._behind(session)

    @staticmethod
    def _note_told(session: Session, message: Heartbeat | Login) -> None:
        told = session.told
        news: dict[str, Any] = {}
        if message.conn is not None and (told.conn is None or message.conn > told.conn):
            news["conn"] = message.conn
        if message.at:
            news["at"] = message.at
        if isinstance(message, Heartbeat):
            if message.activity is not None:
                news["activity"] = message.activity or None
            if message.idle_s is not None:
                news["idle_s"] = round(message.idle_s)
        if news:
            session.tell(**news)

    def _behind(self, session: Session) -> None:
        """What of it a beat may change is stored with the next flush, or with the session's next row."""
        if not session.dirty:
            session.dirty = True
            self.beats.append(session)

    def _reconnect(self, session: Session, at_ms: int) -> None:
        was = session.reason
        self._turn(session, Status.ACTIVE)
        self.silence.active(session)
        gone_ms, session.disconnected_ms, session.reason = session.disconnected_ms, 0, None
        self._file(session)
        self.out.happened("session.reconnected", at_ms, session, disconnected_at_ms=gone_ms, was=was)

    def _judge_idle(self, session: Session, at_ms: int, *, too_idle: bool) -> None:
        kind = self.policy.client_type(session.client)
        if too_idle and kind.idle_disconnects and session.status is Status.ACTIVE:
            session.tell(idle=True)
            self._disconnect(session, at_ms, reason="idle")
        elif too_idle != session.told.idle:
            session.tell(idle=too_idle)
            self.out.happened("session.idle", at_ms, session, idle=too_idle, idle_s=session.told.idle_s)

    def _lost(self, session: Session, message: Lost, at_ms: int) -> None:
        following = after(session.status, Trigger.LOST)
        if message.conn is not None:
            if session.told.conn is not None and message.conn < session.told.conn:
                return
            session.tell(conn=message.conn)
            self._behind(session)
            self.out.sessions[session.key] = session
        if following is not Status.ACTIVE or session.lost_ms:
            return
        session.lost_ms = at_ms
        self.out.sessions[session.key] = session
        self._file(session)

    def _logout(self, session: Session, message: Logout, at_ms: int) -> None:
        was = session.status
        self._end(session, Trigger.LOGOUT, at_ms, actor=session.user, reason=message.reason)
        self.silence.forget(session)
        released = self.locks.end(session, at_ms, 0, "logged_off", session.user)
        self.out.happened(
            "session.logged_off",
            at_ms,
            session,
            actor=session.user,
            reason=message.reason,
            was=was.value,
            released=_named(released),
        )

    def _lock_or_unlock(
        self, session: Session, message: LockRequest | Unlock | Login | Logout | Lost, at_ms: int
    ) -> None:
        if isinstance(message, Unlock):
            self.locks.unlock(session, message.resource, message.token, at_ms)
        elif isinstance(message, LockRequest):
            if paths.valid(message.resource):
                self.locks.request(session, message, at_ms)
            else:
                self.locks.refuse_path(session, message.resource)

    # --- falling silent, ending -----------------------------------------------------------------------

    def _disconnect(self, session: Session, at_ms: int, reason: str | None = None) -> None:
        """At `at_ms`, its deadline (or the receipt of an idle report)."""
        if reason is None:
            following = after(session.status, Trigger.SILENCE)
            reason = self._lost_or_silent(session, at_ms) if session.lost_ms else "silence"
            self.silence.fell(session, at_ms)
        else:
            following = after(session.status, Trigger.IDLE)
            self.silence.inactive(session)
        self._turn(session, following)
        session.disconnected_ms, session.reason = at_ms, reason
        session.filed_ms = 0
        if session.wants:
            self.locks.leave_queue(session, at_ms)
        self.out.happened(
            "session.disconnected", at_ms, session, reason=reason, last_seen_ms=session.seen_ms,
            locks=_named(session.locks.values() if session.locks else ()), idle_s=session.told.idle_s,
        )  # fmt: skip
        if session.locks or self.guidance.for_logins:
            self._stir(session)
        if session.replaced_by is not None:
            newer = session.replaced_by
            self.remove(session, at_ms, actor=session.user, cause="replaced", reason=f"replaced by {newer}")

    def _lost_or_silent(self, session: Session, at_ms: int) -> str:
        timeout_ms, _, grace_ms = self._patience.get(session.client) or self._patience["default"]
        silent = self.watches[session.source].sight.due(session.seen_ms, timeout_ms, grace_ms)
        return "lost" if at_ms < silent else "silence"

    def remove(
        self, session: Session, at_ms: int, *, actor: str, cause: str, reason: str | None
    ) -> list[Lock]:
        """Take it off the roll. `cause`: operator, cleanup, replaced, blocking, maintenance. Returns what it
        released."""
        was = session.status
        advice = self.guidance.of_session(session)
        self._end(session, Trigger.REMOVE, at_ms, actor=actor, reason=reason or cause)
        if cause == "replaced":
            self.silence.forget(session)
        hold_until_ms = session.seen_ms + self.policy.lock_delay_ms
        released = self.locks.end(session, at_ms, hold_until_ms, cause, actor)
        left = list(session.locks.values()) if session.locks else ()
        on_hold = [lock for lock in left if lock.release_ms]
        self.out.happened(
            "session.removed", at_ms, session, actor=actor, reason=reason, cause=cause, was=was.value,
            last_seen_ms=session.seen_ms, released=_named(released),
            held=[{"resource": lock.resource, "release_at_ms": lock.release_ms} for lock in on_hold],
            sticky=_named(lock for lock in left if not lock.release_ms),
        )  # fmt: skip
        if advice:
            self._follow_up(session, advice, at_ms, actor)
        return released

    def _follow_up(self, session: Session, advice: list[Advice], at_ms: int, actor: str) -> None:
        """What the guidance leaves to do afterwards stays open until somebody has done it (rule 16)."""
        for rule, resource in advice:
            if rule.after is None:
                continue
            left = Followup(self.next_followup, at_ms, session, resource, rule.id, rule.severity, rule.after)
            self.next_followup += 1
            self.out.followups.append(left)
            self.out.happened(
                "followup.opened", at_ms, session, actor=actor, followup=left.id, resource=resource,
                rule=rule.id, severity=rule.severity, text=rule.after,
            )  # fmt: skip

    def _end(self, session: Session, trigger: Trigger, at_ms: int, *, actor: str, reason: str | None) -> None:
        following = after(session.status, trigger)
        if session.status is Status.ACTIVE:
            self.silence.inactive(session)
        self._clearing.forget(session)
        self._turn(session, following)
        session.reason, session.replaced_by = reason, None
        company = session.company
        del self.sessions[session.id]
        del company.sessions[session.id]
        self._persons.remove(session)
        session.ended = self.tombs[session.id] = Ended(
            session.id, company.site, company.name, following, at_ms, actor, reason
        )

    # --- bookkeeping ----------------------------------------------------------------------------------

    def enter(self, session: Session) -> None:
        """Put a live session on the roll (a new login, or one restored)."""
        self.sessions[session.id] = session
        session.company.sessions[session.id] = session
        self._persons.add(session)
        label = session.status, self.label(session.client)
        self.tally[label] = self.tally.get(label, 0) + 1
        if session.status is Status.ACTIVE:
            self.silence.active(session)
        else:
            self._stir(session)

    def _stir(self, session: Session) -> None:
        """It is disconnected: somebody may have to do something about what it holds, or was doing."""
        if session.locks:
            self.locks.stir(session)
        elif self.guidance.without_locks(session):
            self.locks.stirred[session] = None

    def file(self, session: Session) -> None:
        """A restored active session: from now on its deadline counts."""
        self._file(session)

    def label(self, client: str) -> str:
        """The client type as a metric may name it: configured ones, else `default`."""
        return client if client in self.policy.types else "default"

    def _turn(self, session: Session, status: Status) -> None:
        label = self.label(session.client)
        self.tally[session.status, label] = self.tally.get((session.status, label), 0) - 1
        session.status = status
        if not status.final:
            self.tally[status, label] = self.tally.get((status, label), 0) + 1

    def _file(self, session: Session) -> None:
        self.watches[session.source].deadlines.file(session, self.deadline(session))


def _patience(policy: Policy) -> dict[str, Patience]:
    """By client type; `default` is always among them."""
    return {
        name: Patience(kind.timeout_ms, kind.lost_grace_ms, policy.grace_ms(name))
        for name, kind in policy.types.items()
    }


def _timeouts(policy: Policy) -> dict[str, int]:
    """The same alone, for what looks at nothing else."""
    return {name: kind.timeout_ms for name, kind in policy.types.items()}


def _named(locks: Iterable[Lock]) -> list[str]:
    return [lock.resource for lock in locks][:NAMED_LOCKS]


__all__ = ["Roll", "Sender", "Watch", "blocked_by"]
