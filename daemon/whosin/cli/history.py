"""`whosin history`: what happened, to whom, by whom and why. Knows the API's history items."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from whosin.cli.asking import Talk, narrowing, talks
from whosin.cli.words import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whosin.cli.table import Column

Json = dict[str, Any]
UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}

EPILOG = """\b
Examples:
  whosin history --company main --since 2h
  whosin history --user anna --type session.      all about her sessions
  whosin history --resource sales-order/SO-1001   who had it, until when
  whosin history --type session.removed --since 2026-03-02 --all --json
"""


class Moment(click.ParamType[str]):
    """A time: how long ago (`90min`, `2h`, `3d`), a date, or a date and time; local without a zone."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        ago = re.fullmatch(r"(\d{1,6})\s*(s|m|min|h|d|w)", value)
        if ago:
            at = now() - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        else:
            try:
                at = datetime.fromisoformat(value).astimezone(UTC)
            except (ValueError, OverflowError):
                self.fail(
                    f"{value!r} is no time; expected one as in 2h, 3d, 2026-03-02 or 2026-03-02T08:30.",
                    param,
                    ctx,
                )
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@click.command("history", epilog=EPILOG)
@narrowing("site", "company", "user", "session")
@click.option("--type", "kind", help="Such as session.removed, or a beginning: session. (with the dot).")
@click.option("--resource", metavar="PATH", help="Only about this resource.")
@click.option("--search", metavar="TEXT", help="Found anywhere in the event.")
@click.option("--since", type=Moment(), help="From then on: 2h, 3d, a date, or a date and time.")
@click.option("--until", type=Moment(), help="Before then.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", default=50, help="How many at most, the newest first."
)
@click.option("--all", "every", is_flag=True, help="All of them, however many.")
@talks
def command(
    talk: Talk, *, kind: str | None, search: str | None, limit: int, every: bool, **filters: str | None
) -> None:
    """What happened, by whom and why; newest first."""
    chosen = {**filters, "type": kind, "q": search}
    rows = talk.pages("history", None if every else limit, chosen)
    nothing = "Nothing like that happened." if any(chosen.values()) else "Nothing has happened yet."
    talk.listing(rows, _columns, nothing)


def _columns(rows: Sequence[Json]) -> Sequence[Column]:
    from whosin.cli.looks import event_columns
    from whosin.cli.printing import id_length

    return event_columns(now(), id_length([str(row["session"]) for row in rows if row["session"]]))
