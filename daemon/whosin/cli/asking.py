"""Asking the daemon: the options that every question has, and what is said when there is no answer.

Owns how a command gets at the daemon and gives its answer back; where the daemon is, is `finding`'s, HTTP
is `whosin.apiclient`'s, and what answers mean is the commands'.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

import click

from whosin.cli.printing import put_json, put_table, remark
from whosin.errors import Refused, WhosinError

if TYPE_CHECKING:
    from whosin.apiclient import ApiClient
    from whosin.cli.finding import Target
    from whosin.cli.table import Column

Json = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])
PAGE = 1000  # the most the API gives at once

NARROWING = {
    "site": "Only this site.",
    "company": "Only this company.",
    "user": "Only this user.",
    "client": "Only this client type, such as desktop or web.",
    "session": "Only this session's id.",
}


class NotReachable(WhosinError):  # noqa: N818 - the contract's words
    """No daemon answers there."""

    exit_code = 3


class Rows(NamedTuple):
    """Items of a listing; `more` of them were there than asked for."""

    items: list[Json]
    more: bool


class Talk:
    """One command's conversation with the daemon. `json`: the answer is for a program."""

    def __init__(self, api: ApiClient, *, json: bool) -> None:
        self.api = api
        self.json = json

    def pages(self, path: str, limit: int | None, filters: Mapping[str, str | None]) -> Rows:
        """The items up to `limit` (None: all), over as many pages as that takes."""
        items: list[Json] = []
        more = False
        for page in self._pages(path, limit, filters):
            items += page["items"]
            more = page["next"] is not None
        return Rows(items, more)

    def each(
        self, path: str, limit: int | None, filters: Mapping[str, str | None]
    ) -> Iterator[Sequence[Json]]:
        """The same page by page, for what is too much to have at once."""
        for page in self._pages(path, limit, filters):
            yield page["items"]

    def _pages(self, path: str, limit: int | None, filters: Mapping[str, str | None]) -> Iterator[Json]:
        cursor: str | None = None
        so_far = 0
        while True:
            want = PAGE if limit is None else min(PAGE, limit - so_far)
            page = self.api.get(path, {**filters, "limit": want, "cursor": cursor})
            yield page
            so_far += len(page["items"])
            cursor = page["next"]
            if cursor is None or (limit is not None and so_far >= limit):
                return

    def listing(
        self, rows: Rows, columns: Callable[[Sequence[Json]], Sequence[Column]], nothing: str
    ) -> None:
        """The rows: a JSON array for programs, a table for people, `nothing` when there are none."""
        if self.json:
            put_json(rows.items)
        elif rows.items:
            put_table(columns(rows.items), rows.items)
        else:
            click.echo(nothing)
        if rows.more:
            remark(f"Only {len(rows.items):,} are shown, and there are more: see --limit and --all.")

    def result(self, document: Any, *lines: str) -> None:
        """One thing: JSON for programs, sentences for people."""
        if self.json:
            put_json(document)
        else:
            for line in lines:
                click.echo(line)


def declined() -> NoReturn:
    """The question was answered with no."""
    remark("Nothing was changed.")
    sys.exit(1)


config_option = click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="The daemon's settings file."
)


def daemon_options(function: F) -> F:
    """Where the daemon is."""
    url = click.option(
        "--url", envvar="WHOSIN_URL", show_envvar=True, help="The daemon's address, if not by its settings."
    )
    return config_option(url(function))


def talks(function: F) -> F:
    """The command asks the daemon: it gets the options for that, and a Talk as its first argument."""

    @functools.wraps(function)
    def asking(*, as_json: bool, config: Path | None, url: str | None, **rest: Any) -> Any:
        from whosin.cli.finding import target

        found = target(config, url, os.environ)
        with reachable(found) as api:
            return function(Talk(api, json=as_json), **rest)

    json_option = click.option(
        "--json", "as_json", is_flag=True, help="One JSON document on stdout, with exact times."
    )
    return json_option(daemon_options(asking))  # type: ignore[return-value]


@contextmanager
def reachable(found: Target) -> Iterator[ApiClient]:
    """A client for the daemon; what goes wrong on the way there is said in a way that helps."""
    from whosin.apiclient import ApiClient, ApiRefused, Unreachable

    try:
        with ApiClient(found.url, found.token) as api:
            yield api
    except Unreachable as error:
        raise NotReachable(f"{error}\n{found.hint}") from None
    except ApiRefused as error:
        if error.status != 401:
            raise
        raise Refused("token", f"{error}\n{found.why_no_token or 'Is WHOSIN_TOKEN right?'}") from None


def narrowing(*names: str) -> Callable[[F], F]:
    """Options that narrow a listing."""

    def with_options(function: F) -> F:
        for name in reversed(names):
            function = click.option(f"--{name}", help=NARROWING[name])(function)
        return function

    return with_options
