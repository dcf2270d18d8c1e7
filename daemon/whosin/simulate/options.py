"""What a simulated day is made of, and what is left of it to tell. Owns the numbers; knows no clients."""

from __future__ import annotations

import secrets
from collections import Counter, deque
from dataclasses import dataclass, field, fields
from typing import Any, Final

KEPT_IDS: Final = 100_000  # of each kind; a simulation may run for days


@dataclass(frozen=True, slots=True)
class Options:
    """A day to simulate. Shares are from 0 to 1; `ValueError` names what is out of bounds.

    `speed` compresses the users' clock only: at 60 they live an hour in a minute. The daemon's timeouts
    and the heartbeats stay real seconds.
    """

    url: str = "mqtt://127.0.0.1:1883"
    clients: int = 20  # people and programs; each is in at most once at a time
    companies: int = 3  # in each site
    sites: int = 1
    speed: float = 1.0
    minutes: float | None = None  # real minutes until everybody goes home; None: until stopped
    morning: float = 5.0  # users' minutes within which all arrive
    web: float = 0.3  # share of people who come through the portal
    api: float = 0.1  # share of clients that are programs
    crash: float = 0.1  # share of stays that end by a crash
    forget: float = 0.05  # share of stays whose user goes away without logging out
    outage: float = 0.1  # share of desktop stays that lose the network for a while
    seed: int = field(default_factory=lambda: secrets.randbelow(2**31))
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for what in ("clients", "companies", "sites", "speed"):
            if getattr(self, what) <= 0:
                raise ValueError(f"{what} is {getattr(self, what)}; expected more than 0")
        for what in ("web", "api", "crash", "forget", "outage"):
            if not 0 <= getattr(self, what) <= 1:
                raise ValueError(f"{what} is {getattr(self, what)}; expected a share from 0 to 1")
        if self.web + self.api > 1 or self.crash + self.forget > 1:
            raise ValueError("web and api, and crash and forget, are shares of one whole: at most 1 together")
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"minutes is {self.minutes}; expected more than 0")

    @classmethod
    def of(cls, **given: Any) -> Options:
        """From a command line's options: None means not given, unknown names are a TypeError."""
        return cls(**{name: value for name, value in given.items() if value is not None})

    def arguments(self) -> list[str]:
        """The same options for the command line, the password excepted."""
        words = []
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and each.name != "password":
                words += [f"--{each.name.replace('_', '-')}", str(value)]
        return words


@dataclass(slots=True)
class Summary:
    """What the simulated clients did and were told, for people and for tests that ask the daemon too.

    Ids of sessions are in the list of how they ended: whatever is in none of them is still in.
    """

    seed: int
    clients: int
    speed: float
    seconds: float = 0.0
    logins: int = 0
    login_refusals: Counter[str] = field(default_factory=Counter)  # by code
    unanswered: int = 0  # logins and lock requests nobody answered
    beats: int = 0
    locks: int = 0
    waits: int = 0  # locks granted after waiting in the queue
    lock_refusals: Counter[str] = field(default_factory=Counter)  # by code
    holders: Counter[str] = field(default_factory=Counter)  # whom refusals named
    outages: int = 0
    messages: int = 0
    logged_out: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_IDS))
    crashed: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_IDS))
    forgotten: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_IDS))  # fell silent
    gave_up: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_IDS))  # no answer: in or not
    ended: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_IDS))  # from outside
    ended_by: Counter[str] = field(default_factory=Counter)
    defects: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON: names of sessions as lists, counts by name as objects."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: list(value) if isinstance(value, deque) else value for name, value in values.items()}

    def lines(self) -> list[str]:
        """For people: what happened, plainly."""
        lines = [
            f"{self.logins} logins, {self.beats} heartbeats in {self.seconds:.0f} s (seed {self.seed})",
            f"{len(self.logged_out)} logged out, {len(self.crashed)} crashed, "
            f"{len(self.forgotten)} fell silent without a goodbye, {len(self.ended)} were ended"
            + _listed(" by ", self.ended_by),
            f"{self.locks} locks granted, {self.waits} of them after waiting; "
            f"{self.lock_refusals.total()} refused" + _listed(", in use by ", self.holders),
        ]
        if self.login_refusals:
            lines.append(f"{self.login_refusals.total()} logins refused" + _listed(": ", self.login_refusals))
        if self.outages:
            lines.append(f"{self.outages} times somebody lost the network for a while")
        if self.unanswered:
            lines.append(f"{self.unanswered} times nobody answered: is the daemon running?")
        if self.defects:
            lines.append(f"{self.defects} simulated clients failed; see the log")
        return lines


def _listed(before: str, counts: Counter[str], most: int = 3) -> str:
    if not counts:
        return ""
    named = ", ".join(f"{name} ({number})" for name, number in counts.most_common(most))
    more = len(counts) - most
    return before + named + (f" and {more} more" if more > 0 else "")
