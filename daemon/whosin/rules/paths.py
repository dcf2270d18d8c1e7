"""Resources as paths: which covers which, and an index that finds all that overlap. Knows no locks.

Segments are case-sensitive and divided by "/"; `*` stands alone and covers the whole company (rule 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Generic, TypeVar

WHOLE = "*"
MAX_SEGMENTS = 16

T = TypeVar("T")


def valid(path: str) -> bool:
    """One to MAX_SEGMENTS non-empty segments without `*`, or `*` alone; no control characters."""
    if path == WHOLE:
        return True
    segments = path.split("/")
    return len(segments) <= MAX_SEGMENTS and all(segments) and "*" not in path and path.isprintable()


def covers(upper: str, lower: str) -> bool:
    """A path covers itself and all below it."""
    return upper in (lower, WHOLE) or lower.startswith(upper + "/")


def overlap(one: str, other: str) -> bool:
    """One of the two covers the other."""
    return covers(one, other) or covers(other, one)


def ancestry(path: str) -> list[str]:
    """All that cover the path, from `*` down to itself."""
    found = [WHOLE]
    if path == WHOLE:
        return found
    end = path.find("/")
    while end != -1:
        found.append(path[:end])
        end = path.find("/", end + 1)
    found.append(path)
    return found


class PathIndex(Generic[T]):
    """Things by path, found by overlap in O(depth) plus what is found. Iteration is in order of adding,
    first what covers, then what is covered."""

    __slots__ = ("_at", "_below")

    def __init__(self) -> None:
        self._at: dict[str, dict[T, None]] = {}
        self._below: dict[str, dict[T, None]] = {}

    def add(self, path: str, thing: T) -> None:
        *uppers, own = ancestry(path)
        self._at.setdefault(own, {})[thing] = None
        for upper in uppers:
            self._below.setdefault(upper, {})[thing] = None

    def remove(self, path: str, thing: T) -> None:
        *uppers, own = ancestry(path)
        _discard(self._at, own, thing)
        for upper in uppers:
            _discard(self._below, upper, thing)

    def groups(self, path: str) -> Iterator[dict[T, None]]:
        """What overlaps, as the dicts it lies in; each is in order of adding. Not to be changed meanwhile."""
        for upper in ancestry(path):
            if group := self._at.get(upper):
                yield group
        if group := self._below.get(path):
            yield group

    def below(self, path: str) -> dict[T, None]:
        """What the path covers, but for what lies at it. Not to be changed meanwhile."""
        return self._below.get(path, {})

    def overlapping(self, path: str) -> Iterator[T]:
        for group in self.groups(path):
            yield from group

    def exact(self, path: str) -> dict[T, None]:
        return self._at.get(path, {})

    def everything(self) -> Iterator[T]:
        yield from self.overlapping(WHOLE)

    def __len__(self) -> int:
        return len(self._at.get(WHOLE, ())) + len(self._below.get(WHOLE, ()))


class Lanes(Generic[T]):
    """Things by path and mode: a shared one is opposed only by exclusive ones, so the two lie apart, and what
    opposes is found without passing all that does not."""

    __slots__ = ("exclusive", "shared")

    def __init__(self) -> None:
        self.exclusive: PathIndex[T] = PathIndex()
        self.shared: PathIndex[T] = PathIndex()

    def add(self, path: str, thing: T, *, shared: bool) -> None:
        (self.shared if shared else self.exclusive).add(path, thing)

    def remove(self, path: str, thing: T, *, shared: bool) -> None:
        (self.shared if shared else self.exclusive).remove(path, thing)

    def opposing(self, path: str, *, shared: bool) -> Iterator[dict[T, None]]:
        """What overlaps and is not shared too, in groups like `PathIndex.groups`."""
        yield from self.exclusive.groups(path)
        if not shared:
            yield from self.shared.groups(path)

    def opposing_below(self, path: str, *, shared: bool) -> Iterator[dict[T, None]]:
        """Those of them that the path covers, but for those at it."""
        yield self.exclusive.below(path)
        if not shared:
            yield self.shared.below(path)

    def overlapping(self, path: str) -> Iterator[T]:
        return chain(self.exclusive.overlapping(path), self.shared.overlapping(path))

    def exact(self, path: str) -> list[T]:
        return [*self.exclusive.exact(path), *self.shared.exact(path)]

    def everything(self) -> Iterator[T]:
        return self.overlapping(WHOLE)

    def __len__(self) -> int:
        return len(self.exclusive) + len(self.shared)


def _discard(index: dict[str, dict[T, None]], path: str, thing: T) -> None:
    group = index.get(path)
    if group is not None:
        group.pop(thing, None)
        if not group:
            del index[path]
