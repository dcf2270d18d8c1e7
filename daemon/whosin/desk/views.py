"""Sessions, locks and history as JSON for operators. Owns the shape of items; changes nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from whosin import wire
from whosin.engine.rows import Rows
from whosin.model import Lock, Session, Status, Want
from whosin.ports import EventRow, SessionRow
from whosin.rules.guidance import ids
from whosin.rules.locks import blocked_by
from whosin.rules.roll import Roll

Json = dict[str, Any]


class Views:
    """Reads the roll as it is now."""

    def __init__(self, roll: Roll, rows: Rows) -> None:
        self._roll = roll
        self._rows = rows

    def _time(self, at_ms: int) -> str | None:
        return wire.rfc3339(self._rows.wall(at_ms)) if at_ms else None

    def session(self, it: Session) -> Json:
        """One item of a list of sessions."""
        active, told = it.status is Status.ACTIVE, it.told
        locks = list(it.locks.values()) if it.locks else []
        blocks = [self._want(want) for lock in locks for want in blocked_by(lock)]
        return {
            "id": it.id, "site": it.company.site, "company": it.company.name, "user": it.user,
            "client": it.client, "machine": it.machine, "address": told.address, "app": told.app,
            "os_session": it.os_session, "conn": told.conn, "status": it.status.value, "reason": it.reason,
            "since": self._time(it.since_ms), "last_seen": self._time(it.seen_ms), "at": told.at,
            "deadline": self._time(self._roll.deadline(it)) if active else None,
            "disconnected_at": self._time(it.disconnected_ms),
            "ended_at": self._time(it.ended.at_ms) if it.ended else None,
            "ended_by": it.ended.by if it.ended else None,
            "lost": bool(it.lost_ms), "idle": told.idle, "idle_s": told.idle_s, "activity": told.activity,
            "held_back": it.status is Status.DISCONNECTED and self._roll.silence.held(it) is not None,
            "source": it.source, "guidance": ids(self._roll.guidance.of_session(it)),
            "locks": [self._lock_of_session(lock) for lock in locks], "blocks": blocks,
        }  # fmt: skip

    def ended(self, row: SessionRow, locks: list[Lock]) -> Json:
        """The same of a session that is over, from its row; `locks` are those it left behind."""

        def time(wall_ms: int) -> str | None:
            return wire.rfc3339(wall_ms) if wall_ms else None

        return {
            "id": row.id, "site": row.site, "company": row.company, "user": row.user, "client": row.client,
            "machine": row.machine, "address": row.address, "app": row.app, "os_session": row.os_session,
            "conn": row.conn, "status": row.status, "reason": row.reason, "since": time(row.since),
            "last_seen": time(row.seen), "at": row.at, "deadline": None,
            "disconnected_at": time(row.disconnected), "ended_at": time(row.ended), "ended_by": row.ended_by,
            "lost": bool(row.lost), "idle": bool(row.idle), "idle_s": row.idle_s,
            "activity": row.activity, "held_back": False, "source": row.source,
            "guidance": list(dict.fromkeys(rule for lock in locks if (rule := self._rule(lock)))),
            "locks": [self._lock_of_session(lock) for lock in locks],
            "blocks": [self._want(want) for lock in locks for want in blocked_by(lock)],
        }  # fmt: skip

    def _lock_of_session(self, lock: Lock) -> Json:
        return {
            "resource": lock.resource, "mode": "shared" if lock.shared else "exclusive", "token": lock.token,
            "since": self._time(lock.since_ms), "sticky": lock.sticky, "activity": lock.activity,
            "guidance": lock.guidance, "rule": self._rule(lock),
            "release_at": self._time(lock.release_ms),
        }  # fmt: skip

    def _rule(self, lock: Lock) -> str | None:
        rule = self._roll.guidance.of_lock(lock)
        return rule.id if rule is not None else None

    def lock(self, lock: Lock) -> Json:
        """One item of the list of locks."""
        session = lock.session
        return {
            "site": lock.company.site, "company": lock.company.name, **self._lock_of_session(lock),
            "left_behind": lock.left_behind, "session": session.id, "user": session.user,
            "machine": session.machine, "client": session.client, "status": session.status.value,
            "blocks": [self._want(want) for want in blocked_by(lock)],
        }  # fmt: skip

    def _want(self, want: Want) -> Json:
        session = want.session
        return {
            "session": session.id, "user": session.user, "machine": session.machine, "client": session.client,
            "resource": want.resource, "mode": "shared" if want.shared else "exclusive",
            "since": self._time(want.asked_ms), "waiting": want.waiting,
        }  # fmt: skip

    @staticmethod
    def event(row: EventRow) -> Json:
        """One item of the history."""
        return {
            "seq": row.seq, "at": wire.rfc3339(row.at), "type": row.type, "site": row.site,
            "company": row.company, "session": row.session, "user": row.user, "actor": row.actor,
            "reason": row.reason, "data": msgspec.json.decode(row.data),
        }  # fmt: skip
