"""Guidance and follow-ups for operators (rule 16): implements `operations.Followups`.

Owns that a follow-up is ticked off once, whoever asks how often. Must not know files, SQL or HTTP.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from whosin import wire
from whosin.engine.engine import Engine
from whosin.errors import Refused
from whosin.model import Event
from whosin.operations import Caller, Json, Page
from whosin.ports import FollowupQuery, FollowupRow
from whosin.rules.guidance import CRITICAL, Guidance, Rule

TICKED = 1_000  # remembered


class Followups:
    """`settled` waits until what is decided is durable, or the store fails."""

    def __init__(self, engine: Engine, settled: Callable[[], Awaitable[int]]) -> None:
        self._engine = engine
        self._settled = settled
        self._ticked: dict[int, FollowupRow] = {}  # lately: what was read of them may be older
        self.source = "off"

    # --- rules ----------------------------------------------------------------------------------------

    def put_in_force(self, guidance: Guidance, source: str, actor: str | None) -> bool:
        """From now on these rules count. False if they are as they were; else it is in the history, but for
        those of the start (`actor` None)."""
        roll = self._engine.roll
        old, self.source = {rule.id: rule for rule in roll.guidance.rules}, source
        if roll.guidance.rules == guidance.rules:
            return False
        roll.set_guidance(guidance)
        if actor is not None:
            new = {rule.id: rule for rule in guidance.rules}
            data = {
                "source": source, "rules": len(new),
                "added": sorted(new.keys() - old.keys()), "removed": sorted(old.keys() - new.keys()),
                "changed": sorted(it for it in new.keys() & old.keys() if new[it] != old[it]),
            }  # fmt: skip
            now = self._engine.clock.now_ms()
            roll.out.events.append(Event("guidance.changed", now, None, None, None, None, data, actor))
        return True

    def rules(self, caller: Caller) -> Json:  # noqa: ARG002 - they are the same for every site
        return {"source": self.source, "items": [_rule(it) for it in self._engine.roll.guidance.rules]}

    # --- follow-ups -----------------------------------------------------------------------------------

    def counts(self, caller: Caller) -> Json:
        mine = [
            (severity, count)
            for (site, severity), count in self._engine.followups.items()
            if caller.site in (None, site)
        ]
        return {
            "open": sum(count for _, count in mine),
            "critical": sum(count for severity, count in mine if severity == CRITICAL),
        }

    async def find(self, query: FollowupQuery, caller: Caller) -> Page:
        if caller.site is not None:
            if query.site not in (None, caller.site):
                return Page([], None, 0)
            query = replace(query, site=caller.site)
        await self._settled()
        rows = await self._engine.store.followups(query)
        total = await self._engine.store.count_followups(query)
        more = str(rows[-1].id) if len(rows) == query.limit else None
        return Page([_item(row) for row in rows], more, total)

    async def tick_off(self, ident: int, note: str | None, caller: Caller) -> Json:
        engine = self._engine
        if (trouble := engine.committer.trouble) is not None:
            raise trouble
        await self._settled()
        row = await engine.store.followup(ident)
        row = self._ticked.get(ident, row)
        if row is None or caller.site not in (None, row.site):
            raise Refused("not_found", f"there is no follow-up {ident}")
        if not row.done:
            now = engine.clock.now_ms()
            row = row._replace(done=engine.rows.wall(now), done_by=caller.name, note=note)
            self._ticked[ident] = engine.committer.open.changes.followups[ident] = row
            engine.followups[row.site, row.severity] -= 1
            self._note_done(row, now)
            if len(self._ticked) > TICKED:
                del self._ticked[next(iter(self._ticked))]
        await engine.durable()
        return _item(row)

    def _note_done(self, row: FollowupRow, now: int) -> None:
        data = {
            "followup": row.id, "resource": row.resource, "rule": row.rule, "severity": row.severity,
            "text": row.text, "client": row.client, "machine": row.machine,
        }  # fmt: skip
        self._engine.roll.out.events.append(
            Event(
                "followup.done",
                now,
                row.site,
                row.company,
                row.session,
                row.user,
                data,
                row.done_by,
                row.note,
            )
        )


def _rule(it: Rule) -> Json:
    match = {"resource": list(it.resource), "activity": list(it.activity), "client": list(it.client)}
    return {"id": it.id, "severity": it.severity, "before": it.before, "after": it.after, "match": match}


def _item(row: FollowupRow) -> Json:
    return {
        "id": row.id, "status": "done" if row.done else "open", "created": wire.rfc3339(row.opened),
        "site": row.site, "company": row.company, "session": row.session, "user": row.user,
        "client": row.client, "machine": row.machine, "resource": row.resource, "rule": row.rule,
        "severity": row.severity, "text": row.text, "done": wire.rfc3339(row.done) if row.done else None,
        "done_by": row.done_by, "note": row.note,
    }  # fmt: skip
