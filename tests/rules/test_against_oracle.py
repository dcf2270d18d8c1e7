"""The roll against a second, naive telling of its rules, over random histories.

`WHOSIN_DEEP=1` looks longer. A failure prints the steps, and the blob to replay them with.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.rules.driver import DOOR, LINK, START, Driver
from tests.rules.oracle import Oracle, OSession, overlap
from whosin.messages import BARE_HEARTBEAT, Heartbeat, LockRequest, Login, Logout, Lost, Message, Unlock
from whosin.model import ClientType, Limits, MassSilence, Policy, Status
from whosin.rules import locks as locks_module
from whosin.rules.locks import blocked_by, blocks_somebody, book_of

DEEP = bool(os.environ.get("WHOSIN_DEEP"))

POLICY = Policy(
    types={
        "desktop": ClientType("desktop", 3_000, 1_000, 1_200),
        "web": ClientType("web", 5_000, 2_000, 2_500, idle_limit_s=100),
        "kiosk": ClientType("kiosk", 4_000, 1_600, 1_700, idle_limit_s=100, idle_disconnects=True),
        "default": ClientType("default", 3_500, 1_000, 1_100),
    },
    regain_grace_ms=1_500,
    lock_delay_ms=700,
    mass=MassSilence(minimum=10**9),
    limits=Limits(locks_per_session=4),
)

IDS = [f"s{n}" for n in range(6)]
idents = st.sampled_from(IDS)
sources = st.sampled_from([DOOR, LINK])
companies = st.sampled_from(["A", "A", "A", "B"])
resources = st.sampled_from(["a", "a", "a/b", "a/d", "ab", "*"])
modes = st.sampled_from([None, "exclusive", "shared"])
conns = st.sampled_from([None, None, 1, 2, 3])
idles = st.sampled_from([None, 0, 99.9, 100, 5_000])
users = st.sampled_from(["anna", "ben", "cleo"])
clients = st.sampled_from(["desktop", "web", "kiosk", "robot"])
machines = st.sampled_from([None, "PC1", "PC2"])
os_sessions = st.sampled_from([None, 1, 2])
waits = st.sampled_from([None, None, 0, 0.3, 1, 2.5, 4, 60])

logins = st.builds(Login, users, clients, machine=machines, os_session=os_sessions, conn=conns)
naming_beats = st.builds(
    Heartbeat, user=users, client=clients, machine=machines, os_session=os_sessions, conn=conns, idle_s=idles
)
plain_beats = st.builds(Heartbeat, idle_s=idles, conn=conns)
requests = st.builds(
    LockRequest, resources, mode=modes, wait_s=waits, sticky=st.sampled_from([None, None, True, False])
)
unlocks = st.builds(Unlock, resources, token=st.sampled_from([None, None, None, 1, 2, 3, 5]))
messages: st.SearchStrategy[Message] = st.one_of(
    logins,
    naming_beats,
    st.just(BARE_HEARTBEAT),
    plain_beats,
    requests,
    requests,
    unlocks,
    st.just(Logout()),
    st.builds(Lost, conns),
)

lock_messages: st.SearchStrategy[Message] = st.one_of(requests, requests, unlocks)
afters = st.one_of(
    st.sampled_from([0, 0, 0, 1, 200, 256, 1_000, 2_500, 900_000]),
    st.tuples(st.integers(0, 3), st.sampled_from([-1, 0, 0, 1])),
)

blinders = st.sampled_from(["blind", "doubt", "stall", "jolt", "prove", "blink"])

LEGAL = {
    None: {"session.logged_in": "active"},
    "active": {
        "session.disconnected": "disconnected",
        "session.logged_off": "over",
        "session.removed": "over",
        "session.idle": "active",
    },
    "disconnected": {
        "session.reconnected": "active",
        "session.logged_off": "over",
        "session.removed": "over",
        "session.idle": "disconnected",
    },
    "over": {},
}


def legal(types: list[str]) -> bool:
    """One session's events follow the table."""
    state: str | None = None
    for kind in types:
        if kind not in LEGAL[state]:
            return False
        state = LEGAL[state][kind]
    return True


