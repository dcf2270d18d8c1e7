"""Whether a round went well: the outside (`Record`) against what the daemon wrote down (`Facts`).

Each check is a method that yields one sentence for each thing that is wrong. Must not know how faults are
made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.faults.facts import Facts, Row
from tests.faults.record import Member, Record, Window
from tests.faults.when import Terms, When

TOLERANCE_S = 0.1
FINAL = {"session.logged_off": "logged_off", "session.removed": "removed"}
STATUS = {
    "session.logged_in": "active", "session.disconnected": "disconnected", "session.reconnected": "active",
    **FINAL,
}  # fmt: skip
MAY_FOLLOW = {
    None: {"session.logged_in"},
    "active": {"session.disconnected", *FINAL},
    "disconnected": {"session.reconnected", *FINAL},
}


@dataclass
class Verdict:
    wrong: list[str]
    excused: int  # disconnected, and this program had really not beaten in time
    gone: int  # what a broker had acknowledged, or was to hand on, when it was killed or forgot
    claimed: int  # dated late, which only the daemon's own account of its blindness explains
    found: int  # of those who died
    latest_s: float  # by how much the latest of them was dated after the end of its patience


class Judge:
    def __init__(self, record: Record, facts: Facts, terms: Terms) -> None:
        self._record = record
        self._facts = facts
        self._terms = terms
        self._when = When(record, terms)
        self._of: dict[str, list[Row]] = defaultdict(list)
        for row in facts.rows:
            if row.session is not None:
                self._of[row.session].append(row)
        self.excused = self.found = self.gone = self.claimed = 0
        self.latest_s = 0.0

    def verdict(self) -> Verdict:
        checks = (
            self.ends, self.lives, self.locks, self.disconnects, self.deaths, self.commands, self.answers,
            self.orders, self.events,
        )  # fmt: skip
        wrong = [sentence for check in checks for sentence in check()]
        return Verdict(wrong, self.excused, self.gone, self.claimed, self.found, self.latest_s)

    # --- the daemon by itself -------------------------------------------------------------------------

    def ends(self) -> Iterator[str]:
        yield from (f"the daemon ended by itself: {exit_}" for exit_ in self._record.exits)
        yield from (f"not settled: {what}" for what in self._record.unsettled)
        yield from (f"the log tells of a defect: {line}" for line in self._facts.bugs)

    def lives(self) -> Iterator[str]:
        """Each session's history is a life, and what is stored of it is where that leads."""
        for session, rows in self._of.items():
            status: str | None = None
            for row in rows:
                if row.type not in STATUS:
                    continue
                if row.type not in MAY_FOLLOW.get(status, set()):
                    yield f"{session}: {row.type} (seq {row.seq}) after {status}"
                status = STATUS[row.type]
            if status is None:
                continue
            stored = self._facts.ended.get(session) or self._facts.live.get(session)
            if stored != status:
                yield f"{session}: stored as {stored}, the history says {status}"
        for session in {*self._facts.live, *self._facts.ended} - self._of.keys():
            yield f"{session}: stored, and not in the history"

    def locks(self) -> Iterator[str]:
        """Nobody holds what another holds; tokens grow; each is freed once; what is held is stored."""
        held: dict[tuple[str, int], Row] = {}
        newest: dict[str, int] = defaultdict(int)
        for row in self._facts.rows:
            if row.type not in ("lock.granted", "lock.released"):
                continue
            company, token = str(row.company), int(row.data["token"])
            if row.type == "lock.released":
                if held.pop((company, token), None) is None:
                    yield f"{company}: token {token} of {row.data['resource']} was released and not held"
                continue
            if token <= newest[company]:
                yield f"{company}: token {token} was given after {newest[company]}"
            newest[company] = token
            for (where, other_token), other in held.items():
                if where == company and other.session != row.session and _conflict(row, other):
                    yield (
                        f"{company}: {row.data['resource']} (token {token}) was granted to {row.session} "
                        f"while {other.session} held {other.data['resource']} (token {other_token})"
                    )
            held[company, token] = row
        left = {(company, token, row.data["resource"]) for (company, token), row in held.items()}
        if left != self._facts.locks:
            yield f"locks by the history and as stored differ: {sorted(left ^ self._facts.locks)}"

    # --- who is taken for silent ----------------------------------------------------------------------

    def _moments(self, row: Row) -> list[float]:
        """When that was, on our clock: the daemon's wall clock was stepped, and no date tells by how much."""
        record = self._record
        moments = {row.at - record.base - offset for offset in record.offsets}
        return [at for at in moments if -5 < at - record.began < 120]

    def disconnects(self) -> Iterator[str]:
        for row in self._facts.rows:
            if row.type != "session.disconnected":
                continue
            member = self._record.members[str(row.session)]
            moments = self._moments(row)
            if not moments:
                yield f"{member.id}: disconnected at {row.at}, which is not in this round"
                continue
            at = max(moments)
            when = f"{at - self._record.began:.2f} s (seq {row.seq}, {row.reason})"
            if self._when.innocent(member, at):
                yield f"{member.id}: disconnected at {when}, and it was beating"
                continue
            if (member.died is None or at < member.died) and (member.over is None or at < member.over):
                self.excused += 1
            earliest = self._when.earliest(member, at)
            if at < earliest - TOLERANCE_S:
                yield f"{member.id}: disconnected at {when}, {earliest - at:.2f} s before its time"

    def deaths(self) -> Iterator[str]:
        """Everyone who died is found, and dated no later than the faults can explain."""
        for member in self._record.members.values():
            if member.died is None:
                continue
            rows = [row for row in self._of[member.id] if row.type in STATUS]
            last = rows[-1].type if rows else None
            if last not in ("session.disconnected", *FINAL):
                yield f"{member.id}: died at {self._at(member.died)} and was never found ({last})"
                continue
            self.found += 1
            fallen = [row for row in rows if row.type == "session.disconnected"]
            if not fallen:
                continue  # an operator was quicker
            at = max(self._moments(fallen[-1]), default=0.0)
            seen = self._last_sign(member)
            latest = self._when.latest(seen, member)
            self.latest_s = max(self.latest_s, at - seen - self._terms.timeout_s[member.client][1])
            if latest < at <= self._by_its_own_account(seen, member):
                self.claimed += 1
            elif at > latest:
                yield (
                    f"{member.id}: dated {self._at(at)}, {at - latest:.2f} s later than explained; "
                    f"last sign {self._at(seen)}"
                )

    def _by_its_own_account(self, seen: float, member: Member) -> float:
        """The same, if the daemon was blind as well whenever it says so: on a machine that does much else it
        stands still for seconds, and nobody else knows of that."""
        claims = []
        for row in self._facts.rows:
            if row.type == "source.regained" and row.data["source"] == member.way:
                for at in self._moments(row):
                    start = max(at - float(row.data["blind_s"]), self._record.began)
                    claims.append(Window("stop" if member.way == "door" else "broker_pause", start, at))
        record = replace(self._record, windows=[*self._record.windows, *claims])
        return When(record, self._terms).latest(seen, member) + 1.0

    def _last_sign(self, member: Member) -> float:
        signs = [self._when.arrived_by(beat, member.way) for beat in member.beats]
        for said in self._record.said:
            if said.session == member.id:
                signs.append(self._when.arrived_by(said.at, member.way))
                if said.acked is not None:
                    signs.append(self._when.arrived_by(said.acked, member.way))
        return max(signs)

    def _at(self, moment: float) -> str:
        return f"{moment - self._record.began:.2f} s"

    # --- what was promised ----------------------------------------------------------------------------

    def commands(self) -> Iterator[str]:
        """What was acknowledged has been done."""
        for said in self._record.said:
            if said.acked is None or said.reason >= 128:
                continue
            kinds = {row.type for row in self._of[said.session]}
            lost = (said.verb == "login" and "session.logged_in" not in kinds) or (
                said.verb == "logout" and "session.logged_in" in kinds and not kinds & FINAL.keys()
            )
            if lost and self._when.at_mercy(said):
                self.gone += 1
            elif lost:
                when = self._at(said.acked)
                yield f"{said.session}: its {said.verb} was acknowledged at {when} and is lost"

    def answers(self) -> Iterator[str]:
        """What was answered is written down."""
        granted = {
            (row.session, row.data["resource"], row.data["token"])
            for row in self._facts.rows
            if row.type == "lock.granted"
        }
        released = {
            (row.session, row.data["resource"]) for row in self._facts.rows if row.type == "lock.released"
        }
        for heard in self._record.heard:
            body, session = heard.payload, heard.session
            where = f"{session}: answered at {self._at(heard.at)}"
            match heard.kind:
                case "login" if body["accepted"]:
                    if not any(row.type == "session.logged_in" for row in self._of[session]):
                        yield f"{where} that it is in, and that is lost"
                case "login":
                    yield f"{where} that it may not come in: {body}"
                case "lock" if body["granted"]:
                    hold = (session, body["resource"], body["token"])
                    if hold not in granted:
                        yield f"{where} that it has {hold[1]}, token {hold[2]}, and that is lost"
                case "unlock" if body["released"]:
                    if (session, body["resource"]) not in released:
                        yield f"{where} that {body['resource']} is released, and that is lost"
                case "ended":
                    if self._facts.ended.get(session) != body["status"]:
                        yield f"{where} that it is {body['status']}, and that is lost"

    def orders(self) -> Iterator[str]:
        """What operators were told has been done, and what they were shown has happened."""
        switch: bool | None = None
        for order in self._record.ordered:
            if order.path == "cleanup":
                if order.status == 200:
                    switch = order.body["enabled"]
                elif order.status == 0:
                    switch = None  # it may have been done
            if order.status != 200:
                continue
            if order.path == "sessions/logoff":
                for result in order.answer["results"]:
                    kinds = {row.type for row in self._of[result["id"]]}
                    if result["result"] == "removed" and "session.removed" not in kinds:
                        yield f"{result['id']}: logged off at {self._at(order.at)}, and that is lost"
            if order.path.startswith("sessions?"):
                for item in order.answer["items"]:
                    kinds = {row.type for row in self._of[item["id"]]}
                    if item["status"] == "disconnected" and "session.disconnected" not in kinds:
                        yield f"{item['id']}: shown as disconnected at {self._at(order.at)}, and that is lost"
        if switch is not None and self._facts.cleanup_on is not switch:
            yield f"the cleanup was switched {'on' if switch else 'off'}, and that is lost"

    # --- events ---------------------------------------------------------------------------------------

    def events(self) -> Iterator[str]:
        """Every observer has heard every event up to the marker, each with one id and one content."""
        marker = max((row.seq for row in self._of["marker"] if row.type == "session.logged_in"), default=0)
        if not marker:
            yield "the marker of the end is not in the history"
        outward = {row.seq: row for row in self._facts.rows if row.site is not None}
        for way, events in self._record.events.items():
            first: dict[int, str] = {}
            newest: dict[str | None, int] = defaultdict(int)
            for event in events:
                ident, _, number = str(event.body["id"]).rpartition("-")
                seq, content = int(number), repr(sorted(event.body.items()))
                row = outward.get(seq)
                if row is None or ident != self._facts.store_id or row.type != event.body["type"]:
                    yield f"the observer ({way}) heard {event.body}, which is not in the history"
                    continue
                if seq in first:
                    if first[seq] != content:
                        yield f"the observer ({way}) heard two events with the id of seq {seq}"
                    continue
                first[seq] = content
                if seq < newest[row.session]:
                    yield f"the observer ({way}) heard seq {seq} of {row.session} after {newest[row.session]}"
                newest[row.session] = max(newest[row.session], seq)
            handed = iter(self._record.handed if way == "link" else ())
            for seq in sorted(outward.keys() - first.keys()):
                row = outward[seq]
                if seq <= marker and _topic(row) in handed:  # and so uses up what comes before it
                    self.gone += 1
                elif seq <= marker:
                    yield f"the observer ({way}) never heard seq {seq}, {row.type} of {row.session}"


def _topic(row: Row) -> str:
    return f"whosin/v1/events/{row.site}/{row.company or '@all'}/{row.type}"


def _conflict(one: Row, other: Row) -> bool:
    if one.data["mode"] == other.data["mode"] == "shared":
        return False
    a, b = str(one.data["resource"]).split("/"), str(other.data["resource"]).split("/")
    return "*" in (a[0], b[0]) or a[: len(b)] == b or b[: len(a)] == a
