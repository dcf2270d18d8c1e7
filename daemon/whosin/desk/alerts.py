"""Alerts as operators see them: what was told, to whom, with what success; and a test of the channels.

Owns the answers' shape (`operations.Alerts`). Secrets of channels never get here: a target shows itself.
"""

from __future__ import annotations

import asyncio
import secrets
from time import perf_counter

import msgspec
import structlog

from whosin import wire
from whosin.alerts.conditions import Group
from whosin.alerts.delivery import send
from whosin.alerts.messages import ACTIONS, Told, public, summary
from whosin.alerts.office import Office
from whosin.alerts.routing import Channel
from whosin.alerts.targets import Undelivered
from whosin.engine.engine import Engine
from whosin.errors import Refused, StoreError
from whosin.model import Event
from whosin.operations import Caller, Json, Page
from whosin.ports import AlertQuery, AlertRow, DeliveryRow

MOST_TESTS = 4  # channels tested at once
READ_WAIT_S = 1.0

log = structlog.get_logger("whosin.alerts")


class AlertsDesk:
    """Implements `operations.Alerts`."""

    def __init__(self, engine: Engine, office: Office) -> None:
        self._engine = engine
        self._office = office
        self._testing = asyncio.Semaphore(MOST_TESTS)

    async def find(
        self,
        caller: Caller,
        *,
        site: str | None = None,
        kind: str | None = None,
        is_open: bool | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page:
        if caller.site is not None and site not in (None, caller.site):
            return Page([], None, 0)
        site = caller.site or site
        before = int(cursor) if cursor else None
        rows = await self._rows(AlertQuery(site, kind, is_open, before, limit + 1))
        found = rows[:limit]
        of_alert = await self._deliveries([row.number for row in found])
        items = [self._item(row, of_alert.get(row.number, [])) for row in found]
        more = str(found[-1].number) if len(rows) > limit else None
        return Page(items, more, len(items))

    async def _rows(self, query: AlertQuery) -> list[AlertRow]:
        """What is stored; while the store fails, what is known here."""
        try:
            await asyncio.wait_for(self._engine.durable(), READ_WAIT_S)
        except (StoreError, TimeoutError):
            log.debug("alerts.unstored")
        try:
            stored = await self._engine.store.alerts(query)
        except StoreError:
            stored = []
        known: dict[int, AlertRow] = {}
        for changes in self._engine.committer.unstored:
            known |= changes.alerts
        rows = {row.number: row for row in stored if row.number not in known}
        rows |= {number: row for number, row in known.items() if _matches(row, query)}
        return [rows[number] for number in sorted(rows, reverse=True)][: query.limit]

    async def _deliveries(self, numbers: list[int]) -> dict[int, list[DeliveryRow]]:
        found: dict[tuple[int, str, str], DeliveryRow] = {}
        try:
            rows = await self._engine.store.deliveries(numbers) if numbers else []
        except StoreError:
            rows = []
        for row in rows:
            found[row.alert, row.channel, row.phase] = row
        for changes in self._engine.committer.unstored:
            found |= {key: row for key, row in changes.deliveries.items() if row.alert in numbers}
        by_alert: dict[int, list[DeliveryRow]] = {}
        for row in sorted(found.values(), key=lambda row: (row.since, row.phase, row.channel)):
            by_alert.setdefault(row.alert, []).append(row)
        return by_alert

    def _item(self, row: AlertRow, deliveries: list[DeliveryRow]) -> Json:
        facts = msgspec.json.decode(row.body)["facts"]
        group = Group(row.kind, row.site, row.company)
        told = Told(row.id, group, row.severity, row.raised, row.cleared, row.total, facts)
        return {
            "id": row.id, "kind": row.kind, "severity": row.severity, "site": row.site,
            "company": row.company, "state": "over" if row.cleared else "open",
            "raised": wire.rfc3339(row.raised), "cleared": _time(row.cleared), "last_told": _time(row.told),
            "reminders": row.reminders, "count": row.total, "message": summary(told),
            "action": ACTIONS[row.kind], "about": [public(fact) for fact in facts],
            "targets": [_target(one) for one in deliveries],
        }  # fmt: skip

    # --- channels -------------------------------------------------------------------------------------

    async def channels(self, caller: Caller) -> list[Json]:  # noqa: ARG002 - the same for all who may ask
        return [self._channel(one) for one in self._office.channels]

    def _channel(self, one: Channel) -> Json:
        owed = self._office.outbox.owed(one.name)
        return {
            "name": one.name, "target": one.target.shown, "sites": list(one.sites),
            "companies": list(one.companies), "roles": list(one.roles), "kinds": list(one.kinds),
            "at_least": one.at_least, "cleared": one.cleared, "waiting": len(owed),
            "last_error": next((told.error for told in reversed(owed) if told.error), None),
        }  # fmt: skip

    async def test(self, channel: str | None, caller: Caller) -> list[Json]:
        channels = [one for one in self._office.channels if channel in (None, one.name)]
        if not channels:
            names = ", ".join(one.name for one in self._office.channels)
            raise Refused("not_found", f"there is no channel {channel}; there are {names}")
        results = await asyncio.gather(*(self._test(one, secrets.token_hex(8)) for one in channels))
        data = {"results": [{"channel": it["channel"], "ok": it["ok"]} for it in results]}
        now = self._engine.clock.now_ms()
        self._engine.roll.out.events.append(
            Event("alert.tested", now, None, None, None, None, data, caller.name)
        )
        self._engine.collect()  # not waited for: channels can be tested while nothing can be stored
        return list(results)

    async def _test(self, channel: Channel, ident: str) -> Json:
        async with self._testing:
            began, problem = perf_counter(), None
            try:
                await send(channel.target, self._office.test_message(channel, ident))
            except Undelivered as no:
                problem = str(no)
            took_s = round(perf_counter() - began, 3)
        return {
            "channel": channel.name, "target": channel.target.shown, "ok": problem is None,
            "problem": problem, "took_s": took_s,
        }  # fmt: skip


def _matches(row: AlertRow, query: AlertQuery) -> bool:
    return (
        query.site in (None, row.site)
        and query.kind in (None, row.kind)
        and query.open in (None, not row.cleared)
        and (query.before is None or row.number < query.before)
    )


def _target(row: DeliveryRow) -> Json:
    return {
        "channel": row.channel, "phase": row.phase, "state": row.state, "tries": row.tries,
        "since": wire.rfc3339(row.since), "last_try": _time(row.at),
        "next_try": _time(row.due) if row.state == "pending" else None, "error": row.error,
    }  # fmt: skip


def _time(wall_ms: int) -> str | None:
    return wire.rfc3339(wall_ms) if wall_ms else None
