"""Objects to rows and back. Owns the turning of timeline moments into wall-clock ones for the store.

Must not know SQL or rules: it copies.
"""

from __future__ import annotations

from sys import intern

import msgspec

from whosin import wire
from whosin.model import NOTHING_TOLD, Company, Ended, Event, Followup, Lock, Session, Status, Told, Want
from whosin.ports import (
    BeatRow,
    Clock,
    EventRow,
    FollowupRow,
    HoldRow,
    LockRow,
    SessionRow,
    TurnRow,
    WantRow,
)
from whosin.rules.silence import Hold

_STATUSES = {status.value: status for status in Status}
_NOTHING = (None,) * 6
_NAMES = {status: status.value for status in Status}  # an enum's own `value` is a call
_row = tuple.__new__  # of those that come by the hundred thousand: a constructor of their own is a call, too


class Rows:
    """Bound to one clock. 0 means "not" on both sides and stays 0."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._back_ms = 0

    def restoring(self, newest_wall_ms: int, now_ms: int) -> None:
        """The newest moment that was stored. If that lies ahead, the wall clock was put back meanwhile: then
        all that is taken up from the store lies so much earlier, and nothing lasts longer than it should."""
        self._back_ms = max(0, self._clock.timeline_ms(newest_wall_ms) - now_ms)

    def wall(self, at_ms: int) -> int:
        return self._clock.wall_ms(at_ms) if at_ms else 0

    def line(self, wall_ms: int) -> int:
        return self._clock.timeline_ms(wall_ms) - self._back_ms if wall_ms else 0

    # --- out ------------------------------------------------------------------------------------------

    def session(self, it: Session) -> SessionRow:
        wall, told, ended = self.wall, it.told, it.ended
        return SessionRow(
            it.key, it.id, it.company.site, it.company.name, it.user, it.client, it.machine, told.address,
            told.app, it.os_session, told.conn, told.at, it.status.value, wall(it.since_ms), wall(it.seen_ms),
            wall(it.lost_ms), wall(it.disconnected_ms), wall(ended.at_ms) if ended else 0,
            ended.by if ended else None, it.reason, it.replaced_by, told.idle_s, int(told.idle),
            told.activity, it.source,
        )  # fmt: skip

    def beat(self, it: Session) -> BeatRow:
        told = it.told
        seen = self.wall(it.seen_ms)
        return _row(BeatRow, (seen, told.conn, told.at, told.idle_s, told.activity, it.source, it.key))

    def turn(self, it: Session) -> TurnRow:
        wall, ended = self.wall, it.ended
        return _row(TurnRow, (
            _NAMES[it.status], wall(it.lost_ms), wall(it.disconnected_ms), wall(ended.at_ms) if ended else 0,
            ended.by if ended else None, it.reason, it.replaced_by, int(it.told.idle), it.key,
        ))  # fmt: skip

    def lock(self, it: Lock) -> LockRow:
        return LockRow(
            it.company.site, it.company.name, it.token, it.resource, it.session.key, int(it.shared),
            int(it.sticky), self.wall(it.since_ms), it.activity, it.guidance, self.wall(it.release_ms),
        )  # fmt: skip

    def want(self, it: Want) -> WantRow:
        tokens = wire.encode_json([lock.token for lock in it.refused_by if not lock.released]).decode()
        return WantRow(
            it.company.site, it.company.name, it.order, it.session.key, it.resource, int(it.shared),
            int(it.sticky), it.activity, it.guidance, self.wall(it.asked_ms), self.wall(it.until_ms), tokens,
        )  # fmt: skip

    def event(self, seq: int, it: Event) -> EventRow:
        data = wire.encode_json(wire.outward(it.data, self._clock))
        return _row(EventRow, (
            seq, self.wall(it.at_ms), it.type, it.site, it.company, it.session, it.user, it.actor, it.reason,
            data, it.data.get("resource"),
        ))  # fmt: skip

    def hold(self, it: Hold) -> HoldRow:
        site, company, client = it.key
        confirmed = wire.encode_json(sorted(it.confirmed)).decode()
        return HoldRow(
            site,
            company,
            client,
            self.wall(it.opened_ms),
            self.wall(it.alerted_ms),
            self.wall(it.until_ms),
            confirmed,
        )

    def followup(self, it: Followup) -> FollowupRow:
        who, company = it.session, it.session.company
        return FollowupRow(
            it.id, self.wall(it.opened_ms), company.site, company.name, who.id, who.user, who.client,
            who.machine, it.resource, it.rule, it.severity, it.text, 0, None, None,
        )  # fmt: skip

    # --- in -------------------------------------------------------------------------------------------

    def to_session(self, row: SessionRow, company: Company, now_ms: int) -> Session:
        """A stored session; moments that lie ahead (the wall clock went back meanwhile) become now."""
        line = self.line

        def past(wall_ms: int) -> int:
            return min(line(wall_ms), now_ms) if wall_ms else 0

        it = Session(
            row.key, row.id, company, row.user, intern(row.client), past(row.since), past(row.seen),
            _STATUSES[row.status], past(row.lost), intern(row.source), 0, 0, False,
            row.machine, _shared(row.os_session), _told(row), past(row.disconnected), _shared(row.reason),
            row.replaced_by,
        )  # fmt: skip
        if it.status.final:
            it.ended = Ended(
                row.id, row.site, row.company, it.status, line(row.ended), row.ended_by, row.reason
            )
        return it

    def to_lock(self, row: LockRow, company: Company, session: Session) -> Lock:
        it = Lock(company, session, row.resource, row.token, self.line(row.since))
        it.shared, it.sticky = bool(row.shared), bool(row.sticky)
        it.activity, it.guidance, it.release_ms = row.activity, row.guidance, self.line(row.release_at)
        return it

    def to_want(self, row: WantRow, session: Session, locks: dict[int, Lock]) -> Want:
        it = Want(session, row.resource, bool(row.shared), row.order, self.line(row.asked))
        it.sticky, it.activity, it.guidance = bool(row.sticky), row.activity, row.guidance
        it.until_ms = self.line(row.until)
        tokens = msgspec.json.decode(row.refused_by, type=list[int])
        it.refused_by = tuple(locks[token] for token in tokens if token in locks)
        return it

    def to_hold(self, row: HoldRow) -> Hold:
        confirmed = set(msgspec.json.decode(row.confirmed, type=list[str]))
        key = (row.site, row.company, row.client)
        return Hold(key, self.line(row.opened), self.line(row.alerted), self.line(row.until), confirmed)


def _told(row: SessionRow) -> Told:
    told = row.address, row.app, row.conn, row.at, row.idle_s, row.activity
    if told == _NOTHING and not row.idle:
        return NOTHING_TOLD
    return Told(row.address, _shared(row.app), row.conn, row.at, row.idle_s, bool(row.idle), row.activity)


def _shared(text: str | None) -> str | None:
    """What many sessions say alike is kept once."""
    return None if text is None else intern(text)
