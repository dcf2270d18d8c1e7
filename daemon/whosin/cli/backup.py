"""`whosin backup`: a copy of everything the daemon keeps, made by the daemon while it runs."""

from __future__ import annotations

from pathlib import Path

import click

from whosin.cli.asking import Talk, talks
from whosin.cli.words import size


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@talks
def command(talk: Talk, *, file: Path) -> None:
    """Copy all data into FILE, while the daemon runs.

    The daemon writes FILE, on its own machine; a file that exists is never overwritten. To restore, stop the
    daemon and put the copy in the place of its database.
    """
    done = talk.api.post("backup", {"path": str(file.absolute())})
    talk.result(done, f"Wrote {done['path']} ({size(done['bytes'])}).")
