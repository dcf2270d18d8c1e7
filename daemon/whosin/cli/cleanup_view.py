"""How the cleanup reads: its switch, a pass's report, groups held back. Owns the picture only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from whosin.cli.looks import HURTS
from whosin.cli.table import Column
from whosin.cli.words import age, clean, count, local, span, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import RenderableType

Json = dict[str, Any]

WAITING = {
    "blind": "the daemon does not see all sources",
    "grace": "it sees again only since a moment ago",
    "storage": "nothing can be stored",
}


def state_lines(cleanup: Json, at: datetime) -> list[RenderableType]:
    lines: list[RenderableType] = []
    if cleanup["enabled"]:
        lines.append(Text(f"On: every {span(cleanup['every_s'])}, next {_next(cleanup, at)}.", style="green"))
    else:
        lines.append(Text("Off: disconnected logins stay until somebody logs them off.", style="yellow"))
    if cleanup["running"]:
        lines.append(Text(f"A pass runs, started {age(cleanup['running']['started'], at)} ago."))
    if cleanup["waiting_for"]:
        why = ", ".join(WAITING.get(reason, clean(reason)) for reason in cleanup["waiting_for"])
        lines.append(Text(f"Passes wait: {why}.", style="yellow"))
    if cleanup["last"]:
        lines.append(
            Text(f"Last pass: {age(cleanup['last']['finished'], at)} ago, {_sentence(cleanup['last'])}")
        )
    for hold in cleanup["holds"]:
        lines += _held(hold, at)
    return lines


def _next(cleanup: Json, at: datetime) -> str:
    if not cleanup["next_at"]:
        return "when it can"
    return f"{until(cleanup['next_at'], at)}, at {local(cleanup['next_at'], at)}"


def _held(hold: Json, at: datetime) -> list[RenderableType]:
    whose = f"{hold['client']} session" if hold["client"] else "session"
    place = f"{hold['company']}, site {hold['site']}" if hold["company"] else f"site {hold['site']}"
    names = {"site": hold["site"], "company": hold["company"], "client": hold["client"]}
    options = " ".join(f"--{name} {value}" for name, value in names.items() if value)
    told = (
        f"Held back: {count(hold['sessions'], whose)} of {place} fell silent together, "
        f"{age(hold['opened'], at)} ago. They are let go {until(hold['until'], at) or 'when confirmed'}; "
        "if they are really gone, sooner with:"
    )
    return [
        Text(clean(told), style=HURTS),
        Text(clean(f"  whosin cleanup confirm {options}"), no_wrap=True, overflow="ignore"),
    ]


def _sentence(report: Json) -> str:
    if report["state"] == "waiting":
        return "waits, and runs as soon as it can."
    if report["state"] == "running":
        return f"still runs, {report['removed']:,} removed so far; see `whosin cleanup passes`."
    words = [f"{report['removed']:,} removed", f"{count(report['released'], 'lock')} released"]
    words += [
        f"{report[key]:,} {key.replace('_', ' ')}"
        for key in ("held_back", "skipped", "failed")
        if report[key]
    ]
    return f"{', '.join(words)}."


def report_lines(report: Json) -> list[RenderableType]:
    """What a pass did, or would do."""
    from whosin.cli.printing import room
    from whosin.cli.table import lay_out

    name = "A pass now: " if report["dry_run"] else "Done: "
    lines: list[RenderableType] = [
        Text(name + _sentence(report), style="red" if report["failed"] else "bold")
    ]
    rows = [row for row in report["companies"] if any(row[key] for key in COUNTED)]
    if rows:
        lines.append(lay_out(_company_columns(), rows, room()))
    elif report["state"] != "waiting":
        had = "would have" if report["dry_run"] else "had"
        where = count(len(report["companies"]), "company", "companies")
        lines.append(Text(f"Nobody {had} to go in {where}."))
    return lines


COUNTED = ("removed", "released", "held_back", "skipped", "failed")


def _company_columns() -> list[Column]:
    return [
        Column("SITE", lambda row: row["site"], drop=1, least=6),
        Column("COMPANY", lambda row: row["company"], least=8),
        Column("REMOVED", lambda row: _number(row["removed"]), right=True),
        Column("RELEASED", lambda row: _number(row["released"]), drop=2, right=True),
        Column("HELD BACK", lambda row: _number(row["held_back"]), right=True, style="yellow"),
        Column("SKIPPED", lambda row: _number(row["skipped"]), style="yellow"),
        Column("FAILED", lambda row: row["failed"] or "", least=20, style="red"),
    ]


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and value else str(value or "")


def pass_columns(at: datetime) -> Sequence[Column]:
    return [
        Column("STARTED", lambda row: local(row["started"], at), least=8),
        Column("STATE", lambda row: row["state"], style=lambda row: "red" if row["failed"] else ""),
        Column("BY", lambda row: row["by"], drop=1, least=8),
        *(
            Column(
                key.replace("_", " ").upper(), _counter(key), right=True, drop=2 if key == "released" else 0
            )
            for key in COUNTED
        ),
        Column("COMPANIES", lambda row: f"{len(row['companies']):,}", right=True, drop=3),
    ]


def _counter(key: str) -> Any:
    return lambda row: _number(row[key])
