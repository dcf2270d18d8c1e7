"""What the rules bring forth: events, answers, which objects changed. Owns the collecting, knows no one."""

from __future__ import annotations

from typing import Any

from whosin.model import Answer, Company, Event, Followup, Lock, Session, Want


class Outcome:
    """Filled by the rules, emptied by the engine. Objects are named, not copied: it takes their rows."""

    __slots__ = (
        "answers", "companies", "entered", "events", "followups", "gone", "holds", "locks", "sessions",
        "wants",
    )  # fmt: skip

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.answers: list[Answer] = []
        self.sessions: dict[int, Session] = {}  # their status, or what goes with it, is another
        self.entered: dict[int, Session] = {}  # new, or they told more of themselves
        self.locks: dict[Lock, None] = {}
        self.wants: dict[Want, bool] = {}  # False: forgotten
        self.companies: dict[Company, None] = {}
        self.gone: dict[tuple[str, str], None] = {}  # companies that are no more
        self.followups: list[Followup] = []
        self.holds: dict[tuple[str, str, str], None] = {}

    def happened(
        self,
        kind: str,
        at_ms: int,
        session: Session,
        *,
        actor: str | None = None,
        reason: str | None = None,
        **data: Any,
    ) -> None:
        """An event of a session; who and where come from it."""
        company = session.company
        fields = {"client": session.client, "machine": session.machine, **data}
        self.events.append(
            Event(kind, at_ms, company.site, company.name, session.id, session.user, fields, actor, reason)
        )
        self.sessions[session.key] = session

    def answer(self, session: Session, kind: str, payload: dict[str, Any]) -> None:
        company = session.company
        self.answers.append(Answer(session.source, company.site, company.name, session.id, kind, payload))
