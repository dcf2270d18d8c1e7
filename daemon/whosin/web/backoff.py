"""How failed sign-ins are slowed down, in bounded memory and on a clock that is handed in.

Two things back off, each doubling from one second to a minute: a wrong token that is tried again, and an
address that tries many different wrong ones. A token that worked a while ago is never held up, so one
forgotten script with an old token cannot lock out its neighbours behind the same address.
Knows no HTTP.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

FREE_REPEATS = 60  # of the same wrong token
FREE_TOKENS = 30  # different wrong tokens from one address
LONGEST_MS = 60_000
FORGET_MS = 15 * 60_000
REMEMBERED = 4096

_K = TypeVar("_K")


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_ms: int = 0
    until_ms: int = 0


class Backoff:
    """Failures by token and by address; the least recently seen are forgotten beyond `remembered` of each."""

    def __init__(self, now_ms: Callable[[], int], remembered: int = REMEMBERED) -> None:
        self._now_ms = now_ms
        self._remembered = remembered
        self._tokens: OrderedDict[bytes, _Failures] = OrderedDict()
        self._addresses: OrderedDict[str, _Failures] = OrderedDict()
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def wait_s(self, address: str, token: str) -> int:
        """Whole seconds until this token from this address is looked at again; 0: now."""
        digest = _digest(token)
        if digest in self._good:
            return 0
        now = self._now_ms()
        known = (self._tokens.get(digest), self._addresses.get(_network(address)))
        until = max((failures.until_ms for failures in known if failures), default=0)
        return max(0, -(-(until - now) // 1000))

    def succeeded(self, token: str) -> None:
        digest = _digest(token)
        self._good[digest] = None
        self._good.move_to_end(digest)
        _bound(self._good, self._remembered)

    def failed(self, address: str, token: str) -> bool:
        """Note a wrong token; True when this is what made the address wait (worth a line in the log)."""
        digest = _digest(token)
        self._good.pop(digest, None)
        new = digest not in self._tokens
        self._note(self._tokens, digest, FREE_REPEATS)
        return new and self._note(self._addresses, _network(address), FREE_TOKENS)

    def _note(self, known: OrderedDict[_K, _Failures], key: _K, free: int) -> bool:
        now = self._now_ms()
        failures = known.setdefault(key, _Failures())
        known.move_to_end(key)
        _bound(known, self._remembered)
        if now - failures.last_ms > FORGET_MS:
            failures.count = 0
        failures.count += 1
        failures.last_ms = now
        beyond = failures.count - free
        if beyond > 0:
            failures.until_ms = now + min(LONGEST_MS, 1000 << min(beyond - 1, 16))
        return beyond == 1


def _bound(known: OrderedDict[Any, Any], most: int) -> None:
    while len(known) > most:
        known.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.blake2b(token.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _network(address: str) -> str:
    """One IPv4 address, or the /64 that one IPv6 customer has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or parsed.exploded[:19])
    return address
