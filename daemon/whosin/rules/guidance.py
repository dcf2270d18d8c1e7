"""What to do before and after a login is removed: which rule a lock or a login gets (rule 16).

Owns the matching. Must not know files, or what is done with the texts. Nothing is matched until somebody
looks, or until a session is removed, so beats and falls cost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from whosin.model import Lock, Session

REMEMBERED = 20_000  # answers kept; strangers name resources
NORMAL, CRITICAL = SEVERITIES = ("normal", "critical")


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[rule]]`: what it asks for has to hold together, and of several globs one is enough. One that
    asks for nothing is for those who name it.

    Resources are compared as they are written, activities and client types in any case. `*` in a glob is any
    text, also across `/`.
    """

    id: str
    severity: str = NORMAL
    before: str | None = None
    after: str | None = None
    resource: tuple[str, ...] = ()
    activity: tuple[str, ...] = ()
    client: tuple[str, ...] = ()


class Advice(NamedTuple):
    """A rule that applies, and to what: a lock's resource, or None for the login as such."""

    rule: Rule
    resource: str | None


class Compiled(NamedTuple):
    """A rule with its globs made ready."""

    rule: Rule
    resource: re.Pattern[str] | None
    activity: re.Pattern[str] | None
    client: re.Pattern[str] | None


class Guidance:
    """The rules in force, in order: the first that matches a lock is its own. Immutable."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = tuple(rules)
        self._by_id = {rule.id: rule for rule in self.rules}
        self._compiled = [
            Compiled(
                rule,
                _either(rule.resource, 0),
                _either(rule.activity, re.IGNORECASE),
                _either(rule.client, re.IGNORECASE),
            )
            for rule in self.rules
            if rule.resource or rule.activity or rule.client
        ]
        self._of_logins = [one for one in self._compiled if one.resource is None]
        self.for_logins = bool(self._of_logins)  # is there a rule that a login without locks could match?
        self._of_clients = any(one.activity is None for one in self._of_logins)
        self._found: dict[tuple[str | None, str | None, str], Rule | None] = {}

    def named(self, ident: str) -> Rule | None:
        return self._by_id.get(ident)

    def rule_for(
        self, resource: str | None, activity: str | None, client: str, named: str | None = None
    ) -> Rule | None:
        """The rule of a lock: the one its client named, else the first that matches. `resource` None asks
        for a login without locks, which only rules without `resource` match."""
        if named is not None and (rule := self._by_id.get(named)) is not None:
            return rule
        asked = (resource, activity, client)
        if asked not in self._found:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            self._found[asked] = self._first(resource, activity, client)
        return self._found[asked]

    def of_lock(self, lock: Lock) -> Rule | None:
        session = lock.session
        return self.rule_for(
            lock.resource, lock.activity or session.told.activity, session.client, lock.guidance
        )

    def of_session(self, session: Session) -> list[Advice]:
        """All that applies to a session: a rule for each of its locks that has one; and what its activity, or
        where there is nothing else its client type, asks for without a lock."""
        found = [
            Advice(rule, lock.resource)
            for lock in (session.locks or {}).values()
            if (rule := self.of_lock(lock)) is not None
        ]
        if not self.without_locks(session):
            return found
        own = self.rule_for(None, session.told.activity, session.client)
        if own is not None and (not found or (own.activity and all(one.rule is not own for one in found))):
            found.append(Advice(own, None))
        return found

    def without_locks(self, session: Session) -> bool:
        """Is there anything to look at in a session that holds nothing? Cheap: nothing is matched."""
        return self.for_logins and (session.told.activity is not None or self._of_clients)

    def critical(self, session: Session) -> bool:
        """Does anything critical apply to it? Then no automatism hurries its removal (rule 7)."""
        return any(advice.rule.severity == CRITICAL for advice in self.of_session(session))

    def _first(self, resource: str | None, activity: str | None, client: str) -> Rule | None:
        for one in self._compiled if resource is not None else self._of_logins:
            if fits(one.resource, resource) and fits(one.activity, activity) and fits(one.client, client):
                return one.rule
        return None

    def explain(self, resource: str | None, activity: str | None, client: str) -> Iterator[tuple[Rule, str]]:
        """Rule by rule, up to the one that matches, why it does or does not."""
        for one in self._compiled:
            asked = (("resource", resource), ("activity", activity), ("client", client))
            wrong = next((name for name, text in asked if not fits(getattr(one, name), text)), None)
            yield one.rule, wrong or ""
            if wrong is None:
                return


def fits(pattern: re.Pattern[str] | None, text: str | None) -> bool:
    """What is not asked for fits; what is asked for and not there does not."""
    return pattern is None or (text is not None and pattern.match(text) is not None)


def ids(advice: Iterable[Advice]) -> list[str]:
    """The rules' ids, each once."""
    return list(dict.fromkeys(one.rule.id for one in advice))


def _either(globs: tuple[str, ...], flags: int) -> re.Pattern[str] | None:
    """One expression for all of the globs; None for no condition."""
    return re.compile("|".join(map(translate, globs)), flags) if globs else None
