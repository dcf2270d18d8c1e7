"""A small engine in memory, typed as the real one, that notes what it was asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.web.fake_operators import FakeOperators
from whosin.errors import Refused, StoreError
from whosin.operations import Caller, LockQuery, Page, SessionQuery
from whosin.web.examples.alerts import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from whosin.ports import FollowupQuery, HistoryQuery

Json = dict[str, Any]

AT = "2026-11-02T08:15:00.000Z"
TOKENS = {
    "t-viewer": Caller("v", "viewer"),
    "t-operator": Caller("o", "operator"),
    "t-administrator": Caller("a", "administrator"),
    "t-north-viewer": Caller("nv", "viewer", "north"),
    "t-north-operator": Caller("no", "operator", "north"),
    "t-north-administrator": Caller("na", "administrator", "north"),
}


def session(ident: str, site: str = "north", status: str = "active") -> Json:
    blocked = {
        "session": "b1", "user": "bob", "machine": None, "client": "web", "resource": "sales-order/SO-1001",
        "mode": "exclusive", "since": AT, "waiting": True,
    }  # fmt: skip
    lock = {
        "resource": "sales-order/SO-1001", "mode": "exclusive", "token": 7, "since": AT, "sticky": False,
        "activity": "amend", "guidance": None, "rule": "sales-order", "release_at": None,
    }  # fmt: skip
    return {
        "id": ident, "site": site, "company": "acme", "user": "ada", "client": "desktop", "machine": "PC-7",
        "address": "10.0.0.7", "app": "erp 9.1", "os_session": None, "conn": 3, "status": status,
        "reason": None,
        "since": AT, "last_seen": AT, "at": None, "deadline": AT, "disconnected_at": None, "ended_at": None,
        "ended_by": None,
        "lost": False, "idle": False, "idle_s": 12, "activity": "amending SO-1001", "held_back": False,
        "source": "door", "guidance": ["prove-balances"], "locks": [lock], "blocks": [blocked],
    }  # fmt: skip


def event(seq: int, kind: str = "session.logged_in", site: str = "north") -> Json:
    return {
        "seq": seq, "at": AT, "type": kind, "site": site, "company": "acme",
        "session": "s1",
        "user": "ada", "actor": None, "reason": None, "data": {"machine": "PC-7"},
    }  # fmt: skip


def report(*, dry_run: bool = False) -> Json:
    company = {
        "site": "north", "company": "acme", "removed": 1, "released": 2, "held_back": 0,
        "skipped": 0, "failed": None,
    }  # fmt: skip
    return {
        "id": 1, "state": "finished", "started": AT, "finished": AT, "by": "o", "scheduled": False,
        "dry_run": dry_run,
        "companies": [company], "removed": 1, "released": 2, "held_back": 0, "skipped": 0, "failed": 0,
    }  # fmt: skip


def followup(ident: int = 17, **more: Any) -> Json:
    return {
        "id": ident, "status": "open", "created": AT, "site": "north", "company": "acme", "session": "s1",
        "user": "ada", "client": "desktop", "machine": "PC-7", "resource": "sales-order/SO-1001",
        "rule": "sales-order", "severity": "normal", "text": "Look.", "done": None, "done_by": None,
        "note": None,
    } | more  # fmt: skip


def window(ident: int = 3, **more: Any) -> Json:
    return {
        "id": ident, "site": "north", "company": None, "from": AT, "until": AT, "text": "New version.",
        "force": False, "by": "a", "state": "planned",
    } | more  # fmt: skip


class FakeMessages:
    """The department of messages, and that of maintenance."""

    def __init__(self, note: Callable[..., None]) -> None:
        self._note = note

    async def send(
        self, text: str, caller: Caller, *, site: str | None = None, company: str | None = None,
        user: str | None = None, sessions: list[str] | None = None,
    ) -> Json:  # fmt: skip
        self._note("send", text, caller, site, company, user, sessions)
        return {"reached": 2, "not_reached": 1, "users": ["ada"], "unknown": []}

    def windows(self, caller: Caller) -> list[Json]:
        self._note("windows", caller)
        return [window()]

    async def plan(
        self, caller: Caller, *, site: str, company: str | None, begins: int | None, ends: int, text: str,
        force: bool,
    ) -> Json:  # fmt: skip
        self._note("plan", caller, site, company, begins, ends, text, force)
        return window()

    async def end(self, ident: int, caller: Caller, reason: str | None = None) -> Json:
        self._note("end", ident, caller)
        return window(ident, state="cancelled")


class FakeFollowups:
    """The department of follow-ups."""

    def __init__(self, note: Callable[..., None]) -> None:
        self._note = note

    def rules(self, caller: Caller) -> Json:
        self._note("rules", caller)
        match = {"resource": ["sales-order/*"], "activity": [], "client": []}
        rule = {"id": "sales-order", "severity": "normal", "before": "Ask.", "after": None, "match": match}
        return {"source": "shipped", "items": [rule]}

    async def find(self, query: FollowupQuery, caller: Caller) -> Page:
        self._note("followups", query, caller)
        return Page([followup(18), followup(17)], "17" if query.before_id is None else None, 9)

    async def tick_off(self, ident: int, note: str | None, caller: Caller) -> Json:
        self._note("tick_off", ident, note, caller)
        return followup(ident, status="done", done=AT, done_by=caller.name, note=note)


class FakeAlerts:
    def __init__(self, note: Callable[..., None]) -> None:
        self._note = note

    async def find(self, caller: Caller, **query: Any) -> Page:
        self._note("find_alerts", query, caller)
        return Page(EXAMPLES["Alerts"]["items"], None, 1)

    async def channels(self, caller: Caller) -> list[Json]:
        self._note("channels", caller)
        return list(EXAMPLES["Channels"]["items"])

    async def test(self, channel: str | None, caller: Caller) -> list[Json]:
        self._note("test_channels", channel, caller)
        return list(EXAMPLES["TestedChannels"]["results"])


class FakeOperations:
    """`asked` has every call as (method, arguments...). `failure` is raised by the next one."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None
        self.stored: dict[str, Json] = {
            "s1": session("s1"), "s2": session("s2", "south"), "s3": session("s3", status="removed")
        }  # fmt: skip
        self.known = dict(TOKENS)
        self.troubles: list[str] = []
        self.alerts = FakeAlerts(self._note)
        self.listeners: list[asyncio.Queue[tuple[str, str, Json] | None]] = []
        self.listening = asyncio.Event()
        self.left = asyncio.Event()
        self.authenticated = 0
        self.operators = FakeOperators(self._note)

    @property
    def followups(self) -> FakeFollowups:
        return FakeFollowups(self._note)

    @property
    def messages(self) -> FakeMessages:
        return FakeMessages(self._note)

    @property
    def maintenance(self) -> FakeMessages:
        return FakeMessages(self._note)

    def _note(self, *call: Any) -> None:
        self.asked.append(call)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def _visible(self, items: list[Json], caller: Caller) -> list[Json]:
        return [item for item in items if caller.site in {None, item["site"]}]

    async def sessions(self, query: SessionQuery, caller: Caller) -> Page:
        self._note("sessions", query, caller)
        items = self._visible(list(self.stored.values()), caller)[: query.limit]
        return Page(items, None, len(items))

    async def matching(
        self, query: SessionQuery, caller: Caller, before_wall_ms: int | None = None
    ) -> list[str]:
        self._note("matching", query, caller, before_wall_ms)
        return ["s1", "s2"]

    async def session(self, ident: str, caller: Caller) -> Json | None:
        self._note("session", ident, caller)
        return self.stored.get(ident)

    async def logoff(
        self,
        ids: list[str],
        caller: Caller,
        *,
        force: bool = False,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> list[Json]:
        self._note("logoff", ids, caller, force, reason, dry_run)
        visible = {item["id"] for item in self._visible(list(self.stored.values()), caller)}
        done = "would_remove" if dry_run else "removed"
        return [
            {
                "id": ident, "result": done if ident in visible else "not_found", "released": ["a"],
                "held": [{"resource": "b", "release_at": AT}], "sticky": ["c"],
                "freed": [{"session": "b1", "user": "bob", "machine": None, "resource": "a"}],
                "guidance": [{
                    "id": "sales-order", "severity": "normal", "before": "Ask.", "after": "Look.",
                    "resource": "a",
                }],
                "followups": [{
                    "id": None if dry_run else 17, "rule": "sales-order", "severity": "normal",
                    "resource": "a", "text": "Look.",
                }],
            }
            for ident in ids
        ]  # fmt: skip

    async def locks(
        self,
        caller: Caller,
        *,
        site: str | None = None,
        company: str | None = None,
        resource: str | None = None,
    ) -> list[Json]:
        self._note("locks", caller, site, company, resource)
        base = session("s1")
        more = {"site": "north", "company": "acme", "left_behind": False, "session": "s1", "user": "ada",
                "machine": "PC-7", "client": "desktop", "status": "active",
                "blocks": base["blocks"]}  # fmt: skip
        return [base["locks"][0] | more | {"token": token} for token in range(3)]

    async def find_locks(self, query: LockQuery, caller: Caller) -> Page:
        items = await self.locks(caller, site=query.site, company=query.company)
        return Page(items, None, len(items))

    async def free_lock(
        self, site: str, company: str, resource: str, caller: Caller, reason: str | None
    ) -> Json:
        self._note("free_lock", site, company, resource, caller, reason)
        return {"resource": resource, "released": True}

    async def cleanup(self, caller: Caller) -> Json:
        self._note("cleanup", caller)
        hold = {
            "site": "north",
            "company": "acme",
            "client": "web",
            "opened": AT,
            "until": AT,
            "sessions": 12,
        }
        return {"enabled": True, "every_s": 1800, "next_at": AT, "running": None, "waiting_for": [],
                "last": report(), "holds": [hold]}  # fmt: skip

    async def switch_cleanup(self, enabled: bool, caller: Caller) -> Json:
        self._note("switch_cleanup", enabled, caller)
        return await self.cleanup(caller) | {"enabled": enabled}

    async def run_cleanup(self, caller: Caller, *, dry_run: bool = False) -> Json:
        self._note("run_cleanup", caller, dry_run)
        return report(dry_run=dry_run)

    async def confirm(self, site: str, company: str | None, client: str | None, caller: Caller) -> Json:
        self._note("confirm", site, company, client, caller)
        return {"confirmed": 1}

    async def passes(self, limit: int, caller: Caller) -> list[Json]:
        self._note("passes", limit, caller)
        return [report()]

    async def companies(self, caller: Caller) -> list[Json]:
        self._note("companies", caller)
        return [
            {"site": "north", "company": "acme", "active": 1, "disconnected": 0, "locks": 1, "waiting": 0}
        ]

    async def history(self, query: HistoryQuery, caller: Caller) -> Page:
        self._note("history", query, caller)
        return Page([event(2), event(1)], "1" if query.before_seq is None else None, 2)

    async def stats(self, caller: Caller) -> Json:
        self._note("stats", caller)
        return {
            "name": "whosin", "version": "1", "started_at": AT, "now": AT,
            "sessions": {"active": 3, "disconnected": 1},
            "by_client": {"web": {"active": 3}}, "locks": 5, "waiting": 1, "blocked": 1,
            "companies": 2, "sites": 1,
            "heartbeats_total": 9, "blind": False, "sources": {"door": {"seeing": True,
            "since": AT, "grace_until": None, "last_proof": AT}},
            "outbox": 0, "storage": {"ok": True, "kind": None, "problem": None}, "ready": True,
            "problems": [],
            "cleanup": {"enabled": True, "next_at": AT, "running": False}, "sign_in": {"mqtt": False},
            "followups": {"open": 3, "critical": 1}, "maintenance": [window()],
        }  # fmt: skip

    async def day(self, caller: Caller) -> Json:
        self._note("day", caller)
        slot = {"at": 1_793_606_400, "active": 3, "disconnected": 1, "fell": 2, "came_back": 0, "lag_s": None}
        return {"slot_s": 300, "slots": [slot]}

    def stirs(self, caller: Caller) -> AsyncIterator[tuple[str, str, Json]]:
        return self.changes(caller)

    def problems(self) -> list[str]:
        return self.troubles

    async def changes(
        self, caller: Caller, last_id: str | None = None
    ) -> AsyncIterator[tuple[str, str, Json]]:
        self._note("changes", caller, last_id)
        queue: asyncio.Queue[tuple[str, str, Json] | None] = asyncio.Queue()
        self.listeners.append(queue)
        self.listening.set()
        try:
            while (change := await queue.get()) is not None:
                yield change
        finally:
            self.listeners.remove(queue)
            self.left.set()

    def happen(self, ident: str, kind: str, item: Json) -> None:
        for queue in self.listeners:
            queue.put_nowait((ident, kind, item))

    async def backup(self, path: str, caller: Caller) -> Json:
        self._note("backup", path, caller)
        return {"path": path, "bytes": 4096}

    async def reload(self, caller: Caller) -> Json:
        self._note("reload", caller)
        return {"changed": ["log.level"], "needs_restart": []}

    async def list_tokens(self, caller: Caller) -> list[Json]:
        self._note("list_tokens", caller)
        return [{"name": "v", "role": "viewer", "site": None, "created": AT}]

    async def create_token(self, name: str, role: str, site: str | None, caller: Caller) -> Json:
        self._note("create_token", name, role, site, caller)
        return {"name": name, "role": role, "site": site, "token": "secret"}

    async def revoke_token(self, name: str, caller: Caller) -> None:
        self._note("revoke_token", name, caller)

    def authenticate(self, token: str) -> Caller | None:
        self.authenticated += 1
        return self.known.get(token)

    async def list_accounts(self, caller: Caller) -> list[Json]:
        self._note("list_accounts", caller)
        return [{"name": "p", "role": "gateway", "site": "north", "user": None, "created": AT}]

    async def add_account(self, name: str, role: str, site: str, user: str | None, caller: Caller) -> Json:
        self._note("add_account", name, role, site, user, caller)
        return {"name": name, "role": role, "site": site, "user": user, "password": "secret"}

    async def remove_account(self, name: str, caller: Caller) -> None:
        self._note("remove_account", name, caller)


__all__ = ["FakeOperations", "Refused", "StoreError", "event", "report", "session"]
