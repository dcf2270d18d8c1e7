"""The `whosin` command: which commands there are, in which order, and how a failure becomes an exit code.

Each command's module is imported only when it is used, so that short answers stay short. What the
commands do is not known here.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, NoReturn, cast

import click

from whosin import __version__
from whosin.errors import SettingsError, WhosinError

EXIT_FAILED = 1
EXIT_WRONG_USE = 2
WRONG_REQUEST = 400  # the daemon did not understand the question: a wrong value was typed
EXIT_NOT_REACHABLE = 3

# heading -> command -> its module in this package, which names the command `command`
SECTIONS = {
    "Daemon": {
        "run": "run",
        "check-config": "check_config",
        "status": "status",
        "reload": "reload",
        "backup": "backup",
        "service": "service",
        "restore": "restore",
        "doctor": "doctor",
    },
    "Who is in": {
        "sessions": "sessions",
        "show": "show",
        "top": "top",
        "locks": "locks",
        "companies": "companies",
        "history": "history",
        "alerts": "alerts",
    },
    "Clearing up": {
        "logoff": "logoff",
        "followups": "followups",
        "guidance": "guidance",
        "cleanup": "cleanup",
    },
    "Telling users": {"message": "message", "maintenance": "maintenance"},
    "Access": {"operators": "operators", "clients": "clients", "tokens": "tokens"},
    "Trying it out": {"simulate": "simulate"},
}
MODULES = {name: module for section in SECTIONS.values() for name, module in section.items()}

EPILOG = """\b
Examples:
  whosin run                              start it; it says where to click
  whosin run --simulate 20                the same, with 20 clients to look at
  whosin sessions --status disconnected   who fell out, and whom they block
  whosin logoff 0b9c2f7e --dry-run        what would be freed, what to check
  whosin sessions --json                  one JSON document, for programs

Exit codes: 0 done, 1 refused or failed, 2 wrong use or wrong settings,
3 the daemon is not reachable.

The daemon is found by its settings, or at WHOSIN_URL; you are known by
WHOSIN_TOKEN, or by the administrator token in the daemon's data folder.

\b
Completion of commands and options, for bash (zsh and fish likewise):
  eval "$(_WHOSIN_COMPLETE=bash_source whosin)"
"""


class Commands(click.Group):
    """The top group: lists by section, imports late, and gives each failure its exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in MODULES:
            return None
        module = importlib.import_module(f"whosin.cli.{MODULES[cmd_name]}")
        return cast("click.Command", module.command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], MODULES, 1)
            if not near:
                raise
            raise click.UsageError(f"No such command '{args[0]}'. Did you mean '{near[0]}'?", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, names in SECTIONS.items():
            rows = []
            for name in names:
                command = self.get_command(ctx, name)
                if command is not None:
                    rows.append(
                        (name.ljust(max(map(len, MODULES))), command.get_short_help_str(formatter.width))
                    )
            with formatter.section(heading):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WhosinError as error:
            fail(error)


def fail(error: WhosinError) -> NoReturn:
    """Say on stderr what went wrong, and leave with the exit code for it."""
    from whosin.cli.words import clean

    wrong_use = isinstance(error, SettingsError) or getattr(error, "status", None) == WRONG_REQUEST
    code = EXIT_WRONG_USE if wrong_use else getattr(error, "exit_code", EXIT_FAILED)
    for line in str(error).splitlines():
        click.echo(f"whosin: {clean(line)}", err=True)
    sys.exit(code)


@click.group(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
)
@click.version_option(__version__, prog_name="whosin", message="%(prog)s %(version)s")
def main() -> None:
    """Who is in, who fell out, and what they still hold.

    Whosin tracks the logins of a multi-user, multi-company system: it notices who fell silent without
    logging out, shows what they lock and whom they block, and clears it up.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(
                errors="replace"
            )  # a name outside the terminal's alphabet is no reason to fail
