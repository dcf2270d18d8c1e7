"""How failed sign-ins are slowed down, in bounded memory and on a clock that is handed in.

Tokens: two things back off, each doubling from one second to a minute, a wrong token that is tried again, and
an address that tries many different wrong ones. A token that worked a while ago is never held up, so one
forgotten script with an old token cannot lock out its neighbours behind the same address.

Passwords: what backs off is a name as tried from one place, and a place that tries many names. A name that is
tried from many places leaves each new place fewer free guesses, but never none: no stranger can keep the real
person out. A device from which that person signed in before is a place of its own.
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

FREE_GUESSES = 5  # of one name from one place
FREE_NAMES = 30  # wrong guesses from one address, whatever the names
ATTACKED = 50  # wrong guesses of one name from anywhere: then each place has one free guess
LONGEST_GUESS_MS = 5 * 60_000

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
        known = (self._tokens.get(digest), self._addresses.get(network(address)))
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
        return new and self._note(self._addresses, network(address), FREE_TOKENS)

    def _note(self, known: OrderedDict[_K, _Failures], key: _K, free: int) -> bool:
        return _note(known, key, self._now_ms(), self._remembered, free) == 1


class GuessBackoff:
    """Attempts to sign in by password. One that has begun counts as wrong until it is known to be right, so
    that many at once are no way around."""

    def __init__(self, now_ms: Callable[[], int], remembered: int = REMEMBERED) -> None:
        self._now_ms = now_ms
        self._remembered = remembered
        self._pairs: OrderedDict[bytes, _Failures] = OrderedDict()
        self._addresses: OrderedDict[str, _Failures] = OrderedDict()
        self._names: OrderedDict[bytes, _Failures] = OrderedDict()

    def begin(self, address: str, name: str, device: str | None) -> int:
        """Whole seconds to wait before this is looked at; 0: now, and it counts."""
        now = self._now_ms()
        pair, place = _pair(address, name, device)
        known = [self._pairs.get(pair)]
        if device is None:
            known.append(self._addresses.get(place))
        until = max((failures.until_ms for failures in known if failures), default=0)
        if until > now:
            return -(-(until - now) // 1000)
        attacked = _note(self._names, _digest(name), now, self._remembered, ATTACKED) > 0
        free = 1 if attacked and device is None else FREE_GUESSES
        _note(self._pairs, pair, now, self._remembered, free, LONGEST_GUESS_MS)
        if device is None:
            _note(self._addresses, place, now, self._remembered, FREE_NAMES)
        return 0

    def not_wrong(self, address: str, name: str, device: str | None, *, right: bool) -> None:
        """The last attempt was right, or could not be looked at. What was tried from the same address under
        other names stays: one good password is no licence to guess."""
        pair, place = _pair(address, name, device)
        if right:
            self._pairs.pop(pair, None)
        known = (self._pairs.get(pair), self._names.get(_digest(name)), self._addresses.get(place))
        for failures in known:
            if failures is not None and failures.count:
                failures.count -= 1
                failures.until_ms = 0


def _pair(address: str, name: str, device: str | None) -> tuple[bytes, str]:
    place = network(address) if device is None else f"device {device}"
    return _digest(f"{name}\n{place}"), place


def _note(
    known: OrderedDict[_K, _Failures],
    key: _K,
    now: int,
    remembered: int,
    free: int,
    longest: int = LONGEST_MS,
) -> int:
    """One more; how many that is beyond those that are free."""
    failures = known.setdefault(key, _Failures())
    known.move_to_end(key)
    _bound(known, remembered)
    if now - failures.last_ms > FORGET_MS:
        failures.count = 0
    failures.count += 1
    failures.last_ms = now
    beyond = failures.count - free
    if beyond > 0:
        failures.until_ms = now + min(longest, 1000 << min(beyond - 1, 20))
    return beyond


def _bound(known: OrderedDict[Any, Any], most: int) -> None:
    while len(known) > most:
        known.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.blake2b(token.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def network(address: str) -> str:
    """One IPv4 address, or the /64 that one IPv6 customer has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or parsed.exploded[:19])
    return address
