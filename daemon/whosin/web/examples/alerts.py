"""Examples of alerts and channels."""

from typing import Any

Json = dict[str, Any]

_RAISED = "2026-11-02T08:21:00.000Z"

_ALERT: Json = {
    "id": "5f0c9a7be21d4463",
    "kind": "blocking",
    "severity": "warning",
    "site": "north",
    "company": "acme",
    "state": "open",
    "raised": _RAISED,
    "cleared": None,
    "last_told": _RAISED,
    "reminders": 0,
    "count": 1,
    "message": "1 disconnected login keeps 1 person waiting in acme (site north)",
    "action": "Find out whether each of them is really gone, follow what is said for it, then log it off.",
    "about": [
        {
            "session": "7d1c0a9e",
            "user": "ada",
            "machine": "PC-07",
            "client": "desktop",
            "company": "acme",
            "since": "2026-11-02T08:20:00.000Z",
            "locks": [{"resource": "sales-order/SO-1001", "activity": "amend sales order"}],
            "blocked": 1,
            "blocks": [
                {
                    "user": "grace",
                    "machine": "PC-22",
                    "since": "2026-11-02T08:20:30.000Z",
                    "resource": "sales-order/SO-1001",
                }
            ],
            "guidance": [{"id": "check-order-lines", "severity": "normal", "before": None}],
        }
    ],
    "targets": [
        {
            "channel": "office",
            "phase": "raised",
            "state": "pending",
            "tries": 2,
            "since": _RAISED,
            "last_try": "2026-11-02T08:21:06.000Z",
            "next_try": "2026-11-02T08:21:14.500Z",
            "error": "mail.example.com:587 said 451 try again later",
        }
    ],
}
_CHANNEL: Json = {
    "name": "office",
    "target": "ops@example.com by mail.example.com:587",
    "sites": ["north"],
    "companies": [],
    "roles": ["operator"],
    "kinds": [],
    "at_least": "warning",
    "cleared": False,
    "waiting": 1,
    "last_error": "mail.example.com:587 said 451 try again later",
}
_TESTED: Json = {
    "channel": "office",
    "target": "ops@example.com by mail.example.com:587",
    "ok": False,
    "problem": "mail.example.com:587 said 535 authentication failed",
    "took_s": 0.412,
}

EXAMPLES: dict[str, Json] = {
    "Alerts": {"items": [_ALERT], "next": None, "total": 1},
    "Channels": {"items": [_CHANNEL], "next": None, "total": 1},
    "TestChannels": {"channel": "office"},
    "TestedChannels": {"results": [_TESTED]},
}
