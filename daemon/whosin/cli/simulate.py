"""`whosin simulate`: clients that log in, beat, lock and crash. Owns the arguments; a site's day is the
simulation's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

EPILOG = """\b
Examples:
  whosin simulate                          20 clients at this machine's door
  whosin simulate --speed 60 --minutes 8   eight hours' work in eight minutes
  whosin simulate --clients 500 --sites 3 --crash 0.2
  whosin simulate --url mqtt://broker:1883 --minutes 10 --json > summary.json

\b
Only the users' day is compressed by --speed: heartbeats and the daemon's
timeouts stay real seconds. Where sign-in is on, --username names a gateway's
account, and WHOSIN_SIMULATE_PASSWORD has its password.
"""


Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def _share(name: str, default: float, text: str) -> Decorator:
    return click.option(name, type=click.FloatRange(0, 1), metavar="SHARE", default=default, help=text)


def _more_than_0(name: str, default: float | None, metavar: str, text: str) -> Decorator:
    kind = click.FloatRange(0, min_open=True)
    return click.option(name, type=kind, metavar=metavar, default=default, help=text)


@click.command("simulate", epilog=EPILOG)
@click.option("--clients", type=click.IntRange(1), metavar="N", default=20, help="How many there are.")
@click.option("--companies", type=click.IntRange(1), metavar="N", default=3, help="How many in each site.")
@click.option("--sites", type=click.IntRange(1), metavar="N", default=1, help="How many sites.")
@_more_than_0("--speed", 1.0, "X", "The users live so many times faster.")
@_more_than_0("--minutes", None, "M", "Go home after so many real minutes; else at Ctrl+C.")
@_more_than_0("--morning", 5.0, "M", "All arrive within so many of the users' minutes.")
@_share("--web", 0.3, "Clients that come through the portal.")
@_share("--api", 0.1, "Clients that are programs; the others use the desktop.")
@_share("--crash", 0.1, "Logins that end by a crash.")
@_share("--forget", 0.05, "Logins whose user goes away without logging out.")
@_share("--outage", 0.1, "Desktop logins that lose the network for a while.")
@click.option("--seed", type=int, metavar="N", help="The same seed gives the same people and intentions.")
@click.option("--url", default="mqtt://127.0.0.1:1883", metavar="URL", help="The door, or the broker.")
@click.option("--username", metavar="NAME", help="To sign in with.")
@click.option("--password", envvar="WHOSIN_SIMULATE_PASSWORD", hidden=True)
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON; the rest goes to stderr.")
@click.option("--quiet", is_flag=True, help="Show the summary only.")
@click.option("--with-stdin", is_flag=True, hidden=True, help="End when stdin ends.")
def command(*, with_stdin: bool, **options: Any) -> None:
    """Let clients in that log in, beat, lock, wait and crash."""
    from whosin import simulate

    if with_stdin:
        _end_with_stdin()
    try:
        code = simulate.main(**options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    sys.exit(code)


def _end_with_stdin() -> None:
    """Whoever started us holds the other end: when it is gone, so are we."""
    import _thread
    import threading

    def watch() -> None:
        sys.stdin.buffer.read()
        _thread.interrupt_main()

    threading.Thread(target=watch, daemon=True).start()
