"""Passwords: what one may be, and its argon2 hash, made in a thread and a few at a time.

Owns the cost. Must not know whose password it is. The library is imported by the thread that first needs it.
"""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from whosin.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from argon2 import PasswordHasher

SHORTEST = 12  # characters
LONGEST = 256
DISTINCT = 5  # different characters at least: "aaaaaaaaaaaa" is no password
AT_ONCE = 2  # hashes; each takes a core and `memory_kib`
WAITING = 30  # for their turn; more are refused

T = TypeVar("T")


class Cost(NamedTuple):
    """RFC 9106's recommendation where memory is dear: about a fifth of a second."""

    time: int = 3
    memory_kib: int = 65_536
    lanes: int = 4


def check(password: str, name: str) -> None:
    """Refused `weak_password`: too short or too long, hardly any characters, or the name again."""
    text = _normal(password)
    if not SHORTEST <= len(text) <= LONGEST:
        raise Refused(
            "weak_password", f"a password has {SHORTEST} to {LONGEST} characters; this one has {len(text)}"
        )
    if len(set(text)) < DISTINCT:
        raise Refused("weak_password", f"a password has at least {DISTINCT} different characters")
    if name and len(text.casefold().replace(name.casefold(), "")) < SHORTEST // 2:
        raise Refused("weak_password", "a password is not one's own name again")


class Passwords:
    """Hashes and compares. Every question takes one turn in a thread; Refused `busy` when too many wait."""

    def __init__(self, cost: Cost | None = None) -> None:
        self._cost = cost or Cost()
        self._threads: ThreadPoolExecutor | None = None
        self._hasher: PasswordHasher | None = None
        self._nobodys = ""
        self._under_way = 0

    async def hash(self, password: str) -> str:
        """In argon2's own notation, with its parameters and salt."""
        raw = _bytes(password)
        return await self._turn(lambda: self._ready().hash(raw))

    async def matches(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password. Where there is none to compare with, the same work is done for nothing,
        so that nobody can tell from the time whether a name is known."""
        raw = _bytes(password)
        return await self._turn(lambda: self._compare(hashed, raw))

    def outdated(self, hashed: str) -> bool:
        """Whether it was made at another cost; only to be asked after a comparison."""
        return self._hasher is not None and self._hasher.check_needs_rehash(hashed)

    def _compare(self, hashed: str | None, raw: bytes) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415 - see above

        hasher = self._ready()
        try:
            return hasher.verify(hashed or self._nobodys, raw) and hashed is not None
        except (VerificationError, InvalidHashError):
            return False

    def _ready(self) -> PasswordHasher:
        if self._hasher is None:
            from argon2 import PasswordHasher  # noqa: PLC0415 - see above

            hasher = PasswordHasher(self._cost.time, self._cost.memory_kib, self._cost.lanes)
            self._nobodys = hasher.hash(secrets.token_bytes(16))
            self._hasher = hasher
        return self._hasher

    async def _turn(self, work: Callable[[], T]) -> T:
        if self._under_way >= AT_ONCE + WAITING:
            raise Refused("busy", "too many passwords are being checked at once; try again in a moment")
        if self._threads is None:
            self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def _normal(password: str) -> str:
    """However the keyboard composed it."""
    return unicodedata.normalize("NFC", password)


def _bytes(password: str) -> bytes:
    return _normal(password).encode("utf-8", "surrogatepass")
