"""A command with subcommands that, asked for nothing special, lists what there is. Owns that habit only."""

from __future__ import annotations

from typing import Any

import click


class ListingGroup(click.Group):
    """`whosin locks --company main` means `whosin locks list --company main`: the subcommand named `usual`
    runs when no other is named, and the group's help shows its options too."""

    def __init__(self, *args: Any, usual: str, **more: Any) -> None:
        super().__init__(*args, **more)
        self.usual = usual

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else "-"
        if first.startswith("-") and first not in ctx.help_option_names:
            args = [self.usual, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)  # as they were added, not by alphabet

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        usual = self.commands[self.usual]
        inner = click.Context(usual, info_name=self.usual, parent=ctx)
        rows = [row for param in usual.get_params(inner) if (row := param.get_help_record(inner)) is not None]
        with formatter.section(f"Options of {self.usual}, which is meant when no command is named"):
            formatter.write_dl(rows)
        self.format_commands(ctx, formatter)
