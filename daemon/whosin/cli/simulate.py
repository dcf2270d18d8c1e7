"""`whosin simulate`: clients that log in, beat, lock and crash. Owns the arguments; a site's day is the
simulation's.
"""

from __future__ import annotations

import sys

import click

EPILOG = """\b
Examples:
  whosin simulate                            20 clients at the door of this machine
  whosin simulate --clients 500 --sites 3 --crash 0.2
  whosin simulate --url mqtt://broker:1883 --minutes 10
"""


@click.command("simulate", epilog=EPILOG)
@click.option("--clients", type=click.IntRange(1), metavar="N", default=20, help="How many are in at once.")
@click.option("--companies", type=click.IntRange(1), metavar="N", default=3, help="How many in each site.")
@click.option("--sites", type=click.IntRange(1), metavar="N", default=1, help="How many sites.")
@click.option(
    "--speed", type=click.FloatRange(0, min_open=True), metavar="X", default=1.0, help="So many times faster."
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="M",
    help="Stop after so long; else at Ctrl+C.",
)
@click.option(
    "--crash", type=click.FloatRange(0, 1), metavar="SHARE", default=0.1, help="How many end by a crash."
)
@click.option("--seed", type=int, metavar="N", help="The same seed gives the same day.")
@click.option("--url", default="mqtt://127.0.0.1:1883", metavar="URL", help="The door, or the broker.")
@click.option("--with-stdin", is_flag=True, hidden=True, help="End when stdin ends.")
def command(*, with_stdin: bool, **options: object) -> None:
    """Let simulated clients in: they log in, beat, lock, wait and crash."""
    from whosin import simulate

    if with_stdin:
        _end_with_stdin()
    sys.exit(simulate.main(**options))


def _end_with_stdin() -> None:
    """Whoever started us holds the other end: when it is gone, so are we."""
    import _thread
    import threading

    def watch() -> None:
        sys.stdin.buffer.read()
        _thread.interrupt_main()

    threading.Thread(target=watch, daemon=True).start()
