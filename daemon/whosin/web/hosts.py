"""Which Host headers are ours. A foreign page that rebinds its name to this address is refused by its name.

Knows no framework, so that it can be read and tested alone.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


class Hosts:
    """Loopback names, the names that are configured, and the address the connection came to."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = {_normal(name) for name in allowed}

    def names(self, name: str) -> bool:
        """Whether this is one of the names that are configured."""
        return _normal(name) in self._allowed

    def allows(self, host: str, arrived_at: str | None) -> bool:
        """`arrived_at` is the local address of the connection; a literal address cannot be rebound."""
        name = name_of(host)
        if name is None:
            return False
        return (
            is_loopback_name(host)
            or name in self._allowed
            or (arrived_at is not None and name == _normal(arrived_at))
        )


def name_of(host: str) -> str | None:
    """The name in a Host header, without port, brackets and final dot; None if it is not one."""
    found = _HOST.fullmatch(host)
    return _normal(found["name"]) if found else None


def is_loopback_name(host: str) -> bool:
    name = name_of(host)
    if name is None:
        return False
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _normal(name: str) -> str:
    name = name.strip().strip("[]").rstrip(".").lower()
    try:
        return str(ip_address(name))
    except ValueError:
        return name
