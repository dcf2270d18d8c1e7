"""Which sessions hear a topic: a tree of filters, one step for each level of the topic.

Owns matching (MQTT 5, section 4.7). Must not know rights, connections, or what a session is.
The cost of a match follows from the topic's depth and the wildcards in its way, not from how many
subscribe: 2,000 sessions beside each other are one dictionary.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Final, Generic, TypeVar

Hearer = TypeVar("Hearer")

QOS: Final = 1
AS_PUBLISHED: Final = 8
"""Bits of a subscription's options: the granted QoS, and Retain As Published."""


class _Level(Generic[Hearer]):
    __slots__ = ("below", "here", "rest")

    def __init__(self) -> None:
        self.below: dict[str, _Level[Hearer]] = {}
        self.here: dict[Hearer, int] = {}
        self.rest: dict[Hearer, int] = {}  # `#` at this place

    @property
    def bare(self) -> bool:
        return not (self.below or self.here or self.rest)


_TOPICS_KNOWN: Final = 4_096


class FilterTree(Generic[Hearer]):
    """Who hears a topic is remembered until anybody subscribes or unsubscribes: topics of events repeat."""

    def __init__(self) -> None:
        self._root: _Level[Hearer] = _Level()
        self._known: dict[str, dict[Hearer, int]] = {}

    @property
    def empty(self) -> bool:
        return self._root.bare

    def add(self, pattern: str, hearer: Hearer, options: int) -> None:
        """Subscribe, or change the options of the same subscription."""
        self._known.clear()
        levels = pattern.split("/")
        rest = levels[-1] == "#"
        at = self._root
        for level in levels[:-1] if rest else levels:
            at = at.below.setdefault(level, _Level())
        (at.rest if rest else at.here)[hearer] = options

    def remove(self, pattern: str, hearer: Hearer) -> None:
        """Unsubscribe; harmless where there is no such subscription."""
        self._known.clear()
        levels = pattern.split("/")
        rest = levels[-1] == "#"
        if rest:
            levels.pop()
        path = [self._root]
        for level in levels:
            following = path[-1].below.get(level)
            if following is None:
                return
            path.append(following)
        (path[-1].rest if rest else path[-1].here).pop(hearer, None)
        for depth in range(len(levels), 0, -1):
            if path[depth].bare:
                del path[depth - 1].below[levels[depth - 1]]

    def match(self, topic: str) -> dict[Hearer, int]:
        """Everyone who hears the topic, once each, with the best of their overlapping subscriptions. To be
        read only."""
        found = self._known.get(topic)
        if found is None:
            if len(self._known) >= _TOPICS_KNOWN:
                self._known.clear()
            found = self._known[topic] = self._match(topic)
        return found

    def _match(self, topic: str) -> dict[Hearer, int]:
        found: dict[Hearer, int] = {}
        at = [self._root]
        for level in topic.split("/"):
            following = []
            for here in at:
                _merge(found, here.rest)
                for name in (level, "+"):
                    below = here.below.get(name)
                    if below is not None:
                        following.append(below)
            at = following
        for here in at:
            _merge(found, here.here)
            _merge(found, here.rest)  # `a/#` matches `a` too
        return found


def _merge(found: dict[Hearer, int], more: dict[Hearer, int]) -> None:
    for hearer, options in more.items():
        found[hearer] = found.get(hearer, 0) | options


def matches(pattern: str, topic: str) -> bool:
    """Whether one filter matches one topic."""
    tree: FilterTree[bool] = FilterTree()
    tree.add(pattern, True, 0)
    return bool(tree.match(topic))


def common(one: str, other: str) -> str | None:
    """The filter that matches what both match; None where that is nothing."""
    left, right = one.split("/"), other.split("/")
    levels: list[str] = []
    for mine, yours in zip_longest(left, right):
        if mine == "#":
            return "/".join(levels + right[len(levels) :])
        if yours == "#":
            return "/".join(levels + left[len(levels) :])
        if mine is None or yours is None or (mine != yours and "+" not in (mine, yours)):
            return None
        levels.append(yours if mine == "+" else mine)
    return "/".join(levels)
