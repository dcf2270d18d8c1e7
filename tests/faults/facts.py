"""What the daemon itself wrote down: its database after the end, its log."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One row of the history. `at` is the wall clock of the daemon, in seconds."""

    seq: int
    at: float
    type: str
    site: str | None
    company: str | None
    session: str | None
    actor: str | None
    reason: str | None
    data: dict[str, Any]


@dataclass
class Facts:
    store_id: str
    rows: list[Row]
    live: dict[str, str]  # session -> status
    ended: dict[str, str]
    locks: set[tuple[str, int, str]]  # company, token, resource
    cleanup_on: bool | None
    bugs: list[str]  # lines of the log that tell of a defect

    @classmethod
    def read(cls, database: Path, log: Path) -> Facts:
        db = sqlite3.connect(database)
        try:
            meta = dict(db.execute("SELECT key, value FROM meta"))
            found = db.execute(
                "SELECT seq, at, type, site, company, session, actor, reason, data FROM events ORDER BY seq"
            )
            rows = [Row(seq, at / 1000, *rest, json.loads(data)) for seq, at, *rest, data in found]
            return cls(
                meta["store_id"],
                rows,
                dict(db.execute("SELECT id, status FROM sessions")),
                dict(db.execute("SELECT id, status FROM ended_sessions")),
                set(db.execute("SELECT company, token, resource FROM locks")),
                json.loads(meta["cleanup"]).get("enabled") if "cleanup" in meta else None,
                _bugs(log),
            )
        finally:
            db.close()


def _bugs(log: Path) -> list[str]:
    text = log.read_text(errors="replace")
    return [
        line[:300]
        for line in text.splitlines()
        if "engine.bug" in line or line.startswith("Traceback") or "never retrieved" in line
    ]
