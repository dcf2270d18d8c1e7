"""Alerts and channels."""

from typing import Annotated, Any, Literal

from pydantic import Field

from whosin.web.schemas.base import Answer, Moment

Severity = Literal["info", "warning", "critical"]


class AlertTarget(Answer):
    """One message of an alert to one channel."""

    channel: str
    phase: Annotated[str, Field(description="raised, reminder N, or cleared.")]
    state: Literal["pending", "sent", "given_up"]
    tries: int
    since: Moment
    last_try: Moment | None
    next_try: Moment | None
    error: Annotated[str | None, Field(description="What the target said last, without secrets.")]


class Alert(Answer):
    id: str
    kind: Annotated[str, Field(examples=["blocking"])]
    severity: Severity
    site: Annotated[str | None, Field(description="null: of the daemon itself.")]
    company: str | None
    state: Literal["open", "over"]
    raised: Moment
    cleared: Moment | None
    last_told: Moment
    reminders: int
    count: Annotated[int, Field(description="How many it is about; `about` lists some.")]
    message: str
    action: Annotated[str, Field(description="What to do.")]
    about: list[dict[str, Any]]
    targets: list[AlertTarget]


class Alerts(Answer):
    items: list[Alert]
    next: str | None
    total: int


class Channel(Answer):
    """Who gets what. Empty lists: no limit."""

    name: str
    target: Annotated[str, Field(description="Without secrets.")]
    sites: list[str]
    companies: list[str]
    roles: list[str]
    kinds: list[str]
    at_least: Severity
    cleared: Annotated[bool, Field(description="It is told, too, when an alert is over.")]
    waiting: Annotated[int, Field(description="Messages that it has still to take.")]
    last_error: str | None


class Channels(Answer):
    items: list[Channel]
    next: str | None
    total: int


class TestedChannel(Answer):
    channel: str
    target: str
    ok: bool
    problem: str | None
    took_s: float


class TestedChannels(Answer):
    results: list[TestedChannel]
