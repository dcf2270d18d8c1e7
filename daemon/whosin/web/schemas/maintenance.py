"""Messages to users, and planned closing."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from whosin.web.schemas.base import Answer, Moment


class MessageSent(Answer):
    reached: Annotated[int, Field(description="Active sessions that it went to.")]
    not_reached: Annotated[int, Field(description="Fallen ones, which cannot read.")]
    users: Annotated[list[str], Field(description="Of those reached, a hundred at most.")]
    unknown: Annotated[list[str], Field(description="Ids that are of no session here.")]


class MaintenanceWindow(Answer):
    model_config = ConfigDict(populate_by_name=True, defer_build=True)

    id: int
    site: str
    company: Annotated[str | None, Field(description="Null: the whole site.")]
    begins: Annotated[Moment, Field(alias="from")]
    until: Moment
    text: str
    force: bool
    by: str
    state: Literal["planned", "started", "ended", "cancelled"]


class Maintenance(Answer):
    items: Annotated[list[MaintenanceWindow], Field(description="By beginning.")]
    next: str | None
    total: int
