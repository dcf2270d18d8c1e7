"""`whosin top`: the daemon's day, live. Owns the screen and the keys while it runs."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from whosin.cli.asking import daemon_options, reachable
from whosin.cli.words import now

if TYPE_CHECKING:
    from pathlib import Path

    from whosin.cli.finding import Target

REFRESH_S = 1.0


@click.command("top")
@daemon_options
def command(*, config: Path | None, url: str | None) -> None:
    """Watch it live: who fell out, whom they block, what happens.

    q or Ctrl+C leaves. While the daemon restarts, top waits for it. Where stdout is no terminal, one
    picture is printed.
    """
    from whosin.cli.finding import target

    found = target(config, url, os.environ)
    with reachable(found) as api:
        if sys.stdout.isatty():
            api.get("stats")  # what is wrong now is said before the screen is taken
            _live(found)
        else:
            _once(found)


def _once(found: Target) -> None:
    from whosin.cli.printing import console
    from whosin.cli.top_view import frame
    from whosin.cli.top_watch import Watch

    watch = Watch(found)
    watch.look()
    watch.look_back()
    screen = console()
    screen.width = min(screen.width, 160)
    screen.print(frame(watch.seen(), now(), screen.width, None))


def _live(found: Target) -> None:
    from rich.console import Console
    from rich.live import Live

    from whosin.cli.top_keys import Keys
    from whosin.cli.top_view import frame
    from whosin.cli.top_watch import Watch

    watch = Watch(found)
    screen = Console(highlight=False, markup=False, emoji=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the terminal is put back on the way out
    watch.start()
    try:
        with Keys() as keys, Live(console=screen, screen=True, auto_refresh=False) as live:
            while watch.refused is None:
                live.update(
                    frame(watch.seen(), now(), screen.width, screen.height, keys="q quits"), refresh=True
                )
                if keys.wait(REFRESH_S) in ("q", "Q", "\x1b", "\x03"):
                    break
    except KeyboardInterrupt:
        pass
    finally:
        watch.stop.set()
    if watch.refused is not None:
        raise watch.refused
