"""`whosin history`: what happened, to whom, by whom and why. Knows the API's history items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from whosin.cli.asking import Talk, narrowing, talks
from whosin.cli.moments import Day, Moment
from whosin.cli.words import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whosin.cli.table import Column

Json = dict[str, Any]

EPILOG = """\b
Examples:
  whosin history --company main --since 2h
  whosin history --user anna --type session.      all about her sessions
  whosin history --resource sales-order/SO-1001 --on friday
  whosin history --actor olga --type session.removed --since 2026-03-02
  whosin history --since monday --csv > week.csv
"""


@click.command("history", epilog=EPILOG)
@narrowing("site", "company", "user", "session")
@click.option("--actor", metavar="NAME", help="Only what this person or program did.")
@click.option("--type", "kind", help="Such as session.removed, or a beginning: session. (with the dot).")
@click.option("--resource", metavar="PATH", help="About this resource (or below), and its holders.")
@click.option("--search", metavar="TEXT", help="Found anywhere in the event.")
@click.option("--on", "day", type=Day(), help="On this day: friday, yesterday, 2026-03-02.")
@click.option("--since", type=Moment(), help="From then on: 2h, 3d, friday, a date, or a date and time.")
@click.option("--until", type=Moment(), help="Before then.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", default=50, help="How many at most, the newest first."
)
@click.option("--all", "every", is_flag=True, help="All of them, however many; so with --csv and --jsonl.")
@click.option("--csv", "as_csv", is_flag=True, help="For a spreadsheet, on stdout; no cell is a formula.")
@click.option("--jsonl", "as_lines", is_flag=True, help="One JSON document a line, on stdout.")
@talks
def command(
    talk: Talk, *, kind: str | None, search: str | None, day: tuple[str, str] | None, limit: int,
    every: bool, as_csv: bool, as_lines: bool, **filters: str | None,
) -> None:  # fmt: skip
    """What happened, by whom and why; newest first."""
    if day is not None:
        if filters["since"] or filters["until"]:
            raise click.UsageError("--on is a day by itself: leave out --since and --until.")
        filters["since"], filters["until"] = day
    if as_csv + as_lines + talk.json > 1:
        raise click.UsageError("Take one of --csv, --jsonl and --json.")
    chosen = {**filters, "type": kind, "q": search}
    if as_csv or as_lines:
        given = click.get_current_context().get_parameter_source("limit")
        whole = given is not None and given.name == "DEFAULT"
        _export(talk.each("history", None if every or whole else limit, chosen), as_csv=as_csv)
        return
    rows = talk.pages("history", None if every else limit, chosen)
    nothing = "Nothing like that happened." if any(chosen.values()) else "Nothing has happened yet."
    talk.listing(rows, _columns, nothing)


def _columns(rows: Sequence[Json]) -> Sequence[Column]:
    from whosin.cli.looks import event_columns
    from whosin.cli.printing import id_length

    return event_columns(now(), id_length([str(row["session"]) for row in rows if row["session"]]))


# --- export --------------------------------------------------------------------------------------------

FIELDS = ("seq", "at", "type", "site", "company", "session", "user", "actor", "reason")


def _export(pages: Iterable[Sequence[Json]], *, as_csv: bool) -> None:
    """Page by page, so that a year of history needs no memory."""
    import json

    from whosin import csvsafe

    if as_csv:
        click.echo(csvsafe.rows([[*FIELDS, "resource", "data"]]), nl=False)
    for items in pages:
        if as_csv:
            click.echo(csvsafe.rows(map(_cells, items)), nl=False)
        else:
            click.echo("".join(json.dumps(item) + "\n" for item in items), nl=False)


def _cells(item: Json) -> list[object]:
    import json

    data = item["data"]
    return [*(item[name] for name in FIELDS), data.get("resource"), json.dumps(data, ensure_ascii=False)]
