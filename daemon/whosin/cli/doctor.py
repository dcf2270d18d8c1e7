"""`whosin doctor`: what is wrong with this installation, and what to do about it. Owns how findings read."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from whosin.cli import printing
from whosin.cli.asking import config_option
from whosin.cli.words import clean, count

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

    from whosin.apiclient import ApiClient
    from whosin.doctor import Finding
    from whosin.settings import Settings

STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}
LEVEL, NAME, GAP = 7, 18, 2  # columns
WIDEST = 110  # longer lines are hard to read

EPILOG = """\b
Examples:
  whosin doctor                            of the service, else your own
  whosin doctor --config FILE              of these settings
  whosin doctor --json | jq '.findings[] | select(.level != "ok")'

Ask as the user that the daemon runs as, or as root. It may run or not; nothing is changed.
Exit code 1 when there is a problem; warnings alone are 0.
"""


@click.command("doctor", epilog=EPILOG)
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(*, config: Path | None, as_json: bool) -> None:
    """Find the usual problems, and say what to do about each."""
    from whosin.cli.finding import as_installed
    from whosin.doctor import Level, examine

    config, environ = as_installed(config, os.environ)
    findings: list[Finding] = []
    screen = printing.console()
    for finding in examine(config, _way(config), environ):
        findings.append(finding)
        if not as_json:
            _show(screen, finding)
    counts = {level: sum(one.level is level for one in findings) for level in Level}
    if as_json:
        rows = [
            {"check": f.check, "level": str(f.level), "found": f.found, "advice": f.advice} for f in findings
        ]
        printing.put_json({"ok": not counts[Level.PROBLEM], "findings": rows})
    else:
        _sum_up(screen, counts[Level.PROBLEM], counts[Level.WARNING])
    if counts[Level.PROBLEM]:
        sys.exit(1)


def _way(config: Path | None) -> Callable[[Settings], ApiClient | None]:
    """How the daemon of these settings is asked: like any command does, but never anywhere else."""

    def way(settings: Settings) -> ApiClient | None:
        from whosin.apiclient import ApiClient, ApiError
        from whosin.cli.finding import target
        from whosin.errors import WhosinError

        if settings.api_url is None:
            return None
        elsewhere = {name: value for name, value in os.environ.items() if name.upper() != "WHOSIN_URL"}
        try:
            found = target(config, None, elsewhere)
            return ApiClient(settings.api_url, found.token)
        except (ApiError, WhosinError):
            return ApiClient(settings.api_url)

    return way


def _show(screen: Console, finding: Finding) -> None:
    """The level, what was looked at, what was found; the advice below, behind an arrow."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    narrow = screen.width < 60
    width = min(screen.width, WIDEST) if screen.width != printing.UNBOUNDED else None
    level = str(finding.level)
    if narrow:
        screen.print(Text.assemble((level.ljust(LEVEL), STYLES[level]), "  ", (finding.check, "bold")))
        screen.print(Padding(Text(clean(finding.found)), (0, 0, 0, GAP)))
        if finding.advice:
            screen.print(Padding(Text(f"→ {clean(finding.advice)}", style="cyan"), (0, 0, 0, GAP)))
        return
    table = Table.grid(padding=(0, GAP, 0, 0))
    table.width = width
    table.add_column(width=LEVEL)
    table.add_column(width=NAME)
    table.add_column(ratio=1 if width else None, overflow="fold")
    told = Text(clean(finding.found), style="" if finding.advice else "dim")
    table.add_row(Text(level, style=STYLES[level]), Text(finding.check, style="bold"), told)
    if finding.advice:
        table.add_row("", "", Text(f"→ {clean(finding.advice)}", style="cyan"))
    with screen.capture() as shown:
        screen.print(table)
    for line in shown.get().splitlines():  # without what fills the columns up
        click.echo(line.rstrip())


def _sum_up(screen: Console, problems: int, warnings: int) -> None:
    from rich.text import Text

    parts = [
        Text(count(number, word), style=STYLES[word])
        for number, word in ((problems, "problem"), (warnings, "warning"))
        if number
    ]
    screen.print()
    screen.print(Text(", ").join(parts) + "." if parts else Text("All is well.", style="green"))
