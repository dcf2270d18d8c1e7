"""Examples of sessions, locks, cleanup, numbers and administration."""

from typing import Any

from whosin.web.examples.guidance import AFTER, BEFORE
from whosin.web.examples.maintenance import WINDOW

Json = dict[str, Any]

_BEGUN = "2026-11-02T07:58:12.345Z"
_SEEN = "2026-11-02T08:15:00.000Z"
_FELL = "2026-11-02T08:20:00.000Z"
_VISIT = "2026-11-02T08:30:00.000Z"
_NEXT = "2026-11-02T09:00:00.000Z"

_BLOCKED: Json = {
    "session": "c41b77e0",
    "user": "grace",
    "machine": "PC-22",
    "client": "desktop",
    "resource": "sales-order/SO-1001",
    "mode": "exclusive",
    "since": "2026-11-02T08:21:30.000Z",
    "waiting": True,
}
_HELD: Json = {
    "resource": "sales-order/SO-1001",
    "mode": "exclusive",
    "token": 118,
    "since": _BEGUN,
    "sticky": False,
    "activity": "amend sales order",
    "guidance": None,
    "rule": "sales-order",
    "release_at": None,
}
_SESSION: Json = {
    "id": "7d1c0a9e",
    "site": "north",
    "company": "acme",
    "user": "ada",
    "client": "desktop",
    "machine": "PC-07",
    "address": "10.0.0.7",
    "app": "erp 9.1",
    "os_session": "rdp-3",
    "conn": 2,
    "status": "disconnected",
    "reason": "silence",
    "since": _BEGUN,
    "last_seen": _SEEN,
    "at": _SEEN,
    "deadline": None,
    "disconnected_at": _FELL,
    "ended_at": None,
    "ended_by": None,
    "lost": False,
    "idle": False,
    "idle_s": 12,
    "activity": "amend sales order",
    "held_back": False,
    "source": "door",
    "guidance": ["sales-order"],
    "locks": [_HELD],
    "blocks": [_BLOCKED],
}
_LOCK: Json = {
    **_HELD,
    "site": "north",
    "company": "acme",
    "left_behind": False,
    "session": "7d1c0a9e",
    "user": "ada",
    "machine": "PC-07",
    "client": "desktop",
    "status": "disconnected",
    "blocks": [_BLOCKED],
}
_REPORT: Json = {
    "id": 41,
    "state": "finished",
    "started": _VISIT,
    "finished": "2026-11-02T08:30:00.120Z",
    "by": "cleanup",
    "scheduled": True,
    "dry_run": False,
    "companies": [
        {
            "site": "north",
            "company": "acme",
            "removed": 1,
            "released": 1,
            "held_back": 0,
            "skipped": 0,
            "failed": None,
        }
    ],
    "removed": 1,
    "released": 1,
    "held_back": 0,
    "skipped": 0,
    "failed": 0,
}
_HOLD: Json = {
    "site": "north",
    "company": "acme",
    "client": "web",
    "opened": _FELL,
    "until": "2026-11-02T09:20:00.000Z",
    "sessions": 34,
}
_CLEANUP: Json = {
    "enabled": True,
    "every_s": 1800,
    "next_at": _NEXT,
    "running": None,
    "waiting_for": [],
    "last": _REPORT,
    "holds": [_HOLD],
}
_COMPANY: Json = {
    "site": "north",
    "company": "acme",
    "active": 18,
    "disconnected": 1,
    "locks": 7,
    "waiting": 1,
}
_EVENT: Json = {
    "seq": 1042,
    "at": _FELL,
    "type": "session.disconnected",
    "site": "north",
    "company": "acme",
    "session": "7d1c0a9e",
    "user": "ada",
    "actor": None,
    "reason": "silence",
    "data": {},
}
_STATS: Json = {
    "name": "whosin",
    "version": "1.0.0",
    "started_at": "2026-11-01T22:00:00.000Z",
    "now": _SEEN,
    "sessions": {"active": 18, "disconnected": 1},
    "by_client": {"desktop": {"active": 11, "disconnected": 1}, "web": {"active": 7}},
    "locks": 7,
    "waiting": 1,
    "blocked": 1,
    "companies": 1,
    "sites": 1,
    "heartbeats_total": 20481,
    "blind": False,
    "sources": {
        "door": {
            "seeing": True,
            "since": "2026-11-01T22:00:00.000Z",
            "grace_until": None,
            "last_proof": _SEEN,
        }
    },
    "storage": {"ok": True, "kind": None, "problem": None},
    "outbox": 0,
    "ready": True,
    "problems": [],
    "cleanup": {"enabled": True, "next_at": _NEXT, "running": False},
    "followups": {"open": 3, "critical": 1},
    "maintenance": [WINDOW],
    "sign_in": {"mqtt": True},
}
_TOKEN: Json = {"name": "till-screen", "role": "viewer", "site": "north"}
_ACCOUNT: Json = {"name": "portal-a", "role": "gateway", "site": "north", "user": None}
_RESULT: Json = {
    "id": "7d1c0a9e",
    "result": "would_remove",
    "released": ["sales-order/SO-1001"],
    "held": [],
    "sticky": [],
    "freed": [
        {"session": "c41b77e0", "user": "grace", "machine": "PC-22", "resource": "sales-order/SO-1001"}
    ],
    "guidance": [
        {
            "id": "sales-order",
            "severity": "normal",
            "before": BEFORE,
            "after": AFTER,
            "resource": "sales-order/SO-1001",
        }
    ],
    "followups": [
        {
            "id": None,
            "rule": "sales-order",
            "severity": "normal",
            "resource": "sales-order/SO-1001",
            "text": AFTER,
        }
    ],
}
_REFUSAL: Json = {
    "type": "urn:whosin:problem:role",
    "title": "Forbidden",
    "status": 403,
    "detail": 'This needs the role operator; the token "till-screen" has the role viewer.',
    "instance": "/api/v1/sessions/logoff",
    "code": "role",
}


