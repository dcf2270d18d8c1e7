"""What is wrong now, seen in the engine: who blocks others, what is held back, what failed, what we cannot
do.

Owns the looking. It turns what it sees into conditions that are on or off, and tells what one is about when
it is asked. A session is looked at only when it fell with locks, or came to stand in somebody's way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from whosin.alerts.conditions import Alert, Conditions
from whosin.alerts.kinds import CRITICAL, INFO, KINDS, WARNING
from whosin.cleanup import Cleanup
from whosin.engine.engine import Engine
from whosin.model import Session, Status
from whosin.rules.locks import blocked_by, blocks_somebody
from whosin.rules.silence import GroupKey, Hold

Json = dict[str, Any]

NEW_AT_ONCE = 2_000  # sessions looked at for the first time in one look
OLD_AT_ONCE = 500  # and again
CLEARING_MS = 5_000  # past the moment at which the cleanup clears who blocks somebody
LOCKS_TOLD = 3
WAITING_TOLD = 10


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How long a trouble of the daemon itself may last before it is worth an alert."""

    blind_ms: int = 60_000
    storage_ms: int = 10_000


class Watch:
    """`look` at each moment; `facts` for what is to be told."""

    def __init__(
        self, engine: Engine, cleanup: Cleanup, conditions: Conditions, thresholds: Thresholds
    ) -> None:
        self.thresholds = thresholds
        self.tellers: dict[str, Callable[[str], Json | None]] = {}  # of other departments, by kind
        self._engine = engine
        self._cleanup = cleanup
        self._conditions = conditions
        self._watched: dict[Session, None] = {}
        self._round: Iterator[Session] = iter(())
        self._holds: dict[GroupKey, Hold] = {}
        self._pass: int | None = None
        self._enabled = cleanup.enabled
        self._began_ms = engine.clock.now_ms()
        self._unstored_ms: int | None = None

    def restore(self, alert: Alert) -> None:
        """An alert that was open when the daemon stopped: whom it is about is looked at again."""
        kind = alert.group.kind
        if kind in ("blocking", "guidance"):
            for key in list(alert.on):
                session = self._engine.live(key)
                if session is None:
                    self._conditions.off(kind, key, self._began_ms)
                else:
                    self._watched[session] = None
        elif kind == "mass_silence":
            for place, hold in self._engine.roll.silence.holds.items():
                if _name(place) in alert.on:
                    self._holds[place] = hold
            held = {_name(place) for place in self._holds}
            for key in set(alert.on) - held:
                self._conditions.off(kind, key, self._began_ms)

    def look(self, now: int) -> None:
        stirred = self._engine.roll.locks.stirred
        for _ in range(min(len(stirred), NEW_AT_ONCE)):
            self._judge(stirred.popitem()[0], now)
        if self._watched:
            self._look_again(now)
        if self._engine.roll.silence.holds or self._holds:
            self._silences(now)
        self._passes(now)
        self._storage(now)
        self._sight(now)

    def look_at(self, kind: str, key: str, now: int) -> None:
        """It is about to be told: is it still so?"""
        if kind in ("blocking", "guidance"):
            session = self._engine.live(key)
            if session is None:
                self._conditions.off(kind, key, now)
            else:
                self._judge(session, now)

    # --- sessions -------------------------------------------------------------------------------------

    def _look_again(self, now: int) -> None:
        for _ in range(min(OLD_AT_ONCE, len(self._watched))):
            session = next(self._round, None)
            if session is None:
                self._round = iter(list(self._watched))
                session = next(self._round, None)
            if session is not None and session in self._watched:
                self._judge(session, now)

    def _judge(self, session: Session, now: int) -> None:
        conditions, key = self._conditions, session.id
        fallen = session.status is Status.DISCONNECTED
        blocks = fallen and blocks_somebody(session)
        advice = self._advice(session) if fallen else []
        if not blocks and not advice:
            self._watched.pop(session, None)
            conditions.off("blocking", key, now)
            conditions.off("guidance", key, now)
            return
        self._watched[session] = None
        grave = any(one["severity"] == CRITICAL for one in advice)
        if blocks and not grave and self._clears_itself(session, now):
            return
        kind = "blocking" if blocks or conditions.is_on("blocking", key) else "guidance"
        if kind == "blocking":
            conditions.off("guidance", key, now)
        company = session.company
        usual, worse = (WARNING, CRITICAL) if kind == "blocking" else (INFO, WARNING)
        severity = worse if grave else usual
        conditions.on(kind, key, company.site, company.name, severity, now)

    def _clears_itself(self, session: Session, now: int) -> bool:
        """The cleanup is about to remove it anyway: nobody has to be called for that (rule 7)."""
        wait_ms = self._engine.roll.policy.blocking_after_ms
        if not wait_ms or not self._cleanup.enabled:
            return False
        if self._engine.roll.silence.held(session) is not None:
            return False
        return now < session.disconnected_ms + wait_ms + CLEARING_MS

    # --- the rest -------------------------------------------------------------------------------------

    def _silences(self, now: int) -> None:
        holds = self._engine.roll.silence.holds
        for key, hold in list(self._holds.items()):
            if holds.get(key) is not hold:
                del self._holds[key]
                self._conditions.off("mass_silence", _name(key), now)
        for key, hold in holds.items():
            if key not in self._holds:
                self._holds[key] = hold
                severity = KINDS["mass_silence"].severity
                self._conditions.on("mass_silence", _name(key), key[0], key[1] or None, severity, now)

    def _passes(self, now: int) -> None:
        """The last pass says in which companies it could not do its work."""
        if self._enabled and not self._cleanup.enabled:
            for key in self._conditions.keys("cleanup"):
                self._conditions.off("cleanup", key, now)
        self._enabled = self._cleanup.enabled
        last = self._cleanup.last
        if last is None or last["id"] == self._pass:
            return
        self._pass = last["id"]
        failing = {_place(entry): entry for entry in last["companies"] if _problem(entry)}
        for key in self._conditions.keys("cleanup"):
            if key not in failing:
                self._conditions.off("cleanup", key, now)
        for key, entry in failing.items():
            self._conditions.on("cleanup", key, entry["site"], entry["company"], WARNING, now)

    def _storage(self, now: int) -> None:
        if self._engine.committer.trouble is None:
            if self._unstored_ms is not None:
                self._unstored_ms = None
                self._conditions.off("storage", "store", now)
            return
        if self._unstored_ms is None:
            self._unstored_ms = now
        if now - self._unstored_ms >= self.thresholds.storage_ms:
            self._conditions.on("storage", "store", None, None, CRITICAL, now)

    def _sight(self, now: int) -> None:
        for source, watch in self._engine.roll.watches.items():
            since_ms = watch.sight.blind_since_ms
            if since_ms is None:
                self._conditions.off("blind", source, now)
            elif now - max(since_ms, self._began_ms) >= self.thresholds.blind_ms:
                self._conditions.on("blind", source, None, None, CRITICAL, now)

    # --- what it is about -----------------------------------------------------------------------------

    def facts(self, kind: str, keys: Iterable[str], most: int) -> list[Json]:
        """At most so many, JSON-ready, moments as wall milliseconds; without what is over meanwhile."""
        if kind == "mass_silence":
            return self._silent(set(keys), most)
        found = (self._fact(kind, key) for key in keys)
        return list(islice((fact for fact in found if fact is not None), most))

    def _fact(self, kind: str, key: str) -> Json | None:
        if kind in ("blocking", "guidance"):
            session = self._engine.live(key)
            return None if session is None else self._login(session)
        if kind == "cleanup":
            entries = (self._cleanup.last or {"companies": []})["companies"]
            entry = next((one for one in entries if _place(one) == key), None)
            return None if entry is None else {"company": entry["company"], "problem": _problem(entry)}
        if (teller := self.tellers.get(kind)) is not None:
            return teller(key)
        wall = self._engine.rows.wall
        if kind == "storage":
            problem = self._engine.committer.trouble
            return {"problem": str(problem or "it is over"), "since": wall(self._unstored_ms or 0)}
        if kind == "blind" and (watch := self._engine.roll.watches.get(key)) is not None:
            return {"source": key, "since": wall(watch.sight.blind_since_ms or 0)}
        return None

    def _login(self, session: Session) -> Json:
        wall = self._engine.rows.wall
        locks = list((session.locks or {}).values())
        wants = [want for lock in locks for want in blocked_by(lock)]
        locks.sort(key=lambda lock: not blocked_by(lock)) if len(locks) > LOCKS_TOLD else None
        return {
            "session": session.id, "user": session.user, "machine": session.machine, "client": session.client,
            "company": session.company.name, "since": wall(session.disconnected_ms),
            "locks": [
                {"resource": lock.resource, "activity": lock.activity or session.told.activity}
                for lock in locks[:LOCKS_TOLD]
            ],
            "blocked": len({want.session.id for want in wants}),
            "blocks": [
                {
                    "user": want.session.user, "machine": want.session.machine,
                    "since": wall(want.asked_ms), "resource": want.resource,
                }
                for want in wants[:WAITING_TOLD]
            ],
            "guidance": self._advice(session),
        }  # fmt: skip

    def _advice(self, session: Session) -> list[Json]:
        """What is to be done before it is removed: {id, severity, before}, each rule once. What a client
        names and no rule knows is still a sign that something is to be done."""
        rules = {advice.rule.id: advice.rule for advice in self._engine.roll.guidance.of_session(session)}
        found: list[Json] = [
            {"id": rule.id, "severity": rule.severity, "before": rule.before} for rule in rules.values()
        ]
        named = dict.fromkeys(lock.guidance for lock in (session.locks or {}).values() if lock.guidance)
        found += [
            {"id": ident, "severity": "normal", "before": None} for ident in named if ident not in rules
        ]
        return found

    def _silent(self, keys: set[str], most: int) -> list[Json]:
        """Company by company who is held back; what is past `most` as one fact of the site."""
        roll, wall = self._engine.roll, self._engine.rows.wall
        holds = [hold for key, hold in self._holds.items() if _name(key) in keys]
        sites = {hold.key[0] for hold in holds}
        found: dict[tuple[str, str], Json] = {}
        for company in [it for it in roll.companies.values() if it.site in sites] if holds else []:
            for session in company.sessions.values():
                if session.status is not Status.DISCONNECTED or (hold := roll.silence.held(session)) is None:
                    continue
                fact = found.setdefault(
                    (company.name, session.client),
                    {
                        "company": company.name, "client": session.client, "fallen": 0,
                        "since": wall(hold.opened_ms), "until": wall(hold.until_ms),
                    },
                )  # fmt: skip
                fact["fallen"] += 1
        facts = sorted(found.values(), key=lambda fact: -fact["fallen"])
        if len(facts) > most:
            rest = sum(fact["fallen"] for fact in facts[most - 1 :])
            facts[most - 1 :] = [{**facts[most - 1], "company": None, "fallen": rest}]
        return facts


def _name(key: GroupKey) -> str:
    return f"{key[0]}/{key[1] or '*'}/{key[2]}"


def _place(entry: Json) -> str:
    return f"{entry['site']}/{entry['company']}"


def _problem(entry: Json) -> str | None:
    """Why the cleanup did not do its work in a company; None if it did."""
    if entry["failed"]:
        return str(entry["failed"])
    return f"skipped: {entry['skipped']}" if entry["skipped"] else None
