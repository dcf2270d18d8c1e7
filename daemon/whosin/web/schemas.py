"""The shapes of the API: commands and filters are checked against theirs, answers are documented by theirs.

Answers are not checked on their way out (`web.answers`); the tests hold them to these models instead.
Times are RFC 3339, UTC, with milliseconds and `Z`.
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

STATUSES = ("active", "disconnected", "logged_off", "removed")

Moment = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-02T08:15:00.000Z"])
]
Word = Annotated[str, Field(min_length=1, max_length=256)]
Asked = Annotated[str, Field(max_length=256)]
Text = Annotated[str, Field(max_length=1000)]
Limit = Annotated[int, Field(ge=1, le=1000, description="How many items at most.")]
Cursor = Annotated[str | None, Field(max_length=512, description='"next" of the answer before.')]
Place = Annotated[str | None, Field(pattern="^[0-9]{0,15}$", description='"next" of the answer before.')]
Role = Literal["viewer", "operator", "administrator"]
AccountRole = Literal["client", "gateway", "observer"]


# --- what is asked ---------------------------------------------------------------------------------


class Filter(BaseModel):
    """Query parameters: an empty one counts as absent, an unknown one is refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, given: Any) -> Any:
        return (
            {name: value for name, value in given.items() if value != ""}
            if isinstance(given, dict)
            else given
        )


class NoFilter(Filter):
    """Nothing can be asked for, so a parameter that is given is a mistake worth telling."""


class Paged(Filter):
    limit: Limit = 1000
    cursor: Place = None


class SessionFilter(Filter):
    status: Annotated[
        str | None,
        Field(
            description=f"Some of {', '.join(STATUSES)}; commas between. Default: active,disconnected.",
            examples=["active,disconnected"],
        ),
    ] = None
    site: Asked | None = None
    company: Asked | None = None
    user: Asked | None = None
    client: Annotated[Asked | None, Field(description="Client type.", examples=["desktop"])] = None
    q: Annotated[
        Asked | None, Field(description="Text found in id, user, machine, company, or a locked resource.")
    ] = None
    sort: Annotated[
        Asked | None, Field(description='A field; "-" before it for descending.', examples=["-last_seen"])
    ] = None
    limit: Limit = 100
    cursor: Cursor = None

    @field_validator("status")
    @classmethod
    def _known_statuses(cls, given: str | None) -> str | None:
        for name in (given or "").split(","):
            if given is not None and name.strip() not in STATUSES:
                raise ValueError(f'"{name.strip()}" is not a status; allowed: {", ".join(STATUSES)}')
        return given

    @property
    def statuses(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name.strip() for name in self.status.split(","))) if self.status else ()


class LockFilter(Paged):
    site: Asked | None = None
    company: Asked | None = None
    resource: Annotated[Asked | None, Field(examples=["sales-order/SO-1001"])] = None


class HistoryFilter(Filter):
    site: Asked | None = None
    company: Asked | None = None
    session: Asked | None = None
    user: Asked | None = None
    type: Annotated[
        Asked | None,
        Field(
            description='A type, or the beginning of types ending in ".".',
            examples=["session.removed", "lock."],
        ),
    ] = None
    resource: Asked | None = None
    q: Annotated[Asked | None, Field(description="Text found anywhere in the event.")] = None
    since: Annotated[AwareDatetime | None, Field(description="From this moment on, itself included.")] = None
    until: Annotated[AwareDatetime | None, Field(description="Before this moment.")] = None
    limit: Limit = 100
    cursor: Place = None


class PassFilter(Paged):
    limit: Limit = 100


class Command(BaseModel):
    """A body that changes something: types are strict and an unknown field is refused, so that a slip in
    `dry_run` never becomes the real thing."""

    model_config = ConfigDict(extra="forbid", strict=True)


class LogOff(Command):
    ids: Annotated[list[Word], Field(min_length=1, max_length=10_000)]
    force: Annotated[bool, Field(description="Force out active ones too.")] = False
    reason: Text | None = None
    dry_run: Annotated[bool, Field(description="Only tell what would happen.")] = False


class FreeLock(Command):
    site: Word
    company: Word
    resource: Annotated[Word, Field(examples=["menu-editor"])]
    reason: Text | None = None


class CleanupSwitch(Command):
    enabled: bool


class CleanupRun(Command):
    dry_run: Annotated[bool, Field(description="Only tell what a pass would do now.")] = False


class CleanupConfirm(Command):
    site: Word
    company: Annotated[Word | None, Field(description="Default: the whole site.")] = None
    client: Annotated[Word | None, Field(description="Client type. Default: every one.")] = None


class BackupTo(Command):
    path: Annotated[
        str, Field(min_length=1, max_length=4096, description="A new file on the daemon's machine.")
    ]


class NewToken(Command):
    name: Annotated[Word, Field(examples=["till-screen"])]
    role: Role
    site: Annotated[Word | None, Field(description="Limit it to one site.")] = None


class NewAccount(Command):
    name: Annotated[Word, Field(examples=["portal-a"])]
    role: AccountRole
    site: Word
    user: Annotated[Word | None, Field(description="The only user it may speak for. Default: any.")] = None


# --- what is answered ------------------------------------------------------------------------------


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
