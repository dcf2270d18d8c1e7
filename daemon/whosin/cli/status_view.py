"""How the daemon's state reads, for `status` and `top`. Owns words and colours for the API's stats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from whosin.cli.looks import HURTS, STATUS_STYLES
from whosin.cli.words import age, clean, count, local, until

if TYPE_CHECKING:
    from datetime import datetime

Json = dict[str, Any]


def health(stats: Json) -> Text:
    """One or two words: ready, blind, degraded."""
    if stats["ready"]:
        return Text("ready", style="bold green")
    words = [
        word
        for word, holds in (("blind", stats["blind"]), ("not storing", not stats["storage"]["ok"]))
        if holds
    ]
    return Text(", ".join(words) or "not ready", style=HURTS)


def headline(stats: Json, at: datetime) -> Text:
    return Text.assemble(
        (clean(stats["name"]), "bold"),
        " is ",
        health(stats),
        f" (Whosin {clean(stats['version'])}, up for {age(stats['started_at'], at)})",
    )


def problems(stats: Json) -> Text:
    return Text("\n".join(clean(problem) for problem in stats["problems"]), style=HURTS)


def sessions(stats: Json) -> Text:
    """How many of each status that can still change."""
    parts = [
        Text(f"{number:,} {status}", style=STATUS_STYLES[status] if number else "")
        for status in ("active", "disconnected")
        for number in (stats["sessions"].get(status, 0),)
    ]
    return Text(", ").join([*parts, Text(f"in {count(stats['companies'], 'company', 'companies')}")])


def by_client(stats: Json) -> Text:
    rows = [
        clean(f"{client} {sum(statuses.get(status, 0) for status in ('active', 'disconnected')):,}")
        for client, statuses in sorted(stats["by_client"].items())
    ]
    return Text(", ".join(rows))


def locks(stats: Json) -> Text:
    text = Text(f"{count(stats['locks'], 'lock')} held")
    if stats["waiting"]:
        text.append(f", {stats['waiting']:,} waited for")
    if stats["blocked"]:
        text.append(f", {count(stats['blocked'], 'session')} blocked", style=HURTS)
    return text


def followups(stats: Json) -> Text:
    """What is left to do after removals; nothing is said of nothing."""
    found = stats["followups"]
    text = Text(count(found["open"], "follow-up") if found["open"] else "")
    if found["critical"]:
        text.append(f", {found['critical']:,} critical", style=HURTS)
    return text


def maintenance(stats: Json, at: datetime) -> Text:
    """What is closed, and what will be."""
    lines = []
    for one in stats["maintenance"]:
        place = clean(one["company"] or f"site {one['site']}")
        begun = one["state"] == "started"
        told = f"until {local(one['until'], at)}" if begun else f"{until(one['from'], at)}"
        lines.append(Text(f"{place} {told}: {clean(one['text'])}", style=HURTS if begun else "yellow"))
    return Text("\n").join(lines)


def sources(stats: Json, at: datetime) -> Text:
    """Each way of hearing clients, and whether it works."""
    lines = []
    for name, source in stats["sources"].items():
        if not source["seeing"]:
            since = f" for {age(source['since'], at)}" if source["since"] else ""
            lines.append(Text(clean(f"{name}: blind{since}"), style=HURTS))
        elif source["grace_until"]:
            ends = local(source["grace_until"], at)
            lines.append(
                Text(clean(f"{name}: sees again; nobody is taken for silent before {ends}"), style="yellow")
            )
        else:
            lines.append(Text(clean(name)))
    return Text("\n").join(lines)


def storage(stats: Json) -> Text:
    found = stats["storage"]
    if found["ok"]:
        return Text("ok")
    return Text(clean(found["problem"] or "not ok"), style=HURTS)


def cleanup(stats: Json, at: datetime) -> Text:
    found = stats["cleanup"]
    if found["running"]:
        return Text("runs now", style="green")
    if not found["enabled"]:
        return Text("off")
    return Text(f"on, next {until(found['next_at'], at)}" if found["next_at"] else "on")


def sign_in(stats: Json) -> Text:
    if stats["sign_in"]["mqtt"]:
        return Text("")
    return Text("off: every program that reaches the door may speak for any session", style="yellow")
