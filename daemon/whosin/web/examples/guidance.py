"""Examples of guidance and follow-ups."""

from typing import Any

Json = dict[str, Any]

BEFORE = "Ask the user whether the order was saved, if they can be reached."
AFTER = "Open the order: check its lines, prices and delivery date, and that stock is allocated once."

_RULE: Json = {
    "id": "sales-order",
    "severity": "normal",
    "before": BEFORE,
    "after": AFTER,
    "match": {"resource": ["sales-order", "sales-order/*"], "activity": [], "client": []},
}
_FOLLOWUP: Json = {
    "id": 17,
    "status": "open",
    "created": "2026-11-02T08:30:00.000Z",
    "site": "north",
    "company": "acme",
    "session": "7d1c0a9e",
    "user": "ada",
    "client": "desktop",
    "machine": "PC-07",
    "resource": "sales-order/SO-1001",
    "rule": "sales-order",
    "severity": "normal",
    "text": AFTER,
    "done": None,
    "done_by": None,
    "note": None,
}

EXAMPLES: dict[str, Json] = {
    "FollowupDone": {"note": "Two lines, stock allocated once"},
    "Guidance": {"items": [_RULE], "next": None, "total": 1, "source": "shipped"},
    "Followup": {
        **_FOLLOWUP,
        "status": "done",
        "done": "2026-11-02T09:12:40.000Z",
        "done_by": "olga",
        "note": "Two lines, stock allocated once",
    },
    "Followups": {"items": [_FOLLOWUP], "next": None, "total": 1},
}
