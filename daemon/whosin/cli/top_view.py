"""The picture of `top`: a header, those who hurt most, and what happened last, in any terminal's size.

Owns the layout of one frame; knows a Seen, and neither the network nor the keyboard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from whosin.cli import status_view
from whosin.cli.looks import HURTS, event_columns, session_columns
from whosin.cli.table import Column, lay_out
from whosin.cli.words import age, clean, count, short_ids, span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import RenderableType

Json = dict[str, Any]
PATIENCE_S = 5
KEPT_OUT = {"FOR", "SEEN", "STATUS", "APP", "ADDRESS"}  # of a session's columns


@dataclass(frozen=True)
class Seen:
    """What is known at one moment. `stats` None: no answer so far; else they are of `answered`. `trouble`:
    why the last question got no answer."""

    stats: Json | None = None
    answered: datetime | None = None
    fallen: Sequence[Json] = ()  # disconnected sessions, those that hurt most first
    fallen_total: int = 0
    recent: Sequence[Json] = ()  # events, newest first
    rate: float | None = None  # messages a second
    lag_s: float | None = None
    trouble: str | None = None

    def silent(self, at: datetime) -> bool:
        """The daemon has answered before and does not now."""
        late = self.answered is not None and (at - self.answered).total_seconds() > PATIENCE_S
        return self.trouble is not None or late


def hurt(session: Json) -> tuple[int, str]:
    """Sorts those first who block the most people, and among equals who fell first."""
    return -len({one["user"] for one in session["blocks"]}), str(session["disconnected_at"])


def frame(seen: Seen, at: datetime, width: int, height: int | None, *, keys: str = "") -> RenderableType:
    """One full screen; with `height` None as long as it takes."""
    head = _head(seen, at, keys)
    room = None if height is None else max(0, height - len(head) - 1)
    fallen_room, recent_room = _share(room, len(seen.fallen), len(seen.recent))
    lines: list[RenderableType] = [*head, Text()]
    if seen.stats is not None:
        lines += _fallen(seen, at, width, fallen_room)
        lines += _recent(seen, at, width, recent_room)
    return Group(*lines)


def _share(room: int | None, fallen: int, recent: int) -> tuple[int | None, int | None]:
    """Lines for either list with its headings and the line between: half and half where both need it."""
    if room is None:
        return None, None
    wants_fallen, wants_recent = (fallen or -1) + 3, (recent or -1) + 2
    if wants_fallen + wants_recent <= room:
        return wants_fallen, room - wants_fallen
    fallen_room = max(room // 2, room - wants_recent)
    return min(wants_fallen, fallen_room), room - min(wants_fallen, fallen_room)


# --- the header ------------------------------------------------------------------------------------


def _head(seen: Seen, at: datetime, keys: str) -> list[RenderableType]:
    lines: list[RenderableType] = [_title(seen, at, keys)]
    if seen.trouble is not None:
        lines.append(Text(clean(seen.trouble), style=HURTS, no_wrap=True, overflow="ellipsis"))
    stats = seen.stats
    if stats is None:
        return lines
    cleanup = Text("cleanup ").append_text(status_view.cleanup(stats, at))
    lines += [_one_line(text) for text in (_crowd(stats), _pace(seen, stats), cleanup)]
    lines += [_one_line(Text(clean(problem), style=HURTS)) for problem in stats["problems"]]
    return lines


def _title(seen: Seen, at: datetime, keys: str) -> RenderableType:
    title = Table.grid(expand=True)
    title.add_column(no_wrap=True, overflow="ellipsis")
    title.add_column(justify="right", no_wrap=True)
    if seen.stats is None:
        left = Text("waiting for the daemon" if seen.trouble else "asking the daemon", style="bold")
    elif seen.answered is not None and seen.silent(at):
        since = span((at - seen.answered).total_seconds())
        left = Text.assemble(
            (clean(seen.stats["name"]), "bold"), (f" has not answered for {since}; asking on", HURTS)
        )
    else:
        left = status_view.headline(seen.stats, at)
    title.add_row(left, Text(f"  {at.astimezone():%H:%M:%S}{'  ' + keys if keys else ''}", style="dim"))
    return title


def _crowd(stats: Json) -> Text:
    by_client = status_view.by_client(stats)
    crowd = status_view.sessions(stats)
    return Text.assemble(crowd, ": ", by_client) if by_client else crowd


def _pace(seen: Seen, stats: Json) -> Text:
    parts = [status_view.locks(stats)]
    if seen.rate is not None:
        parts.append(Text(f"{seen.rate:,.0f} messages/s"))
    if seen.lag_s is not None:
        parts.append(Text(f"lag {seen.lag_s:.2f} s"))
    return Text(" | ").join(parts)


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


# --- the lists -------------------------------------------------------------------------------------


def _fallen(seen: Seen, at: datetime, width: int, room: int | None) -> list[RenderableType]:
    total = seen.fallen_total
    if not total:
        return [Text("Nobody is disconnected.", style="green"), Text()] if room is None or room >= 2 else []
    rows = seen.fallen if room is None else seen.fallen[: max(0, room - 3)]
    blocking = sum(1 for session in seen.fallen if session["blocks"])
    heading = count(total, "disconnected login")
    if blocking:
        heading += f", {blocking} of them blocking others"
    if len(rows) < total:
        heading += f" (the worst {len(rows)})"
    length = short_ids([str(row["id"]) for row in rows])
    columns = [column for column in session_columns(at, length) if column.head not in KEPT_OUT]
    columns.insert(
        0, Column("SINCE", lambda s: age(s["disconnected_at"], at, brief=True), least=6, style="yellow")
    )
    return [_one_line(Text(heading, style="bold")), lay_out(columns, rows, width), Text()]


def _recent(seen: Seen, at: datetime, width: int, room: int | None) -> list[RenderableType]:
    rows = seen.recent if room is None else seen.recent[: max(0, room - 2)]
    if not rows:
        return []
    length = short_ids([str(row["session"]) for row in rows if row["session"]])
    return [Text("What happened last", style="bold"), lay_out(event_columns(at, length), rows, width)]
