"""Drives a Roll in the order the engine does, and keeps what came out of it.

Moments are milliseconds after START, so that tests read like stopwatches.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from whosin.messages import BARE_HEARTBEAT, Heartbeat, LockRequest, Login, Logout, Lost, Message, Unlock
from whosin.model import Account, ClientType, Company, Lock, Policy, Session, Status
from whosin.rules.locks import book_of
from whosin.rules.roll import Roll, Sender

START = 1_700_000_000_000
DOOR, LINK = "door", "link"

DEFAULTS = Policy(
    types={
        "desktop": ClientType("desktop"),
        "web": ClientType("web", timeout_ms=1_200_000, heartbeat_every_ms=240_000, lost_grace_ms=300_000),
        "default": ClientType("default"),
    }
)


class Happened(NamedTuple):
    """An event as tests compare it."""

    type: str
    at: int
    session: str | None
    data: dict[str, Any]
    reason: str | None
    actor: str | None


class Told(NamedTuple):
    """An answer as tests compare it."""

    session: str
    kind: str
    payload: dict[str, Any]


class Driver:
    """One Roll, its sources sighted from the first moment on."""

    def __init__(self, policy: Policy = DEFAULTS, *, sources: tuple[str, ...] = (DOOR,)) -> None:
        self.roll = Roll(policy)
        self.events: list[Happened] = []
        self.answers: list[Told] = []
        for source in sources:
            self.roll.watch(source, START).sight.begin(START)

    # --- the engine's order ---------------------------------------------------------------------------

    def hear(
        self,
        at: int,
        ident: str,
        message: Message,
        *,
        source: str = DOOR,
        site: str = "s",
        company: str = "A",
        account: Account | None = None,
    ) -> None:
        """A message received: it proves its source, time comes first, then the message itself."""
        now = START + at
        self.roll.watches[source].sight.proof(now)
        self.roll.expire(now)
        known = self.roll.sessions.get(ident)
        if (
            message is BARE_HEARTBEAT
            and known is not None
            and (known.company.site, known.company.name) == (site, company)
        ):
            self.roll.beat(known, now, source)
        else:
            self.roll.receive(Sender(source, site, company, ident, account), message, now)
        self.roll.tick(now)
        self._collect()

    def sweep(self, at: int, *, limit: int = 1 << 30) -> None:
        """Time passes; nothing is proven."""
        while self.roll.expire(START + at, limit) >= limit:
            pass
        self.roll.tick(START + at)
        self._collect()

    def prove(self, at: int, source: str = DOOR) -> None:
        self.roll.watches[source].sight.proof(START + at)

    def pass_to(self, at: int) -> None:
        """Time passes, everything being seen."""
        for name in self.roll.watches:
            self.prove(at, name)
        self.sweep(at)

    def blind(self, source: str = DOOR) -> None:
        self.roll.watches[source].sight.blind_now()

    def doubt(self, source: str = DOOR) -> None:
        self.roll.watches[source].sight.doubt()

    def regain(self, at: int, source: str = DOOR) -> None:
        self.roll.watches[source].sight.regain(START + at)

    def stall(self, at: int, source: str = DOOR, *, graced: bool = True) -> None:
        self.roll.watches[source].sight.stall(START + at, graced=graced)

    def remove(self, at: int, ident: str, *, cause: str = "operator", actor: str = "olga") -> list[Lock]:
        now = START + at
        self.roll.expire(now)
        session = self.roll.sessions.get(ident)
        released = (
            [] if session is None else self.roll.remove(session, now, actor=actor, cause=cause, reason=None)
        )
        self.roll.tick(now)
        self._collect()
        return released

    def _collect(self) -> None:
        out = self.roll.out
        self.events += [
            Happened(e.type, e.at_ms - START, e.session, e.data, e.reason, e.actor) for e in out.events
        ]
        self.answers += [Told(a.session, a.kind, a.payload) for a in out.answers]
        out.events.clear()
        out.answers.clear()

    # --- words for tests ------------------------------------------------------------------------------

    def login(self, at: int, ident: str, user: str = "anna", client: str = "desktop", **more: Any) -> None:
        where = {k: more.pop(k) for k in ("source", "site", "company", "account") if k in more}
        self.hear(at, ident, Login(user, client, **more), **where)

    def beat(self, at: int, ident: str, *, source: str = DOOR, company: str = "A", **fields: Any) -> None:
        self.hear(
            at, ident, Heartbeat(**fields) if fields else BARE_HEARTBEAT, source=source, company=company
        )

    def logout(self, at: int, ident: str, *, source: str = DOOR, **where: str) -> None:
        self.hear(at, ident, Logout(), source=source, **where)

    def lost(self, at: int, ident: str, conn: int | None = None, *, source: str = DOOR) -> None:
        self.hear(at, ident, Lost(conn), source=source)

    def lock(
        self, at: int, ident: str, resource: str, *, source: str = DOOR, company: str = "A", **more: Any
    ) -> dict:
        """Ask for a lock; the last answer to this session."""
        if more.pop("shared", False):
            more["mode"] = "shared"
        site = more.pop("site", "s")
        self.hear(at, ident, LockRequest(resource, **more), source=source, site=site, company=company)
        return self.told(ident, "lock")[-1]

    def unlock(self, at: int, ident: str, resource: str, token: int | None = None) -> bool:
        self.hear(at, ident, Unlock(resource, token))
        return self.told(ident, "unlock")[-1]["released"]

    def session(self, ident: str) -> Session:
        return self.roll.sessions[ident]

    def status(self, ident: str) -> Status:
        live = self.roll.sessions.get(ident)
        return live.status if live is not None else self.roll.tombs[ident].status

    def deadline(self, ident: str) -> int:
        return self.roll.deadline(self.session(ident)) - START

    def company(self, name: str = "A", site: str = "s") -> Company:
        return self.roll.companies[site, name]

    def held(self, company: str = "A") -> list[Lock]:
        return list(book_of(self.company(company)).held.everything())

    def told(self, ident: str, kind: str) -> list[dict[str, Any]]:
        return [answer.payload for answer in self.answers if (answer.session, answer.kind) == (ident, kind)]

    def types(self, ident: str | None = None, prefix: str = "session.") -> list[str]:
        return [
            event.type
            for event in self.events
            if event.type.startswith(prefix) and (ident is None or event.session == ident)
        ]

    def happened(self, kind: str, ident: str | None = None) -> list[Happened]:
        return [
            event for event in self.events if event.type == kind and (ident is None or event.session == ident)
        ]


def crowd(policy: Policy = DEFAULTS) -> Driver:
    """Five people, all logged in."""
    d = Driver(policy)
    for user in ("anna", "ben", "cleo", "dora", "emil"):
        d.login(0, user, user=user, machine=f"PC of {user}")
    return d
