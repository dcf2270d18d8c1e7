"""Where answers go: one JSON document, or text and tables for people, on stdout; remarks on stderr.

Owns the terminal and its width; the words and the questions are others'.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from whosin.cli.table import Column

UNBOUNDED = 10_000  # columns: what is read by a program need not fit a screen


def put_json(document: Any) -> None:
    """The document on stdout: on a terminal indented, for programs on one line. ASCII only, so that no
    name in it can steer the terminal or fail on its alphabet."""
    click.echo(json.dumps(document, indent=2 if sys.stdout.isatty() else None))


def remark(text: str) -> None:
    """Something beside the answer."""
    click.echo(text, err=True)


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    bounded = stream.isatty() or "COLUMNS" in os.environ
    return Console(
        file=stream,
        width=None if bounded else UNBOUNDED,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def put(*lines: RenderableType) -> None:
    """Text or tables for people, on stdout."""
    screen = console()
    for line in lines:
        screen.print(line)


def put_table(columns: Sequence[Column], rows: Sequence[Any]) -> None:
    from whosin.cli.table import lay_out

    screen = console()
    screen.print(lay_out(columns, rows, room(screen)))


def room(screen: Console | None = None) -> int | None:
    """Columns that a table may take on stdout, or on that screen; None where nothing bounds it."""
    width = (screen or console()).width
    return None if width == UNBOUNDED else width


def can_ask() -> bool:
    """Whether somebody is there to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def id_length(idents: Sequence[str]) -> int:
    """So many characters of these ids are shown: where width is scarce, as many as tell them apart."""
    from whosin.cli.words import short_ids

    return max(map(len, idents), default=0) if room() is None else short_ids(idents)
