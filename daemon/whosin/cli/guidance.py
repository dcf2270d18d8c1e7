"""`whosin guidance`: which rule a lock gets, and the rules themselves.

`test` and `default` read the settings' file and ask no daemon; `list` tells what is in force in the daemon.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from whosin.cli.asking import Talk, config_option, talks
from whosin.cli.groups import ListingGroup
from whosin.cli.words import clean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from whosin.cli.table import Column
    from whosin.rules.guidance import Guidance, Rule

Json = dict[str, Any]

EPILOG = """\b
Examples:
  whosin guidance test sales-order/SO-1001    which rule it gets, and why
  whosin guidance test --activity "posting payroll" --client web
  whosin guidance default > guidance.toml     a set to begin with
  whosin guidance list                        what is in force now
"""


@click.group("guidance", cls=ListingGroup, usual="list", epilog=EPILOG)
def command() -> None:
    """What to do before and after a login is removed, by what it holds."""


@command.command("list")
@talks
def list_rules(talk: Talk) -> None:
    """List the rules in force, in the order in which they are tried."""
    rows = talk.pages("guidance", None, {})
    talk.listing(rows, _columns, "There are no rules: [guidance] file is off, or empty.")


def _columns(_rows: Sequence[Json]) -> Sequence[Column]:
    from whosin.cli.table import Column

    return [
        Column("RULE", lambda rule: rule["id"], least=14),
        Column("SEVERITY", _severity, least=8, style="bold red"),
        Column("MATCHES", _matches, least=20),
        Column("BEFORE", lambda rule: rule["before"], drop=2, least=20),
        Column("AFTER", lambda rule: rule["after"], drop=1, least=20),
    ]


def _severity(rule: Json) -> str:
    return "" if rule["severity"] == "normal" else str(rule["severity"])


def _matches(rule: Json) -> str:
    parts = [
        (f"{name} " if name != "resource" else "") + ", ".join(globs)
        for name, globs in rule["match"].items()
        if globs
    ]
    return "; ".join(parts) or "who names it"


@command.command("test")
@click.argument("resource", required=False)
@click.option("--activity", metavar="TEXT", help="What the user is doing, as its client told.")
@click.option("--client", default="desktop", metavar="TYPE", help="The client type.")
@click.option("--guidance", "named", metavar="ID", help="The rule that the client names in its lock.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@config_option
def test(
    *, resource: str | None, activity: str | None, client: str, named: str | None, as_json: bool,
    config: Path | None,
) -> None:  # fmt: skip
    """Show which rule a lock on RESOURCE would get, and why; without RESOURCE: a login that holds nothing.

    The rules are those of the settings' file, which the daemon may not have read yet. Exit code 1 when no
    rule applies.
    """
    from whosin.cli.finding import settings_of
    from whosin.rules.guidance import Guidance
    from whosin.settings.guidance import rules_of

    if resource is None and activity is None and named is None:
        raise click.UsageError("Give a RESOURCE, an --activity, or both.")
    found = rules_of(settings_of(config, os.environ))
    guidance = Guidance(found.rules)
    rule = guidance.rule_for(resource, activity, client, named)
    passed = list(guidance.explain(resource, activity, client))
    why = _why(guidance, rule, passed, named)
    if as_json:
        from whosin.cli.printing import put_json

        told = None if rule is None else _as_json(rule)
        tried = [{"id": one.id, "differs": wrong or None} for one, wrong in passed]
        put_json({"rule": told, "why": why, "tried": tried, "source": found.source})
    else:
        _say(rule, why, found.source)
    if rule is None:
        raise SystemExit(1)


def _why(guidance: Guidance, rule: Rule | None, passed: list[tuple[Rule, str]], named: str | None) -> str:
    if rule is not None and rule.id == named:
        return f"the client names it: guidance = {named}"
    unknown = f"there is no rule {named}; " if named is not None else ""
    if rule is None:
        count = len(guidance.rules)
        return f"{unknown}none of the {count} rules matches" if count else f"{unknown}there are no rules"
    before = len(passed) - 1
    first = "it is the first that matches" if not before else f"the {before} before it do not match"
    asked = [
        f"{name} {' or '.join(globs)}"
        for name, globs in (("resource", rule.resource), ("activity", rule.activity), ("client", rule.client))
        if globs
    ]
    return f"{unknown}it asks for {', '.join(asked)}; {first}"


def _say(rule: Rule | None, why: str, source: str) -> None:
    if rule is None:
        click.echo(f"No rule ({source}): {clean(why)}.")
        return
    click.echo(f"{rule.id}, {rule.severity} ({source})")
    click.echo(f"  because {clean(why)}")
    for name, text in (("before", rule.before), ("after", rule.after)):
        if text is not None:
            for number, line in enumerate(text.splitlines()):
                click.echo(f"  {name if not number else '':6}  {clean(line.strip())}")


def _as_json(rule: Rule) -> Json:
    match = {"resource": list(rule.resource), "activity": list(rule.activity), "client": list(rule.client)}
    return {
        "id": rule.id, "severity": rule.severity, "before": rule.before, "after": rule.after, "match": match,
    }  # fmt: skip


@command.command("default")
def default() -> None:
    """Print the set that ships, to begin a file of one's own with."""
    from whosin.settings.guidance import shipped

    click.echo(shipped(), nl=False)
