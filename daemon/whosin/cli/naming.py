"""Which session is meant: a whole id, or so much of one that it can only be that session.

Owns shortened ids; a whole id always wins, and what could be two sessions is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whosin.apiclient import ApiRefused, part
from whosin.errors import Refused

if TYPE_CHECKING:
    from whosin.cli.asking import Talk

Json = dict[str, Any]
ALL = "active,disconnected,logged_off,removed"
LEAST = 4  # characters of an id that may stand for it
MANY = 5  # candidates worth naming


def the_session(talk: Talk, ident: str) -> Json:
    """The session with this id, or the only one whose id begins so. Refused `not_found`, `ambiguous`."""
    try:
        found: Json = talk.api.get(f"sessions/{part(ident)}")
    except ApiRefused as refused:
        if refused.status != 404:
            raise
    else:
        return found
    candidates = beginning_with(talk, ident, ALL)
    if not candidates:
        raise Refused(
            "not_found", f"No session {ident} is known. Ended ones are kept as long as the history."
        )
    if len(candidates) > 1:
        shown = ", ".join(str(item["id"]) for item in candidates[:MANY])
        raise Refused(
            "ambiguous",
            f"{ident} could be {len(candidates)} sessions: {shown}{'…' if len(candidates) > MANY else ''}",
        )
    return candidates[0]


def beginning_with(talk: Talk, start: str, statuses: str = "active,disconnected") -> list[Json]:
    """Sessions whose ids begin so."""
    if len(start) < LEAST:
        return []
    items = talk.pages("sessions", None, {"status": statuses, "q": start}).items
    return [item for item in items if str(item["id"]).startswith(start)]
