"""What all shapes of answers have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Moment = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-02T08:15:00.000Z"])
]


class Answer(BaseModel):
    """Documentation of an answer. More fields may come; programs ignore what they do not know."""

    model_config = ConfigDict(defer_build=True)
