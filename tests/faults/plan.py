"""What befalls one round, drawn from its seed alone: a seed names the same faults at the same times for ever.

Owns the drawing. Must not know how a fault is made, nor what comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, Literal, NamedTuple

Way = Literal["door", "link"]

WAYS: Final[tuple[tuple[Way, ...], ...]] = (("door",), ("link",), ("door", "link"))
LOAD_S: Final = 5.0  # people work, and faults begin, within this time
LONGEST_S: Final = 3.0  # most faults; a cut now and then lasts until the link has noticed

# What may happen on any way in, and what takes a broker. Twice is twice as likely.
ANYWHERE: Final = (
    "kill", "kill", "kill", "stop", "restart", "full_disk", "slow_disk", "failing_disk", "hanging_disk",
    "clock", "clock", "reload", "switch",
)  # fmt: skip
WITH_BROKER: Final = ("broker_kill", "broker_kill", "broker_forget", "broker_pause", "cut", "cut")


class Fault(NamedTuple):
    """`detail` depends on the kind: seconds of a clock step, which direction is cut, how slow a disk is."""

    at_s: float
    kind: str
    for_s: float
    detail: float | str

    def __str__(self) -> str:
        return f"{self.at_s:5.2f} s  {self.kind} for {self.for_s:.2f} s ({self.detail})"


class Order(NamedTuple):
    """What an operator does: `logoff` of one who beats or of one who died, `list`, `switch`."""

    at_s: float
    kind: str
    detail: str


class Death(NamedTuple):
    """A session that falls silent: on a gateway's line, or on a connection of its own that breaks."""

    at_s: float
    own: bool
    client: str


@dataclass(frozen=True)
class Plan:
    seed: int
    ways: tuple[Way, ...]
    faults: tuple[Fault, ...]
    deaths: tuple[Death, ...]
    orders: tuple[Order, ...]

    @property
    def kinds(self) -> set[str]:
        return {fault.kind for fault in self.faults}

    @classmethod
    def draw(cls, seed: int) -> Plan:
        dice = Random(f"whosin faults {seed}")
        ways = WAYS[dice.randrange(len(WAYS))]
        kinds = ANYWHERE + (WITH_BROKER if "link" in ways else ())
        faults = [_fault(dice, dice.choice(kinds)) for _ in range(dice.randint(2, 4))]
        deaths = [
            Death(round(dice.uniform(0.2, 4.0), 2), dice.random() < 0.4, dice.choice(("desktop", "web")))
            for _ in range(dice.randint(3, 5))
        ]
        orders = [Order(round(dice.uniform(0.5, 4.5), 2), "logoff", "beats") for _ in range(2)]
        orders += [Order(round(dice.uniform(3.0, 5.0), 2), "logoff", "died")]
        orders += [Order(round(dice.uniform(0.0, 5.0), 2), "list", "") for _ in range(2)]
        return cls(seed, ways, tuple(sorted(faults)), tuple(sorted(deaths)), tuple(sorted(orders)))


def _fault(dice: Random, kind: str) -> Fault:
    at_s = round(dice.uniform(0.3, LOAD_S - 0.5), 2)
    for_s = round(dice.uniform(0.2, LONGEST_S), 2)
    detail: float | str = ""
    match kind:
        case "cut":
            detail = dice.choice(("both", "both", "to the daemon"))
            if dice.random() < 0.15:
                for_s = round(dice.uniform(7.0, 9.0), 2)
        case "clock":
            detail = dice.choice((-7200.0, -3600.0, -900.0, 600.0, 5400.0, 86_400.0))  # no sum is small but 0
        case "slow_disk":
            detail = dice.choice((50, 200, 600))
        case "kill":
            for_s = round(dice.choice((0.0, dice.uniform(0.0, 0.5), dice.uniform(0.5, LONGEST_S))), 2)
        case "restart" | "reload":
            for_s = 0.0
        case "switch":
            detail = dice.choice(("on", "on", "off"))
            for_s = 0.0
    return Fault(at_s, kind, for_s, detail)
