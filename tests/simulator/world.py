"""Virtual time, and what happens in it outside of the daemon's process.

Owns the one queue of coming events, the clocks that machines show, random streams by name, the story told so
far. Must not know MQTT, sessions, daemons or what is right. Times are whole milliseconds since the beginning.
Two runs of one script give the same story to the letter: nothing here reads a clock, an address or a hash.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

EPOCH_MS = 1_764_000_000_000
FOR_EVER = 1 << 60
MOST_TURNS = 20_000  # of the daemon's loop without time going on: more is an endless loop


class Runs(Protocol):
    """A process that takes turns: the daemon's, if it is there and not frozen."""

    def busy(self) -> bool: ...
    def next_ms(self) -> int: ...
    def turn(self) -> None: ...


class Alarm:
    """Something to come; `call` None once it is cancelled."""

    __slots__ = ("args", "call")

    def __init__(self, call: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.call: Callable[..., object] | None = call
        self.args = args

    def cancel(self) -> None:
        self.call = None


class World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0
        self.process: Runs | None = None
        self.folder = ""  # where this run's data lie: no part of the story
        self.story: list[tuple[int, str, str]] = []
        self.violations: list[str] = []
        self._heap: list[tuple[int, int, Alarm]] = []
        self._count = 0
        self._step_ms = 0
        self._slept_ms = 0
        self._steps: list[tuple[int, int]] = [(0, 0)]
        self._sleeps: list[tuple[int, int]] = []

    def random(self, name: str) -> Random:
        """A stream of its own, so that leaving one thing out of a script moves as little as can be."""
        return Random(f"{self.seed}/{name}")

    # --- the story ------------------------------------------------------------------------------------

    def tell(self, who: str, what: str) -> None:
        self.story.append((self.now, who, what.replace(self.folder, "DATA") if self.folder else what))

    def wrong(self, claim: str) -> None:
        """A claim is violated."""
        self.violations.append(f"{self.now / 1000:.3f} s: {claim}")
        self.tell("ORACLE", claim)

    # --- the daemon's machine's clocks ----------------------------------------------------------------

    def mono_ms(self) -> int:
        return self.now - self._slept_ms

    def wall_ms(self) -> int:
        return EPOCH_MS + self.now + self._step_ms

    def slept_ms(self) -> int:
        return self._slept_ms

    def of_mono(self, mono_ms: int, *, early: bool = False) -> int:
        """When the monotonic clock showed this: last, or first, since it stood still in sleeps."""
        at = mono_ms
        for began, lasted in self._sleeps:
            if at > began or (at == began and not early):
                at += lasted
        return at

    def step_wall(self, by_ms: int) -> None:
        self._step_ms += by_ms
        self._steps.append((self.now, self._step_ms))

    def slept(self, lasted_ms: int) -> None:
        """The machine wakes up."""
        if not lasted_ms:
            return
        self._sleeps.append((self.now - lasted_ms, lasted_ms))
        self._slept_ms += lasted_ms

    @property
    def wall_moves(self) -> bool:
        """The wall clock does not simply follow the world's time in this run."""
        return len(self._steps) > 1 or bool(self._sleeps)

    # --- what is to come ------------------------------------------------------------------------------

    def at(self, when_ms: int, call: Callable[..., object], *args: Any) -> Alarm:
        alarm = Alarm(call, args)
        self._count += 1
        heapq.heappush(self._heap, (max(when_ms, self.now), self._count, alarm))
        return alarm

    def after(self, delay_ms: int, call: Callable[..., object], *args: Any) -> Alarm:
        return self.at(self.now + delay_ms, call, *args)

    def run_until(self, end_ms: int) -> None:
        heap = self._heap
        turns = 0
        while True:
            process = self.process
            if process is not None and process.busy():
                turns += 1
                if turns > MOST_TURNS:
                    raise RuntimeError("the daemon's loop never comes to rest")
                process.turn()
                continue
            coming = heap[0][0] if heap else FOR_EVER
            due = process.next_ms() if process is not None else FOR_EVER
            if min(coming, due) > end_ms:
                self.now = end_ms
                return
            if coming <= due:
                if coming > self.now:
                    self.now = coming
                    turns = 0
                alarm = heapq.heappop(heap)[2]
                if alarm.call is not None:
                    alarm.call(*alarm.args)
            else:
                if due > self.now:
                    self.now = due
                    turns = 0
                assert process is not None
                process.turn()
