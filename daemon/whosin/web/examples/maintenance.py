"""Examples of messages and maintenance."""

from typing import Any

Json = dict[str, Any]

_PLAN: Json = {
    "site": "north",
    "company": None,
    "from": "2026-11-02T17:00:00.000Z",
    "until": "2026-11-02T18:00:00.000Z",
    "text": "A new version is installed.",
    "force": True,
}
WINDOW: Json = {"id": 3, **_PLAN, "by": "olga", "state": "planned"}

EXAMPLES: dict[str, Json] = {
    "NewMessage": {"text": "Please save and leave the stock module.", "site": "north", "company": "acme"},
    "MessageSent": {"reached": 18, "not_reached": 1, "users": ["ada", "grace"], "unknown": []},
    "NewMaintenance": _PLAN,
    "MaintenanceWindow": WINDOW,
    "Maintenance": {"items": [WINDOW], "next": None, "total": 1},
}
