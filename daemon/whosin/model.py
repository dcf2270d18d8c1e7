"""The nouns: session, company, lock, want, event, answer, account, and the policy they live under.

Owns their shape and nothing else: no JSON, no SQL, no asyncio, no clock. Every `*_ms` is an integer
of milliseconds on the engine's timeline: it starts as the wall clock's epoch milliseconds and then
follows a monotonic clock, so that stepping the wall clock moves nothing (rule 1).

What there are a hundred thousand of are structs that the garbage collector does not see: it would walk all of
them again and again. So whoever ends one lets go of it: nothing may be kept alive by a circle through it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace


class Status(StrEnum):
    """Of a session; the two last are final (rule 3)."""

    __hash__ = str.__hash__  # an enum's own is a call of Python's, several times for each session that falls

    ACTIVE = "active"
    DISCONNECTED = "disconnected"
    LOGGED_OFF = "logged_off"
    REMOVED = "removed"

    @property
    def final(self) -> bool:
        return self is Status.LOGGED_OFF or self is Status.REMOVED


class Role(StrEnum):
    """Of an MQTT account: whom it may speak for, and what it may hear."""

    CLIENT = "client"
    GATEWAY = "gateway"
    OBSERVER = "observer"


@dataclass(frozen=True, slots=True)
class Account:
    """Who signed in over MQTT. `user` None: any user of the site."""

    name: str
    role: Role
    site: str
    user: str | None = None


@dataclass(frozen=True, slots=True)
class ClientType:
    """How patient the rules are with one kind of program (rules 2, 4, 8)."""

    name: str
    timeout_ms: int = 300_000
    heartbeat_every_ms: int = 60_000
    lost_grace_ms: int = 75_000
    idle_limit_s: int = 0
    idle_disconnects: bool = False


@dataclass(frozen=True, slots=True)
class MassSilence:
    """When many at once means trouble of ours, not theirs (rule 9)."""

    minimum: int = 10
    share: float = 0.5
    window_ms: int = 60_000
    hold_ms: int = 3_600_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers can make the daemon hold (rule 12)."""

    sessions: int = 200_000
    companies: int = 20_000
    locks_per_session: int = 1_000
    waiters: int = 10_000
    refusals: int = 50_000


