"""What an alert says: what happened, whom it affects, what to do, and where to look (rule 18).

Owns the words, their bounds and their safety: names of strangers are one line of printable text each, and
HTML is escaped. Must not know channels, nor how the facts were found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlencode

from whosin import wire
from whosin.alerts.conditions import Group

Json = dict[str, Any]

SHOWN = 20  # facts told one by one
PEOPLE = 5  # of those who wait for one
NAME = 80
TEXT = 600
LONGEST = 24_000
SUBJECT = 180


@dataclass(frozen=True, slots=True)
class Told:
    """An alert as it is told: moments are wall milliseconds, `facts` what it is about, at most some of
    `total`."""

    id: str
    group: Group
    severity: str
    raised: int
    cleared: int
    total: int
    facts: Sequence[Json]
    phase: str = "raised"  # raised, reminder, cleared, test


@dataclass(frozen=True, slots=True)
class Message:
    """`id` is that of the delivery: the same each time it is tried."""

    id: str
    subject: str
    text: str
    html: str
    payload: Json
    severity: str


def clean(text: object, most: int = NAME) -> str:
    """One line that can steer nothing."""
    line = "".join(mark if mark.isprintable() else " " for mark in str(text))
    return line if len(line) <= most else line[: most - 1] + "…"


def summary(told: Told) -> str:
    """One sentence: what happened, where."""
    total, where, kind = told.total, _where(told.group), told.group.kind
    if kind == "blocking":
        waiting = len(
            {(who["user"], who["machine"]) for fact in told.facts for who in fact.get("blocks", ())}
        )
        return (
            f"{_count(total, 'disconnected login keeps', 'disconnected logins keep')} "
            f"{_count(waiting, 'person', 'people')} waiting{where}"
        )
    if kind == "guidance":
        return f"{_count(total, 'disconnected login needs', 'disconnected logins need')} special care{where}"
    if kind == "mass_silence":
        fallen = sum(fact.get("fallen", 0) for fact in told.facts)
        sessions = f"{fallen} logins" if fallen else "Many logins"
        return f"{sessions} fell silent together{where}"
    if kind == "cleanup":
        return f"The cleanup could not do its work in {_count(total, 'company', 'companies')}{where}"
    if kind == "storage":
        return "Nothing can be stored: the database or its disk is in trouble"
    if kind == "blind":
        sources = (
            " and ".join(sorted({clean(fact.get("source", "")) for fact in told.facts})) or "its sources"
        )
        return f"The daemon does not hear clients through {sources}"
    if kind == "shared_account":
        return f"{_count(total, 'account is', 'accounts are')} used by several people{where}"
    if kind == "seats":
        return f"Seats are running out{where}"
    return f"A test of the channel{where}"


ACTIONS = {
    "blocking": "Find out whether each of them is really gone, follow what is said for it, then log it off. "
    "Others cannot go on before.",
    "guidance": "Follow what is said for each login before it is removed.",
    "mass_silence": "A network, a server or this daemon may be at fault: look there first. Nobody of them is "
    "removed automatically; if they are really gone, confirm the cleanup.",
    "cleanup": "Look at the report of the last pass, mend what it names, and run a pass again.",
    "storage": "Free space, make the folder writable, or close the program that locks the database. Tracking "
    "goes on in memory meanwhile, and it recovers by itself; do not restart the daemon.",
    "blind": "Look at the broker, the network and the daemon's log. While it is blind nobody is taken for "
    "disconnected.",
    "shared_account": "Talk to the owner of the account; lock it if need be.",
    "seats": "Remove logins that nobody uses, or get more seats.",
    "test": "Nothing is to be done: somebody asked for this message.",
}


def compose(told: Told, ident: str, *, page: str, daemon: str) -> Message:
    """The message of one delivery."""
    what, action, link = summary(told), ACTIONS[told.group.kind], _link(told.group, page)
    over = bool(told.cleared)  # also of a message that could not be delivered while it was not
    head = "Over: " if over else "Still: " if told.phase == "reminder" else ""
    lines = [_lines(told.group.kind, fact) for fact in told.facts[:SHOWN]]
    more = (len(told.facts) if told.group.kind == "mass_silence" else told.total) - len(lines)
    marks = [f"{told.severity} · {told.group.kind} · alert {told.id}", f"raised {_moment(told.raised)}"]
    if told.cleared:
        marks.append(f"over {_moment(told.cleared)}")
    marks.append(f"by Whosin {clean(daemon)}")
    subject = clean(f"[Whosin] {head}{what}", SUBJECT)
    text = [f"{head}{what}.", ""]
    text += [line for fact in lines for line in ("- " + fact[0], *("    " + one for one in fact[1:]))]
    text += [f"- and {more:,} more"] if more > 0 and lines else []
    text += [""] if lines else []
    text += [f"See: {link}"] if over else [f"What to do: {action}", f"See: {link}"]
    text += ["", "-- ", " · ".join(marks)]
    html = _html(head + what, lines, more, "" if over else action, link, marks)
    payload = _payload(told, ident, what, action, link, daemon)
    return Message(ident, subject, _bounded("\n".join(text)), html, payload, told.severity)


def _lines(kind: str, fact: Json) -> list[str]:
    """One thing that it is about: a line, and lines that belong to it."""
    if kind in ("blocking", "guidance"):
        return _login(fact)
    if kind == "mass_silence":
        company = clean(fact["company"]) if fact.get("company") else "other companies"
        logins = _count(fact["fallen"], "login", "logins")
        return [f"{company}: {logins} ({clean(fact['client'])}), held back until {_moment(fact['until'])}"]
    if kind == "cleanup":
        return [f"{clean(fact.get('company', ''))}: {clean(fact.get('problem', ''), TEXT)}"]
    if kind == "blind":
        return [f"{clean(fact.get('source', ''))}: nothing is heard since {_moment(fact.get('since', 0))}"]
    since = f" (since {_moment(fact['since'])})" if fact.get("since") else ""
    return [clean(fact.get("problem", ""), TEXT) + since]  # also of kinds that have no words of their own yet


def _login(fact: Json) -> list[str]:
    machine = f" on {clean(fact['machine'])}" if fact.get("machine") else ""
    who = f"{clean(fact['user'])}{machine} ({clean(fact['client'])})"
    lines = [f"{who}, silent since {_moment(fact['since'])}, login {clean(fact['session'])}"]
    for lock in fact.get("locks", ()):
        activity = f" ({clean(lock['activity'])})" if lock.get("activity") else ""
        lines.append(f"holds {clean(lock['resource'])}{activity}")
    waiting = fact.get("blocks", ())
    if waiting:
        people = [
            f"{clean(who['user'])}{' on ' + clean(who['machine']) if who.get('machine') else ''}"
            f" since {_moment(who['since'])}"
            for who in waiting[:PEOPLE]
        ]
        left = fact.get("blocked", len(waiting)) - len(people)
        lines.append(f"keeps waiting: {', '.join(people)}{f' and {left} more' if left > 0 else ''}")
    for advice in fact.get("guidance", ()):
        before = clean(advice["before"], TEXT) if advice.get("before") else "see the guidance"
        critical = "critical, " if advice.get("severity") == "critical" else ""
        lines.append(f"before it is removed ({critical}{clean(advice['id'])}): {before}")
    return lines


def _html(
    what: str, facts: Sequence[Sequence[str]], more: int, action: str, link: str, marks: Sequence[str]
) -> str:
    """Plain HTML that mail programs show alike: no script, no picture, nothing from elsewhere."""
    items = [
        f"<li><b>{escape(fact[0])}</b>{''.join(f'<br>{escape(line)}' for line in fact[1:])}</li>"
        for fact in facts
    ]
    while sum(map(len, items)) > LONGEST:
        items.pop()
        more += 1
    items += [f"<li>and {more:,} more</li>"] if more > 0 and items else []
    todo = f"<p><b>What to do:</b> {escape(action)}</p>" if action else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Whosin</title></head>'
        '<body style="font:15px/1.5 system-ui,sans-serif;color:#1d2733;max-width:46em">'
        f'<h1 style="font-size:19px">{escape(what)}</h1>'
        f"{'<ul>' + ''.join(items) + '</ul>' if items else ''}{todo}"
        f'<p><a href="{escape(link, quote=True)}">See it in Whosin</a></p>'
        f'<p style="color:#5a6673;font-size:13px">{escape(" · ".join(marks))}</p></body></html>'
    )


def _payload(told: Told, ident: str, what: str, action: str, link: str, daemon: str) -> Json:
    """For programs: what a webhook gets."""
    kind, site, company = told.group
    return {
        "type": {"cleared": "alert.cleared", "test": "alert.test"}.get(told.phase, "alert.raised"),
        "delivery": ident, "id": told.id, "phase": told.phase, "kind": kind, "severity": told.severity,
        "site": site, "company": company, "raised": wire.rfc3339(told.raised),
        "cleared": wire.rfc3339(told.cleared) if told.cleared else None, "count": told.total,
        "message": what, "action": action, "link": link, "daemon": daemon,
        "about": [public(fact) for fact in told.facts[:SHOWN]],
    }  # fmt: skip


def public(fact: Json) -> Json:
    """A fact with its moments as the world writes them."""
    found: Json = {}
    for name, value in fact.items():
        if name in ("since", "until") and isinstance(value, int):
            found[name] = wire.rfc3339(value) if value else None
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            found[name] = [public(item) for item in value]
        else:
            found[name] = value
    return found


def _link(group: Group, page: str) -> str:
    place = {"site": group.site, "company": group.company}
    query = urlencode({name: value for name, value in place.items() if value is not None})
    tab = {
        "blocking": "/disconnected", "guidance": "/disconnected", "mass_silence": "/disconnected",
        "cleanup": "/cleanup", "shared_account": "/users", "seats": "/users",
    }.get(group.kind, "/")  # fmt: skip
    return f"{page}{tab}{'?' + query if query and tab != '/cleanup' else ''}"


def _where(group: Group) -> str:
    if group.site is None:
        return ""
    site = clean(group.site)
    return f" in {clean(group.company)} (site {site})" if group.company else f" at site {site}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _moment(wall_ms: int) -> str:
    return wire.rfc3339(wall_ms)[:19].replace("T", " ") + " UTC" if wall_ms else "a time unknown"


def _bounded(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "\n…"
