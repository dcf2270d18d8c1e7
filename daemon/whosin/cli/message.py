"""`whosin message`: a text for users to read, now."""

from __future__ import annotations

import click

from whosin.cli.asking import Talk, talks
from whosin.cli.words import count, some

EPILOG = """\b
Examples:
  whosin message --site vienna "Please save your work, the server restarts."
  whosin message --company main --user anna "Please close order SO-1001."
  whosin message --session 0b9c2f7e --session 5d11a04c "Please log out."
"""


@click.command("message", epilog=EPILOG)
@click.argument("text")
@click.option("--site", help="To everybody of this site.")
@click.option("--company", help="To everybody in this company.")
@click.option("--user", help="To this user, wherever logged in.")
@click.option("--session", "sessions", metavar="ID", multiple=True, help="To this session; repeat for more.")
@talks
def command(
    talk: Talk, *, text: str, site: str | None, company: str | None, user: str | None,
    sessions: tuple[str, ...],
) -> None:  # fmt: skip
    """Send TEXT to users, for them to read now.

    What is given of site, company, user and sessions has to hold together. Only active sessions are
    reached. Exit code 1 when nobody was.
    """
    if not (site or company or user or sessions):
        raise click.UsageError("Say to whom: --site, --company, --user or --session.")
    body = {"text": text, "site": site, "company": company, "user": user, "sessions": list(sessions) or None}
    sent = talk.api.post("messages", body)
    lines = [
        f"{count(sent['reached'], 'session')} reached"
        + (f": {some(sent['users'], 5)}." if sent["users"] else ".")
    ]
    if sent["not_reached"]:
        lines.append(f"{count(sent['not_reached'], 'fallen session')} cannot read it.")
    if sent["unknown"]:
        lines.append(f"Not known: {some(sent['unknown'], 5)}.")
    talk.result(sent, *lines)
    if not sent["reached"]:
        raise SystemExit(1)
