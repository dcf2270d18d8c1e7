"""The SQL that writes and loads, by name.

Owns the statements; the columns come from the row types of `ports`, so that a new field is a field there
and a migration. Must not know connections or what the rows mean. Values always travel as parameters: what
is put together here are names of our own.
"""
# ruff: noqa: S608 - see above

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from whosin.ports import (
    AccountRow,
    AlertRow,
    BeatRow,
    DeliveryRow,
    EventRow,
    FollowupRow,
    HoldRow,
    LockRow,
    ObserverRow,
    OperatorRow,
    PassRow,
    SessionRow,
    TokenRow,
    TurnRow,
    WantRow,
    WebSessionRow,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def _names(fields: Iterable[str], table: str = "") -> str:
    return ", ".join(f'{table}"{field}"' for field in fields)


def _put(
    table: str, fields: tuple[str, ...], keys: tuple[str, ...], fixed: tuple[str, ...] = (), rows: int = 1
) -> str:
    """Insert, or overwrite the row with the same keys but for what is `fixed`: an index on a column that is
    not assigned is not touched."""
    changes = ", ".join(f'"{field}" = excluded."{field}"' for field in fields if field not in keys + fixed)
    return (
        f"INSERT INTO {table} ({_names(fields)}) VALUES {_marks(fields, rows)} "
        f"ON CONFLICT ({_names(keys)}) DO UPDATE SET {changes}"
    )


def _add(table: str, fields: tuple[str, ...], keys: tuple[str, ...], rows: int) -> str:
    """Insert; a row that is there already stays as it is."""
    return (
        f"INSERT INTO {table} ({_names(fields)}) VALUES {_marks(fields, rows)} "
        f"ON CONFLICT ({_names(keys)}) DO NOTHING"
    )


def _marks(fields: tuple[str, ...], rows: int) -> str:
    one = f"({', '.join('?' * len(fields))})"
    return ", ".join([one] * rows)


class Many(NamedTuple):
    """The same for so many rows in one statement, the largest first and one row last.

    While a statement runs, the rest of the program runs too; between two it has to be waited for. So what
    comes by the hundred thousand is written many rows at a time; but SQLite keeps a statement with its last
    values for the next time, so a thousand would take megabytes for good.
    """

    forms: tuple[tuple[int, str], ...]


_SIZES: Final = (250, 50, 1)


def _put_many(
    table: str, fields: tuple[str, ...], keys: tuple[str, ...], fixed: tuple[str, ...] = ()
) -> Many:
    return Many(tuple((rows, _put(table, fields, keys, fixed, rows)) for rows in _SIZES))


def _turn(rows: int) -> str:
    """Change the part of a living session that `TurnRow` has."""
    fields = TurnRow._fields
    changes = ", ".join(f'"{field}" = v.column{nth}' for nth, field in enumerate(fields, 1) if field != "key")
    return (
        f"UPDATE sessions SET {changes} FROM (VALUES {_marks(fields, rows)}) AS v "
        f"WHERE sessions.key = v.column{len(fields)}"
    )


def _drop(table: str, keys: tuple[str, ...]) -> str:
    return f"DELETE FROM {table} WHERE " + " AND ".join(f'"{key}" = ?' for key in keys)


def _drop_among(table: str) -> str:
    """By keys, which come as one JSON list."""
    return f"DELETE FROM {table} WHERE key IN (SELECT value FROM json_each(?))"


SESSION_COLUMNS: Final = _names(SessionRow._fields)
EVENT_COLUMNS: Final = _names(EventRow._fields)
PASS_COLUMNS: Final = _names(PassRow._fields)
FOLLOWUP_COLUMNS: Final = _names(FollowupRow._fields)

# --- writing ---------------------------------------------------------------------------------------

PUT_BEAT: Final = _put_many("beats", BeatRow._fields, ("key",))
DROP_BEATS: Final = _drop_among("beats")
PUT_SESSION: Final = _put_many("sessions", SessionRow._fields, ("key",), fixed=("id",))
TURN: Final = Many(tuple((rows, _turn(rows)) for rows in _SIZES))
DROP_SESSIONS: Final = _drop_among("sessions")
PUT_ENDED: Final = _put_many("ended_sessions", SessionRow._fields, ("key",), fixed=("id",))
PUT_COMPANY: Final = _put("companies", ("site", "company", "token"), ("site", "company"))
DROP_COMPANY: Final = _drop("companies", ("site", "company"))
PUT_LOCK: Final = _put("locks", LockRow._fields, ("site", "company", "token"))
DROP_LOCK: Final = _drop("locks", ("site", "company", "token"))
PUT_WANT: Final = _put("wants", WantRow._fields, ("site", "company", "order"))
DROP_WANT: Final = _drop("wants", ("site", "company", "order"))
PUT_EVENT: Final = Many(tuple((rows, _add("events", EventRow._fields, ("seq",), rows)) for rows in _SIZES))
PUT_PASS: Final = _put("passes", PassRow._fields, ("id",))
PUT_HOLD: Final = _put("holds", HoldRow._fields, ("site", "company", "client"))
DROP_HOLD: Final = _drop("holds", ("site", "company", "client"))
PUT_FOLLOWUP: Final = _put_many("followups", FollowupRow._fields, ("id",))
PUT_META: Final = _put("meta", ("key", "value"), ("key",))
PUT_ACCOUNT: Final = _put("accounts", AccountRow._fields, ("name",))
DROP_ACCOUNT: Final = _drop("accounts", ("name",))
PUT_TOKEN: Final = _put("tokens", TokenRow._fields, ("name",))
DROP_TOKEN: Final = _drop("tokens", ("name",))
PUT_OBSERVER: Final = _put("observers", ObserverRow._fields, ("client_id",))
DROP_OBSERVER: Final = _drop("observers", ("client_id",))
PUT_OPERATOR: Final = _put("operators", OperatorRow._fields, ("name",))
DROP_OPERATOR: Final = _drop("operators", ("name",))
PUT_WEB_SESSION: Final = _put("web_sessions", WebSessionRow._fields, ("id_hash",))
DROP_WEB_SESSION: Final = _drop("web_sessions", ("id_hash",))
PUT_ALERT: Final = _put("alerts", AlertRow._fields, ("number",))
PUT_DELIVERY: Final = _put("deliveries", DeliveryRow._fields, ("alert", "channel", "phase"))

# --- loading ---------------------------------------------------------------------------------------


def _with_beats() -> str:
    """The living sessions with their newest beats."""
    beaten = set(BeatRow._fields) - {"key"}
    columns = ", ".join(
        f'CASE WHEN b.key IS NULL THEN s."{name}" ELSE b."{name}" END' if name in beaten else f's."{name}"'
        for name in SessionRow._fields
    )
    return f"SELECT {columns} FROM sessions s LEFT JOIN beats b ON b.key = s.key"


LIVE_SESSIONS: Final = _with_beats()
MOVE_ENDED: Final = f"""
    INSERT OR REPLACE INTO ended_sessions ({SESSION_COLUMNS}) {LIVE_SESSIONS}
    WHERE s.key IN (SELECT value FROM json_each(?)) ORDER BY s.key
"""
LIVE_SESSION: Final = f"{LIVE_SESSIONS} WHERE s.id = ?"
ENDED_AMONG: Final = f"""
    WITH RECURSIVE shelves (shelf, last) AS (
      SELECT (SELECT min(key) >> 16 FROM ended_sessions), (SELECT max(key) >> 16 FROM ended_sessions)
      UNION ALL SELECT shelf + 1, last FROM shelves WHERE shelf < last
    )
    SELECT {_names(SessionRow._fields, "ended.")}
    FROM json_each(?) AS wanted CROSS JOIN shelves CROSS JOIN ended_sessions AS ended
    WHERE ended.key >> 16 = shelf AND ended.id = wanted.value
"""
ENDED_WITH_LOCKS: Final = (
    f"SELECT {SESSION_COLUMNS} FROM ended_sessions WHERE key IN (SELECT session FROM locks)"
)
COMPANIES: Final = "SELECT site, company, token FROM companies"
LOCKS: Final = f"SELECT {_names(LockRow._fields)} FROM locks ORDER BY site, company, token"
WANTS: Final = f'SELECT {_names(WantRow._fields)} FROM wants ORDER BY site, company, "order"'
HOLDS: Final = f"SELECT {_names(HoldRow._fields)} FROM holds"
META: Final = "SELECT key, value FROM meta"
ACCOUNTS: Final = f"SELECT {_names(AccountRow._fields)} FROM accounts"
TOKENS: Final = f"SELECT {_names(TokenRow._fields)} FROM tokens"
OBSERVERS: Final = f"SELECT {_names(ObserverRow._fields)} FROM observers"
OPERATORS: Final = f"SELECT {_names(OperatorRow._fields)} FROM operators"
WEB_SESSIONS: Final = f"SELECT {_names(WebSessionRow._fields)} FROM web_sessions"
_ALERTS: Final = f"SELECT {_names(AlertRow._fields)} FROM alerts"
_DELIVERIES: Final = f"SELECT {_names(DeliveryRow._fields)} FROM deliveries"
LIVE_ALERTS: Final = f"""
    {_ALERTS} WHERE cleared = 0 OR number IN (SELECT alert FROM deliveries WHERE state = 'pending')
    ORDER BY number
"""
PENDING: Final = f"{_DELIVERIES} WHERE state = 'pending' ORDER BY alert, since, phase, channel"
UNFINISHED_PASS: Final = f"SELECT {PASS_COLUMNS} FROM passes WHERE finished = 0 ORDER BY id DESC LIMIT 1"
LAST_NUMBERS: Final = """
    SELECT
      coalesce((SELECT max(seq) FROM events), 0),
      max(coalesce((SELECT max(key) FROM sessions), 0), coalesce((SELECT max(key) FROM ended_sessions), 0)),
      coalesce((SELECT max(id) FROM passes), 0),
      coalesce((SELECT max(id) FROM followups), 0),
      coalesce((SELECT max(number) FROM alerts), 0)
"""
OPEN_FOLLOWUPS: Final = (
    "SELECT site, severity, count(*) FROM followups WHERE done = 0 GROUP BY site, severity"
)

# --- reading ---------------------------------------------------------------------------------------

EVENTS_AFTER: Final = f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
FOLLOWUP: Final = f"SELECT {FOLLOWUP_COLUMNS} FROM followups WHERE id = ?"
PASSES: Final = f"SELECT {PASS_COLUMNS} FROM passes ORDER BY id DESC LIMIT ?"
ALERTS: Final = f"""
    {_ALERTS}
    WHERE number < coalesce(:before, 9223372036854775807)
      AND (:site IS NULL OR site = :site) AND (:kind IS NULL OR kind = :kind)
      AND (:open IS NULL OR (cleared = 0) = :open)
    ORDER BY number DESC LIMIT :limit
"""
DELIVERIES: Final = f"""
    {_DELIVERIES} WHERE alert IN (SELECT value FROM json_each(?)) ORDER BY alert, since, phase, channel
"""

# --- pruning ---------------------------------------------------------------------------------------
# The newest of each is never deleted: the next number is counted from it.

MARK_PRUNED: Final = """
    INSERT INTO meta VALUES ('pruned_before', :before)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value
    WHERE CAST(excluded.value AS INTEGER) > CAST(value AS INTEGER)
"""
PRUNE_EVENTS: Final = """
    DELETE FROM events WHERE seq IN (
      SELECT seq FROM events
      WHERE at < :before
        AND seq < (SELECT max(seq) FROM events)
        AND seq <= coalesce(
          (SELECT min(CAST(value AS INTEGER)) FROM meta WHERE key GLOB 'published.*'), 9223372036854775807)
      ORDER BY at LIMIT :limit)
"""
PRUNE_SESSIONS: Final = """
    DELETE FROM ended_sessions WHERE key IN (
      SELECT key FROM ended_sessions
      WHERE ended < :before
        AND key < (SELECT max(key) FROM ended_sessions)
        AND key NOT IN (SELECT session FROM locks)
      ORDER BY ended LIMIT :limit)
"""
PRUNE_PASSES: Final = """
    DELETE FROM passes WHERE id IN (
      SELECT id FROM passes
      WHERE started < :before AND finished > 0 AND id < (SELECT max(id) FROM passes)
      ORDER BY id LIMIT :limit)
"""
PRUNE_FOLLOWUPS: Final = """
    DELETE FROM followups WHERE id IN (
      SELECT id FROM followups
      WHERE done > 0 AND done < :before AND id < (SELECT max(id) FROM followups)
      ORDER BY done LIMIT :limit)
"""
PRUNE_ALERTS: Final = """
    DELETE FROM alerts WHERE number IN (
      SELECT number FROM alerts
      WHERE cleared > 0 AND cleared < :before AND number < (SELECT max(number) FROM alerts)
        AND number NOT IN (SELECT alert FROM deliveries WHERE state = 'pending')
      ORDER BY number LIMIT :limit)
"""
PRUNE_DELIVERIES: Final = "DELETE FROM deliveries WHERE alert NOT IN (SELECT number FROM alerts)"

PRUNE: Final = (PRUNE_EVENTS, PRUNE_SESSIONS, PRUNE_PASSES, PRUNE_FOLLOWUPS, PRUNE_ALERTS)
