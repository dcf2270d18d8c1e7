"""Sessions and locks: items of lists, and what commands to them answer."""

from typing import Annotated, Literal

from pydantic import Field

from whosin.web.schemas.base import Answer, Moment
from whosin.web.schemas.guidance import Advised, LeftToDo


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
    guidance: Annotated[str | None, Field(description="The rule that the client named.")]
    rule: Annotated[str | None, Field(description="The rule that applies.")]
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
    guidance: Annotated[list[str], Field(description="Ids of the rules that apply now.")]
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
    guidance: Annotated[list[Advised], Field(description="What to do before and after, by lock.")]
    followups: Annotated[list[LeftToDo], Field(description="Opened by the removal, or those it would open.")]


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
