"""`whosin logoff`: end sessions and free what they hold, after showing what that means.

Knows the API's dry run and its results, one per id. Never acts unasked: on a terminal it shows and asks,
elsewhere it wants --yes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from whosin.apiclient import ApiRefused, part
from whosin.cli import printing
from whosin.cli.asking import Talk, declined, talks
from whosin.cli.naming import beginning_with
from whosin.cli.words import count

if TYPE_CHECKING:
    from collections.abc import Sequence

Json = dict[str, Any]
FINE = {"removed", "already_over", "would_remove"}
AT_ONCE = 500  # ids in one question
TO_NAME = 50  # sessions that are looked up to say whose they are

EPILOG = """\b
Examples:
  whosin logoff 0b9c2f7e --dry-run     what would be freed, and for whom
  whosin logoff 0b9c2f7e 5d11a04c      shows the same, asks, and does it
  whosin logoff ID --force --yes --reason "asked by phone"
  whosin sessions --status disconnected --company main --json |
    jq -r '.[].id' | xargs whosin logoff --yes

On a terminal an id may be shortened as in `whosin sessions`; with --yes it has to be whole.
Exit code 1 when any of them is still in: active without --force, or not known.
"""


@click.command("logoff", epilog=EPILOG)
@click.argument("idents", metavar="ID...", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Also those that are active.")
@click.option("--reason", metavar="TEXT", help="Why; kept in the history.")
@click.option("--dry-run", is_flag=True, help="Only show what would happen.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@talks
def command(
    talk: Talk, *, idents: tuple[str, ...], force: bool, reason: str | None, dry_run: bool, yes: bool
) -> None:
    """Log sessions off, and free what they hold."""
    if not (yes or dry_run or printing.can_ask()):
        raise click.UsageError(
            "there is no terminal to ask on: add --yes to do it, or --dry-run to look first"
        )
    order = {"force": force, "reason": reason}
    ids = list(dict.fromkeys(idents))
    if yes and not dry_run:
        _tell(talk, _send(talk, ids, order, dry_run=False), {})
        return
    plan = _send(talk, ids, order, dry_run=True)
    ids, plan = _complete(talk, ids, plan, order)
    known = _known(talk, ids)
    if dry_run:
        _tell(talk, plan, known)
        return
    _show(plan, known, stderr=True)
    going = [result["id"] for result in plan if result["result"] == "would_remove"]
    if not going:
        sys.exit(0 if _all_fine(plan) else 1)
    if not click.confirm(f"Log off {count(len(going), 'session')}?", err=True):
        declined()
    _tell(talk, _send(talk, ids, order, dry_run=False), known)


def _send(talk: Talk, ids: Sequence[str], order: Json, *, dry_run: bool) -> list[Json]:
    results: list[Json] = []
    for start in range(0, len(ids), AT_ONCE):
        part = {"ids": list(ids[start : start + AT_ONCE]), **order, "dry_run": dry_run}
        results += talk.api.post("sessions/logoff", part)["results"]
    return results


def _complete(talk: Talk, ids: list[str], plan: list[Json], order: Json) -> tuple[list[str], list[Json]]:
    """Shortened ids by the whole ones they can only be, and the plan for those."""
    whole = {}
    for result in plan:
        if result["result"] == "not_found":
            candidates = beginning_with(talk, result["id"])
            if len(candidates) == 1:
                whole[result["id"]] = str(candidates[0]["id"])
    if not whole:
        return ids, plan
    ids = list(dict.fromkeys(whole.get(ident, ident) for ident in ids))
    return ids, _send(talk, ids, order, dry_run=True)


def _known(talk: Talk, ids: Sequence[str]) -> dict[str, Json]:
    """Whose sessions these are; nothing when they are too many to ask for one by one."""
    known: dict[str, Json] = {}
    for ident in ids if len(ids) <= TO_NAME else ():
        try:
            known[ident] = talk.api.get(f"sessions/{part(ident)}")
        except ApiRefused:
            continue
    return known


def _all_fine(results: Sequence[Json]) -> bool:
    return all(result["result"] in FINE for result in results)


def _tell(talk: Talk, results: list[Json], known: dict[str, Json]) -> None:
    if talk.json:
        printing.put_json(results)
    else:
        _show(results, known)
    if not _all_fine(results):
        sys.exit(1)


def _show(results: list[Json], known: dict[str, Json], *, stderr: bool = False) -> None:
    from whosin.cli.logoff_view import columns, summary
    from whosin.cli.table import lay_out

    screen = printing.console(stderr=stderr)
    screen.print(lay_out(columns(results, known), results, printing.room(screen)))
    for line in summary(results):
        screen.print(line)
