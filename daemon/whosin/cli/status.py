"""`whosin status`: is the daemon well, what does it see, how many are in. Knows the API's stats."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from whosin.cli.asking import Talk, talks
from whosin.cli.words import now

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import RenderableType

Json = dict[str, Any]


@click.command("status")
@click.option("--check", is_flag=True, help="Exit with 1 unless the daemon is ready: sees and stores.")
@talks
def command(talk: Talk, *, check: bool) -> None:
    """Is the daemon well, what does it see, how many are in."""
    stats = talk.api.get("stats")
    if talk.json:
        talk.result(stats)
    else:
        from whosin.cli.printing import put

        put(_picture(stats, now()))
    if check and not stats["ready"]:
        sys.exit(1)


def _picture(stats: Json, at: datetime) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    from whosin.cli import status_view as view

    table = Table.grid(padding=(0, 2))
    for name, value in {
        "": view.headline(stats, at),
        "Problems": view.problems(stats),
        "Sessions": view.sessions(stats),
        "By client": view.by_client(stats),
        "Locks": view.locks(stats),
        "To do": view.followups(stats),
        "Closed": view.maintenance(stats, at),
        "Sees": view.sources(stats, at),
        "Storage": view.storage(stats),
        "Cleanup": view.cleanup(stats, at),
        "Sign-in": view.sign_in(stats),
    }.items():
        if value:
            table.add_row(Text(name, style="dim"), value)
    return table
