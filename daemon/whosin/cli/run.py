"""`whosin run`: the daemon in the foreground, if wished with simulated clients beside it.

Owns the arguments and the simulated clients' process; everything else is `whosin.app`'s.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from whosin.cli.asking import config_option

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whosin.settings import Settings

STOP_WITHIN_S = 5

EPILOG = """\b
Examples:
  whosin run                  door on 127.0.0.1:1883, page on 127.0.0.1:8787
  whosin run --simulate 20    with 20 clients at work, to look around
  whosin run --config /etc/whosin/whosin.toml
  WHOSIN_LOG__LEVEL=debug whosin run

Every setting is also an environment variable: WHOSIN_SECTION__KEY. `whosin check-config` shows what is in
force. SIGHUP or `whosin reload` reads the settings again; SIGTERM and Ctrl+C stop cleanly.
"""


@click.command("run", epilog=EPILOG)
@config_option
@click.option(
    "--simulate", type=click.IntRange(0, 10_000), default=0, metavar="N", help="Let N simulated clients in."
)
def command(*, config: Path | None, simulate: int) -> None:
    """Run the daemon in the foreground."""
    from whosin.settings import load

    settings = load(config, os.environ)
    from whosin import app

    with _clients(simulate, settings):
        code = app.main(settings, config)
    sys.exit(code)


@contextlib.contextmanager
def _clients(number: int, settings: Settings) -> Iterator[None]:
    """Simulated clients in a process of their own. It ends when its stdin does: with us, however we end."""
    if not number:
        yield
        return
    if settings.mqtt.listen is None or settings.sign_in:
        raise click.UsageError(
            "--simulate needs the door (mqtt.listen) with sign-in off; else use `whosin simulate`"
        )
    where = f"mqtt://{settings.mqtt.listen}"
    order = [
        sys.executable,
        "-m",
        "whosin",
        "simulate",
        "--clients",
        str(number),
        "--url",
        where,
        "--with-stdin",
    ]
    with subprocess.Popen(  # noqa: S603 - our own command
        order, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as clients:
        try:
            yield
        finally:
            clients.terminate()
            try:
                clients.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                clients.kill()
