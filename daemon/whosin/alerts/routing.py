"""Which alert goes by which channel, and what of it: sites, companies, roles, kinds, severity.

Owns the choice. Must not know how a channel sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whosin.alerts.kinds import INFO, KINDS, at_least
from whosin.alerts.targets import LogTarget, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whosin.alerts.conditions import Group

Json = dict[str, Any]


@dataclass(frozen=True)
class Channel:
    """One of `[alerts.channels]`: who gets what, and the way there. Empty: no limit. `companies` are names,
    or `site/company`. `cleared`: it is told, too, when an alert is over."""

    name: str
    target: Target
    sites: tuple[str, ...] = ()
    companies: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    at_least: str = INFO
    cleared: bool = False

    def wants(self, group: Group, severity: str, listed: Iterable[Json]) -> bool:
        """`listed` are the facts of the alert, which may be of several companies."""
        if self.kinds and group.kind not in self.kinds:
            return False
        if self.roles and not set(self.roles) & set(KINDS[group.kind].roles):
            return False
        if not at_least(severity, self.at_least):
            return False
        if self.sites and group.site not in self.sites:
            return False
        return not self.companies or bool(self.part(group, listed))

    def part(self, group: Group, listed: Iterable[Json]) -> list[Json]:
        """The facts that it may tell of: a company's people need not read of another's. A fact of a whole
        site is everybody's in it."""
        return [fact for fact in listed if self._reads(group.site, fact.get("company") or group.company)]

    def _reads(self, site: str | None, company: str | None) -> bool:
        if not self.companies:
            return True
        if site is None:
            return False
        if company is None:
            return any("/" not in one or one.startswith(f"{site}/") for one in self.companies)
        return company in self.companies or f"{site}/{company}" in self.companies


def the_log() -> Channel:
    """The channel there is when none is set."""
    return Channel("log", LogTarget(), cleared=True)


def interested(
    channels: Sequence[Channel], group: Group, severity: str, listed: Sequence[Json]
) -> list[Channel]:
    return [channel for channel in channels if channel.wants(group, severity, listed)]
