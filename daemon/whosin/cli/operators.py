"""`whosin operators`: the people who sign in to the page and the API."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from whosin.apiclient import part
from whosin.cli.asking import Talk, talks
from whosin.cli.groups import ListingGroup
from whosin.cli.printing import remark
from whosin.cli.words import age, now
from whosin.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whosin.cli.table import Column

Json = dict[str, Any]

ROLES = click.Choice(["viewer", "operator", "administrator"])

EPILOG = """\b
Examples:
  whosin operators add grace --role operator   prints a one-time link
  whosin operators add ada --role viewer --password-stdin < ada.password
  whosin operators link grace                  for a forgotten password
  whosin operators set grace --disable         signed out and kept out
  whosin operators
"""


@click.group("operators", cls=ListingGroup, usual="list", epilog=EPILOG)
def command() -> None:
    """People who sign in to the page and the API."""


@command.command("list")
@talks
def list_operators(talk: Talk) -> None:
    """List the operators."""
    rows = talk.pages("operators", None, {})
    nothing = "There are no operators. `whosin operators add NAME --role administrator` lets one in."
    talk.listing(rows, _columns, nothing)


@command.command("add")
@click.argument("name")
@click.option(
    "--role",
    type=ROLES,
    required=True,
    help="viewer: sees; operator: logs off and cleans up too; administrator: everything.",
)
@click.option("--site", help="The only site the operator sees and works on.")
@click.option("--password-stdin", is_flag=True, help="Take the password from the first line of stdin.")
@talks
def add(talk: Talk, *, name: str, role: str, site: str | None, password_stdin: bool) -> None:
    """Let somebody sign in; print a one-time link.

    With it the person chooses a password. It stands alone on stdout.
    """
    body: Json = {"name": name, "role": role, "site": site}
    if password_stdin:
        body["password"] = _first_line()
    made = talk.api.post("operators", body)
    if password_stdin:
        talk.result(made, f"{name} can sign in ({role}).")
    else:
        _show_link(talk, made, f"{name} ({role}) chooses a password here")


@command.command("link")
@click.argument("name")
@talks
def link(talk: Talk, *, name: str) -> None:
    """Print a new link, for a forgotten password.

    It works once and stands alone on stdout. An earlier one is good no more.
    """
    made = talk.api.post(f"operators/{part(name)}/link")
    _show_link(talk, made, f"{name} chooses a new password here")


@command.command("set")
@click.argument("name")
@click.option("--role", type=ROLES, help="A new role.")
@click.option("--site", help="Limit the operator to this site.")
@click.option("--every-site", is_flag=True, help="Lift that limit.")
@click.option("--disable", is_flag=True, help="Sign out and keep out.")
@click.option("--enable", is_flag=True, help="Let in again.")
@talks
def change(
    talk: Talk,
    *,
    name: str,
    role: str | None,
    site: str | None,
    every_site: bool,
    disable: bool,
    enable: bool,
) -> None:
    """Change role or site, disable or enable.

    At once, also where the operator is signed in.
    """
    if disable and enable:
        raise click.UsageError("--disable and --enable exclude each other.")
    if site is not None and every_site:
        raise click.UsageError("--site and --every-site exclude each other.")
    changes: Json = {} if role is None else {"role": role}
    if site is not None or every_site:
        changes["site"] = site
    if disable or enable:
        changes["disabled"] = disable
    if not changes:
        raise click.UsageError("Nothing to change: give --role, --site, --every-site, --disable or --enable.")
    row = talk.api.patch(f"operators/{part(name)}", changes)
    where = f"site {row['site']}" if row["site"] else "every site"
    state = ", disabled" if row["disabled"] else ""
    talk.result(row, f"{row['name']}: {row['role']} of {where}{state}.")


@command.command("remove")
@click.argument("name")
@talks
def remove(talk: Talk, *, name: str) -> None:
    """Remove an operator, who is signed out at once."""
    talk.api.delete(f"operators/{part(name)}")
    talk.result({"name": name, "removed": True}, f"{name} can no longer sign in.")


@command.command("sign-out")
@click.argument("name")
@talks
def sign_out(talk: Talk, *, name: str) -> None:
    """Sign an operator out everywhere."""
    ended = talk.api.post(f"operators/{part(name)}/sign-out")["ended"]
    talk.result({"name": name, "ended": ended}, f"{name} is signed out: {ended} sessions ended.")


def _show_link(talk: Talk, made: Json, what: str) -> None:
    made = {**made, "url": f"{talk.api.url}{made['link']}"}
    if talk.json:
        talk.result(made)
        return
    remark(f"{what}, once, until {made['link_until']}; who has the link is {made['name']}:")
    click.echo(made["url"])


def _first_line() -> str:
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise Refused("no_password", "there is no password on stdin")
    return line


def _columns(_rows: Sequence[Json]) -> Sequence[Column]:
    from whosin.cli.table import Column

    at = now()

    def state(row: Json) -> str:
        if row["disabled"]:
            return "disabled"
        return "" if row["has_password"] else "no password yet"

    def last(row: Json) -> str:
        return f"{age(row['signed_in_at'], at)} ago" if row["signed_in_at"] else "never"

    return [
        Column("NAME", lambda row: row["name"], least=8),
        Column("ROLE", lambda row: row["role"], least=8),
        Column("SITE", lambda row: row["site"], least=8),
        Column("STATE", state, least=8),
        Column("SIGNED IN", last),
        Column("SESSIONS", lambda row: str(row["sessions"]), drop=1),
    ]
