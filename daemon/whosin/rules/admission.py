"""Who may log in, and what a login is told (rules 4, 12 and 13). Asks and words; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from whosin.messages import Login
from whosin.model import Account, Answer, ClientType, Company, Event, Limits, Session, Status

Person = tuple[Company, str, str, str, str]
Refusal = tuple[str, str]  # a code for programs, and why


@dataclass(frozen=True, slots=True)
class Sender:
    """Where a message claims to come from, and through which source it came."""

    source: str
    site: str
    company: str
    session: str
    account: Account | None = None
    line: int = 0  # the connection, where they are told apart

    def answer(self, kind: str, payload: dict[str, Any]) -> Answer:
        return Answer(self.source, self.site, self.company, self.session, kind, payload)


def speaks_for(account: Account | None, session: Session) -> bool:
    """An account of one user may not beat, lock or leave for somebody else's session."""
    return account is None or account.user is None or account.user == session.user


def forbidden(sender: Sender, message: Login) -> Refusal | None:
    """An account logs in its own site and, if it is of one user, that user alone."""
    account = sender.account
    if account is None:
        return None
    if account.site != sender.site:
        return "forbidden", f"the account {account.name} is of another site"
    if account.user is not None and account.user != message.user:
        return "forbidden", f"the account {account.name} is of another user"
    return None


def over_limit(limits: Limits, sessions: int, companies: int, *, new_company: bool) -> Refusal | None:
    """With so many sessions and companies on the roll already."""
    if sessions >= limits.sessions:
        return "limit", f"the daemon tracks {limits.sessions} sessions at most (limits.sessions)"
    if new_company and companies >= limits.companies:
        return "limit", f"the daemon knows {limits.companies} companies at most (limits.companies)"
    return None


def same_identity(session: Session, message: Login) -> bool:
    """Then a repeated login is harmless."""
    found = message.user, message.client, message.machine
    return (session.user, session.client, session.machine) == found


def person(session: Session) -> Person | None:
    """Who sits where, if that is known: the same person's newer session replaces an older one."""
    if session.machine is None or session.os_session is None:
        return None
    return session.company, session.user, session.machine, session.os_session, session.client


@lru_cache(maxsize=64)
def accepted(status: Status, kind: ClientType) -> dict[str, Any]:
    """The answer to a login, with what the client must know. One for all alike: to be read only."""
    return {
        "accepted": True,
        "status": status.value,
        "heartbeat_every_s": _seconds(kind.heartbeat_every_ms),
        "timeout_s": _seconds(kind.timeout_ms),
    }


def refused(sender: Sender, message: Login, at_ms: int, refusal: Refusal) -> Event:
    """The event of a refused login."""
    code, why = refusal
    data = {"code": code, "client": message.client, "machine": message.machine}
    return Event(
        "session.refused", at_ms, sender.site, sender.company, sender.session, message.user, data, None, why
    )


def _seconds(ms: int) -> float:
    """Whole seconds stay whole."""
    return ms // 1000 if ms % 1000 == 0 else ms / 1000
