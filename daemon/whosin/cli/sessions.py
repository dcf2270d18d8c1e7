"""`whosin sessions`: who is in and who fell out. Knows the API's filters; the table is `looks`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from whosin.cli.asking import Talk, narrowing, talks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whosin.cli.table import Column

Json = dict[str, Any]

EPILOG = """\b
Examples:
  whosin sessions                         active and disconnected ones
  whosin sessions --status disconnected   who fell out, and whom they block
  whosin sessions --status removed        cleared ones, from the history
  whosin sessions --search SO-1001        by order, id, name or machine
  whosin sessions --all --json            every one, for programs
"""


@click.command("sessions", epilog=EPILOG)
@click.option("--status", help="active, disconnected, logged_off, removed; several with commas.")
@narrowing("site", "company", "user", "client")
@click.option("--search", metavar="TEXT", help="Found in id, user, machine, company or a locked resource.")
@click.option("--sort", metavar="FIELD", help="Such as last_seen; -last_seen for the newest first.")
@click.option("--limit", type=click.IntRange(1), metavar="N", default=100, help="How many at most.")
@click.option("--all", "every", is_flag=True, help="All of them, however many.")
@talks
def command(talk: Talk, *, search: str | None, limit: int, every: bool, **filters: str | None) -> None:
    """Who is in, and who fell out."""
    chosen = {**filters, "q": search}
    rows = talk.pages("sessions", None if every else limit, chosen)
    if any(chosen.values()):
        nobody = (
            "No session is like that. Without filters, `whosin sessions` lists active and disconnected ones."
        )
    else:
        nobody = "Nobody is logged in. `whosin simulate` lets some clients in, to see what it looks like."
    talk.listing(rows, _columns, nobody)


def _columns(rows: Sequence[Json]) -> Sequence[Column]:
    from whosin.cli.looks import session_columns
    from whosin.cli.printing import id_length
    from whosin.cli.words import now

    return session_columns(now(), id_length([str(row["id"]) for row in rows]))
