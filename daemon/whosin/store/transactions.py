"""What is done inside one transaction: apply changes, load everything, prune.

Owns the order in which tables are written and read. Must not know connections' lives, threads or faults:
every function here gets a connection, on the thread that owns it, and leaves no transaction open.
"""

from __future__ import annotations

import contextlib
import gc
import json
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from whosin.model import Status
from whosin.ports import (
    AccountRow,
    AlertRow,
    Changes,
    DeliveryRow,
    HoldRow,
    Loaded,
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
from whosin.store import statements as sql

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

FINAL: Final = frozenset(status.value for status in Status if status.final)

R = TypeVar("R", bound=NamedTuple)
_key: Final = attrgetter("key")


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection, begin: str) -> Iterator[None]:
    db.execute(begin)
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # some faults have rolled it back already
            db.execute("ROLLBACK")
        raise


def apply(db: sqlite3.Connection, changes: Changes) -> None:
    """All of the changes in one transaction; applying the same changes twice is as good as once."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        if changes.beats:
            _put_many(db, sql.PUT_BEAT, changes.beats)
        if changes.sessions:  # behind the beats: a whole session is newer than its beat
            _put_sessions(db, changes.sessions)
        if changes.turns:
            _turn_sessions(db, changes.turns)
        if changes.events:
            _put_many(db, sql.PUT_EVENT, changes.events)
        if changes.companies:
            rows = changes.companies.items()
            db.executemany(sql.PUT_COMPANY, [(*key, token) for key, token in rows if token is not None])
            db.executemany(sql.DROP_COMPANY, [key for key, token in rows if token is None])
        if changes.passes:
            db.executemany(sql.PUT_PASS, map(tuple, changes.passes.values()))
        if changes.meta:
            db.executemany(sql.PUT_META, changes.meta.items())
        if changes.followups:
            _put_many(db, sql.PUT_FOLLOWUP, list(changes.followups.values()))
        _put(db, changes.alerts, sql.PUT_ALERT, "")
        _put(db, changes.deliveries, sql.PUT_DELIVERY, "")
        _put(db, changes.locks, sql.PUT_LOCK, sql.DROP_LOCK)
        _put(db, changes.wants, sql.PUT_WANT, sql.DROP_WANT)
        _put(db, changes.holds, sql.PUT_HOLD, sql.DROP_HOLD)
        _put_named(db, changes.accounts, sql.PUT_ACCOUNT, sql.DROP_ACCOUNT)
        _put_named(db, changes.tokens, sql.PUT_TOKEN, sql.DROP_TOKEN)
        _put_named(db, changes.observers, sql.PUT_OBSERVER, sql.DROP_OBSERVER)
        _put_named(db, changes.operators, sql.PUT_OPERATOR, sql.DROP_OPERATOR)
        _put_named(db, changes.web_sessions, sql.PUT_WEB_SESSION, sql.DROP_WEB_SESSION)


def _put_sessions(db: sqlite3.Connection, sessions: Mapping[int, SessionRow]) -> None:
    live: list[SessionRow] = []
    ended: list[SessionRow] = []
    for row in sessions.values():
        (ended if row.status in FINAL else live).append(row)
    # By key, the order of the tables: neighbours share a page.
    live.sort(key=_key)
    ended.sort(key=_key)
    _put_many(db, sql.PUT_SESSION, live)
    _put_many(db, sql.PUT_ENDED, ended)
    if ended:
        db.execute(sql.DROP_SESSIONS, (_keys(ended),))
    db.execute(sql.DROP_BEATS, (json.dumps(list(sessions)),))


def _turn_sessions(db: sqlite3.Connection, turns: Mapping[int, TurnRow]) -> None:
    rows = sorted(turns.values(), key=_key)
    _put_many(db, sql.TURN, rows)
    if ended := [row for row in rows if row.status in FINAL]:
        keys = _keys(ended)
        db.execute(sql.MOVE_ENDED, (keys,))
        db.execute(sql.DROP_SESSIONS, (keys,))
        db.execute(sql.DROP_BEATS, (keys,))


def _keys(rows: Sequence[SessionRow] | Sequence[TurnRow]) -> str:
    return json.dumps([row.key for row in rows])


def _put_many(db: sqlite3.Connection, many: sql.Many, rows: Sequence[tuple[Any, ...]]) -> None:
    start = 0
    for at_once, statement in many.forms:
        if at_once == 1:  # as plain tuples: sqlite3 binds those a third faster than their subclasses
            db.executemany(statement, map(tuple, rows[start:]))
            return
        while len(rows) - start >= at_once:
            db.execute(statement, tuple(chain.from_iterable(rows[start : start + at_once])))
            start += at_once


def _put(db: sqlite3.Connection, rows: Mapping[Any, tuple[Any, ...] | None], put: str, drop: str) -> None:
    """`drop` is empty where rows are never deleted so."""
    if rows:
        db.executemany(put, [tuple(row) for row in rows.values() if row is not None])
        if gone := [key for key, row in rows.items() if row is None]:
            db.executemany(drop, gone)


def _put_named(
    db: sqlite3.Connection, rows: Mapping[Any, tuple[Any, ...] | None], put: str, drop: str
) -> None:
    if rows:
        _put(db, {(name,): row for name, row in rows.items()}, put, drop)


# --- loading ---------------------------------------------------------------------------------------


def load(db: sqlite3.Connection) -> Loaded:
    """All that the engine goes on with, as of one moment."""
    with _transaction(db, "BEGIN"), _no_collecting():
        meta = dict(db.execute(sql.META).fetchall())
        meta.pop("program", None)  # the schema's
        last_seq, last_key, last_pass, last_followup, last_alert = db.execute(sql.LAST_NUMBERS).fetchone()
        passes = fetch(db, PassRow, sql.UNFINISHED_PASS)
        return Loaded(
            store_id=meta.pop("store_id"),
            sessions=fetch(db, SessionRow, sql.LIVE_SESSIONS) + fetch(db, SessionRow, sql.ENDED_WITH_LOCKS),
            companies={(site, company): token for site, company, token in db.execute(sql.COMPANIES)},
            locks=fetch(db, LockRow, sql.LOCKS),
            wants=fetch(db, WantRow, sql.WANTS),
            holds=fetch(db, HoldRow, sql.HOLDS),
            unfinished_pass=passes[0] if passes else None,
            meta=meta,
            accounts=fetch(db, AccountRow, sql.ACCOUNTS),
            tokens=fetch(db, TokenRow, sql.TOKENS),
            observers=fetch(db, ObserverRow, sql.OBSERVERS),
            operators=fetch(db, OperatorRow, sql.OPERATORS),
            web_sessions=fetch(db, WebSessionRow, sql.WEB_SESSIONS),
            alerts=fetch(db, AlertRow, sql.LIVE_ALERTS),
            deliveries=fetch(db, DeliveryRow, sql.PENDING),
            last_seq=last_seq,
            last_key=last_key,
            last_pass=last_pass,
            last_followup=last_followup,
            last_alert=last_alert,
            open_followups={
                (site, severity): count for site, severity, count in db.execute(sql.OPEN_FOLLOWUPS)
            },
        )


@contextlib.contextmanager
def _no_collecting() -> Iterator[None]:
    """A hundred thousand new tuples hold no cycles; looking for some would take a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def fetch(
    db: sqlite3.Connection, row: type[R], statement: str, values: Sequence[Any] | Mapping[str, Any] = ()
) -> list[R]:
    """All rows of a statement, as a row type with the same columns."""
    # What `row._make` does, without a Python frame per row.
    return list(map(partial(tuple.__new__, row), db.execute(statement, values)))


# --- pruning ---------------------------------------------------------------------------------------


def prune(db: sqlite3.Connection, before: int, limit: int) -> int:
    """Delete at most `limit` rows of history; how many went."""
    gone = 0
    with _transaction(db, "BEGIN IMMEDIATE"):
        db.execute(sql.MARK_PRUNED, {"before": str(before)})
        for statement in sql.PRUNE:
            if gone < limit:
                went = db.execute(statement, {"before": before, "limit": limit - gone}).rowcount
                if went and statement is sql.PRUNE_ALERTS:
                    db.execute(sql.PRUNE_DELIVERIES)
                gone += went
    return gone
