"""Tokens, accounts, backup, reload."""

from typing import Annotated

from pydantic import Field

from whosin.web.schemas.base import Answer, Moment


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
