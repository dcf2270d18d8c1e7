"""`whosin cleanup`: the automatic removal of disconnected logins: switch, passes, what is held back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from whosin.cli.asking import Talk, talks
from whosin.cli.groups import ListingGroup
from whosin.cli.words import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whosin.cli.table import Column

Json = dict[str, Any]

EPILOG = """\b
Examples:
  whosin cleanup                     is it on, when is the next pass
  whosin cleanup on
  whosin cleanup run --dry-run       what a pass would remove now
  whosin cleanup confirm --site vienna
"""


@click.group("cleanup", cls=ListingGroup, usual="show", epilog=EPILOG)
def command() -> None:
    """The automatic removal of disconnected logins."""


@command.command("show")
@talks
def show(talk: Talk) -> None:
    """Show the switch, the next pass, the last one, and what is held back."""
    _state(talk, talk.api.get("cleanup"))


@command.command("on")
@talks
def switch_on(talk: Talk) -> None:
    """Remove disconnected logins from now on, at every pass; kept over restarts."""
    _state(talk, talk.api.put("cleanup", {"enabled": True}))


@command.command("off")
@talks
def switch_off(talk: Talk) -> None:
    """Remove nobody automatically any more; a pass that runs still finishes."""
    _state(talk, talk.api.put("cleanup", {"enabled": False}))


@command.command("run")
@click.option("--dry-run", is_flag=True, help="Only show what a pass would do.")
@talks
def run(talk: Talk, *, dry_run: bool) -> None:
    """Run a pass now over all companies, whether the switch is on or off.

    A pass that has to wait (the daemon does not see, or cannot store) is kept, and runs later.
    """
    report = talk.api.post("cleanup/run", {"dry_run": dry_run})
    if talk.json:
        talk.result(report)
    else:
        from whosin.cli.cleanup_view import report_lines
        from whosin.cli.printing import put

        put(*report_lines(report))
    if report["failed"]:
        sys.exit(1)


@command.command("confirm")
@click.option("--site", required=True, help="Where many fell silent at once.")
@click.option("--company", help="Only this company; else the whole site.")
@click.option("--client", help="Only this client type; else every one.")
@talks
def confirm(talk: Talk, *, site: str, company: str | None, client: str | None) -> None:
    """Say that those who fell silent together are really gone, so that they are removed."""
    done = talk.api.post("cleanup/confirm", {"site": site, "company": company, "client": client})
    words = "1 group is" if done["confirmed"] == 1 else f"{done['confirmed']} groups are"
    talk.result(done, f"{words} no longer held back.")


@command.command("passes")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    metavar="N",
    default=20,
    help="How many at most, the newest first.",
)
@talks
def passes(talk: Talk, *, limit: int) -> None:
    """List the reports of past passes."""
    rows = talk.pages("cleanup/passes", limit, {})
    talk.listing(rows, _columns, "No pass has run yet.")


def _columns(_rows: Sequence[Json]) -> Sequence[Column]:
    from whosin.cli.cleanup_view import pass_columns

    return pass_columns(now())


def _state(talk: Talk, cleanup: Json) -> None:
    if talk.json:
        talk.result(cleanup)
        return
    from whosin.cli.cleanup_view import state_lines
    from whosin.cli.printing import put

    put(*state_lines(cleanup, now()))
