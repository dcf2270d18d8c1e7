"""Companies, numbers, history."""

from typing import Annotated, Any

from pydantic import Field

from whosin.web.schemas.base import Answer, Moment
from whosin.web.schemas.guidance import FollowupCounts
from whosin.web.schemas.maintenance import MaintenanceWindow


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
    total: Annotated[int, Field(description="All that match.")]
    total_exact: Annotated[
        bool,
        Field(
            description="False: only the newest half million events were looked at for `total`, since no "
            "index leads to what is asked for (session and resource have one)."
        ),
    ]


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
    followups: FollowupCounts
    maintenance: Annotated[list[MaintenanceWindow], Field(description="Planned and begun.")]
    sign_in: SignIn


class DaySlot(Answer):
    at: Annotated[int, Field(description="Its beginning, in seconds since 1970.")]
    active: Annotated[int, Field(description="The most at once.")]
    disconnected: Annotated[int, Field(description="The most at once.")]
    fell: int
    came_back: int
    lag_s: Annotated[float | None, Field(description="From deadline to notice, the mean.")]


class Day(Answer):
    slot_s: int
    slots: Annotated[list[DaySlot], Field(description="Oldest first.")]
