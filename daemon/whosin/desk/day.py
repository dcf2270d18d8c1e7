"""The last day in slots of five minutes: how many were in, how many fell out, how late we noticed.

Owns what is remembered for small pictures; each look costs the same however many are in. What was before a
restart is kept, to the last full slot. Must not know how it is drawn.
"""

from __future__ import annotations

from typing import Any

import msgspec

from whosin.engine.engine import Engine
from whosin.model import Status
from whosin.operations import Json
from whosin.ports import Changes

SLOT_MS = 300_000
SLOTS = 288  # 24 hours
META = "day"


class Slot(msgspec.Struct, array_like=True):
    """`active` and `disconnected` are the most at any look; the rest are sums."""

    number: int
    active: int = 0
    disconnected: int = 0
    fell: int = 0
    came_back: int = 0
    lag_count: int = 0
    lag_ms: int = 0


class Day:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._slots: dict[int, Slot] = {}
        self._before = (0, 0, 0, 0.0)

    def restore(self, meta: dict[str, str]) -> None:
        """Take up what was stored; what cannot be read is no loss."""
        try:
            kept = msgspec.json.decode(meta.get(META, "[]"), type=list[Slot])
        except msgspec.DecodeError:
            kept = []
        self._slots = {slot.number: slot for slot in kept}

    def look(self, changes: Changes) -> None:
        """With each flush: note how things stand; a slot that is complete is stored."""
        engine = self._engine
        number = engine.clock.wall_ms(engine.clock.now_ms()) // SLOT_MS
        slot = self._slots.get(number)
        if slot is None:
            changes.meta[META] = msgspec.json.encode(list(self._slots.values())).decode()
            slot = self._slots[number] = Slot(number)
            for old in [it for it in self._slots if not number - SLOTS < it <= number]:
                del self._slots[old]
        tally = engine.roll.tally
        slot.active = max(slot.active, _sum(tally, Status.ACTIVE))
        slot.disconnected = max(slot.disconnected, _sum(tally, Status.DISCONNECTED))
        fell, back, count, seconds = self._totals()
        before = self._before
        slot.fell += fell - before[0]
        slot.came_back += back - before[1]
        slot.lag_count += count - before[2]
        slot.lag_ms += round((seconds - before[3]) * 1000)
        self._before = (fell, back, count, seconds)

    def _totals(self) -> tuple[int, int, int, float]:
        counts = self._engine.counts
        lag = counts.detection_lag
        return (
            sum(counts.disconnected.values()), sum(counts.reconnected.values()), sum(lag.buckets), lag.sum,
        )  # fmt: skip

    def show(self) -> Json:
        """The answer of `Operations.day`; slots in which the daemon was down are missing."""
        return {
            "slot_s": SLOT_MS // 1000,
            "slots": [
                {
                    "at": it.number * SLOT_MS // 1000, "active": it.active, "disconnected": it.disconnected,
                    "fell": it.fell, "came_back": it.came_back,
                    "lag_s": round(it.lag_ms / it.lag_count / 1000, 3) if it.lag_count else None,
                }
                for it in sorted(self._slots.values(), key=lambda it: it.number)
            ],
        }  # fmt: skip


def _sum(tally: Any, status: Status) -> int:
    return sum(count for (one, _), count in tally.items() if one is status)
