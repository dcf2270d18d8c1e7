"""`whosin restore`: a backup in the place of the database, while the daemon is stopped.

Owns the question and the words; what is done to files is the store's.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from whosin.cli import printing
from whosin.cli.asking import config_option, declined

if TYPE_CHECKING:
    from whosin.store.restoring import Copy, Restored

EPILOG = """\b
Examples:
  whosin restore /var/backups/whosin.db --dry-run   is it whole, what is in it
  whosin restore /var/backups/whosin.db             shows that, asks, does it
  whosin restore FILE --config /etc/whosin/whosin.toml --yes

The daemon has to be stopped. On another machine: install Whosin, copy the settings and the backup there,
restore, start. Nobody is taken for silent for the time in between.
"""


@click.command("restore", epilog=EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only check FILE, and show what would happen.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--database", type=click.Path(path_type=Path), help="What to replace, if not by the settings.")
@config_option
def command(
    *, file: Path, dry_run: bool, yes: bool, as_json: bool, database: Path | None, config: Path | None
) -> None:
    """Put the backup FILE in the place of the database.

    FILE is checked first, and copied. The database that was there is renamed, never deleted.
    """
    from whosin.cli.finding import settings_of
    from whosin.store import restoring

    if not (yes or dry_run or printing.can_ask()):
        raise click.UsageError(
            "there is no terminal to ask on: add --yes to do it, or --dry-run to look first"
        )
    database = database.absolute() if database is not None else settings_of(config, os.environ).database
    if dry_run or not yes:
        found = restoring.examine(file)
        _show(found, database, as_json=as_json and dry_run, stderr=not dry_run)
        if dry_run:
            return
        if not click.confirm("Restore it?", err=True):
            declined()
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H.%M.%SZ")
    _tell(restoring.restore(file, database, stamp), as_json=as_json)


def _show(found: Copy, database: Path, *, as_json: bool, stderr: bool) -> None:
    from whosin.cli import copies

    if as_json:
        printing.put_json({**copies.in_json(found), "database": str(database), "restored": False})
        return
    for line in copies.sentences(found):
        click.echo(line, err=stderr)
    there = "which is renamed and kept" if database.exists() else "where there is none yet"
    click.echo(f"It would become {database}, {there}.", err=stderr)


def _tell(done: Restored, *, as_json: bool) -> None:
    from whosin.cli import copies

    if as_json:
        where = {"database": str(done.database), "set_aside": str(done.aside) if done.aside else None}
        printing.put_json({**copies.in_json(done.copy), **where, "restored": True})
        return
    for line in copies.sentences(done.copy):
        click.echo(line)
    click.echo(f"It is now {done.database}; start the daemon.")
    if done.aside is not None:
        click.echo(f"What was there before is kept: {done.aside}. Delete it once you do not need it.")
