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

    from whosin.ports.supervisor import Supervisor
    from whosin.settings import Address, Settings

SPEED = 20  # a first look should not take a morning

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
        code = app.main(settings, config, _supervisor())
    sys.exit(code)


def _supervisor() -> Supervisor | None:
    """systemd, where it started us; Windows' service manager has a command of its own."""
    if sys.platform == "win32":
        return None
    from whosin.service import systemd

    return systemd.from_environment(os.environ)


@contextlib.contextmanager
def _clients(number: int, settings: Settings) -> Iterator[None]:
    """Simulated clients in a process of their own. It ends when its stdin does: with us, however we end."""
    if not number:
        yield
        return
    if settings.mqtt.listen is None or settings.mqtt.listen_tls_cert or settings.sign_in:
        raise click.UsageError(
            "--simulate needs a door (mqtt.listen) without TLS and sign-in; see `whosin simulate`"
        )
    from whosin.simulate import Options, spawn

    day = Options(url=_near(settings.mqtt.listen), clients=number, speed=SPEED)
    with spawn(day, more=["--quiet"], stdout=subprocess.DEVNULL) as clients:
        try:
            yield
        finally:
            clients.kill()  # there is nobody left to say goodbye to


def _near(listen: Address) -> str:
    """How this machine reaches what listens there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)  # noqa: S104 - compared only
    return f"mqtt://{listen._replace(host=host)}"
