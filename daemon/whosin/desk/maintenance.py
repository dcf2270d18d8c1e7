"""Planned closing (rule 17): implements `operations.Maintenance`. The engine calls `tick` at each moment.

Owns the windows, their keeping over restarts, and what each step does: warn, keep out, force out, let in
again. When a step is due is `rules.maintenance`'s.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec
import structlog

from whosin import wire
from whosin.desk.messages import checked, deliver
from whosin.engine.engine import Engine
from whosin.errors import Refused
from whosin.model import Event, Session
from whosin.operations import Caller, Json
from whosin.rules.maintenance import Step, Window, due, minutes_left, warned

MOST = 100
LONGEST_MS = 31 * 86_400_000
FARTHEST_MS = 366 * 86_400_000
REMOVED_AT_ONCE = 2_000
BACK_MS = 15_000  # after a start: so long people have to come back before they are warned
META = "maintenance"

log = structlog.get_logger("whosin.maintenance")


class Maintenance:
    """All windows that are planned or have begun; what is over is in the history only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closures = engine.roll.closures
        self._last = 0
        self._quiet_ms = engine.clock.now_ms() + BACK_MS
        engine.before_commit.append(self.tick)
        engine.roll.warn = self._warn_one

    def restore(self, meta: dict[str, str]) -> None:
        stored = meta.get(META)
        if stored is not None:
            state = msgspec.json.decode(stored)
            self._last = state["last"]
            self._closures.windows[:] = [Window(**one) for one in state["windows"]]

    def _remember(self) -> None:
        state = {"last": self._last, "windows": [asdict(it) for it in self._closures.windows]}
        self._engine.committer.open.changes.meta[META] = wire.encode_json(state).decode()

    # --- orders ---------------------------------------------------------------------------------------

    def windows(self, caller: Caller) -> list[Json]:
        seen = [it for it in self._closures.windows if caller.site in (None, it.site)]
        return [_item(it) for it in sorted(seen, key=lambda it: it.begins_ms)]

    async def plan(
        self, caller: Caller, *, site: str, company: str | None, begins: int | None, ends: int, text: str,
        force: bool,
    ) -> Json:  # fmt: skip
        self._must_store()
        engine = self._engine
        now = engine.settle()
        wall = engine.clock.wall_ms(now)
        begins = wall if begins is None else begins
        _check(begins, ends, wall)
        if len(self._closures.windows) >= MOST:
            raise Refused("too_many", f"{MOST} windows are planned already; cancel some")
        self._last += 1
        window = Window(self._last, site, company, begins, ends, checked(text), caller.name, force)
        self._closures.windows.append(window)
        self._note("maintenance.planned", window, now, caller.name)
        self._remember()
        self.tick(now)
        await engine.durable()
        return _item(window)

    async def end(self, ident: int, caller: Caller, reason: str | None = None) -> Json:
        """One that is planned is cancelled, one that has begun ends now."""
        self._must_store()
        now = self._engine.settle()
        window = next((it for it in self._closures.windows if it.id == ident), None)
        if window is None or caller.site not in (None, window.site):
            raise Refused("not_found", f"no maintenance {ident} is planned or has begun")
        self._over(window, now, caller.name, reason)
        await self._engine.durable()
        return {**_item(window), "state": "ended" if window.begun else "cancelled"}

    def _must_store(self) -> None:
        if (trouble := self._engine.committer.trouble) is not None:
            raise trouble

    # --- moments --------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Take the steps that are due, and go on forcing people out."""
        if not self._closures.windows or self._engine.committer.trouble is not None:
            return
        wall = self._engine.clock.wall_ms(now)
        for window in list(self._closures.windows):
            while (step := due(window, wall)) is not None and not self._wait(step, window, now, wall):
                self._take(step, window, now, wall)
                if step is Step.END:
                    break
            if window in self._closures.windows and window.begun and window.force and not window.emptied:
                self._force_out(window, now)

    def _wait(self, step: Step, window: Window, now: int, wall: int) -> bool:
        """Nobody hears a warning while nobody is connected; there is time for another try."""
        deaf = self._engine.blind or now < self._quiet_ms
        return step is Step.WARN and bool(deaf) and window.begins_ms - wall > BACK_MS

    def _take(self, step: Step, window: Window, now: int, wall: int) -> None:
        if step is Step.WARN:
            warned(window, wall)
            told = deliver(self._engine, self._those_in(window), words(window, wall), window.by, now)
            self._note("maintenance.warned", window, now, window.by, reached=len(told))
        elif step is Step.START:
            window.begun = True
            self._note("maintenance.started", window, now, window.by, sessions=len(self._those_in(window)))
        else:
            self._over(window, now, window.by, None)
            return
        self._remember()

    def _warn_one(self, session: Session, window: Window, at_ms: int) -> None:
        """Somebody came in after the others were warned."""
        wall = self._engine.clock.wall_ms(at_ms)
        deliver(self._engine, [session], words(window, wall), window.by, at_ms)

    def _over(self, window: Window, now: int, actor: str, reason: str | None) -> None:
        self._closures.windows.remove(window)
        kind = "maintenance.ended" if window.begun else "maintenance.cancelled"
        missed = not window.begun and self._engine.clock.wall_ms(now) >= window.ends_ms
        self._note(kind, window, now, actor, reason or ("the daemon was down" if missed else None))
        self._remember()

    def _force_out(self, window: Window, now: int) -> None:
        """So many in one go, so that others are served between; those who stay in are administrators."""
        engine = self._engine
        left = self._those_in(window)
        for session in left[:REMOVED_AT_ONCE]:
            engine.roll.remove(
                session, now, actor=window.by, cause="maintenance", reason=f"maintenance: {window.text}"
            )
        if len(left) > REMOVED_AT_ONCE:
            engine.hurry()
        else:
            window.emptied = True
            self._remember()

    def _those_in(self, window: Window) -> list[Session]:
        roll = self._engine.roll
        companies = (
            [it for (site, _), it in roll.companies.items() if site == window.site]
            if window.company is None
            else [it for it in (roll.companies.get((window.site, window.company)),) if it is not None]
        )
        return [
            it
            for company in companies
            for it in company.sessions.values()
            if not self._closures.admits(it.user)
        ]

    def _note(
        self, kind: str, window: Window, now: int, actor: str, reason: str | None = None, **more: Any
    ) -> None:
        item = _item(window)
        data = {name: item[name] for name in ("from", "until", "text", "force")}
        data = {"maintenance": window.id, **data, **more}
        self._engine.roll.out.events.append(
            Event(kind, now, window.site, window.company, None, None, data, actor, reason)
        )


