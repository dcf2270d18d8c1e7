"""Plain integers that the hot path may touch; `observe.metrics` renders them when asked. Knows no library."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TypeVar

_K = TypeVar("_K")


class Histogram:
    """Cumulative on reading, not on writing. `bounds` are upper bounds in seconds, ascending."""

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, *bounds: float) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.sum += value


def _lag() -> Histogram:
    return Histogram(0.05, 0.1, 0.25, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 120, 300, 600)


def _commit() -> Histogram:
    return Histogram(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


@dataclass(slots=True)
class Counts:
    """Totals since start. Keys of the dicts are label values; none ever names a user or a session."""

    heartbeats: int = 0
    messages: dict[str, int] = field(default_factory=dict)  # verb
    rejected: dict[str, int] = field(default_factory=dict)  # reason
    disconnected: dict[tuple[str, str], int] = field(default_factory=dict)  # client type, reason
    reconnected: dict[str, int] = field(default_factory=dict)  # client type
    removed: dict[str, int] = field(default_factory=dict)  # cause: operator, cleanup, replaced, blocking
    logged_in: dict[str, int] = field(default_factory=dict)  # client type
    refused: dict[str, int] = field(default_factory=dict)  # code
    lock_refusals: int = 0
    passes: dict[str, int] = field(default_factory=dict)  # result: done, failed, skipped
    last_pass_s: float = 0.0  # wall clock of the last that was done
    pass_seconds: Histogram = field(default_factory=_commit)
    detection_lag: Histogram = field(default_factory=_lag)
    commit_seconds: Histogram = field(default_factory=_commit)
    commit_failures: int = 0
    blind_ms: int = 0
    inbox_dropped: dict[str, int] = field(default_factory=dict)  # verb
    answers_suppressed: int = 0
    events_published: int = 0
    alerts: dict[str, int] = field(default_factory=dict)  # kind
    deliveries: dict[tuple[str, str], int] = field(default_factory=dict)  # channel, result


def bump(counter: dict[_K, int], key: _K, by: int = 1) -> None:
    """Add to one label of a counter."""
    counter[key] = counter.get(key, 0) + by
