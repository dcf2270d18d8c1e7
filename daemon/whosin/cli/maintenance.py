"""`whosin maintenance`: plan to close a site or company, see what is planned, end it.

Knows the API's windows.
"""

from __future__ import annotations

import functools
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from whosin.cli.asking import Talk, talks
from whosin.cli.groups import ListingGroup
from whosin.cli.moments import Ahead, Span, stamp
from whosin.cli.words import clean, local, now, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whosin.cli.table import Column

Json = dict[str, Any]

EPILOG = """\b
Examples:
  whosin maintenance plan --site vienna --from 17:00 --for 1h "New version."
  whosin maintenance plan --site vienna --company main --from +20min \\
    --until 18:30 --force "Year end."
  whosin maintenance                     what is planned, and what has begun
  whosin maintenance end 3               open again, before it was planned

Users are told 15, 5 and 1 minutes before. While closed only those in
[maintenance] administrators may log in.
"""


@click.group("maintenance", cls=ListingGroup, usual="list", epilog=EPILOG)
def command() -> None:
    """Close a site or company for a while; warn its users."""


@command.command("list")
@talks
def list_windows(talk: Talk) -> None:
    """List what is planned, and what has begun."""
    rows = talk.pages("maintenance", None, {})
    talk.listing(rows, _columns, "No maintenance is planned.")


def _columns(_rows: Sequence[Json]) -> Sequence[Column]:
    from whosin.cli.looks import HURTS
    from whosin.cli.table import Column

    at = now()

    def begun(one: Json) -> str:
        return HURTS if one["state"] == "started" else ""

    return [
        Column("ID", lambda one: str(one["id"]), least=2, right=True),
        Column(
            "STATE",
            lambda one: one["state"],
            least=7,
            style=lambda one: HURTS if one["state"] == "started" else "",
        ),
        Column("SITE", lambda one: one["site"], least=10),
        Column("COMPANY", lambda one: one["company"] or "all", least=8),
        Column("FROM", lambda one: local(one["from"], at), least=8),
        Column("UNTIL", lambda one: local(one["until"], at), least=8),
        Column("FORCE", lambda one: "yes" if one["force"] else "", drop=3),
        Column("BY", lambda one: one["by"], drop=2),
        Column("TEXT", lambda one: one["text"], drop=1, least=16),
    ]


@command.command("plan")
@click.argument("text")
@click.option("--site", required=True, help="The site to close.")
@click.option("--company", help="Only this company of it.")
@click.option("--from", "begins", type=Ahead(), help="When: 17:00, +20min, or a date and time. Default: now.")
@click.option("--until", "ends", type=Ahead(), help="Until when.")
@click.option("--for", "lasts", type=Span(), help="How long, instead of --until: 90min, 2h.")
@click.option("--force", is_flag=True, help="Log off those who are still in at the beginning.")
@talks
def plan(
    talk: Talk, *, text: str, site: str, company: str | None, begins: datetime | None, ends: datetime | None,
    lasts: timedelta | None, force: bool,
) -> None:  # fmt: skip
    """Close a site or a company for a while; TEXT tells its users why."""
    if (ends is None) == (lasts is None):
        raise click.UsageError("Give either --until or --for.")
    over = ends if ends is not None else (begins or now()) + (lasts or timedelta())
    body = {
        "site": site, "company": company, "from": begins and stamp(begins), "until": stamp(over),
        "text": text, "force": force,
    }  # fmt: skip
    made = talk.api.post("maintenance", body)
    talk.result(made, _sentence(made))


def _sentence(one: Json) -> str:
    at = now()
    place = clean(one["company"] or f"site {one['site']}")
    begins = (
        "closed now"
        if one["state"] == "started"
        else f"closes {until(one['from'], at)}, at {local(one['from'], at)}"
    )
    return f"{one['id']}: {place} {begins}; open again at {local(one['until'], at)}."


def _ends(name: str, about: str) -> None:
    """Both words do the same: which one fits depends on whether it has begun."""

    @command.command(name, help=about)
    @click.argument("ident", metavar="ID", type=click.IntRange(1))
    @talks
    @functools.wraps(_ends)
    def end(talk: Talk, *, ident: int) -> None:
        done = talk.api.delete(f"maintenance/{ident}")
        place = clean(done["company"] or f"site {done['site']}")
        talk.result(done, f"{ident}: {'open again' if done['state'] == 'ended' else 'cancelled'}: {place}.")


_ends("cancel", "Cancel what is planned; end what has begun.")
_ends("end", "Open again now; cancel what has not begun.")
