"""`whosin followups`: what is still to be done after logins were removed. Knows the API's follow-ups."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from whosin.apiclient import ApiRefused
from whosin.cli.asking import Talk, narrowing, talks
from whosin.cli.groups import ListingGroup
from whosin.cli.words import age, clean, count, local, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whosin.cli.table import Column

Json = dict[str, Any]

EPILOG = """\b
Examples:
  whosin followups                          what is still to be done
  whosin followups --company main --search SO-1001
  whosin followups done 17 18 --note "two lines, stock allocated once"
  whosin followups --status done --json
"""


@click.group("followups", cls=ListingGroup, usual="list", epilog=EPILOG)
def command() -> None:
    """What is still to be done after logins were removed."""


@command.command("list")
@click.option("--status", type=click.Choice(["open", "done", "all"]), default="open", help="Which ones.")
@narrowing("site", "company", "session")
@click.option("--search", metavar="TEXT", help="Found in user, machine, resource, rule, text or note.")
@click.option("--limit", type=click.IntRange(1), metavar="N", default=100, help="How many at most.")
@click.option("--all", "every", is_flag=True, help="All of them, however many.")
@talks
def list_followups(
    talk: Talk, *, status: str, search: str | None, limit: int, every: bool, **filters: str | None
) -> None:
    """List them, the newest first."""
    chosen = {**filters, "status": None if status == "all" else status, "q": search}
    rows = talk.pages("followups", None if every else limit, chosen)
    narrowed = any(value for name, value in chosen.items() if name != "status")
    nothing = (
        "Nothing like that." if narrowed else "Nothing is left to do." if status == "open" else "None yet."
    )
    talk.listing(rows, _columns, nothing)


def _columns(_rows: Sequence[Json]) -> Sequence[Column]:
    from whosin.cli.looks import HURTS
    from whosin.cli.table import Column

    at = now()
    return [
        Column("ID", lambda item: str(item["id"]), least=3, right=True),
        Column("SINCE", lambda item: age(item["created"], at, brief=True), least=6),
        Column("USER", lambda item: item["user"], least=12),
        Column("SITE", lambda item: item["site"], drop=6, least=10),
        Column("COMPANY", lambda item: item["company"], drop=3, least=10),
        Column("RESOURCE", lambda item: item["resource"], least=16),
        Column(
            "RULE", lambda item: item["rule"], drop=4, least=12,
            style=lambda item: HURTS if item["severity"] == "critical" and not item["done"] else "",
        ),
        Column("TO DO", lambda item: item["text"], least=24, wraps=True),
        Column("DONE", lambda item: local(item["done"], at), drop=1, least=8),
        Column("BY", lambda item: item["done_by"], drop=2, least=6),
        Column("NOTE", lambda item: item["note"], drop=5, least=10, wraps=True),
    ]  # fmt: skip


@command.command("done")
@click.argument("idents", metavar="ID...", nargs=-1, required=True, type=click.IntRange(1))
@click.option("--note", metavar="TEXT", help="What was found or done; kept with it.")
@talks
def done(talk: Talk, *, idents: tuple[int, ...], note: str | None) -> None:
    """Tick them off. Safe to repeat: whoever did so first stays."""
    ticked: list[Json] = []
    missing = []
    for ident in dict.fromkeys(idents):
        try:
            ticked.append(talk.api.post(f"followups/{ident}/done", {"note": note}))
        except ApiRefused as refused:
            if refused.status != 404:
                raise
            missing.append(ident)
    lines = [f"{item['id']}: {item['rule']}{_of(item)}, done by {clean(item['done_by'])}." for item in ticked]
    talk.result(ticked, *lines)
    if missing:
        names = ", ".join(map(str, missing))
        click.echo(f"whosin: {count(len(missing), 'id')} not known: {names}", err=True)
        sys.exit(1)


def _of(item: Json) -> str:
    return f" of {clean(item['resource'])}" if item["resource"] else ""
