"""The periodic removal of all disconnected logins in all companies (rule 7).

Owns the switch, the schedule and the passes: when one may start, go on, wait, and what it reports. It removes
by commands to the engine, a step at a time, so that heartbeats flow meanwhile. Must not know transports.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from whosin import wire
from whosin.engine.engine import Engine
from whosin.model import Company, Event, Session, Status
from whosin.ports import Loaded, PassRow

STEP = 2_000  # removals or visited companies in one step
COUNTS = ("removed", "released", "held_back", "skipped")

log = structlog.get_logger("whosin.cleanup")
Report = dict[str, Any]


@dataclass(slots=True)
class Pass:
    """One visit to all companies. `done`: finished ones by (site, name); `now`: the present one's counts."""

    id: int
    started_ms: int
    actor: str
    scheduled: bool
    finished_ms: int = 0
    done: dict[tuple[str, str], Report] = field(default_factory=dict)
    now: Report | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    def totals(self) -> Report:
        entries = list(self.done.values())
        totals: Report = {name: sum(entry[name] for entry in entries) for name in COUNTS}
        totals["failed"] = sum(1 for entry in entries if entry["failed"])
        return totals


class Cleanup:
    """The engine calls `tick`; operators switch, run and confirm through the desk."""

    def __init__(self, engine: Engine, *, every_ms: int, enabled: bool, account: str) -> None:
        self._engine = engine
        self.every_ms = every_ms
        self.enabled = enabled
        self.account = account
        self.next_ms = 0
        self.current: Pass | None = None
        self.last: Report | None = None
        self._last_id = 0
        engine.before_commit.append(self.tick)

    def begin(self, loaded: Loaded) -> None:
        """The stored switch wins over the settings; an unfinished pass is taken up again."""
        engine = self._engine
        now = engine.clock.now_ms()
        self._last_id = loaded.last_pass
        stored = loaded.meta.get("cleanup")
        if stored is not None:
            state = msgspec.json.decode(stored)
            self.enabled = state["enabled"]
            self.next_ms = engine.rows.line(state["next_at"])
        elif self.enabled:
            self.next_ms = now + self.every_ms
        self.next_ms = min(self.next_ms, now + self.every_ms) if self.enabled else 0
        if loaded.unfinished_pass is not None:
            self.current = self._resume(loaded.unfinished_pass)
            log.info("cleanup.resumed", id=self.current.id, done=len(self.current.done))
        self._remember_switch()

    def _resume(self, row: PassRow) -> Pass:
        report = msgspec.json.decode(row.report)
        taken = Pass(row.id, self._engine.rows.line(row.started), row.actor, report.get("scheduled", True))
        for entry in report["companies"]:
            taken.done[entry["site"], entry["company"]] = entry
        partial = report.get("partial")
        if partial is not None:
            taken.now = partial
        return taken

    # --- orders ---------------------------------------------------------------------------------------

    def switch(self, enabled: bool, actor: str) -> bool:
        """At once and for good; a running pass goes on to its end either way. False if it was so already."""
        if enabled == self.enabled:
            return False
        now = self._engine.clock.now_ms()
        self.enabled = enabled
        self.next_ms = now + self.every_ms if enabled else 0
        self._remember_switch()
        self._note("cleanup.switched", now, actor, {"enabled": enabled, "was": not enabled})
        return True

    def set_every(self, every_ms: int) -> None:
        self.every_ms = every_ms
        if self.enabled:
            self.next_ms = min(self.next_ms, self._engine.clock.now_ms() + every_ms)
            self._remember_switch()

    def start(self, actor: str, *, scheduled: bool = False) -> Pass:
        """A pass from now on; the one that runs, if one does."""
        if self.current is None:
            now = self._engine.clock.now_ms()
            self._last_id += 1
            self.current = Pass(self._last_id, now, actor, scheduled)
            self._note("cleanup.started", now, actor, {"pass": self._last_id})
            self._save(self.current)
        return self.current

    def waits_for(self, now: int) -> list[str]:
        """Why no pass may start or go on at this moment."""
        engine = self._engine
        reasons = ["blind"] if engine.blind else []
        if not reasons and engine.in_grace(now):
            reasons.append("grace")
        if engine.committer.trouble is not None:
            reasons.append("storage")
        return reasons

    def dry_run(self, now: int) -> Report:
        """What the next pass would do, company by company; nothing changes."""
        forget = self._engine.roll.silence.rehearse()
        try:
            entries = [self._rehearse(company, now) for company in self._companies()]
        finally:
            forget()
        report: Report = {name: sum(entry[name] for entry in entries) for name in COUNTS}
        moment = wire.rfc3339(self._engine.clock.wall_ms(now))
        head = {
            "id": None,
            "state": "dry_run",
            "started": moment,
            "finished": moment,
            "by": self.account,
            "dry_run": True,
        }
        return {**head, "companies": entries, **report, "failed": 0}

    def _rehearse(self, company: Company, now: int) -> Report:
        roll, entry = self._engine.roll, _entry(company)
        suspected: set[str] = set()
        for session in _disconnected(company):
            if session.client not in suspected:
                suspected.add(session.client)
                roll.suspect(session, now)
            if roll.silence.held(session):
                entry["held_back"] += 1
                continue
            entry["removed"] += 1
            if session.seen_ms + roll.policy.lock_delay_ms <= now:  # else they are held on a little
                entry["released"] += sum(1 for lock in (session.locks or {}).values() if not lock.sticky)
        return entry

    # --- moments --------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Start a pass that is due, or take a step in the one that runs; and clear what blocks somebody."""
        due = self.enabled and self.next_ms <= now
        clears = self.enabled and self._engine.roll.policy.blocking_after_ms > 0
        if not (due or clears or self.current is not None) or self.waits_for(now):
            return
        if due and self.current is None:
            self.start(self.account, scheduled=True)
        if due:
            self.next_ms = now + self.every_ms  # missed ones are not made up for
            self._remember_switch()
        if self.current is not None:
            self._step(self.current, now)
        elif clears:
            self._engine.roll.clear_blocking(now)

    def _step(self, running: Pass, now: int) -> None:
        budget = STEP
        for company in self._companies():
            if (company.site, company.name) in running.done:
                continue
            partial = running.now
            if partial is None or (partial["site"], partial["company"]) != (company.site, company.name):
                running.now = _entry(company)
            budget -= 1 + self._visit(running, company, now, budget)
            if budget <= 0:
                self._save(running)
                self._engine.hurry()
                return
        self._finish(running, now)

    def _visit(self, running: Pass, company: Company, now: int, budget: int) -> int:
        """Remove what is disconnected here, as far as the budget goes. How many were removed."""
        entry = running.now
        assert entry is not None
        roll, removed, held = self._engine.roll, 0, 0
        try:
            suspected: set[str] = set()
            for session in _disconnected(company):
                if session.client not in suspected:
                    suspected.add(session.client)
                    roll.suspect(session, now)
                if roll.silence.held(session):
                    held += 1
                    continue
                if removed >= budget:
                    return removed
                released = roll.remove(session, now, actor=running.actor, cause="cleanup", reason="cleanup")
                entry["removed"] += 1
                entry["released"] += len(released)
                removed += 1
        except Exception as error:  # one failing company does not stop the others (rule 7)
            log.exception("cleanup.company_failed", site=company.site, company=company.name)
            entry["failed"] = f"{type(error).__name__}: {error}"
        entry["held_back"] = held
        running.done[company.site, company.name] = entry
        running.now = None
        return removed

    def _finish(self, running: Pass, now: int) -> None:
        running.finished_ms = now
        self.current = None
        report = self.report(running)
        self.last = report
        self._save(running)
        failed = [entry for entry in report["companies"] if entry["failed"]]
        totals = {name: report[name] for name in (*COUNTS, "failed")}
        result = {"pass": running.id, "result": "failed" if failed else "done"}
        seconds = (now - running.started_ms) / 1000
        self._note("cleanup.finished", now, running.actor, {**result, **totals, "seconds": seconds})
        for site in dict.fromkeys(entry["site"] for entry in report["companies"]):
            of_site = [entry for entry in report["companies"] if entry["site"] == site]
            counts = {name: sum(entry[name] for entry in of_site) for name in COUNTS}
            data = {**result, **counts, "companies": of_site[:200]}
            self._engine.roll.out.events.append(
                Event("cleanup.finished", now, site, None, None, None, data, running.actor)
            )
        running.finished.set()

    # --- inside ---------------------------------------------------------------------------------------

    def _companies(self) -> list[Company]:
        companies = self._engine.roll.companies
        return [companies[key] for key in sorted(companies)]

    def report(self, of: Pass) -> Report:
        rows = self._engine.rows
        waits = [] if of.finished_ms else self.waits_for(self._engine.clock.now_ms())
        return {
            "id": of.id,
            "state": "finished" if of.finished_ms else ("waiting" if waits else "running"),
            "started": wire.rfc3339(rows.wall(of.started_ms)),
            "finished": wire.rfc3339(rows.wall(of.finished_ms)) if of.finished_ms else None,
            "by": of.actor,
            "scheduled": of.scheduled,
            "dry_run": False,
            "companies": list(of.done.values()),
            **of.totals(),
        }

    def _save(self, of: Pass) -> None:
        report = self.report(of)
        if of.now is not None:
            report["partial"] = of.now
        rows = self._engine.rows
        row = PassRow(
            of.id, rows.wall(of.started_ms), rows.wall(of.finished_ms), of.actor, wire.encode_json(report)
        )
        self._engine.committer.open.changes.passes[of.id] = row

    def _remember_switch(self) -> None:
        state = {"enabled": self.enabled, "next_at": self._engine.rows.wall(self.next_ms)}
        self._engine.committer.open.changes.meta["cleanup"] = wire.encode_json(state).decode()

    def _note(self, kind: str, now: int, actor: str, data: Report) -> None:
        self._engine.roll.out.events.append(Event(kind, now, None, None, None, None, data, actor))


def _entry(company: Company) -> Report:
    return {
        "site": company.site, "company": company.name, "removed": 0, "released": 0, "held_back": 0,
        "skipped": 0, "failed": None,
    }  # fmt: skip


def _disconnected(company: Company) -> list[Session]:
    return [session for session in company.sessions.values() if session.status is Status.DISCONNECTED]
