"""The seams: Clock, Intake and Peer, Transport, Store. Each is a Protocol; who implements it is unknown here.

Times that cross to the Store are wall-clock epoch milliseconds; all others are on the engine's timeline
(see `model`). Everything here is called from the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from whosin.model import Account


class Clock(Protocol):
    """The only source of time. `now_ms` never goes back and never jumps with the wall clock."""

    def now_ms(self) -> int: ...

    def wall_ms(self, at_ms: int) -> int:
        """A moment of the timeline as epoch milliseconds, for people and for the store."""
        ...

    def timeline_ms(self, wall_ms: int) -> int:
        """The inverse of `wall_ms`."""
        ...


# --- transports ------------------------------------------------------------------------------------


class Received(Protocol):
    """One PUBLISH as a transport decoded it; the topic is not yet looked at."""

    @property
    def topic(self) -> bytes: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def qos(self) -> int: ...
    @property
    def retain(self) -> bool: ...
    @property
    def packet_id(self) -> int: ...


class Peer(Protocol):
    """The connection a message came by. `account` None: sign-in is off, or a broker vouches."""

    @property
    def account(self) -> Account | None: ...

    def ack(self, packet_id: int) -> None:
        """The message is committed: acknowledge it, behind every answer handed over before this call.

        Called once per QoS 1 message and in order of receipt. Harmless on a closed connection.
        """
        ...


class Intake(Protocol):
    """What a transport tells the engine."""

    def deliver(self, source: str, at_ms: int, peer: Peer, messages: Sequence[Received]) -> None:
        """Messages in order of receipt, all read at `at_ms`, which is now. Proves nothing by itself: where
        nothing can be left unread before them, `proof` follows."""
        ...

    def proof(self, source: str, at_ms: int) -> None:
        """Whatever was sent to us before `at_ms` through this source has been delivered (rule 8). The moment
        may lie in the past."""
        ...

    def sighted(self, source: str, at_ms: int) -> None:
        """The source receives from now on: listening, or connected and subscribed."""
        ...

    def blinded(self, source: str) -> None:
        """The source does not receive: blindness counts from its last proof. Repeating it is harmless."""
        ...

    def rejected(self, reason: str, sample: bytes) -> None:
        """Something was refused before it became a message; counted and logged by reason (rule 11)."""
        ...

    @property
    def full(self) -> bool:
        """Stop reading: the inbox is at its bound. `when_free` tells when to go on."""
        ...

    def when_free(self, call: Callable[[], None]) -> None: ...


class Transport(Protocol):
    """The door or the link. Everything sent is QoS 1."""

    @property
    def source(self) -> str:
        """`door` or `link`."""
        ...

    @property
    def ready(self) -> bool:
        """Takes events now; while False the outbox keeps them."""
        ...

    def answer(self, topic: str, payload: bytes) -> None:
        """Hand one answer over; kept over a short loss of the connection, within bounds."""
        ...

    def announce(self, topic: str, payload: bytes, done: Callable[[], None], seq: int = 0) -> None:
        """Hand one event over; `seq` is its number in the history. `done` is called once it need not be sent
        again (the broker's PUBACK; at the door: queued for everyone who hears it). Lost connection: the link
        sends it again itself."""
        ...

    def prove(self) -> None:
        """A deadline is due: obtain a proof of receipt soon (ping). Cheap to repeat."""
        ...

    async def start(self, intake: Intake) -> None: ...

    async def stop(self) -> None:
        """Say offline, let what was handed over leave within two seconds, close."""
        ...


# --- the store -------------------------------------------------------------------------------------


class SessionRow(NamedTuple):
    key: int
    id: str
    site: str
    company: str
    user: str
    client: str
    machine: str | None
    address: str | None
    app: str | None
    os_session: str | None
    conn: int | None
    at: str | None
    status: str
    since: int
    seen: int
    lost: int
    disconnected: int
    ended: int
    ended_by: str | None
    reason: str | None
    replaced_by: str | None
    idle_s: int | None
    idle: int
    activity: str | None
    source: str


class BeatRow(NamedTuple):
    """The part of a session that a heartbeat changes, written behind (rule 10)."""

    seen: int
    conn: int | None
    at: str | None
    idle_s: int | None
    activity: str | None
    source: str
    key: int


class TurnRow(NamedTuple):
    """The part of a session that a change of status changes: all that is written of those who fall silent,
    and go, by the hundred thousand. What a beat changes is stored already, or written with it."""

    status: str
    lost: int
    disconnected: int
    ended: int
    ended_by: str | None
    reason: str | None
    replaced_by: str | None
    idle: int
    key: int


class LockRow(NamedTuple):
    site: str
    company: str
    token: int
    resource: str
    session: int  # SessionRow.key, which may be of an ended session
    shared: int
    sticky: int
    since: int
    activity: str | None
    guidance: str | None
    release_at: int


class WantRow(NamedTuple):
    site: str
    company: str
    order: int
    session: int
    resource: str
    shared: int
    sticky: int
    activity: str | None
    guidance: str | None
    asked: int
    until: int  # 0: a remembered refusal
    refused_by: str  # JSON list of tokens


class EventRow(NamedTuple):
    """History and outbox in one: it leaves for the world while `seq` is above the sink's cursor."""

    seq: int
    at: int
    type: str
    site: str | None
    company: str | None
    session: str | None
    user: str | None
    actor: str | None
    reason: str | None
    data: bytes  # JSON object
    resource: str | None = None  # of its data; searched by


class PassRow(NamedTuple):
    """A cleanup pass; `finished` 0 while it runs. `report` is JSON: per company what was done."""

    id: int
    started: int
    finished: int
    actor: str
    report: bytes


class HoldRow(NamedTuple):
    """A mass silence held back (rule 9). `company` "" means the whole site."""

    site: str
    company: str
    client: str
    opened: int
    alerted: int
    until: int
    confirmed: str  # JSON list of companies already confirmed out of a site's hold


class FollowupRow(NamedTuple):
    """What is left to do after a session was removed (rule 16); `done` 0 while it is open."""

    id: int
    opened: int
    site: str
    company: str
    session: str  # its id
    user: str
    client: str
    machine: str | None
    resource: str | None  # None: the login as such
    rule: str
    severity: str
    text: str
    done: int
    done_by: str | None
    note: str | None


class AccountRow(NamedTuple):
    name: str
    role: str
    site: str
    user: str | None
    secret_hash: bytes
    created: int


class TokenRow(NamedTuple):
    name: str
    role: str
    site: str | None
    secret_hash: bytes
    created: int


class OperatorRow(NamedTuple):
    """A person who may sign in to the page and the API."""

    name: str
    role: str
    site: str | None
    password_hash: str | None  # in argon2's own notation; None: none was chosen yet
    disabled: int
    created: int
    password_set: int
    signed_in: int  # the last time
    link_hash: bytes | None  # of a one-time link that was made and not used
    link_until: int


class WebSessionRow(NamedTuple):
    """Somebody who is signed in with a browser. `kind` is `operator` or `token`, `name` is whose."""

    id_hash: bytes
    kind: str
    name: str
    created: int
    seen: int
    address: str | None


class ObserverRow(NamedTuple):
    """A durable subscriber at the door: which events it still has to get after a restart."""

    client_id: str
    account: str | None
    filters: str  # JSON: filter -> granted QoS
    acked: int  # every event up to this seq has arrived
    expires: int


@dataclass(slots=True)
class Changes:
    """One transaction: all or nothing, durable when `Store.commit` returns. None deletes.

    A session that has both a row and a beat here is as its row says, and as its turn says if it has one. One
    whose row was final once never gets another status.
    """

    sessions: dict[int, SessionRow] = field(default_factory=dict)
    beats: list[BeatRow] = field(default_factory=list)
    turns: dict[int, TurnRow] = field(default_factory=dict)
    companies: dict[tuple[str, str], int | None] = field(default_factory=dict)
    locks: dict[tuple[str, str, int], LockRow | None] = field(default_factory=dict)
    wants: dict[tuple[str, str, int], WantRow | None] = field(default_factory=dict)
    events: list[EventRow] = field(default_factory=list)
    passes: dict[int, PassRow] = field(default_factory=dict)
    holds: dict[tuple[str, str, str], HoldRow | None] = field(default_factory=dict)
    followups: dict[int, FollowupRow] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, AccountRow | None] = field(default_factory=dict)
    tokens: dict[str, TokenRow | None] = field(default_factory=dict)
    observers: dict[str, ObserverRow | None] = field(default_factory=dict)
    operators: dict[str, OperatorRow | None] = field(default_factory=dict)
    web_sessions: dict[bytes, WebSessionRow | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any((
            self.sessions, self.events, self.beats, self.turns, self.locks, self.wants, self.companies,
            self.passes, self.holds, self.meta, self.accounts, self.tokens, self.observers,
            self.followups,
            self.operators, self.web_sessions,
        ))  # fmt: skip


@dataclass(slots=True)
class Loaded:
    """All that the engine needs to go on where it stopped."""

    store_id: str
    sessions: list[SessionRow]  # live ones, and ended ones whose locks are still there
    companies: dict[tuple[str, str], int]
    locks: list[LockRow]
    wants: list[WantRow]  # by site, company, order
    holds: list[HoldRow]
    unfinished_pass: PassRow | None
    meta: dict[str, str]
    accounts: list[AccountRow]
    tokens: list[TokenRow]
    observers: list[ObserverRow]
    operators: list[OperatorRow]
    web_sessions: list[WebSessionRow]
    last_seq: int
    last_key: int
    last_pass: int
    last_followup: int
    open_followups: dict[tuple[str, str], int]  # how many, by site and severity


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """All given filters hold together; `before_seq` pages backwards from the newest."""

    site: str | None = None
    company: str | None = None
    session: str | None = None
    user: str | None = None
    type: str | None = None  # exact, or a prefix ending in "."
    resource: str | None = None  # and all below it
    text: str | None = None  # found anywhere in the event
    since: int | None = None  # wall ms, inclusive
    until: int | None = None  # wall ms, exclusive
    before_seq: int | None = None
    limit: int = 100
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class EndedQuery:
    """Ended sessions, newest key first; `before_key` pages."""

    statuses: tuple[str, ...]
    site: str | None = None
    company: str | None = None
    user: str | None = None
    client: str | None = None
    text: str | None = None
    before_key: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class FollowupQuery:
    """Follow-ups, newest first; `before_id` pages. `open` None: done ones too."""

    open: bool | None = None
    site: str | None = None
    company: str | None = None
    session: str | None = None
    text: str | None = None  # found in user, session, machine, resource, rule, text, note
    before_id: int | None = None
    limit: int = 100


@runtime_checkable
class Store(Protocol):
    """Where nothing is lost. Every method may raise StoreError; `open` may raise StoreRefused."""

    async def open(self) -> Loaded:
        """Migrate if needed, check, and load. A schema newer than this program is refused."""
        ...

    async def commit(self, changes: Changes) -> None:
        """All of it, durable (fsync) on return; on StoreError none of it. Cancelling never leaves a
        transaction open, and does not undo one that has begun.

        Leave `changes` alone from the call on: it is read on another thread, to its end even if the caller
        is cancelled. Committing the same again is harmless. Raises ValueError, and stores none of it, for a
        row that can never be stored: a number beyond 64 bits, half a surrogate pair, an id of two keys.
        """
        ...

    async def find_ended(self, ids: Iterable[str]) -> dict[str, SessionRow]:
        """Those of the ids that belong to ended sessions (an id is used once: rule 3)."""
        ...

    async def session(self, ident: str) -> SessionRow | None: ...

    async def ended_sessions(self, query: EndedQuery) -> list[SessionRow]: ...

    async def count_ended(self, query: EndedQuery) -> int: ...

    async def history(self, query: HistoryQuery) -> list[EventRow]: ...

    async def count_history(self, query: HistoryQuery) -> tuple[int, bool]:
        """How many there are in all pages, and whether that is all: of a search that no index helps only so
        many of the newest events are looked at."""
        ...

    async def events_after(self, seq: int, limit: int) -> list[EventRow]: ...

    async def passes(self, limit: int) -> list[PassRow]: ...

    async def followups(self, query: FollowupQuery) -> list[FollowupRow]: ...

    async def count_followups(self, query: FollowupQuery) -> int: ...

    async def followup(self, ident: int) -> FollowupRow | None: ...

    async def prune(self, before: int, limit: int) -> int:
        """Delete at most `limit` events, ended sessions, finished passes and done follow-ups from before
        (wall ms); how many went.

        Never one that a sink has still to publish (its seq above the lowest cursor in meta
        `published.*`), nor an ended session that a lock still names.
        """
        ...

    async def backup(self, path: str) -> None:
        """A consistent copy while running; refuses to overwrite."""
        ...

    async def close(self) -> None: ...