@dataclass(frozen=True, slots=True)
class Policy:
    """All that the rules are told by settings. `types` always has `default`."""

    types: dict[str, ClientType]
    regain_grace_ms: int = 90_000
    lock_delay_ms: int = 15_000
    blocking_after_ms: int = 0
    mass: MassSilence = field(default_factory=MassSilence)
    limits: Limits = field(default_factory=Limits)
    administrators: tuple[str, ...] = ()  # may come in during maintenance

    def client_type(self, name: str) -> ClientType:
        return self.types.get(name) or self.types["default"]

    def grace_ms(self, client: str) -> int:
        """How long after blindness nobody of this type is disconnected (rule 8)."""
        return max(self.regain_grace_ms, self.client_type(client).heartbeat_every_ms * 5 // 4)


class Company:
    """A set of books of a site, with what its live sessions share. `token` is the last fencing token."""

    __slots__ = ("locks", "name", "prefix", "sessions", "site", "token", "wants")

    def __init__(self, site: str, name: str) -> None:
        self.site = site
        self.name = name
        self.prefix = f"whosin/v1/up/{site}/{name}"
        self.token = 0
        self.sessions: dict[str, Session] = {}  # by id: texts that are there already cost less than numbers
        self.locks: Any = None  # rules.locks.Book, made with the first lock
        self.wants: Any = None

    def __repr__(self) -> str:
        return f"Company({self.site}/{self.name})"


def line_of(site: str | None, client_id: str) -> int:
    """The number by which a client's connection to the door is told apart, and its next one, too. Never 0.
    `site` None: sign-in is off."""
    return hash((site, client_id)) or 1


class Told(Struct, frozen=True, gc=False):
    """What a client may tell of itself besides who it is, and how idle that makes it. Most tell nothing, and
    share the one that says so."""

    address: str | None = None
    app: str | None = None
    conn: int | None = None
    at: str | None = None  # the client's own clock: shown, never trusted (rule 1)
    idle_s: int | None = None
    idle: bool = False
    activity: str | None = None


NOTHING_TOLD = Told()


class Session(Struct, gc=False, eq=False):
    """One login of one user, from one machine, with one client type, in one company.

    `key` is its number in the store. `seen_ms` is the last sign of life; the deadline is derived from it
    in one place (`rules.sight`). `filed_ms` belongs to `rules.deadlines`, `dirty` to the engine. What a
    heartbeat looks at stands together in front: a hundred thousand sessions are in no processor's cache.
    """

    key: int
    id: str
    company: Company
    user: str
    client: str
    since_ms: int
    seen_ms: int = 0  # set to `since_ms` unless given
    status: Status = Status.ACTIVE
    lost_ms: int = 0  # 0: its connection is not known to be broken
    source: str = ""
    line: int = 0  # the connection it was heard through last; 0: none of those told apart
    filed_ms: int = 0
    dirty: bool = False
    machine: str | None = None
    os_session: str | None = None
    told: Told = NOTHING_TOLD
    disconnected_ms: int = 0
    reason: str | None = None  # of the last change of status
    replaced_by: str | None = None  # the newer login that waits for this lost one's deadline
    ended: Ended | None = None
    locks: dict[str, Lock] | None = None  # by resource
    wants: dict[str, Want] | None = None

    def __post_init__(self) -> None:
        self.seen_ms = self.seen_ms or self.since_ms

    def tell(self, **news: Any) -> None:
        """It told something of what `Told` has, anew."""
        told = replace(self.told, **news)
        self.told = NOTHING_TOLD if told == NOTHING_TOLD else told

    @property
    def site(self) -> str:
        return self.company.site

    def __repr__(self) -> str:
        return f"Session({self.id} {self.user}/{self.client} {self.status})"


class Lock:
    """A session's hold on a resource. After its session ended it is either left behind (sticky) or held
    on until `release_ms` (lock delay); `session` then still tells who it was."""

    __slots__ = (
        "activity", "company", "guidance", "release_ms", "released", "resource", "session", "shared",
        "since_ms", "sticky", "token",
    )  # fmt: skip

    def __init__(self, company: Company, session: Session, resource: str, token: int, at_ms: int) -> None:
        self.company = company
        self.session = session
        self.resource = resource
        self.token = token
        self.since_ms = at_ms
        self.shared = False
        self.sticky = False
        self.activity: str | None = None
        self.guidance: str | None = None
        self.release_ms = 0
        self.released = False

    @property
    def left_behind(self) -> bool:
        return self.session.status.final and self.release_ms == 0

    def __repr__(self) -> str:
        return f"Lock({self.resource} #{self.token} of {self.session.id})"


class Want:
    """What a session asked for and did not get: waiting (`until_ms` > 0), or a remembered refusal.

    `order` is its place, rising in a company. `refused_by` are the locks that stood in the way of a
    refusal; a waiter's are found when asked for.
    """

    __slots__ = (
        "activity", "asked_ms", "company", "guidance", "order", "refused_by", "resource", "session",
        "shared", "sticky", "until_ms",
    )  # fmt: skip

    def __init__(self, session: Session, resource: str, shared: bool, order: int, asked_ms: int) -> None:
        self.company = session.company
        self.session = session
        self.resource = resource
        self.shared = shared
        self.sticky = False
        self.activity: str | None = None
        self.guidance: str | None = None
        self.order = order
        self.asked_ms = asked_ms
        self.until_ms = 0
        self.refused_by: tuple[Lock, ...] = ()

    @property
    def waiting(self) -> bool:
        return self.until_ms > 0


@dataclass(frozen=True, slots=True)
class Followup:
    """What is left to do because a session was removed that held a resource, or none (rule 16)."""

    id: int
    opened_ms: int
    session: Session
    resource: str | None
    rule: str
    severity: str
    text: str


class Event(Struct, gc=False, eq=False):
    """One fact, dated when it became true (rule 2: a disconnect is dated at its deadline).

    `session` is the subject's id, None for facts about a company, a site or the daemon.
    """

    type: str
    at_ms: int
    site: str | None
    company: str | None
    session: str | None
    user: str | None
    data: dict[str, Any]
    actor: str | None = None
    reason: str | None = None


class Answer(Struct, gc=False, eq=False):
    """Something to tell one client on its `down` topic, through the source it was heard by."""

    source: str
    site: str
    company: str
    session: str
    kind: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """What is known of a session that is over, for the `ended` answer."""

    id: str
    site: str
    company: str
    status: Status
    at_ms: int
    by: str | None
    reason: str | None
