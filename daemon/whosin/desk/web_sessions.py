"""Who is signed in with a browser: found by the secret of its cookie, ended by time or by order.

Owns ids, their limits and what is stored of them. Must not know passwords, HTTP, or what anybody may do.
A session is stored when it begins and ends; that it was used is written behind, at most once a minute.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whosin.ports import WebSessionRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from whosin.engine.engine import Engine
    from whosin.ports import Changes

MOST_OF_ONE = 50  # of one person or token; then the one that was used longest ago ends
LONGEST_SECRET = 128
NOTE_EVERY_MS = 60_000
"""How often it is stored that a session was used, and how often those are looked for that are over."""


@dataclass(slots=True, eq=False)
class WebSession:
    """`kind` is `operator` or `token`; times are the timeline's."""

    id_hash: bytes
    kind: str
    name: str
    created_ms: int
    seen_ms: int
    address: str | None


def digest(secret: str) -> bytes:
    """What is kept of a random secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def csrf_of(secret: str) -> str:
    """What unsafe requests of this session have to bring along: only who knows the cookie can tell it."""
    made = hmac.digest(secret.encode("utf-8", "surrogatepass"), b"whosin csrf", "sha256")
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


class WebSessions:
    """`over` is told (session, reason) of each that time has ended."""

    def __init__(self, engine: Engine, over: Callable[[WebSession, str], None]) -> None:
        self.idle_ms = 0
        self.lasts_ms = 0
        self._engine = engine
        self._over = over
        self._by_hash: dict[bytes, WebSession] = {}
        self._unwritten: set[bytes] = set()
        self._noted_ms = engine.clock.now_ms()
        engine.on_flush.append(self._write_behind)

    def restore(self, rows: Iterable[WebSessionRow]) -> None:
        line, now = self._engine.rows.line, self._engine.clock.now_ms()
        for row in rows:
            created, seen = min(now, line(row.created)), min(now, line(row.seen))
            one = WebSession(row.id_hash, row.kind, row.name, created, seen, row.address)
            self._by_hash[row.id_hash] = one

    def begin(self, kind: str, name: str, address: str | None) -> str:
        """A new session; its secret, which is kept nowhere else."""
        mine = sorted(self.of(kind, name), key=lambda one: one.seen_ms)
        for one in mine[: max(0, len(mine) + 1 - MOST_OF_ONE)]:
            self.end(one)
        secret = secrets.token_urlsafe(32)
        now = self._engine.clock.now_ms()
        one = WebSession(digest(secret), kind, name, now, now, address)
        self._by_hash[one.id_hash] = one
        self._changes.web_sessions[one.id_hash] = self._row(one)
        return secret

    def find(self, secret: str) -> WebSession | None:
        """The session that this is the secret of, unless it is over; it counts as used."""
        if len(secret) > LONGEST_SECRET:
            return None
        one = self._by_hash.get(digest(secret))
        now = self._engine.clock.now_ms()
        if one is None or self._reason(one, now) is not None:
            return None
        one.seen_ms = now
        self._unwritten.add(one.id_hash)
        return one

    def of(self, kind: str, name: str) -> list[WebSession]:
        return [one for one in self._by_hash.values() if one.kind == kind and one.name == name]

    def end(self, one: WebSession) -> None:
        """At once. Repeating it is harmless."""
        if self._by_hash.pop(one.id_hash, None) is not None:
            self._unwritten.discard(one.id_hash)
            self._changes.web_sessions[one.id_hash] = None

    @property
    def _changes(self) -> Changes:
        return self._engine.committer.open.changes

    def _reason(self, one: WebSession, now: int) -> str | None:
        if now >= one.created_ms + self.lasts_ms:
            return "expired"
        return "idle" if now >= one.seen_ms + self.idle_ms else None

    def _write_behind(self, changes: Changes) -> None:
        now = self._engine.clock.now_ms()
        if now - self._noted_ms < NOTE_EVERY_MS:
            return
        self._noted_ms = now
        for id_hash in self._unwritten:
            changes.web_sessions[id_hash] = self._row(self._by_hash[id_hash])
        self._unwritten.clear()
        for one in list(self._by_hash.values()):
            if (reason := self._reason(one, now)) is not None:
                self.end(one)
                self._over(one, reason)

    def _row(self, one: WebSession) -> WebSessionRow:
        wall = self._engine.rows.wall
        return WebSessionRow(
            one.id_hash, one.kind, one.name, wall(one.created_ms), wall(one.seen_ms), one.address
        )
