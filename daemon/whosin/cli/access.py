"""What `whosin clients` and `whosin tokens` share: a secret alone on stdout, and lists of names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from whosin.cli.printing import remark
from whosin.cli.words import age, now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whosin.cli.asking import Talk
    from whosin.cli.table import Column

Json = dict[str, Any]


def show_once(talk: Talk, made: Json, secret: str, about: str) -> None:
    """The secret alone on stdout, so that `$(…)` takes it; the rest on stderr."""
    if talk.json:
        talk.result(made)
        return
    remark(about)
    click.echo(made[secret])


def name_columns(*fields: str) -> Callable[[Sequence[Json]], Sequence[Column]]:
    """Columns for things with a name, and when they were made."""

    def columns(_rows: Sequence[Json]) -> Sequence[Column]:
        from whosin.cli.table import Column

        def value(name: str) -> Callable[[Json], str]:
            return lambda row: row[name]

        at = now()
        return [
            *(Column(name.upper(), value(name), least=8) for name in fields),
            Column(
                "MADE", lambda row: f"{age(row['created'], at)} ago" if row.get("created") else "", drop=1
            ),
        ]

    return columns
