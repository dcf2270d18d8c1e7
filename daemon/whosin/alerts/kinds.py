"""What there are alerts about, in one table: how bad, whose business, and what belongs together.

Owns the table. Must not know how anything is noticed, worded or sent.
"""

from __future__ import annotations

from typing import Final, NamedTuple

INFO, WARNING, CRITICAL = SEVERITIES = ("info", "warning", "critical")
"""Rising."""


class Kind(NamedTuple):
    """`severity` holds unless what is told of says otherwise. `per`: what of one company, of one site or of
    the daemon is grouped into one alert. `roles`: of whom it asks something."""

    severity: str
    roles: tuple[str, ...]
    per: str


OPERATOR, ADMINISTRATOR = "operator", "administrator"

KINDS: Final = {
    "blocking": Kind(WARNING, (OPERATOR,), "company"),
    "guidance": Kind(WARNING, (OPERATOR,), "company"),
    "mass_silence": Kind(CRITICAL, (OPERATOR, ADMINISTRATOR), "site"),
    "cleanup": Kind(WARNING, (OPERATOR, ADMINISTRATOR), "site"),
    "storage": Kind(CRITICAL, (ADMINISTRATOR,), "daemon"),
    "blind": Kind(CRITICAL, (ADMINISTRATOR,), "daemon"),
    "shared_account": Kind(WARNING, (ADMINISTRATOR,), "site"),
    "seats": Kind(WARNING, (ADMINISTRATOR,), "site"),
}

AT_ONCE: Final = frozenset({"storage", "blind"})
"""The daemon's own trouble: told even while nothing can be stored. All else is told once it is durable."""


def at_least(severity: str, least: str) -> bool:
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)


def worst(severities: list[str]) -> str:
    return max(severities, key=SEVERITIES.index, default=INFO)
