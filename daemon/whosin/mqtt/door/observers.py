"""Observers that outlive their connection and this process: what each has still to get is kept in the store.

Owns which sessions are such, their rows, and what a restart gives back to them. Must not know the network or
SQL. A session is durable when it expires later than its connection and hears events at QoS 1. Its row says
up to which event it has acknowledged all; after a crash what came later is put into its queue again, so each
event reaches it at least once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from whosin.mqtt.door.filters import QOS, FilterTree
from whosin.ports import ObserverRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whosin.mqtt.door.session import Key, Session

_EVENTS = ("whosin", "v1", "events")


def hears_events(pattern: str) -> bool:
    """Whether a filter can match an event's topic."""
    levels = pattern.split("/")
    for nth, name in enumerate(_EVENTS):
        if nth >= len(levels):
            return False
        if levels[nth] == "#":
            return True
        if levels[nth] not in ("+", name):
            return False
    return True


def durable(session: Session) -> bool:
    if not session.expiry_ms:
        return False
    return any(options & QOS and hears_events(pattern) for pattern, options in session.filters.items())


def name_of(key: Key) -> str:
    """The row's key: an account's name has no slash in it."""
    account, client_id = key
    return f"{account or ''}/{client_id}"


def row_of(session: Session, last_seq: int, left_ms: int) -> ObserverRow:
    """`last_seq` is the last event handed to the door, `left_ms` how much longer the session is kept."""
    waiting = session.first_waiting()
    acked = last_seq if waiting is None else waiting - 1
    filters = json.dumps(session.filters, sort_keys=True)
    return ObserverRow(name_of(session.key), session.key[0], filters, max(acked, session.known_seq), left_ms)


def key_of(row: ObserverRow) -> Key:
    return row.account, row.client_id.partition("/")[2]


def filters_of(row: ObserverRow) -> dict[str, int]:
    return {str(pattern): int(options) for pattern, options in json.loads(row.filters).items()}


def wants(row: ObserverRow, seq: int, topic: str) -> bool:
    """Whether an event of before the restart is still owed to this observer."""
    if seq <= row.acked:
        return False
    tree: FilterTree[bool] = FilterTree()
    for pattern, options in filters_of(row).items():
        if options & QOS:
            tree.add(pattern, True, options)
    return bool(tree.match(topic))


def earliest(rows: Iterable[ObserverRow]) -> int | None:
    """From behind which event on something may be owed to one of them."""
    return min((row.acked for row in rows), default=None)
