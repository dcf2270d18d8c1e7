"""`whosin backup`: a copy of everything the daemon keeps, made while it runs; or a look at one."""

from __future__ import annotations

import os
from pathlib import Path

import click

from whosin.cli.asking import Talk, daemon_options, reachable
from whosin.cli.words import size

EPILOG = """\b
Examples:
  whosin backup /var/backups/whosin.db            while it runs
  whosin backup --verify /var/backups/whosin.db   is it whole, what is in it
  whosin restore /var/backups/whosin.db           put it back

The daemon writes FILE, on its own machine and as its own user; a file that exists is never overwritten.
"""


@click.command("backup", epilog=EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Make none: check FILE, a backup made before.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@daemon_options
def command(*, file: Path, verify: bool, as_json: bool, config: Path | None, url: str | None) -> None:
    """Copy all data into FILE, while the daemon runs.

    Each copy is read through and checked before it gets its name.
    """
    from whosin.cli.finding import target

    if verify:
        _verify(file, as_json=as_json)
        return
    with reachable(target(config, url, os.environ)) as api:
        done = api.post("backup", {"path": str(file.absolute())})
        Talk(api, json=as_json).result(done, f"Wrote {done['path']} ({size(done['bytes'])}), and checked it.")


def _verify(file: Path, *, as_json: bool) -> None:
    from whosin.cli import copies
    from whosin.cli.printing import put_json
    from whosin.store.restoring import examine

    found = examine(file)
    if as_json:
        put_json(copies.in_json(found))
    else:
        for line in copies.sentences(found):
            click.echo(line)
