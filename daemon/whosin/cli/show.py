"""`whosin show`: everything known of one session. Knows the API's session item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from whosin.cli.asking import Talk, talks
from whosin.cli.naming import the_session
from whosin.cli.words import age, clean, count, local, now, some, until

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import RenderableType

Json = dict[str, Any]


@click.command("show")
@click.argument("ident", metavar="ID")
@talks
def command(talk: Talk, *, ident: str) -> None:
    """Everything known of one session, also of one that is over.

    ID may be shortened, as listings do, where only one session is meant.
    """
    item = the_session(talk, ident)
    if talk.json:
        talk.result(item)
        return
    from whosin.cli.printing import put

    rules = talk.pages("guidance", None, {}).items if item["guidance"] else []
    put(*_picture(item, {rule["id"]: rule for rule in rules}, now()))


def _picture(item: Json, rules: dict[str, Json], at: datetime) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    from whosin.cli.looks import last_change, state, style

    since = last_change(item)
    lines: list[RenderableType] = [
        Text(clean(f"{item['user']} in {item['company']}, site {item['site']}"), style="bold"),
        Text(clean(f"{state(item)} for {age(since, at)}, since {local(since, at)}"), style=style(item)),
        Text(),
        _facts(item, at),
    ]
    for heading, table in _lists(item, at):
        lines += [Text(), Text(heading, style="bold"), Padding(table, (0, 0, 0, 2), expand=False)]
    if item["guidance"]:
        lines += [Text(), Text("Action required", style="bold")]
        lines += _actions(item, rules)
    if item["status"] in ("active", "disconnected"):
        force = " --force" if item["status"] == "active" else ""
        lines += [Text(), Text(f"To log it off: whosin logoff {item['id']}{force}", style="dim")]
    return lines


def _actions(item: Json, rules: dict[str, Json]) -> list[RenderableType]:
    """What each rule asks for, with the locks that it is about."""
    from rich.text import Text

    from whosin.cli.looks import HURTS

    lines: list[RenderableType] = []
    for ident in item["guidance"]:
        rule = rules.get(ident, {"severity": "normal", "before": None, "after": None})
        about = some([lock["resource"] for lock in item["locks"] if lock["rule"] == ident], 5)
        critical = rule["severity"] == "critical"
        heading = clean(f"{ident}{': ' + about if about else ''}{' (critical)' if critical else ''}")
        lines.append(Text(f"  {heading}", style=HURTS if critical else "yellow"))
        for name, text in (("before", rule["before"]), ("after", rule["after"])):
            lines += [Text(f"    {name}: {clean(text)}")] if text else []
    return lines


def _facts(item: Json, at: datetime) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    facts = {
        "id": item["id"],
        "client": item["client"],
        "machine": item["machine"],
        "address": item["address"],
        "app": item["app"],
        "activity": item["activity"],
        "idle": f"{item['idle_s']:,} s" if item["idle_s"] is not None else None,
        "logged in": _when(item["since"], at),
        "last seen": _when(item["last_seen"], at),
        "its own clock": item.get("at"),
        "deadline": item["deadline"] and f"{local(item['deadline'], at)}, {until(item['deadline'], at)}",
        "disconnected": _when(item["disconnected_at"], at),
        "over": _when(item.get("ended_at"), at),
        "ended by": item.get("ended_by"),
        "reason": item.get("reason"),
        "heard by": item.get("source"),
    }
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value not in (None, ""):
            table.add_row(Text(f"  {name}", style="dim"), Text(clean(value), overflow="fold"))
    return table


def _when(stamp: str | None, at: datetime) -> str | None:
    return f"{local(stamp, at)}, {age(stamp, at)} ago" if stamp else None


def _lists(item: Json, at: datetime) -> list[tuple[str, RenderableType]]:
    from whosin.cli.looks import held_columns, waiting_columns
    from whosin.cli.printing import room
    from whosin.cli.table import lay_out

    width = room()
    inner = None if width is None else width - 2
    lists: list[tuple[str, RenderableType]] = []
    if item["locks"]:
        lists.append(
            (f"Holds {count(len(item['locks']), 'lock')}", lay_out(held_columns(at), item["locks"], inner))
        )
    if item["blocks"]:
        heading = f"Blocks {count(len({one['user'] for one in item['blocks']}), 'person', 'people')}"
        lists.append((heading, lay_out(waiting_columns(at), item["blocks"], inner)))
    return lists
