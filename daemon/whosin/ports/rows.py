"""The store's rows, what one transaction changes, and what is loaded at a start. Moments are wall-clock epoch
milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


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
    left_ms: int  # until its session is over, our absence apart


class AlertRow(NamedTuple):
    """An alert to people (rule 18). `body` is JSON: what it is about, and the keys of its conditions."""

    number: int
    id: str
    kind: str
    site: str | None
    company: str | None
    severity: str
    raised: int
    told: int  # last
    cleared: int  # 0: it is still so
    reminders: int
    total: int
    body: bytes


class DeliveryRow(NamedTuple):
    """One message of an alert to one channel, at least once."""

    alert: int  # AlertRow.number
    channel: str
    phase: str  # raised, reminder N, cleared
    id: str  # the same each time it is tried
    state: str  # pending, sent, given_up
    tries: int
    since: int
    at: int  # of the last attempt; 0: none yet
    due: int  # of the next one
    error: str | None


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
    alerts: dict[int, AlertRow] = field(default_factory=dict)
    deliveries: dict[tuple[int, str, str], DeliveryRow] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any((
            self.sessions, self.events, self.beats, self.turns, self.locks, self.wants, self.companies,
            self.passes, self.holds, self.meta, self.accounts, self.tokens, self.observers,
            self.followups,
            self.operators, self.web_sessions,
            self.alerts, self.deliveries,
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
    alerts: list[AlertRow]  # open ones, and those with something still to be delivered
    deliveries: list[DeliveryRow]  # pending ones
    last_seq: int
    last_key: int
    last_pass: int
    last_followup: int
    last_alert: int
    open_followups: dict[tuple[str, str], int]  # how many, by site and severity