def event_of(happened: Any) -> tuple[Any, ...]:
    """An event as the oracle tells it."""
    what: Any = None
    match happened.type:
        case "session.disconnected":
            what = happened.reason
        case "session.removed":
            what = happened.data["cause"]
        case "session.idle":
            what = happened.data["idle"]
        case "session.refused":
            what = happened.data["code"]
        case kind if kind.startswith("lock."):
            what = happened.data["token"]
    return happened.type, happened.at, happened.session, what


def answer_of(told: Any) -> tuple[Any, ...]:
    p = told.payload
    match told.kind:
        case "login":
            return told.session, "login", p["accepted"], p["status"] if p["accepted"] else p["code"]
        case "lock":
            about = p["resource"], p["granted"], p.get("waiting"), p.get("token"), p.get("code")
            return told.session, "lock", *about
        case "unlock":
            return told.session, "unlock", p["resource"], p["released"]
    return told.session, told.kind, p.get("status")


class Both:
    """The roll and the oracle, told the same, compared after each step."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.driver = Driver(policy, sources=(DOOR, LINK))
        self.oracle = Oracle(policy, (DOOR, LINK))
        self.life: dict[str, list[str]] = {}
        self.releases: Counter[tuple[str, int]] = Counter()
        self.last_token: dict[str, int] = {}

    def do(self, name: str, *args: Any, **more: Any) -> None:
        getattr(self.driver, name)(*args, **more)
        getattr(self.oracle, name)(*args, **more)
        self.compare()

    def compare(self) -> None:
        driver, oracle = self.driver, self.oracle
        got = Counter(event_of(event) for event in driver.events)
        assert got == Counter(oracle.events)
        answers = Counter(answer_of(told) for told in driver.answers)
        assert answers == Counter(oracle.answers)
        for told in driver.answers:
            self.judge_holder(told)
        for event in driver.events:
            if (
                event.session is not None
                and event.type.startswith("session.")
                and event.type != "session.refused"
            ):
                self.life.setdefault(event.session, []).append(event.type)
            if event.type == "lock.released":
                company = oracle.sessions[event.session].company
                self.releases[company, event.data["token"]] += 1
            if event.type == "lock.granted":
                company = oracle.sessions[event.session].company
                assert event.data["token"] > self.last_token.get(company, 0)
                self.last_token[company] = event.data["token"]
        for log in (driver.events, driver.answers, oracle.events, oracle.answers):
            log.clear()

    def judge_holder(self, told: Any) -> None:
        """A refusal names somebody who holds a lock in that company."""
        p = told.payload
        if told.kind != "lock" or p["granted"] or p.get("code") == "limit":
            return
        company = self.oracle.sessions[told.session].company
        if "holder" not in p:
            fell = ("session.disconnected", told.session)
            assert p.get("waiting") is False, f"{p} names nobody"
            assert fell in {(event[0], event[2]) for event in self.oracle.events}, f"{p} names nobody"
            return  # nothing is in its way any more, but it fell in that very moment
        named = p["holder"]
        assert any(
            (lock.session.user, lock.session.machine, lock.session.client)
            == (named["user"], named["machine"], named["client"])
            for lock in self.oracle.locks
            if lock.session.company == company
        ) or any(event[0] == "lock.released" for event in self.oracle.events)


class Machine(RuleBasedStateMachine):
    @initialize(who=st.lists(st.tuples(logins, sources), min_size=3, max_size=4))
    def start(self, who: list[tuple[Login, str]]) -> None:
        self.both = Both()
        self.oracle, self.driver, self.roll = self.both.oracle, self.both.driver, self.both.driver.roll
        self.now = 0
        for ident, (message, source) in zip(IDS, who, strict=False):
            self.say(ident, message, source)

    def sees(self, source: str) -> bool:
        s = self.oracle.sources[source]
        return s.blind_since is None or s.doubted

    def say(self, ident: str, message: Message, source: str, company: str | None = None) -> None:
        """Where it is known; by the other source if this one does not see."""
        if company is None:
            known = self.oracle.sessions.get(ident)
            company = known.company if known else "A"
        for by in (source, LINK if source == DOOR else DOOR):
            if self.sees(by):
                self.both.do("hear", self.now, ident, message, source=by, company=company)
                return

    def pass_time(self, after: int | tuple[int, int]) -> None:
        """So many milliseconds, or until just before, at or after one of the next dates."""
        if isinstance(after, int):
            self.now += after
            return
        nth, off = after
        dates = {self.oracle.deadline(s) for s in self.oracle.sessions.values() if s.status == "active"}
        dates |= {entry[0] for entry in self.oracle.agenda()}
        ahead = sorted(date + off for date in dates if date + off > self.now)
        if ahead:
            self.now = ahead[min(nth, len(ahead) - 1)]

    # --- what can happen ------------------------------------------------------------------------------

    @rule(after=afters, ident=idents, message=messages, source=sources)
    def speak(self, after: Any, ident: str, message: Message, source: str) -> None:
        self.pass_time(after)
        self.say(ident, message, source)

    @rule(after=afters, ident=idents, message=lock_messages, source=sources)
    def lock_or_unlock(self, after: Any, ident: str, message: Message, source: str) -> None:
        self.pass_time(after)
        self.say(ident, message, source)

    @rule(after=afters, ident=idents, message=messages, source=sources, company=companies)
    def speak_for_any_company(
        self, after: Any, ident: str, message: Message, source: str, company: str
    ) -> None:
        self.pass_time(after)
        self.say(ident, message, source, company)

    @rule(after=afters, who=st.sets(idents), source=sources)
    def beat(self, after: Any, who: set[str], source: str) -> None:
        self.pass_time(after)
        for ident in sorted(who & self.oracle.sessions.keys()):
            self.say(ident, BARE_HEARTBEAT, source)

    @rule(after=afters, limit=st.sampled_from([1, 2, 1 << 30]), prove=st.booleans())
    def sweep(self, after: Any, limit: int, prove: bool) -> None:
        self.pass_time(after)
        for source in (DOOR, LINK) if prove else ():
            if self.sees(source):
                self.both.do("prove", self.now, source)
        self.driver.sweep(self.now, limit=limit)
        self.oracle.sweep(self.now)
        self.both.compare()

    @rule(
        after=afters,
        source=sources,
        what=st.sampled_from(["blind", "doubt", "stall", "jolt", "prove", "blink"]),
    )
    def lose_sight(self, after: Any, source: str, what: str) -> None:
        self.pass_time(after)
        match what:
            case "stall" | "jolt":
                self.both.do("stall", self.now, source, graced=what == "stall")
            case "prove":
                if self.sees(source):
                    self.both.do("prove", self.now, source)
            case "blink":
                self.both.do("blind", source)
                self.both.do("regain", self.now, source)
            case _:
                self.both.do(what, source)

    @rule(after=afters, source=sources)
    def regain_sight(self, after: Any, source: str) -> None:
        self.pass_time(after)
        self.both.do("regain", self.now, source)

    @rule(after=afters, ident=idents, cause=st.sampled_from(["operator", "cleanup"]))
    def remove(self, after: Any, ident: str, cause: str) -> None:
        self.pass_time(after)
        if ident in self.oracle.sessions:
            self.driver.remove(self.now, ident, cause=cause)
            self.oracle.advance(self.now)
            self.oracle.remove(self.oracle.sessions[ident], self.now, cause)
            self.both.compare()

    # --- what must hold -------------------------------------------------------------------------------

    @invariant()
    def both_know_the_same_sessions(self) -> None:
        live = {ident: s for ident, s in self.oracle.sessions.items() if not s.over}
        assert self.roll.sessions.keys() == live.keys()
        for ident, expected in live.items():
            session = self.roll.sessions[ident]
            assert (session.status, session.reason, session.told.idle, session.told.conn, session.source) == (
                expected.status,
                expected.reason,
                expected.idle,
                expected.conn,
                expected.source,
            )
            assert session.seen_ms - START == expected.seen
            assert bool(session.lost_ms) == (expected.lost is not None)
            if session.status is Status.ACTIVE:
                assert self.driver.deadline(ident) == self.oracle.deadline(expected)
            else:
                assert session.disconnected_ms - START == expected.disconnected
        for ident, expected in self.oracle.sessions.items():
            if expected.over:
                assert self.roll.tombs[ident].status == expected.status

    @invariant()
    def both_know_the_same_locks_and_waiters(self) -> None:
        for name in ("A", "B"):
            company = self.roll.companies.get(("s", name))
            mine = [lock for lock in self.oracle.locks if lock.session.company == name]
            wanted = [want for want in self.oracle.wants if want.session.company == name]
            if company is None:
                assert not mine
                continue
            book = book_of(company)
            assert {
                (
                    lock.session.id,
                    lock.resource,
                    lock.token,
                    lock.shared,
                    lock.sticky,
                    lock.release_ms - START if lock.release_ms else None,
                    lock.left_behind,
                )
                for lock in book.held.everything()
            } == {
                (
                    lock.session.id,
                    lock.resource,
                    lock.token,
                    lock.shared,
                    lock.sticky,
                    lock.release[0] if lock.release else None,
                    lock.left_behind,
                )
                for lock in mine
            }
            waiting, refused = [], set()
            for session in company.sessions.values():
                for want in (session.wants or {}).values():
                    if want.waiting:
                        about = session.id, want.resource, want.shared, want.sticky, want.until_ms - START
                        waiting.append((want.order, about))
                    else:
                        refused.add(
                            (session.id, want.resource, frozenset(lock.token for lock in want.refused_by))
                        )
            assert [about for _, about in sorted(waiting)] == [
                (want.session.id, want.resource, want.shared, want.sticky, want.until[0])
                for want in sorted(wanted, key=lambda want: want.place)
                if want.until
            ]
            assert refused == {
                (want.session.id, want.resource, frozenset(lock.token for lock in want.because))
                for want in wanted
                if not want.until
            }

    @invariant()
    def everybody_can_see_whom_a_session_blocks(self) -> None:
        for ident, session in self.roll.sessions.items():
            blocked = {
                (want.session.id, want.resource)
                for lock in (session.locks or {}).values()
                for want in blocked_by(lock)
            }
            assert blocked == set(self.blocked(self.oracle.sessions[ident]))
            assert blocks_somebody(session) == bool(blocked)

    def blocked(self, session: OSession) -> Iterator[tuple[str, str]]:
        for want in self.oracle.wants:
            if want.until:
                blockers = self.oracle.in_the_way(want.session, want.resource, want.shared)
            else:
                blockers = want.because
            if any(lock.session is session for lock in blockers):
                yield want.session.id, want.resource

    @invariant()
    def no_two_conflicting_locks_of_different_sessions(self) -> None:
        locks = [
            lock for company in self.roll.companies.values() for lock in book_of(company).held.everything()
        ]
        for n, one in enumerate(locks):
            for other in locks[:n]:
                assert (
                    one.company is not other.company
                    or one.session is other.session
                    or (one.shared and other.shared)
                    or not overlap(one.resource, other.resource)
                )

    @invariant()
    def every_life_follows_the_table_and_every_release_happens_once(self) -> None:
        for ident, types in self.both.life.items():
            assert legal(types), f"{ident}: {types}"
        assert set(self.both.releases.values()) <= {1}

    @invariant()
    def counters_equal_a_recount(self) -> None:
        roll = self.roll
        count = Counter((s.status, roll.label(s.client)) for s in roll.sessions.values())
        assert {label: n for label, n in roll.tally.items() if n} == dict(count)
        assert roll.locks.count == len(self.oracle.locks)
        assert roll.locks.waiting == len([want for want in self.oracle.wants if want.until])
        assert roll.locks.refusals == len([want for want in self.oracle.wants if not want.until])
        for company in roll.companies.values():
            assert {s.id for s in company.sessions.values()} == {
                ident for ident, s in roll.sessions.items() if s.company is company
            }

    @invariant()
    def nothing_due_is_overlooked(self) -> None:
        for name, watch in self.roll.watches.items():
            due = [
                self.roll.deadline(s)
                for s in self.roll.sessions.values()
                if s.source == name and s.status is Status.ACTIVE
            ]
            if due:
                assert watch.deadlines.next_ms <= min(due)
                now = self.now + START
                if watch.sight.proof_ms < min(due) <= now and not watch.sight.blind:
                    assert name in self.roll.unproven(now)
        dates = [entry[0] for entry in self.oracle.agenda() if not isinstance(entry[3], OSession)]
        if dates:
            assert self.roll.locks.next_ms is not None
            assert self.roll.locks.next_ms - START <= min(dates)


@pytest.fixture(autouse=True)
def _keep_all_blockers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks_module, "BLOCKERS_KEPT", 10_000)


DEPTH = settings(
    max_examples=3_000 if DEEP else 120,
    stateful_step_count=120 if DEEP else 50,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

TestAgainstOracle = Machine.TestCase
TestAgainstOracle.settings = DEPTH


class Crowd(RuleBasedStateMachine):
    """The same two worlds, but everybody is logged in, lives, and wants the same few things."""

    WHO = (("s0", "anna"), ("s1", "anna"), ("s2", "ben"), ("s3", "cleo"), ("s4", "cleo"), ("s5", "dora"))

    @initialize()
    def start(self) -> None:
        self.both = Both(CROWD)
        self.oracle, self.driver, self.roll = self.both.oracle, self.both.driver, self.both.driver.roll
        self.now = 0
        for ident, user in self.WHO:
            self.log_in(ident, user)

    def log_in(self, ident: str, user: str) -> None:
        message = Login(user, "desktop", machine=f"PC of {user}")
        self.both.do("hear", self.now, ident, message, source=DOOR, company="A")

    crowd = st.sampled_from([ident for ident, _ in WHO])
    things = st.sampled_from(["a", "a/b", "a/c", "*"])

    def do(self, ident: str, message: Message) -> None:
        ident = self.names.get(ident, ident)
        self.both.do("hear", self.now, ident, message, source=DOOR, company="A")

    @property
    def names(self) -> dict[str, str]:
        """Who ended is followed by another session of the same user."""
        return {ident: ident + "'" for ident in self.oracle.sessions if self.oracle.sessions[ident].over}

    @rule(
        ident=crowd,
        resource=things,
        wait=st.sampled_from([None, 5, 60]),
        shared=st.booleans(),
        sticky=st.booleans(),
    )
    def ask(self, ident: str, resource: str, wait: float | None, shared: bool, sticky: bool) -> None:
        mode = "shared" if shared else None
        self.do(ident, LockRequest(resource, mode=mode, wait_s=wait, sticky=sticky or None))

    @rule(ident=crowd, resource=things)
    def wait_for(self, ident: str, resource: str) -> None:
        self.do(ident, LockRequest(resource, wait_s=3_600))

    @rule(ident=crowd, resource=things, shared=st.booleans())
    def leave_sticky(self, ident: str, resource: str, shared: bool) -> None:
        self.do(ident, LockRequest(resource, mode="shared" if shared else None, sticky=True))
        self.go(ident, "logout")

    @rule(ident=crowd, resource=things)
    def unlock(self, ident: str, resource: str) -> None:
        self.do(ident, Unlock(resource))

    @rule(ident=crowd, nth=st.integers(0, 3), older=st.booleans())
    def unlock_held(self, ident: str, nth: int, older: bool) -> None:
        mine = [lock for lock in self.oracle.locks if lock.session.id == self.names.get(ident, ident)]
        if mine:
            lock = mine[nth % len(mine)]
            self.do(ident, Unlock(lock.resource, max(0, lock.token - older)))

    @rule(ident=crowd, how=st.sampled_from(["logout", "remove", "idle"]))
    def go(self, ident: str, how: str) -> None:
        session = self.oracle.sessions[ident]
        if how == "idle":
            self.do(ident, Heartbeat(idle_s=200))
        elif not session.over:
            if how == "logout":
                self.do(ident, Logout())
            else:
                self.driver.remove(self.now, ident)
                self.oracle.advance(self.now)
                self.oracle.remove(session, self.now, "operator")
                self.both.compare()
            if ident + "'" not in self.oracle.sessions:
                self.log_in(ident + "'", session.user)

    @rule(ms=st.sampled_from([1, 1_000, 5_000, 15_000, 60_000, 900_000]))
    def wait(self, ms: int) -> None:
        self.now += ms
        self.both.do("prove", self.now, DOOR)
        self.both.do("sweep", self.now)

    both_know_the_same_locks = Machine.both_know_the_same_locks_and_waiters
    everybody_can_see = Machine.everybody_can_see_whom_a_session_blocks
    blocked = Machine.blocked
    no_conflict = Machine.no_two_conflicting_locks_of_different_sessions
    table = Machine.every_life_follows_the_table_and_every_release_happens_once
    recount = Machine.counters_equal_a_recount


CROWD = Policy(
    types={
        "default": ClientType("default", 10**8, 10**7, 2 * 10**7, idle_limit_s=100, idle_disconnects=True)
    },
    mass=MassSilence(minimum=10**9),
)
TestCrowd = Crowd.TestCase
TestCrowd.settings = DEPTH


# --- a few histories, always the same ones -----------------------------------------------------------------

STEPS = 60


def _crowd_step(machine: Crowd, some: Random) -> None:
    ident = some.choice([ident for ident, _ in Crowd.WHO])
    thing = some.choice(["a", "a/b", "a/c", "*"])
    match some.choice(
        ["ask", "ask", "ask", "wait_for", "leave_sticky", "unlock", "unlock_held", "go", "wait"]
    ):
        case "ask":
            sticky, shared = some.random() < 0.2, some.random() < 0.5
            machine.ask(ident, thing, wait=some.choice([None, 5, 60]), shared=shared, sticky=sticky)
        case "wait_for":
            machine.wait_for(ident, thing)
        case "leave_sticky":
            machine.leave_sticky(ident, thing, shared=some.random() < 0.5)
        case "unlock":
            machine.unlock(ident, thing)
        case "unlock_held":
            machine.unlock_held(ident, nth=some.randrange(4), older=some.random() < 0.2)
        case "go":
            machine.go(ident, how=some.choice(["logout", "remove", "idle"]))
        case "wait":
            machine.wait(ms=some.choice([1, 1_000, 5_000, 15_000, 60_000, 900_000]))


def _message(some: Random) -> Message:
    choice = some.choice
    who = {
        "user": choice(["anna", "ben", "cleo"]), "client": choice(["desktop", "web", "kiosk", "robot"]),
        "machine": choice([None, "PC1", "PC2"]), "os_session": choice([None, 1, 2]),
        "conn": choice([None, None, 1, 2, 3]),
    }  # fmt: skip
    idle = choice([None, 0, 99.9, 100, 5_000])
    match choice(["login", "naming", "bare", "beat", "lock", "lock", "unlock", "logout", "lost"]):
        case "login":
            return Login(**who)
        case "naming":
            return Heartbeat(**who, idle_s=idle)
        case "bare":
            return BARE_HEARTBEAT
        case "beat":
            return Heartbeat(idle_s=idle, conn=who["conn"])
        case "logout":
            return Logout()
        case "lost":
            return Lost(who["conn"])
        case kind:
            return _lock_message(some, kind)


def _lock_message(some: Random, kind: str) -> Message:
    resource = some.choice(["a", "a", "a/b", "a/d", "ab", "*"])
    if kind == "unlock":
        return Unlock(resource, token=some.choice([None, None, None, 1, 2, 3, 5]))
    mode, wait = some.choice([None, "exclusive", "shared"]), some.choice([None, None, 0, 0.3, 1, 2.5, 4, 60])
    return LockRequest(resource, mode=mode, wait_s=wait, sticky=some.choice([None, None, True, False]))


def _after(some: Random) -> int | tuple[int, int]:
    if some.random() < 0.5:
        return some.choice([0, 0, 0, 1, 200, 256, 1_000, 2_500, 900_000])
    return some.randrange(4), some.choice([-1, 0, 0, 1])


def _step(machine: Machine, some: Random) -> None:
    after, ident, source = _after(some), some.choice(IDS), some.choice([DOOR, LINK])
    match some.choice(
        ["speak"] * 4 + ["lock"] * 3 + ["other", "beat", "beat", "sweep", "sweep", "lose", "regain", "remove"]
    ):
        case "speak":
            machine.speak(after, ident, _message(some), source)
        case "lock":
            machine.lock_or_unlock(
                after, ident, _lock_message(some, some.choice(["lock", "lock", "unlock"])), source
            )
        case "other":
            machine.speak_for_any_company(after, ident, _message(some), source, some.choice(["A", "B"]))
        case "beat":
            machine.beat(after, {one for one in IDS if some.random() < 0.5}, source)
        case "sweep":
            machine.sweep(after, limit=some.choice([1, 2, 1 << 30]), prove=some.random() < 0.5)
        case "lose":
            what = some.choice(["blind", "doubt", "stall", "jolt", "prove", "blink"])
            machine.lose_sight(after, source, what=what)
        case "regain":
            machine.regain_sight(after, source)
        case "remove":
            machine.remove(after, ident, cause=some.choice(["operator", "cleanup"]))


@pytest.mark.parametrize("seed", range(10))
def test_a_crowd_that_wants_the_same_things_does_as_the_oracle_says(seed: int) -> None:
    some, machine = Random(seed), Crowd()
    machine.start()
    for _ in range(STEPS):
        _crowd_step(machine, some)
        for must_hold in (
            machine.both_know_the_same_locks, machine.everybody_can_see, machine.no_conflict, machine.table,
            machine.recount,
        ):  # fmt: skip
            must_hold()


@pytest.mark.parametrize("seed", range(10))
def test_a_handful_of_sessions_lives_as_the_oracle_says(seed: int) -> None:
    some, machine = Random(seed), Machine()
    logins = [_message(some) for _ in range(40)]
    machine.start([(login, DOOR) for login in logins if isinstance(login, Login)][:4])
    for _ in range(STEPS):
        _step(machine, some)
        for must_hold in (
            machine.both_know_the_same_sessions, machine.both_know_the_same_locks_and_waiters,
            machine.everybody_can_see_whom_a_session_blocks,
            machine.no_two_conflicting_locks_of_different_sessions,
            machine.every_life_follows_the_table_and_every_release_happens_once,
            machine.counters_equal_a_recount, machine.nothing_due_is_overlooked,
        ):  # fmt: skip
            must_hold()


# --- the cadence of the sweep -----------------------------------------------------------------------------

Step = tuple[int, Callable[[Driver, int], None]]


def _hear(ident: str, message: Message, source: str, company: str) -> Callable[[Driver, int], None]:
    def step(driver: Driver, at: int) -> None:
        sight = driver.roll.watches[source].sight
        if not sight.blind:
            known = driver.roll.sessions.get(ident)
            driver.hear(at, ident, message, source=source, company=known.company.name if known else company)

    return step


def _prove(source: str) -> Callable[[Driver, int], None]:
    return lambda driver, at: driver.prove(at, source)


def _blind(source: str) -> Callable[[Driver, int], None]:
    return lambda driver, _: driver.blind(source)


def _regain(source: str) -> Callable[[Driver, int], None]:
    return lambda driver, at: driver.regain(at, source)


gaps_in_time = st.sampled_from([0, 1, 50, 256, 300, 1_000, 1_700, 3_000])
lively = st.tuples(gaps_in_time, st.builds(_hear, idents, messages, sources, companies))
sighted = st.tuples(
    gaps_in_time,
    st.one_of(st.builds(_prove, sources), st.builds(_blind, sources), st.builds(_regain, sources)),
)


def _history(steps: list[Step], sweeps: list[int], *, proving: bool) -> list[tuple[Any, ...]]:
    driver = Driver(POLICY, sources=(DOOR, LINK))
    now, todo = 0, sorted(sweeps)
    for after, step in steps:
        now += after
        while todo and todo[0] <= now:
            at = todo.pop(0)
            if proving:
                driver.pass_to(at)
            else:
                driver.sweep(at)
        if proving:
            for source in (DOOR, LINK):
                driver.prove(now, source)
        step(driver, now)
    for source in (DOOR, LINK):
        driver.regain(now + 1, source)
    driver.pass_to(now + 20_000)
    return [event_of(event) for event in driver.events]


SWEEPS = st.lists(st.integers(0, 40_000), max_size=40)


@settings(DEPTH, max_examples=2_000 if DEEP else 60)
@given(steps=st.lists(lively, max_size=50), sweeps=SWEEPS)
def test_the_cadence_of_the_sweep_never_changes_history(steps: list[Step], sweeps: list[int]) -> None:
    assert _history(steps, sweeps, proving=True) == _history(steps, [], proving=True)


@settings(DEPTH, max_examples=2_000 if DEEP else 60)
@given(steps=st.lists(st.one_of(lively, lively, sighted), max_size=50), sweeps=SWEEPS)
def test_sweeping_without_seeing_never_changes_what_becomes_of_sessions(
    steps: list[Step], sweeps: list[int]
) -> None:
    def lives(history: list[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
        found: dict[str, list[tuple[Any, ...]]] = {}
        for event in history:
            if event[0].startswith("session."):
                found.setdefault(event[2], []).append(event)
        return found

    assert lives(_history(steps, sweeps, proving=False)) == lives(_history(steps, [], proving=False))
