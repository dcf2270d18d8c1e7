"""How a simulated day looks while it goes on: a progress bar on a terminal, plain lines elsewhere.

Owns the looks. Reads the day's counters, changes nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from whosin.simulate.day import Day

EVERY_S: Final = 0.5
LINE_EVERY_S: Final = 10.0


def heading(day: Day) -> list[str]:
    """What is played, and what is not compressed."""
    options = day.options
    lines = [
        (
            f"{options.clients} clients, {options.companies} companies in each of {options.sites} sites, "
            f"at {_bare(options.url)} (seed {options.seed})"
        )
    ]
    if options.speed != 1:
        lines.append(
            f"The users live {options.speed:g} times faster: their minute takes {60 / options.speed:.3g} s. "
            "Heartbeats and the daemon's timeouts stay real seconds: after a crash, 300 s without a sign of "
            f"life are {5 * options.speed:g} of the users' minutes."
        )
    if options.minutes is None:
        lines.append("Ctrl+C sends everybody home.")
    return lines


def status(day: Day) -> str:
    now, tally = day.now(), day.summary
    return (
        f"{now['in']} in, {now['waiting']} waiting, {now['idle']} idle, {now['offline']} offline | "
        f"{tally.logins} logins, {len(tally.crashed)} crashed, {now['beats']} beats | "
        f"{tally.locks} locks, {tally.lock_refusals.total()} refused"
    )


async def watch(day: Day, out: TextIO) -> None:
    """Until cancelled."""
    from rich.console import Console  # noqa: PLC0415 - only who shows pays for it

    console = Console(file=out, highlight=False)
    for line in heading(day):
        console.print(line, markup=False, soft_wrap=True)
    if console.is_terminal:
        await _bar(day, console)
    else:
        while True:
            await asyncio.sleep(LINE_EVERY_S)
            out.write(f"{status(day)}\n")
            out.flush()


async def _bar(day: Day, console: Console) -> None:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    minutes = day.options.minutes
    loop = asyncio.get_running_loop()
    began = loop.time()
    with Progress(
        SpinnerColumn(),
        TimeElapsedColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False),
        console=console,
        refresh_per_second=4,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=None if minutes is None else minutes * 60)
        while True:
            progress.update(task, description=status(day), completed=loop.time() - began)
            await asyncio.sleep(EVERY_S)


def _bare(url: str) -> str:
    """Without the password somebody may have put into it."""
    before, at, after = url.rpartition("@")
    return f"{before.split('//')[0]}//{after}" if at else url
