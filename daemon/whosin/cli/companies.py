"""`whosin companies`: every company with how many are in, fell out, lock and wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from whosin.cli.asking import Talk, talks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whosin.cli.table import Column

Json = dict[str, Any]


@click.command("companies")
@talks
def command(talk: Talk) -> None:
    """Companies, and how many are in each."""
    rows = talk.pages("companies", None, {})
    talk.listing(rows, _columns, "No company is known yet: each appears with its first login.")


def _columns(_rows: Sequence[Json]) -> Sequence[Column]:
    from whosin.cli.table import Column

    def number(name: str) -> Any:
        return lambda row: f"{row[name]:,}"

    return [
        Column("SITE", lambda row: row["site"], least=8),
        Column("COMPANY", lambda row: row["company"], least=8),
        Column("ACTIVE", number("active"), right=True),
        Column(
            "DISCONNECTED",
            number("disconnected"),
            right=True,
            style=lambda row: "yellow" if row["disconnected"] else "",
        ),
        Column("LOCKS", number("locks"), right=True),
        Column("WAITING", number("waiting"), right=True, style=lambda row: "bold" if row["waiting"] else ""),
    ]
