"""The product's protections, each switched off by hand: then the simulator has to fail.

Owns the ways to break the product, none of which is a switch in it. Nothing here is on unless asked by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from whosin.engine.committer import Batch, Committer
from whosin.engine.engine import Engine
from whosin.rules.roll import Roll
from whosin.rules.sight import Sight
from whosin.store import connection as connection_room
from whosin.store.sqlite import SqliteStore


def _grace() -> None:
    """After blindness people get no time to come back."""
    due = Sight.due
    Sight.due = lambda self, since_ms, patience_ms, _grace_ms: due(self, since_ms, patience_ms, -(1 << 50))  # type: ignore[method-assign]


def _commit_before_answer() -> None:
    """Answers, acknowledgements and events leave before what they tell is stored."""
    commit = Committer._commit

    async def hasty(self: Committer, batch: Batch) -> bool:
        self._let_out(batch)
        told = len(batch.answers), len(batch.events), len(batch.slots)
        done = await commit(self, batch)  # what came meanwhile is told behind it
        batch.answers, batch.events, batch.slots = (
            rows[count:] for rows, count in zip((batch.answers, batch.events, batch.slots), told, strict=True)
        )
        return done

    Committer._commit = hasty  # type: ignore[method-assign]


def _expire_before_receive() -> None:
    """A message is taken as if nothing had fallen due before it."""

    def drain(self: Engine) -> None:
        self._scheduled = False
        while self._inbox:
            source, at_ms, peer, messages = self._inbox.popleft()
            self._depth -= len(messages)
            self._take(source, at_ms, peer, messages)
        self.collect()
        self._offer_room()

    Engine.drain = drain  # type: ignore[method-assign]
    Roll._settle = lambda _self, _session, _at_ms: None  # type: ignore[method-assign]


def _dedup() -> None:
    """Who is over is forgotten: late and repeated messages meet nobody."""
    end = Roll._end

    def forgetful(self: Roll, session: Any, *args: Any, **kwargs: Any) -> None:
        end(self, session, *args, **kwargs)
        self.tombs.pop(session.id, None)

    async def none(_self: SqliteStore, _ids: Any) -> dict[str, Any]:
        return {}

    Roll._end = forgetful  # type: ignore[method-assign]
    SqliteStore.find_ended = none  # type: ignore[method-assign]


def _fsync() -> None:
    """A commit does not wait for the disk."""
    settings = tuple(
        "PRAGMA synchronous = OFF" if "synchronous" in one else one for one in connection_room._SETTINGS
    )
    connection_room._SETTINGS = settings  # type: ignore[assignment,misc]


def _blindness() -> None:
    """Time in which nothing could be heard counts like any other."""

    def add(self: Sight, _gap: Any) -> None:
        self._fresh = False

    Sight._add = add  # type: ignore[method-assign]


def _unread() -> None:
    """What lies unread in one connection at the door holds nobody's deadline back."""
    Engine.behind = lambda _self, _source, _line, _since_ms: None  # type: ignore[method-assign]


_WAYS: dict[str, Callable[[], None]] = {
    "grace": _grace,
    "commit-before-answer": _commit_before_answer,
    "expire-before-receive": _expire_before_receive,
    "dedup": _dedup,
    "fsync": _fsync,
    "blindness": _blindness,
    "unread": _unread,
}
NAMES = tuple(_WAYS)


def switch_off(name: str) -> None:
    """For the rest of this process."""
    _WAYS[name]()
