"""Rules of guidance, and follow-ups."""

from typing import Annotated, Literal

from pydantic import Field

from whosin.web.schemas.base import Answer, Moment

Severity = Literal["normal", "critical"]


class Match(Answer):
    """Globs; what is given has to match together, of a list one is enough."""

    resource: list[str]
    activity: list[str]
    client: list[str]


class Rule(Answer):
    """Without any `match` it is for clients to name."""

    id: str
    severity: Severity
    before: Annotated[str | None, Field(description="To do before the removal.")]
    after: Annotated[str | None, Field(description="Left to do afterwards: becomes a follow-up.")]
    match: Match


class Guidance(Answer):
    items: list[Rule]
    next: str | None
    total: int
    source: Annotated[str, Field(description="The file, shipped, or off.")]


class Followup(Answer):
    id: int
    status: Literal["open", "done"]
    created: Moment
    site: str
    company: str
    session: str
    user: str
    client: str
    machine: str | None
    resource: Annotated[str | None, Field(description="Null: the login as such.")]
    rule: str
    severity: Severity
    text: str
    done: Moment | None
    done_by: str | None
    note: str | None


class Followups(Answer):
    items: Annotated[list[Followup], Field(description="Newest first.")]
    next: str | None
    total: int


class Advised(Answer):
    """A rule that applies, and to which resource; null: the login as such."""

    id: str
    severity: Severity
    before: str | None
    after: str | None
    resource: str | None


class LeftToDo(Answer):
    id: Annotated[int | None, Field(description="Of the follow-up; null until there is one.")]
    rule: str
    severity: Severity
    resource: str | None
    text: str


class FollowupCounts(Answer):
    open: int
    critical: Annotated[int, Field(description="Of the open ones.")]
