"""Health, and refusals."""

from typing import Annotated

from pydantic import ConfigDict, Field

from whosin.web.schemas.base import Answer


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
