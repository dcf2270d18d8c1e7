"""`whosin locks`: who holds what and whom that blocks; `whosin locks free`: free what was left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from whosin.cli import printing
from whosin.cli.asking import Talk, declined, narrowing, talks
from whosin.cli.groups import ListingGroup
from whosin.cli.words import now
from whosin.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whosin.cli.table import Column

Json = dict[str, Any]

EPILOG = """\b
Examples:
  whosin locks --company main
  whosin locks --resource sales-order/SO-1001    who has that order
  whosin locks free menu-editor --company main
"""


@click.group("locks", cls=ListingGroup, usual="list", epilog=EPILOG)
def command() -> None:
    """Who holds what, and whom that blocks."""


@command.command("list")
@narrowing("site", "company")
@click.option("--resource", metavar="PATH", help="Only locks of this resource.")
@click.option("--limit", type=click.IntRange(1), metavar="N", default=200, help="How many at most.")
@click.option("--all", "every", is_flag=True, help="All of them, however many.")
@talks
def list_locks(talk: Talk, *, limit: int, every: bool, **filters: str | None) -> None:
    """List the locks of this moment."""
    rows = talk.pages("locks", None if every else limit, filters)
    nothing = "No such lock is held." if any(filters.values()) else "Nothing is locked."
    talk.listing(rows, _columns, nothing)


def _columns(_rows: Sequence[Json]) -> Sequence[Column]:
    from whosin.cli.looks import lock_columns

    return lock_columns(now())


@command.command("free")
@click.argument("resource")
@narrowing("site", "company")
@click.option("--reason", metavar="TEXT", help="Why; kept in the history.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@talks
def free(
    talk: Talk, *, resource: str, site: str | None, company: str | None, reason: str | None, yes: bool
) -> None:
    """Free a lock whose session is over (a sticky one, such as a menu editor's).

    A lock that somebody holds goes with its session: see `whosin logoff`. Site and company need not be named
    where only one lock can be meant.
    """
    if not (yes or printing.can_ask()):
        raise click.UsageError("there is no terminal to ask on: add --yes to do it")
    if not (yes and site and company):
        lock = _the_lock(talk, resource, site, company)
        site, company = lock["site"], lock["company"]
        if not yes and not click.confirm(_question(lock), err=True):
            declined()
    done = talk.api.post(
        "locks/free", {"site": site, "company": company, "resource": resource, "reason": reason}
    )
    talk.result(
        done,
        f"{resource} in {company}, site {site}, is free." if done["released"] else "It was free already.",
    )


def _the_lock(talk: Talk, resource: str, site: str | None, company: str | None) -> Json:
    """The one that can be meant: left behind ones first."""
    found = talk.pages("locks", None, {"resource": resource, "site": site, "company": company}).items
    found = [lock for lock in found if lock["resource"] == resource]
    left = [lock for lock in found if lock["left_behind"]] or found
    if not left:
        raise Refused(
            "not_found", f"There is no lock of {resource} here. `whosin locks` lists what there is."
        )
    if len(left) > 1:
        places = ", ".join(f"{lock['company']} (site {lock['site']})" for lock in left)
        raise Refused(
            "ambiguous", f"{resource} is locked in several places: {places}. Add --site and --company."
        )
    return left[0]


def _question(lock: Json) -> str:
    from whosin.cli.looks import people
    from whosin.cli.words import age, clean

    blocks = f", blocking {people(lock['blocks'])}" if lock["blocks"] else ""
    of = f"{lock['user']}, for {age(lock['since'], now())}{blocks}"
    return clean(f"Free {lock['resource']} in {lock['company']}, site {lock['site']} (of {of})?")
