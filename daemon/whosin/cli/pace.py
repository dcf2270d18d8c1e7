"""How busy the daemon is: messages a second and the lag of detection, from its counters at two moments.

Owns the reading of the few metrics that this takes; knows no clock and no network.
"""

from __future__ import annotations

import re

MESSAGES = "whosin_messages_total"
LAG = "whosin_detection_lag_seconds"
_SAMPLE = re.compile(rf"^({MESSAGES}|{LAG}_sum|{LAG}_count)(?:\{{[^\n]*\}})? ([0-9.eE+-]+)", re.MULTILINE)


def sums(metrics: str) -> dict[str, float]:
    """Each metric that is wanted here, summed over its labels."""
    found: dict[str, float] = {}
    for name, value in _SAMPLE.findall(metrics):
        found[name] = found.get(name, 0.0) + float(value)
    return found


class Pace:
    """`rate` in messages a second, `lag_s` in seconds: None until two moments tell, then the last known.
    Counters that went back, since the daemon was started anew, tell nothing."""

    def __init__(self) -> None:
        self._last: tuple[float, dict[str, float]] | None = None
        self.rate: float | None = None
        self.lag_s: float | None = None

    def take(self, at_s: float, metrics: str) -> None:
        """The metrics as they are at `at_s` of a steady clock."""
        found = sums(metrics)
        if self._last is not None and at_s > self._last[0]:
            before_s, before = self._last
            messages = found.get(MESSAGES, 0.0) - before.get(MESSAGES, 0.0)
            if MESSAGES in found and messages >= 0:
                self.rate = messages / (at_s - before_s)
            ended = found.get(f"{LAG}_count", 0.0) - before.get(f"{LAG}_count", 0.0)
            if ended > 0:
                self.lag_s = (found[f"{LAG}_sum"] - before.get(f"{LAG}_sum", 0.0)) / ended
        self._last = at_s, found
