"""The cleanup and its passes."""

from typing import Annotated, Any

from pydantic import Field

from whosin.web.schemas.base import Answer, Moment


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
