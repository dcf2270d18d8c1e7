"""`whosin reload`: the daemon reads its settings again."""

from __future__ import annotations

import click

from whosin.cli.asking import Talk, talks


@click.command("reload")
@talks
def command(talk: Talk) -> None:
    """Let the daemon read its settings again."""
    done = talk.api.post("reload")
    lines = []
    if done["changed"]:
        lines.append(f"In force now: {', '.join(done['changed'])}.")
    if done["needs_restart"]:
        lines.append(f"Changed, but only a restart brings it into force: {', '.join(done['needs_restart'])}.")
    talk.result(done, *(lines or ["Nothing has changed."]))
