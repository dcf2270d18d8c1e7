"""`whosin check-config`: what the settings come to, or all that is wrong with them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from whosin.cli.asking import config_option

if TYPE_CHECKING:
    from pathlib import Path

    from whosin.settings import Effective


@click.command("check-config")
@config_option
@click.option("--changed", is_flag=True, help="Only what differs from the defaults.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(*, config: Path | None, changed: bool, as_json: bool) -> None:
    """Check the settings and the guidance file, and show each value with its origin.

    Nothing is started and no daemon is asked. Exit code 2, with every problem on stderr, when the settings
    cannot be used.
    """
    from whosin.cli.finding import settings_of
    from whosin.settings.guidance import rules_of

    settings = settings_of(config, os.environ)
    rules_of(settings)
    values = [value for value in settings.describe() if not changed or value.origin != "default"]
    for warning in settings.warnings():
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        from whosin.cli.printing import put_json

        put_json([value._asdict() for value in values])
    elif values:
        _table(values)
    else:
        click.echo("All settings have their default values.")


def _table(values: list[Effective]) -> None:
    from whosin.cli.printing import put_table
    from whosin.cli.table import Column

    columns = [
        Column("KEY", lambda value: value.key, least=24),
        Column("VALUE", lambda value: _shown(value.value), least=12),
        Column(
            "ORIGIN",
            lambda value: value.origin,
            least=8,
            style=lambda v: "dim" if v.origin == "default" else "cyan",
        ),
    ]
    put_table(columns, values)


def _shown(value: Any) -> str:
    """As it would stand in the file; what is not set is shown as a dash."""
    if value is None:
        return "-"
    return json.dumps(value, ensure_ascii=False)
