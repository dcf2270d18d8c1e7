"""How the results of logging off read: a row for each id, and sentences for what it means for people.

Owns the picture only; nothing is asked or ordered from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from whosin.cli.looks import HURTS, person, state
from whosin.cli.table import Column
from whosin.cli.words import clean, count, local, now, short_ids, some

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json = dict[str, Any]

STYLES = {
    "removed": "green",
    "would_remove": "green",
    "already_over": "dim",
    "needs_force": "yellow",
    "not_found": HURTS,
}


def columns(results: Sequence[Json], known: Mapping[str, Json]) -> list[Column]:
    length = short_ids([str(result["id"]) for result in results])

    def of(result: Json, tell: Any) -> str:
        item = known.get(result["id"])
        return str(tell(item)) if item else ""

    return [
        Column(
            "RESULT",
            lambda r: r["result"].replace("_", " "),
            least=12,
            style=lambda r: STYLES.get(r["result"], ""),
        ),
        Column("WHO", lambda r: of(r, person), least=16),
        Column("COMPANY", lambda r: of(r, lambda item: item["company"]), drop=4, least=12),
        Column("WAS", lambda r: of(r, state), drop=5, least=12),
        Column("RELEASES", lambda r: some(r["released"], 2), drop=1, least=20),
        Column("FREES", lambda r: some([one["user"] for one in r["freed"]]), drop=2, least=14, style="bold"),
        Column("ID", lambda r: r["id"][:length], least=8),
    ]


def summary(results: Sequence[Json]) -> list[Text]:
    """What it comes to, what stays, and what people have to see to."""
    return [*_counted(results), *_staying(results), *_duties(results), *_not_done(results)]


def _counted(results: Sequence[Json]) -> list[Text]:
    lines = []
    for result, words in (("would_remove", "would be logged off"), ("removed", "logged off")):
        done = [r for r in results if r["result"] == result]
        if done:
            locks = sum(len(r["released"]) for r in done)
            freed = [str(one["user"]) for r in done for one in r["freed"]]
            told = f"{count(len(done), 'session')} {words} and {count(locks, 'lock')} released"
            if freed:
                people = len(set(freed))
                told += f", {count(people, 'person', 'people')} can go on: {some(freed, 5)}"
            lines.append(Text(clean(f"{told}."), style="bold"))
    return lines


def _staying(results: Sequence[Json]) -> list[Text]:
    held = [lock for r in results for lock in r["held"]]
    sticky = [resource for r in results for resource in r["sticky"]]
    lines = []
    if held:
        last = max(str(lock["release_at"]) for lock in held)
        names = some([lock["resource"] for lock in held])
        lines.append(
            Text(
                clean(
                    f"Held on until {local(last, now())}, since the holder was alive a moment ago: {names}."
                )
            )
        )
    if sticky:
        lines.append(Text(clean(f"Left behind (see `whosin locks free`): {some(sticky)}."), style="magenta"))
    return lines


def _duties(results: Sequence[Json]) -> list[Text]:
    """What guidance asks for; a removal that was done has only what is left to do."""
    before: dict[tuple[str, str], list[str]] = {}
    after: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result["result"] != "removed":
            for rule in result["guidance"]:
                if rule["before"]:
                    _gather(before, rule["severity"], rule["before"], rule["resource"])
        for item in result["followups"]:
            number = f"{item['id']}: " if item["id"] else ""
            _gather(after, item["severity"], item["text"], number + (item["resource"] or "the login"))
    return [*_asked("Before", before), *_asked("Afterwards", after)]


def _gather(into: dict[tuple[str, str], list[str]], severity: str, text: str, what: str | None) -> None:
    into.setdefault((severity, text), []).append(what or "the login")


def _asked(heading: str, texts: Mapping[tuple[str, str], list[str]]) -> list[Text]:
    """Each text once, with what it is about; the critical ones first."""
    return [
        Text(clean(f"{heading} ({some(what)}): {text}"), style=HURTS if severity == "critical" else "yellow")
        for (severity, text), what in sorted(texts.items(), key=lambda one: one[0][0] != "critical")
    ]


def _not_done(results: Sequence[Json]) -> list[Text]:
    active = sum(r["result"] == "needs_force" for r in results)
    unknown = sum(r["result"] == "not_found" for r in results)
    lines = []
    if active:
        verb = "is" if active == 1 else "are"
        lines.append(
            Text(f"{count(active, 'session')} {verb} active: --force logs off those too.", style="yellow")
        )
    if unknown:
        verb = "is" if unknown == 1 else "are"
        lines.append(Text(f"{count(unknown, 'id')} {verb} not known.", style="yellow"))
    return lines
