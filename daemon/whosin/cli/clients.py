"""`whosin clients`: the accounts that MQTT clients, gateways and observers sign in with."""

from __future__ import annotations

import click

from whosin.apiclient import part
from whosin.cli.access import name_columns, show_once
from whosin.cli.asking import Talk, talks
from whosin.cli.groups import ListingGroup

EPILOG = """\b
Examples:
  whosin clients add pc-anna --role client --site vienna --user anna
  whosin clients add portal --role gateway --site vienna > portal.password
  whosin clients
"""


@click.group("clients", cls=ListingGroup, usual="list", epilog=EPILOG)
def command() -> None:
    """Accounts of MQTT clients, gateways and observers."""


@command.command("list")
@talks
def list_accounts(talk: Talk) -> None:
    """List the accounts."""
    rows = talk.pages("clients", None, {})
    nothing = "There are no accounts. `whosin clients add NAME --role client --site S` makes one."
    talk.listing(rows, name_columns("name", "role", "site", "user"), nothing)


@command.command("add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["client", "gateway", "observer"]),
    required=True,
    help="client: speaks for its own session; gateway: for all of its site; observer: hears its events.",
)
@click.option("--site", required=True, help="The only site it may speak for, or hear.")
@click.option("--user", help="The only user it may log in.")
@talks
def add(talk: Talk, *, name: str, role: str, site: str, user: str | None) -> None:
    """Add an account, and print its password: alone on stdout, and never again."""
    made = talk.api.post("clients", {"name": name, "role": role, "site": site, "user": user})
    show_once(
        talk, made, "password", f"{name} can sign in over MQTT with this password, which is shown only now:"
    )


@command.command("remove")
@click.argument("name")
@talks
def remove(talk: Talk, *, name: str) -> None:
    """Remove an account; who is connected with it is cut off."""
    talk.api.delete(f"clients/{part(name)}")
    talk.result({"name": name, "removed": True}, f"{name} can no longer sign in.")
