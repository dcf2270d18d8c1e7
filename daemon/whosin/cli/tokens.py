"""`whosin tokens`: who may use the API, the page and this command line."""

from __future__ import annotations

import click

from whosin.apiclient import part
from whosin.cli.access import name_columns, show_once
from whosin.cli.asking import Talk, talks
from whosin.cli.groups import ListingGroup

EPILOG = """\b
Examples:
  TOKEN=$(whosin tokens create till-screen --role viewer --site vienna)
  whosin tokens create night-shift --role operator --json
  whosin tokens revoke till-screen
"""


@click.group("tokens", cls=ListingGroup, usual="list", epilog=EPILOG)
def command() -> None:
    """Tokens for the API, the page and this command line."""


@command.command("list")
@talks
def list_tokens(talk: Talk) -> None:
    """List the tokens' names and roles; never the tokens themselves."""
    rows = talk.pages("tokens", None, {})
    nothing = "There are no tokens. `whosin tokens create NAME --role viewer` makes one."
    talk.listing(rows, name_columns("name", "role", "site"), nothing)


@command.command("create")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["viewer", "operator", "administrator"]),
    required=True,
    help="viewer: sees; operator: logs off and cleans up too; administrator: everything.",
)
@click.option("--site", help="Limit it to this site.")
@talks
def create(talk: Talk, *, name: str, role: str, site: str | None) -> None:
    """Make a token, and print it: alone on stdout, and never again."""
    made = talk.api.post("tokens", {"name": name, "role": role, "site": site})
    show_once(talk, made, "token", f"Token of {name} ({role}), shown only now:")


@command.command("revoke")
@click.argument("name")
@talks
def revoke(talk: Talk, *, name: str) -> None:
    """Revoke a token, at once."""
    talk.api.delete(f"tokens/{part(name)}")
    talk.result({"name": name, "revoked": True}, f"The token of {name} is no longer accepted.")
