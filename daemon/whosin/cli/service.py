"""`whosin service`: Whosin as a service of this machine. What a service is here, `whosin.service` knows."""

from __future__ import annotations

import os
import re
import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from whosin.cli.asking import declined
from whosin.cli.words import age, clean, now

if TYPE_CHECKING:
    from collections.abc import Callable

    from whosin.service.manager import Manager, State

EPILOG = """\b
Examples:
  sudo whosin service install             as a user of its own, at boot
  sudo whosin service install --dry-run   what would be registered
  whosin service status                   does it run, and since when
  sudo whosin service uninstall           data and settings are kept

On Windows without sudo, in a terminal of an administrator.
After an upgrade, or to let it reach other machines: install it again.
"""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_STYLES = {"running": "green", "starting": "yellow", "stopping": "yellow", "failed": "red"}


def _named(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r}; expected 1 to 32 letters, digits, _ or -, a letter first")
    return value


def managed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The command gets the service's manager first."""

    @wraps(function)
    def with_manager(*, name: str, **rest: Any) -> Any:
        from whosin.service import manager

        return function(manager(name), **rest)

    return click.option(
        "--name",
        default="whosin",
        metavar="NAME",
        callback=_named,
        help="Where there are several on one machine.",
    )(with_manager)


@click.group("service", epilog=EPILOG)
def command() -> None:
    """Install, start and stop Whosin as a service of this machine."""


@command.command("install")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="Its settings file.")
@click.option("--user", help="The account that it runs as, if not one of its own.")
@click.option("--no-start", is_flag=True, help="Register it only.")
@click.option("--dry-run", is_flag=True, help="Show what would be registered, and change nothing.")
@managed
def install(
    manager: Manager, *, config: Path | None, user: str | None, no_start: bool, dry_run: bool
) -> None:
    """Register it with the system and start it.

    Again, it renews what is registered and restarts it. Where there are no settings yet, a file with every
    default is put in place.
    """
    from whosin.service.manager import Wish

    wish = Wish(config, user, start=not no_start)
    if dry_run:
        click.echo(manager.preview(wish), nl=False)
        return
    for line in manager.install(wish):
        click.echo(clean(line))


@command.command("start")
@managed
def start(manager: Manager) -> None:
    """Start it and wait until it sees and stores."""
    _tell(manager.start(), "running")


@command.command("stop")
@managed
def stop(manager: Manager) -> None:
    """Stop it cleanly."""
    _tell(manager.stop(), "stopped")


@command.command("restart")
@managed
def restart(manager: Manager) -> None:
    """Stop and start it, which logs nobody out."""
    _tell(manager.restart(), "running")


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@managed
def status(manager: Manager, *, as_json: bool) -> None:
    """Whether it is installed and runs, and what it says of itself. Exit code 1 unless it runs."""
    state = manager.status()
    if as_json:
        from whosin.cli.printing import put_json

        put_json(
            {
                **state._asdict(),
                "installed": state.installed,
                "config": str(manager.config),
                "data": str(manager.data),
            }
        )
        sys.exit(0 if state.phase == "running" else 1)
    if state.installed:
        at_boot = "starts with the system" if state.at_boot else "does not start with the system"
        click.echo(f"{_phase(state)}; {at_boot}; settings {manager.config}, data {manager.data}.")
    _tell(state, "running", brief=state.installed)


@command.command("uninstall")
@click.option(
    "--purge", is_flag=True, help="Remove its data and settings, too: the history is gone for good."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@managed
def uninstall(manager: Manager, *, purge: bool, yes: bool) -> None:
    """Stop it and take it out of the system. Its data and settings are kept."""
    if purge and not yes and not click.confirm(f"Remove all data in {manager.data} for good?"):
        declined()
    for line in manager.uninstall(purge=purge):
        click.echo(clean(line))


@command.command("run", hidden=True)
@click.option("--name", default="whosin", callback=_named)
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), required=True)
def run(*, name: str, config: Path) -> None:
    """What Windows' service manager starts."""
    if sys.platform != "win32":
        raise click.UsageError("Windows' service manager starts this; here, it is `whosin run`.")
    from whosin.service.windows import api, program

    def daemon(*about: Any) -> int:
        """Imported when the manager already knows us: it does not wait for long."""
        from whosin import app

        return app.main(*about)

    program.host(api.real(), name, config, daemon, os.environ)


def _phase(state: State) -> str:
    words = f"{state.phase} for {age(state.since, now())}" if state.since else state.phase
    if state.pid:
        words += f", process {state.pid}"
    if state.restarts:
        words += f", restarted {state.restarts} x by the system"
    return click.style(words, fg=_STYLES.get(state.phase))


def _tell(state: State, wanted: str, *, brief: bool = False) -> None:
    """How it is; exit code 1 unless that is as wanted."""
    if not state.installed:
        click.echo("Not installed: `whosin service install` does that.")
    elif not brief:
        click.echo(f"{_phase(state)}.")
    if state.text:
        click.echo(clean(state.text))
    if state.phase != wanted:
        sys.exit(1)
