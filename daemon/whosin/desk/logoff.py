"""Logging off one or many (rule 15): what a removal frees, keeps, leaves behind and leaves to do.

Owns the result of each id, also of a dry run. Must not know HTTP, or how a removal is done.
"""

from __future__ import annotations

from typing import Any

from whosin import wire
from whosin.engine.engine import Engine
from whosin.model import Followup, Lock, Session, Status
from whosin.operations import Caller, Json
from whosin.rules.guidance import Advice
from whosin.rules.locks import blocked_by


class LogOff:
    """Bound to one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def logoff(
        self, ids: list[str], caller: Caller, *, force: bool, reason: str | None, dry_run: bool
    ) -> list[Json]:
        """As in `operations.Operations`."""
        engine = self._engine
        engine.settle()
        over = await self._over(ids)  # first, so that the rest is done at one moment, or none of it
        now = engine.settle()
        results: list[Json] = []
        for ident in ids:
            session = engine.live(ident)
            if session is None or caller.site not in (None, session.site):
                results.append(self._not_live(ident, over.get(ident), caller))
            elif session.status is Status.ACTIVE and not force:
                results.append(_result(ident, "needs_force", self._would_go(session, now)))
            elif dry_run:
                results.append(_result(ident, "would_remove", self._would_go(session, now)))
            else:
                results.append(_result(ident, "removed", self._go(session, now, caller, reason)))
        await engine.durable()
        return results

    async def _over(self, ids: list[str]) -> dict[str, str]:
        """The sites of those that are stored, of which nothing is known here."""
        engine = self._engine
        unknown = [it for it in ids if engine.live(it) is None and it not in engine.roll.tombs]
        rows = await engine.store.find_ended(unknown) if unknown else {}
        return {ident: row.site for ident, row in rows.items()}

    def _not_live(self, ident: str, site: str | None, caller: Caller) -> Json:
        tomb = self._engine.roll.tombs.get(ident)
        site = tomb.site if tomb is not None else site
        known = site is not None and caller.site in (None, site)
        return _result(ident, "already_over" if known else "not_found", {})

    def _go(self, session: Session, now: int, caller: Caller, reason: str | None) -> Json:
        roll = self._engine.roll
        gone = self._would_go(session, now)
        before = len(roll.out.followups)
        roll.remove(session, now, actor=caller.name, cause="operator", reason=reason)
        return {**gone, "followups": [_opened(left) for left in roll.out.followups[before:]]}

    def _would_go(self, session: Session, now: int) -> Json:
        """What the removal of this session frees, keeps for a while, leaves behind and leaves to do."""
        hold_until = session.seen_ms + self._engine.roll.policy.lock_delay_ms
        locks = list((session.locks or {}).values())
        sticky = [lock for lock in locks if lock.sticky]
        others = [lock for lock in locks if not lock.sticky]
        held = others if hold_until > now else []
        release_at = wire.rfc3339(self._engine.rows.wall(hold_until))
        advice = self._engine.roll.guidance.of_session(session)
        return {
            "released": [lock.resource for lock in others if lock not in held],
            "held": [{"resource": lock.resource, "release_at": release_at} for lock in held],
            "sticky": [lock.resource for lock in sticky],
            "freed": [item for lock in others for item in _freed(lock)],
            "guidance": [_advised(one) for one in advice],
            "followups": [_to_come(one) for one in advice if one.rule.after is not None],
        }


def _result(ident: str, result: str, gone: Json) -> Json:
    empty: dict[str, list[Any]] = {
        "released": [], "held": [], "sticky": [], "freed": [], "guidance": [], "followups": [],
    }  # fmt: skip
    return {"id": ident, "result": result, **empty, **gone}


def _freed(lock: Lock) -> list[Json]:
    return [
        {
            "session": it.session.id,
            "user": it.session.user,
            "machine": it.session.machine,
            "resource": it.resource,
        }
        for it in blocked_by(lock)
    ]


def _advised(one: Advice) -> Json:
    rule = one.rule
    return {
        "id": rule.id, "severity": rule.severity, "before": rule.before, "after": rule.after,
        "resource": one.resource,
    }  # fmt: skip


def _to_come(one: Advice) -> Json:
    rule = one.rule
    return {
        "id": None, "rule": rule.id, "severity": rule.severity, "resource": one.resource, "text": rule.after,
    }  # fmt: skip


def _opened(left: Followup) -> Json:
    return {
        "id": left.id, "rule": left.rule, "severity": left.severity, "resource": left.resource,
        "text": left.text,
    }  # fmt: skip