def _listed(item: Json) -> Json:
    return {"items": [item], "next": None, "total": 1}


EXAMPLES: dict[str, Json] = {
    "LogOff": {"ids": ["7d1c0a9e"], "reason": "PC lost power", "dry_run": True},
    "FreeLock": {
        "site": "north",
        "company": "acme",
        "resource": "menu-editor",
        "reason": "ada is on holiday",
    },
    "CleanupSwitch": {"enabled": True},
    "CleanupRun": {"dry_run": True},
    "CleanupConfirm": {"site": "north", "company": "acme", "client": "web"},
    "BackupTo": {"path": "/var/backups/whosin-2026-11-02.db"},
    "NewToken": _TOKEN,
    "NewAccount": _ACCOUNT,
    "Session": _SESSION,
    "Sessions": _listed(_SESSION),
    "LogOffResults": {"results": [_RESULT], "dry_run": True},
    "Locks": _listed(_LOCK),
    "FreedLock": {"resource": "menu-editor", "released": True},
    "Cleanup": _CLEANUP,
    "Pass": _REPORT,
    "Passes": _listed(_REPORT),
    "Confirmed": {"confirmed": 1},
    "Companies": _listed(_COMPANY),
    "History": {**_listed(_EVENT), "total_exact": True},
    "Stats": _STATS,
    "Day": {
        "slot_s": 300,
        "slots": [
            {"at": 1_793_606_400, "active": 19, "disconnected": 1, "fell": 2, "came_back": 1, "lag_s": 0.14}
        ],
    },
    "BackedUp": {"path": "/var/backups/whosin-2026-11-02.db", "bytes": 1_048_576},
    "Reloaded": {"changed": ["log.level"], "needs_restart": ["http.listen"]},
    "Tokens": _listed({**_TOKEN, "created": _BEGUN}),
    "CreatedToken": {**_TOKEN, "token": "shown-this-once"},
    "Accounts": _listed({**_ACCOUNT, "created": _BEGUN}),
    "CreatedAccount": {**_ACCOUNT, "password": "shown-this-once"},
    "Alive": {"alive": True},
    "Ready": {"ready": False, "problems": ["the broker is away"]},
    "ProblemDetails": _REFUSAL,
}
