"""`whosin alerts`: what people were told, by which channels, and a test of those."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from whosin.cli.asking import Talk, narrowing, talks
from whosin.cli.groups import ListingGroup
from whosin.cli.printing import put_json, put_table
from whosin.cli.words import age, now, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whosin.cli.table import Column

Json = dict[str, Any]

EPILOG = """\b
Examples:
  whosin alerts                 what is or was wrong, and who has been told
  whosin alerts --open --json
  whosin alerts channels        who gets what, and what is still owed
  whosin alerts test office     send a test message to one channel
"""
STATES = {"pending": "yellow", "given_up": "bold red", "sent": ""}
STYLES = {"critical": "bold red", "warning": "yellow"}


@click.group("alerts", cls=ListingGroup, usual="list", epilog=EPILOG)
def command() -> None:
    """Messages to people: what is wrong, who was told."""


@command.command("list")
@narrowing("site")
@click.option("--kind", help="Only this kind, such as blocking or storage.")
@click.option("--open", "only_open", is_flag=True, help="Only what is not over.")
@click.option("--limit", type=click.IntRange(1), metavar="N", default=50, help="How many at most.")
@click.option("--all", "every", is_flag=True, help="All of them, however many.")
@talks
def list_alerts(
    talk: Talk, *, limit: int, every: bool, only_open: bool, site: str | None, kind: str | None
) -> None:
    """List the alerts, the newest first."""
    filters = {"site": site, "kind": kind, "state": "open" if only_open else None}
    rows = talk.pages("alerts", None if every else limit, filters)
    talk.listing(rows, _alert_columns, "There is no such alert." if any(filters.values()) else "All is well.")


def _alert_columns(_rows: Sequence[Json]) -> Sequence[Column]:
    from whosin.cli.table import Column

    at = now()
    return [
        Column("RAISED", lambda it: f"{age(it['raised'], at, brief=True)} ago", least=8),
        Column("STATE", lambda it: it["state"], least=4),
        Column("SEVERITY", lambda it: it["severity"], drop=2, least=8, style=_severity),
        Column("SITE", lambda it: it["site"] or "", drop=4, least=8),
        Column("COMPANY", lambda it: it["company"] or "", drop=3, least=8),
        Column("WHAT", lambda it: it["message"], least=30, wraps=True),
        Column("TOLD", _told, drop=1, least=12, style=_told_style),
        Column("ID", lambda it: it["id"], drop=5),
    ]


def _severity(item: Json) -> str:
    return STYLES.get(str(item["severity"]), "") if item["state"] == "open" else "dim"


def _told(item: Json) -> str:
    """Each channel once: what became of its last message."""
    last = {one["channel"]: one for one in item["targets"]}
    return some([_of(one) for one in last.values()], 4) or "nobody"


def _of(target: Json) -> str:
    state = target["state"]
    if state == "pending":
        return f"{target['channel']} waits" + (f" ({target['tries']} tries)" if target["tries"] else "")
    return str(target["channel"]) + (" given up" if state == "given_up" else "")


def _told_style(item: Json) -> str:
    return max((STATES[one["state"]] for one in item["targets"]), key=len, default="")


@command.command("channels")
@talks
def channels(talk: Talk) -> None:
    """List the channels: who gets what."""
    talk.listing(talk.pages("alerts/channels", None, {}), _channel_columns, "There is no channel.")


def _channel_columns(_rows: Sequence[Json]) -> Sequence[Column]:
    from whosin.cli.table import Column

    return [
        Column("CHANNEL", lambda it: it["name"], least=8),
        Column("TARGET", lambda it: it["target"], least=16),
        Column("GETS", _gets, drop=1, least=16),
        Column("WAITING", lambda it: str(it["waiting"]) if it["waiting"] else "", right=True),
        Column("LAST ERROR", lambda it: it["last_error"] or "", drop=2, least=16, style="red"),
    ]


def _gets(item: Json) -> str:
    limits = [some(item[name], 3) for name in ("sites", "companies", "kinds") if item[name]]
    limits += [f"for {some(item['roles'])}"] if item["roles"] else []
    limits += [f"{item['at_least']} and worse"] if item["at_least"] != "info" else []
    return ", ".join(limits) or "everything"


@command.command("test")
@click.argument("channel", required=False)
@talks
def test(talk: Talk, *, channel: str | None) -> None:
    """Send a test message to CHANNEL, or to all; exit code 1 if one is not taken."""
    results = talk.api.post("alerts/test", {"channel": channel})["results"]
    if talk.json:
        put_json(results)
    else:
        put_table(_result_columns(), results)
    sys.exit(0 if all(one["ok"] for one in results) else 1)


def _result_columns() -> Sequence[Column]:
    from whosin.cli.table import Column

    return [
        Column("CHANNEL", lambda it: it["channel"], least=8),
        Column("RESULT", lambda it: "taken" if it["ok"] else "refused", style=_result_style),
        Column("TARGET", lambda it: it["target"], drop=1, least=16),
        Column("TOOK", lambda it: f"{it['took_s']:.2f} s", drop=2),
        Column("WHY", lambda it: it["problem"] or "", least=20),
    ]


def _result_style(item: Json) -> str:
    return "green" if item["ok"] else "bold red"
