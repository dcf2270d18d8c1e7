"""Operators, and who is signed in."""

from typing import Annotated, Literal

from pydantic import Field

from whosin.web.schemas.base import Answer, Moment

Link = Annotated[
    str | None,
    Field(description="Where a password can be chosen, once: a path below the page's address."),
]


class Operator(Answer):
    """A person who may sign in."""

    name: str
    role: Literal["viewer", "operator", "administrator"]
    site: Annotated[str | None, Field(description="The only site; null: every one.")]
    disabled: bool
    has_password: Annotated[bool, Field(description="One was chosen already.")]
    created: Moment
    signed_in_at: Annotated[Moment | None, Field(description="The last time.")]
    sessions: Annotated[int, Field(description="In how many browsers the operator is signed in.")]


class OperatorList(Answer):
    items: list[Operator]
    next: str | None
    total: int


class AddedOperator(Operator):
    link: Link
    link_until: Moment | None


class OneTimeLink(Answer):
    name: str
    link: Link
    link_until: Moment


class Me(Answer):
    """Who asks."""

    name: str
    role: Literal["viewer", "operator", "administrator"]
    site: str | None
    kind: Annotated[
        Literal["operator", "token"], Field(description="A person, or a token, by itself or in a browser.")
    ]
    csrf: Annotated[
        str | None,
        Field(
            description="For the header X-CSRF-Token of whatever changes something; null with a bearer token."
        ),
    ]


class SignedOut(Answer):
    ended: Annotated[int, Field(description="How many sessions ended.")]
