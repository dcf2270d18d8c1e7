"""A site's day made with the client library: people and programs that log in through the morning, work,
wait for each other, idle, crash, lose the network, forget to log out, and go home.

    from whosin.simulate import Options, run
    summary = await run(Options(clients=50, speed=60, minutes=5, seed=7))

Knows the wire only through `whosin.client`, and nothing of the daemon's inside.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final

from whosin.simulate.options import Options, Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whosin.simulate.day import Day

__all__ = ["Options", "Summary", "main", "run", "spawn"]

EXIT_FAILED: Final = 1
EXIT_NOT_REACHABLE: Final = 3
LOGOUTS_S: Final = 4.0  # after Ctrl+C


async def run(options: Options) -> Summary:
    """Play the day: for `options.minutes`, or until cancelled. Cancelling leaves without logging out."""
    from whosin.simulate.day import Day  # noqa: PLC0415 - the client library is imported when it is used

    return await Day(options).run()


def spawn(options: Options, *, more: Sequence[str] = (), stdout: int | IO[bytes] | None = None) -> Any:
    """The same in a process of its own (`subprocess.Popen[bytes]`), which ends when its stdin is closed:
    with whoever started it, however that ends. A password goes by WHOSIN_SIMULATE_PASSWORD."""
    order = [sys.executable, "-m", "whosin.simulate", *options.arguments(), "--with-stdin", *more]
    return subprocess.Popen(order, stdin=subprocess.PIPE, stdout=stdout)  # noqa: S603 - our own command


def main(*, as_json: bool = False, quiet: bool = False, **given: Any) -> int:
    """The command: plays, shows, ends with a summary; returns the exit code.

    `given` are the fields of `Options`, None for those not given. `as_json` prints the summary as one
    line of JSON on stdout, everything else then goes to stderr; `quiet` shows nothing but the summary.
    Ctrl+C and SIGTERM send everybody home. 0: done; 1: a simulated client failed; 3: nobody ever got in.
    """
    options = Options.of(**given)
    _like_ctrl_c()
    out = sys.stderr if as_json else sys.stdout
    summary = asyncio.run(_play(options, None if quiet else out))
    for line in summary.lines():
        out.write(f"{line}\n")
    if as_json:
        sys.stdout.write(f"{json.dumps(summary.as_dict())}\n")
    if not summary.logins and summary.unanswered:
        return EXIT_NOT_REACHABLE
    return EXIT_FAILED if summary.defects else 0


async def _play(options: Options, out: Any) -> Summary:
    from whosin.simulate.day import Day  # noqa: PLC0415
    from whosin.simulate.show import watch  # noqa: PLC0415

    day = Day(options)
    running = asyncio.create_task(day.run())
    watching = None if out is None else asyncio.create_task(watch(day, out))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:  # Ctrl+C
        return await _send_home(day, running)
    finally:
        if watching is not None:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


async def _send_home(day: Day, running: asyncio.Task[Summary]) -> Summary:
    """Log out all who can in a few seconds; the others are dropped."""
    await day.close(LOGOUTS_S)
    running.cancel()
    await asyncio.wait([running])
    return day.summary


def _like_ctrl_c() -> None:
    """A service manager's SIGTERM is as good as Ctrl+C, and both work for a job that a script put into the
    background, which is started with SIGINT ignored."""

    def interrupt(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, interrupt)
