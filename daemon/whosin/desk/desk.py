"""What operators ask and order: implements `operations.Operations` on the engine.

Owns the answers' shape together with `views`, and that a command answers only once it is durable. Must not
know HTTP, SQL or the rules' inside.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import msgspec

from whosin import wire
from whosin.cleanup import COUNTS, Cleanup
from whosin.desk.access import Access
from whosin.desk.day import Day
from whosin.desk.followups import Followups
from whosin.desk.listing import list_sessions, matching
from whosin.desk.locklist import list_locks
from whosin.desk.logoff import LogOff
from whosin.desk.maintenance import Maintenance
from whosin.desk.messages import Messages
from whosin.desk.numbers import Numbers
from whosin.desk.stirs import stirs
from whosin.desk.views import Views
from whosin.engine.engine import Engine
from whosin.errors import Refused, StoreError
from whosin.model import Status
from whosin.operations import Alerts, Caller, Json, LockQuery, Page, SessionQuery
from whosin.ports import EventRow, HistoryQuery, Loaded
from whosin.rules.locks import book_of

SSE_BACKLOG = 10_000
READ_WAIT_S = 1.0
SSE_PAGE = 1_000
PASS_WAIT_S = 30.0


class Desk(Access):
    """One for all operators; `Access` adds tokens and accounts."""

    def __init__(
        self,
        engine: Engine,
        cleanup: Cleanup,
        *,
        name: str,
        version: str,
        sign_in: bool,
        reload: Callable[[str], Awaitable[Json]],
    ) -> None:
        super().__init__(engine)
        self.cleanup_desk = cleanup
        self.views = Views(engine.roll, engine.rows)
        self._logoff = LogOff(engine)
        self.followups = Followups(engine, self._settled)
        self.messages = Messages(engine)
        self.maintenance = Maintenance(engine)
        self._day = Day(engine)
        engine.on_flush.append(self._day.look)
        self._numbers = Numbers(engine, cleanup, name=name, version=version, sign_in=sign_in)
        self._reload = reload
        self._stopping = asyncio.Event()
        self.extra_problems: Callable[[], list[str]] = list
        self.alerts: Alerts  # handed over by the daemon

    def restore(self, loaded: Loaded) -> None:
        super().restore(loaded)
        self._day.restore(loaded.meta)
        self.maintenance.restore(loaded.meta)

    # --- reading --------------------------------------------------------------------------------------

    async def _settled(self) -> int:
        """What is shown is durable (rule 10); while the store fails, what is known is shown all the same."""
        now = self.engine.settle()
        self.engine.collect()
        if self.engine.committer.problem is None:
            try:
                await asyncio.wait_for(self.engine.committer.durable(), READ_WAIT_S)
            except (TimeoutError, StoreError):
                return now
        return now

    async def sessions(self, query: SessionQuery, caller: Caller) -> Page:
        await self._settled()
        page = await list_sessions(self.engine, self.views, _limited(query, caller))
        await self._settled()  # also what was decided while we waited
        return page

    async def matching(
        self, query: SessionQuery, caller: Caller, before_wall_ms: int | None = None
    ) -> list[str]:
        before = None if before_wall_ms is None else self.engine.clock.timeline_ms(before_wall_ms)
        await self._settled()
        return await matching(self.engine, _limited(query, caller), before)

    async def session(self, ident: str, caller: Caller) -> Json | None:
        await self._settled()
        live = self.engine.live(ident)
        if live is not None:
            item = self.views.session(live)
        else:
            row = await self.engine.store.session(ident)
            if row is None:
                return None
            tomb = self.engine.roll.tombs.get(ident)
            if tomb is not None and not Status(row.status).final:  # over, and not stored yet
                ended_ms = self.engine.rows.wall(tomb.at_ms)
                row = row._replace(
                    status=tomb.status.value, ended=ended_ms, ended_by=tomb.by, reason=tomb.reason
                )
            company = self.engine.roll.companies.get((row.site, row.company))
            held = book_of(company).held.everything() if company is not None and company.locks else ()
            item = self.views.ended(row, [lock for lock in held if lock.session.id == ident])
        await self._settled()
        return item if caller.site in (None, item["site"]) else None

    async def locks(
        self,
        caller: Caller,
        *,
        site: str | None = None,
        company: str | None = None,
        resource: str | None = None,
    ) -> list[Json]:
        await self._settled()
        found = []
        for place in sorted(self.engine.roll.companies):
            one = self.engine.roll.companies[place]
            if one.locks is None or (company is not None and one.name != company):
                continue
            if any(wanted is not None and wanted != one.site for wanted in (site, caller.site)):
                continue
            book = book_of(one)
            held = book.held.everything() if resource is None else book.held.overlapping(resource)
            found += [self.views.lock(lock) for lock in held]
        await self._settled()
        return found

    async def find_locks(self, query: LockQuery, caller: Caller) -> Page:
        await self._settled()
        return await list_locks(self.engine, self.views, query, caller)

    async def companies(self, caller: Caller) -> list[Json]:
        await self._settled()
        items = []
        for (site, name), company in sorted(self.engine.roll.companies.items()):
            if caller.site not in (None, site):
                continue
            active = sum(1 for it in company.sessions.values() if it.status is Status.ACTIVE)
            book = company.locks
            waiting = sum(1 for want in book.wanted.everything() if want.waiting) if book is not None else 0
            items.append(
                {
                    "site": site, "company": name,
                    "active": active, "disconnected": len(company.sessions) - active,
                    "locks": len(book.held) if book is not None else 0, "waiting": waiting,
                }
            )  # fmt: skip
        return items

    async def history(self, query: HistoryQuery, caller: Caller) -> Page:
        await self._settled()
        if caller.site is not None:
            if query.site not in (None, caller.site):
                return Page([], None, 0)
            query = replace(query, site=caller.site)
        rows = await self.engine.store.history(query)
        more = str(rows[-1].seq) if len(rows) == query.limit else None
        if more is None and query.before_seq is None:
            total, exact = len(rows), True
        else:
            total, exact = await self.engine.store.count_history(query)
        return Page([self.views.event(row) for row in rows], more, total, exact)

    async def stats(self, caller: Caller) -> Json:
        await self._settled()
        return {
            **self._numbers.show(caller, self.problems()),
            "followups": self.followups.counts(caller),
            "maintenance": self.maintenance.windows(caller),
        }

    async def day(self, caller: Caller) -> Json:  # noqa: ARG002 - of the whole daemon, and without names
        return self._day.show()

    def _time(self, at_ms: int) -> str | None:
        return wire.rfc3339(self.engine.rows.wall(at_ms)) if at_ms else None

    def problems(self) -> list[str]:
        found = []
        for name in self.engine.blind:
            trouble = self.engine.transports[name].trouble
            found.append(f"blind: nothing is received through the {name}{f': {trouble}' if trouble else ''}")
        problem = self.engine.committer.trouble
        if problem is not None:
            found.append(f"storage: {problem.kind}: {problem}")
        if self._stopping.is_set():
            found.append("stopping")
        return found + self.extra_problems()

    # --- logging off ----------------------------------------------------------------------------------

    async def logoff(
        self,
        ids: list[str],
        caller: Caller,
        *,
        force: bool = False,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> list[Json]:
        self._must_store()
        return await self._logoff.logoff(ids, caller, force=force, reason=reason, dry_run=dry_run)

    async def free_lock(
        self, site: str, company: str, resource: str, caller: Caller, reason: str | None
    ) -> Json:
        self._must_store()
        now = self.engine.settle()
        place = self.engine.roll.companies.get((site, company))
        if place is None or place.locks is None or caller.site not in (None, site):
            raise Refused("not_found", f"nothing is locked in company {company} of site {site}")
        locks = list(book_of(place).held.exact(resource))
        if not locks:
            raise Refused("not_found", f"{resource} is not locked in company {company} of site {site}")
        left = [lock for lock in locks if lock.session.status.final]
        if not left:
            raise Refused("in_use", f"{resource} is held by a live session; log that off instead")
        for lock in left:
            self.engine.roll.locks.release(lock, now, reason or "freed", caller.name)
        await self.engine.durable()
        return {"resource": resource, "released": True}

    # --- cleanup --------------------------------------------------------------------------------------

    async def cleanup(self, caller: Caller) -> Json:
        now = await self._settled()
        desk = self.cleanup_desk
        last = desk.last
        if last is None:
            rows = [row for row in await self.engine.store.passes(2) if row.finished]
            last = msgspec.json.decode(rows[0].report) if rows else None
        return {
            "enabled": desk.enabled, "every_s": _seconds(desk.every_ms), "next_at": self._time(desk.next_ms),
            "running": _of_site(desk.report(desk.current), caller) if desk.current else None,
            "waiting_for": desk.waits_for(now), "last": _of_site(last, caller) if last else None,
            "holds": self._holds(caller),
        }  # fmt: skip

    def _holds(self, caller: Caller) -> list[Json]:
        roll = self.engine.roll
        return [
            {
                "site": hold.key[0], "company": hold.key[1] or None, "client": hold.key[2],
                "opened": self._time(hold.opened_ms), "until": self._time(hold.until_ms),
                "sessions": sum(
                    1
                    for it in roll.sessions.values()
                    if it.status is Status.DISCONNECTED and roll.silence.held(it) is hold
                ),
            }
            for hold in roll.silence.holds.values()
            if caller.site in (None, hold.key[0])
        ]  # fmt: skip

    async def switch_cleanup(self, enabled: bool, caller: Caller) -> Json:
        self._must_store()
        self.cleanup_desk.switch(enabled, caller.name)
        await self.engine.durable()
        return await self.cleanup(caller)

    async def run_cleanup(self, caller: Caller, *, dry_run: bool = False) -> Json:
        now = self.engine.settle()
        desk = self.cleanup_desk
        if dry_run:
            return {**_of_site(desk.dry_run(now), caller), "by": caller.name, "scheduled": False}
        self._must_store()
        running = desk.start(caller.name)
        desk.tick(now)
        await self.engine.durable()
        if not desk.waits_for(now):
            try:
                await asyncio.wait_for(running.finished.wait(), PASS_WAIT_S)
            except TimeoutError:
                return desk.report(running)
            await self.engine.durable()
        return desk.report(running)

    async def confirm(self, site: str, company: str | None, client: str | None, caller: Caller) -> Json:
        self._must_store()
        now = self.engine.settle()
        count = self.engine.roll.silence.confirm(site, company, client, now, caller.name)
        if not count:
            raise Refused(
                "not_found", f"nothing is held back for {client or 'any client type'} in {company or site}"
            )
        await self.engine.durable()
        return {"confirmed": count}

    async def passes(self, limit: int, caller: Caller) -> list[Json]:
        await self._settled()
        return [
            _of_site(msgspec.json.decode(row.report), caller) for row in await self.engine.store.passes(limit)
        ]

    # --- the rest -------------------------------------------------------------------------------------

    async def changes(
        self, caller: Caller, last_id: str | None = None
    ) -> AsyncIterator[tuple[str, str, Json]]:
        backlog: deque[EventRow] = deque(maxlen=SSE_BACKLOG)
        wake = asyncio.Event()
        missed = False
        told = 0

        def hear(row: EventRow) -> None:
            nonlocal missed
            if row.seq > told and caller.site in (None, row.site):
                missed = missed or len(backlog) == SSE_BACKLOG
                backlog.append(row)
                wake.set()

        self.engine.listeners.append(hear)
        try:
            older: list[EventRow] = []
            while last_id is not None and last_id.isascii() and last_id.isdigit() and len(last_id) < 19:
                # What was let out before this reading is in it; what is let out from now on is heard.
                backlog.clear()
                missed = False
                told = told or min(int(last_id), self.engine.seq)
                page = min(SSE_PAGE, SSE_BACKLOG)
                older = await self.engine.store.events_after(told, page)
                for row in older:
                    told = row.seq
                    if caller.site in (None, row.site):
                        yield str(row.seq), row.type, self.views.event(row)
                if len(older) < page:
                    break
            while not self._stopping.is_set():
                if missed:
                    missed = False
                    yield "", "missed", {}
                while backlog:
                    row = backlog.popleft()
                    if row.seq > told:
                        told = row.seq
                        yield str(row.seq), row.type, self.views.event(row)
                wake.clear()
                if not backlog:
                    await self._either(wake)
        finally:
            self.engine.listeners.remove(hear)

    def stirs(self, caller: Caller) -> AsyncIterator[tuple[str, str, Json]]:
        return stirs(self.engine, caller, self._stopping)

    async def _either(self, wake: asyncio.Event) -> None:
        tasks = [asyncio.ensure_future(wake.wait()), asyncio.ensure_future(self._stopping.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def backup(self, path: str, caller: Caller) -> Json:
        await self._settled()
        size = await self._back_up(path)
        self._note("backup.made", caller, {"path": path, "bytes": size})
        await self.engine.durable()
        return {"path": path, "bytes": size}

    async def _back_up(self, path: str) -> int:
        from pathlib import Path  # noqa: PLC0415

        target = Path(path)
        if not target.is_absolute() or not target.parent.is_dir():
            raise Refused(
                "bad_path", f"{path} is not an absolute path in an existing folder of the daemon's machine"
            )
        await self.engine.store.backup(path)
        return target.stat().st_size  # noqa: ASYNC240 - one look at a file just written

    async def reload(self, caller: Caller) -> Json:
        return await self._reload(caller.name)

    def stop(self) -> None:
        """End every stream."""
        self._stopping.set()


def _limited(query: SessionQuery, caller: Caller) -> SessionQuery:
    if caller.site is None:
        return query
    return replace(query, site=caller.site if query.site in (None, caller.site) else "\0")


def _seconds(ms: int) -> float:
    """Whole seconds stay whole."""
    return ms // 1000 if ms % 1000 == 0 else ms / 1000


def _of_site(report: Json, caller: Caller) -> Json:
    """A pass as this caller may see it: its site's companies and their sums."""
    if caller.site is None:
        return report
    companies = [one for one in report["companies"] if one["site"] == caller.site]
    sums = {name: sum(one[name] for one in companies) for name in COUNTS}
    return {**report, "companies": companies, **sums, "failed": sum(1 for one in companies if one["failed"])}
