"""Tables that fit: which columns a terminal has room for, and how wide each gets.

Owns the layout; what the cells mean, and where they come from, is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from whosin.cli.words import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """`cell` gives a row's text. When room is scarce the column with the highest `drop` goes first (0 never
    does), and the others shrink, to no less than `least`; what then `wraps` takes more lines, and all else is
    cut. One that is empty in every row is left out."""

    head: str
    cell: Callable[[Any], str]
    drop: int = 0
    least: int = 6
    style: Callable[[Any], str] | str = ""
    right: bool = False
    wraps: bool = False


def fit(wants: Sequence[tuple[int, int, int]], room: int | None) -> dict[int, int]:
    """Which columns stay, and how wide: index to width, in order.

    `wants` has (natural width, least width, drop) of each column. `room` None: everything as wide as it
    likes. Width is given to the columns that are dropped last first.
    """
    kept = {index: natural for index, (natural, _, _) in enumerate(wants)}
    if room is None:
        return kept
    least = {index: min(natural, small) for index, (natural, small, _) in enumerate(wants)}
    while len(kept) > 1 and sum(least[i] for i in kept) + GAP * (len(kept) - 1) > room:
        goes = max(kept, key=lambda i: (wants[i][2], i))
        if wants[goes][2] == 0:
            break
        del kept[goes]
    spare = room - GAP * (len(kept) - 1) - sum(least[i] for i in kept)
    for index in sorted(kept, key=lambda i: wants[i][2]):
        more = max(0, min(spare, kept[index] - least[index]))
        kept[index] = least[index] + more
        spare -= more
    return kept


def lay_out(columns: Sequence[Column], rows: Sequence[Any], room: int | None) -> Table:
    """The rows as a table no wider than `room`."""
    cells = [[clean(column.cell(row)) for row in rows] for column in columns]
    used = [i for i in range(len(columns)) if any(cells[i])]
    wants = [
        (max(cell_len(text) for text in (columns[i].head, *cells[i])), columns[i].least, columns[i].drop)
        for i in used
    ]
    widths = fit(wants, room)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for place, width in widths.items():
        column = columns[used[place]]
        table.add_column(
            column.head,
            width=width,
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis",
            justify="right" if column.right else "left",
        )
    for number, row in enumerate(rows):
        table.add_row(*(_styled(columns[used[place]], cells[used[place]][number], row) for place in widths))
    return table


def _styled(column: Column, text: str, row: Any) -> Text:
    return Text(text, style=column.style if isinstance(column.style, str) else column.style(row))
