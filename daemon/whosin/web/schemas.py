"""The shapes of answers, as the API is described by them.

Answers are not checked on their way out (`web.answers`); the tests hold them to these models instead.
Times are RFC 3339, UTC, with milliseconds and `Z`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Moment = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-02T08:15:00.000Z"])
]


class Answer(BaseModel):
    """Documentation of an answer. More fields may come; programs ignore what they do not know."""

    model_config = ConfigDict(defer_build=True)


class Blocked(Answer):
    """Somebody who waits for, or was refused, what another holds."""

    session: str
    user: str
    machine: str | None
    client: str
    resource: str
    mode: Literal["exclusive", "shared"]
    since: Moment
    waiting: bool


class HeldLock(Answer):
    resource: str
    mode: Literal["exclusive", "shared"]
    token: int
    since: Moment
    sticky: bool
    activity: str | None
    guidance: str | None
    release_at: Moment | None


class Session(Answer):
    """One login of one user, from one machine, with one client type, in one company."""

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
    status: Literal["active", "disconnected", "logged_off", "removed"]
    reason: str | None
    since: Moment
    last_seen: Moment
    at: Annotated[str | None, Field(description="By the client's own clock, as it last told; never trusted.")]
    deadline: Annotated[
        Moment | None, Field(description="When silence becomes disconnected; null unless active.")
    ]
    disconnected_at: Moment | None
    ended_at: Moment | None
    ended_by: str | None
    lost: Annotated[bool, Field(description="Its connection is known to be broken.")]
    idle: Annotated[bool, Field(description="The program lives, but not the person.")]
    idle_s: int | None
    activity: str | None
    held_back: Annotated[bool, Field(description="Part of a mass silence; not removed until confirmed.")]
    source: str
    guidance: Annotated[list[Any], Field(description="Ids of what to follow before and after removal.")]
    locks: list[HeldLock]
    blocks: list[Blocked]


class Sessions(Answer):
    items: list[Session]
    next: Annotated[str | None, Field(description="The cursor of the next page; null on the last.")]
    total: int


class HeldResource(Answer):
    resource: str
    release_at: Moment | None


class Freed(Answer):
    session: str
    user: str
    machine: str | None
    resource: str


class LogOffResult(Answer):
    id: str
    result: Literal["removed", "would_remove", "already_over", "needs_force", "not_found"]
    released: Annotated[list[str], Field(description="Resources released.")]
    held: Annotated[list[HeldResource], Field(description="Held on for the lock delay.")]
    sticky: Annotated[list[str], Field(description="Left behind.")]
    freed: Annotated[list[Freed], Field(description="Who was waiting or refused.")]
    followups: list[Any]


class LogOffResults(Answer):
    results: list[LogOffResult]
    dry_run: bool


class Lock(HeldLock):
    site: str
    company: str
    left_behind: bool
    session: str
    user: str
    machine: str | None
    client: str
    status: str
    blocks: list[Blocked]


class Locks(Answer):
    items: list[Lock]
    next: str | None
    total: int


class FreedLock(Answer):
    resource: str
    released: bool


class PassCompany(Answer):
    site: str
    company: str
    removed: int
    released: int
    held_back: int
    skipped: Any
    failed: str | None


class Pass(Answer):
    """The report of one visit to all companies."""

    id: int | None
    state: str
    started: Moment | None
    finished: Moment | None
    by: str
    scheduled: Annotated[bool, Field(description="By the clock; else somebody asked for it.")] = False
    dry_run: bool
    companies: list[PassCompany]
    removed: int
    released: int
    held_back: int
    skipped: int
    failed: int


class Passes(Answer):
    items: list[Pass]
    next: str | None
    total: int


class Hold(Answer):
    """A mass silence that is held back from removal."""

    site: str
    company: str | None
    client: str | None
    opened: Moment
    until: Moment
    sessions: int


class Cleanup(Answer):
    enabled: bool
    every_s: float
    next_at: Moment | None
    running: Pass | None
    waiting_for: Annotated[list[str], Field(description="Why no pass starts now: blind, grace, storage.")]
    last: Pass | None
    holds: list[Hold]


class Confirmed(Answer):
    confirmed: Annotated[int, Field(description="How many held groups were let go.")]


class Company(Answer):
    site: str
    company: str
    active: int
    disconnected: int
    locks: int
    waiting: int


class Companies(Answer):
    items: list[Company]
    next: str | None
    total: int


class Event(Answer):
    seq: Annotated[int, Field(description="Rises with every event; the id in the event stream.")]
    at: Moment
    type: Annotated[str, Field(examples=["session.disconnected"])]
    site: str | None
    company: str | None
    session: str | None
    user: str | None
    actor: str | None
    reason: str | None
    data: dict[str, Any]


class History(Answer):
    items: Annotated[list[Event], Field(description="Newest first.")]
    next: str | None
    total: int


class Source(Answer):
    seeing: bool
    since: Moment | None
    grace_until: Moment | None
    last_proof: Moment | None


class Storage(Answer):
    ok: bool
    kind: Annotated[str | None, Field(examples=["full", "read_only", "locked"])]
    problem: str | None


class CleanupShort(Answer):
    enabled: bool
    next_at: Moment | None
    running: bool


class SignIn(Answer):
    mqtt: bool


class Stats(Answer):
    name: str
    version: str
    started_at: Moment
    now: Moment
    sessions: Annotated[dict[str, int], Field(description="By status.")]
    by_client: Annotated[dict[str, dict[str, int]], Field(description="By client type and status.")]
    locks: int
    waiting: int
    blocked: int
    companies: int
    sites: int
    heartbeats_total: int
    blind: bool
    sources: dict[str, Source]
    storage: Storage
    outbox: Annotated[int, Field(description="Events that have still to be published.")]
    ready: bool
    problems: list[str]
    cleanup: CleanupShort
    sign_in: SignIn


class BackedUp(Answer):
    path: str
    bytes: int


class Reloaded(Answer):
    changed: list[str]
    needs_restart: list[str]


class Token(Answer):
    name: str
    role: str
    site: str | None
    created: Moment | None = None


class Tokens(Answer):
    items: list[Token]
    next: str | None
    total: int


class CreatedToken(Answer):
    name: str
    role: str
    site: str | None
    token: Annotated[str, Field(description="Shown this once.")]


class Account(Answer):
    name: str
    role: str
    site: str
    user: str | None
    created: Moment | None = None


class Accounts(Answer):
    items: list[Account]
    next: str | None
    total: int


class CreatedAccount(Answer):
    name: str
    role: str
    site: str
    user: str | None
    password: Annotated[str, Field(description="Shown this once.")]


class Alive(Answer):
    alive: bool


class Ready(Answer):
    ready: bool
    problems: list[str]


class WrongField(Answer):
    model_config = ConfigDict(populate_by_name=True, defer_build=True)

    place: Annotated[str, Field(alias="in", examples=["query"])]
    field: Annotated[str, Field(examples=["limit"])]
    message: str


class ProblemDetails(Answer):
    """RFC 9457. Further members depend on the code."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[WrongField] | None = None
