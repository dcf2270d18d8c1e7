"""Messages to users (rule 17): implements `operations.Messages`. Owns who is reached; must not know HTTP.

Only who is active can read: a session that fell silent is counted as not reached.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from whosin.engine.engine import Engine
from whosin.errors import Refused
from whosin.model import Event, Session, Status
from whosin.operations import Caller, Json

LONGEST_TEXT = 1_000
AT_ONCE = 30  # orders of one caller within AT_ONCE_MS
AT_ONCE_MS = 60_000
NAMED = 100  # in one event


@dataclass(frozen=True, slots=True)
class To:
    """Whom: all that is given has to hold, and something has to be given."""

    site: str | None = None
    company: str | None = None
    user: str | None = None
    sessions: tuple[str, ...] | None = None


class Messages:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sent: dict[str, deque[int]] = {}

    async def send(
        self, text: str, caller: Caller, *, site: str | None = None, company: str | None = None,
        user: str | None = None, sessions: list[str] | None = None,
    ) -> Json:  # fmt: skip
        engine = self._engine
        if (trouble := engine.committer.trouble) is not None:
            raise trouble
        if site is None and company is None and user is None and not sessions:
            raise Refused("nobody", "say to whom: a site, a company, a user or sessions")
        text = checked(text)
        now = engine.settle()
        self._pace(caller.name, now)
        to = To(site, company, user, tuple(sessions) if sessions else None)
        found = self._found(to, caller)
        reached = deliver(engine, found, text, caller.name, now)
        data = {
            "text": text, "to_user": user, "to_sessions": (sessions or [])[:NAMED],
            "reached": len(reached), "not_reached": len(found) - len(reached),
        }  # fmt: skip
        place = site or caller.site or _only({it.company.site for it in found})
        engine.roll.out.events.append(
            Event("message.sent", now, place, company if place else None, None, user, data, caller.name)
        )
        await engine.durable()
        return {
            "reached": len(reached), "not_reached": len(found) - len(reached),
            "users": sorted({it.user for it in reached})[:NAMED],
            "unknown": [it for it in sessions or [] if it not in {one.id for one in found}],
        }  # fmt: skip

    def _found(self, to: To, caller: Caller) -> list[Session]:
        live = self._engine.live
        chosen: Iterable[Session] = (
            self._engine.roll.sessions.values()
            if to.sessions is None
            else [it for ident in dict.fromkeys(to.sessions) if (it := live(ident)) is not None]
        )
        wanted = None if to.user is None else to.user.casefold()
        return [
            it
            for it in chosen
            if caller.site in (None, it.company.site)
            and to.site in (None, it.company.site)
            and to.company in (None, it.company.name)
            and (wanted is None or it.user.casefold() == wanted)
        ]

    def _pace(self, name: str, now: int) -> None:
        sent = self._sent.setdefault(name, deque())
        while sent and sent[0] <= now - AT_ONCE_MS:
            sent.popleft()
        if len(sent) >= AT_ONCE:
            raise Refused("too_many", f"{AT_ONCE} messages were sent within a minute; wait a little")
        sent.append(now)


def deliver(engine: Engine, sessions: Iterable[Session], text: str, sender: str, now: int) -> list[Session]:
    """Put the message on its way to those who are active; who they are."""
    reached = [it for it in sessions if it.status is Status.ACTIVE]
    for session in reached:
        engine.roll.out.answer(session, "message", {"text": text, "from": sender, "at_ms": now})
    return reached


def checked(text: str) -> str:
    """Raises Refused `bad_text`."""
    text = text.strip()
    if not 0 < len(text) <= LONGEST_TEXT or any(not it.isprintable() and it != "\n" for it in text):
        raise Refused("bad_text", f"a text has 1 to {LONGEST_TEXT} printable characters")
    return text


def _only(sites: set[str]) -> str | None:
    return next(iter(sites)) if len(sites) == 1 else None
