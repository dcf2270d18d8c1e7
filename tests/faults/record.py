"""What was said, heard and done in one round, with times: what the judge gets to see of the outside.

All times are seconds of the monotonic clock. Nothing here knows the daemon's inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Said:
    """One QoS 1 message. `acked` once its PUBACK came; the client sends it again until then."""

    session: str
    verb: str
    payload: dict[str, Any]
    way: str
    at: float
    acked: float | None = None
    reason: int = 0  # of the PUBACK; 128 and above refuse


@dataclass(slots=True)
class Heard:
    """One answer."""

    at: float
    way: str
    session: str
    kind: str
    payload: dict[str, Any]


@dataclass(slots=True, eq=False)
class Member:
    """The truth about one session. `role`: `stays`, `dies`, `visits`, `calls` (says little and
    never beats), `victim` (logged off by force)."""

    id: str
    user: str
    client: str
    company: str
    way: str
    role: str
    own: bool  # on a connection of its own, with a will
    beats: list[float] = field(default_factory=list)
    died: float | None = None
    dropped: float | None = None  # its own connection broke: the will goes out
    over: float | None = None  # it logged out, or was told that it has ended

    @property
    def beating(self) -> bool:
        return self.died is None and self.over is None

    def end(self, at: float) -> None:
        self.over = self.over or at


@dataclass(slots=True)
class Ordered:
    """One request of an operator; `answer` None if there was none."""

    at: float
    method: str
    path: str
    body: Any
    status: int = 0
    answer: Any = None


@dataclass(slots=True, eq=False)
class Window:
    """A fault while it lasted, as long as anybody could have noticed it."""

    kind: str
    start: float
    end: float = float("inf")

    def __str__(self) -> str:
        return f"{self.kind} {self.start:.2f} to {self.end:.2f}"


@dataclass(slots=True)
class Event:
    """One event as an observer heard it."""

    at: float
    topic: str
    body: dict[str, Any]


@dataclass
class Record:
    """`offsets`: by how much the daemon's wall clock was ahead of the real one, ever. `base`: the real wall
    clock minus the monotonic one. `handed`: topics of the events that a broker was handed and cannot have
    handed on, in order (`handed.lost`)."""

    began: float
    base: float
    members: dict[str, Member] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    events: dict[str, list[Event]] = field(default_factory=dict)
    handed: list[str] = field(default_factory=list)
    ordered: list[Ordered] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    lags: list[tuple[float, float]] = field(default_factory=list)  # when, how late this program was
    offsets: list[float] = field(default_factory=lambda: [0.0])
    exits: list[str] = field(default_factory=list)  # the daemon ended by itself
    unsettled: list[str] = field(default_factory=list)  # what did not come about in time after the faults

    def lag(self, start: float, end: float) -> float:
        """How late this program was in that time, in all: what others seem to be late by."""
        return sum(late for at, late in self.lags if start <= at <= end + late)