def words(window: Window, wall: int) -> str:
    """What people read. They may sit in any zone, so it says how long, too."""
    left = minutes_left(window, wall)
    begins, ends = _clock(window.begins_ms), _clock(window.ends_ms)
    when = "now" if not left else f"in {left} minute{'s' if left > 1 else ''}"
    place = window.company or window.site
    told = f"{place} closes {when}, from {begins} to {ends} UTC: {window.text}"
    return f"{told} Please save your work and log out."


def _clock(wall_ms: int) -> str:
    return wire.rfc3339(wall_ms)[11:16]


def _check(begins: int, ends: int, wall: int) -> None:
    if ends <= begins:
        raise Refused("bad_time", "until lies before from; expected a later moment")
    if ends <= wall:
        raise Refused("bad_time", "until is over already; expected a moment to come")
    if ends - begins > LONGEST_MS or begins - wall > FARTHEST_MS:
        raise Refused("bad_time", "a window lasts 31 days at most, and begins within a year")


def _item(it: Window) -> Json:
    return {
        "id": it.id, "site": it.site, "company": it.company, "from": wire.rfc3339(it.begins_ms),
        "until": wire.rfc3339(it.ends_ms), "text": it.text, "force": it.force, "by": it.by,
        "state": "started" if it.begun else "planned",
    }  # fmt: skip
