"""What the release check tells: a line for what holds, all about what does not, and the sum."""

from __future__ import annotations

import time
from collections.abc import Sequence


class Report:
    def __init__(self, what: str) -> None:
        self._began = time.monotonic()
        self._failed: list[str] = []
        self._left_out: list[str] = []
        self.say(f"release check of {what}")

    @property
    def good(self) -> bool:
        return not self._failed

    def say(self, text: str) -> None:
        print(text, flush=True)

    def wrong(self, what: str, problems: Sequence[str]) -> None:
        """`what` holds if there are no problems."""
        self.say(f"{'FAILED' if problems else 'ok':12} {what}  ({self._seconds} s)")
        for problem in problems:
            self.say("\n".join(f"             {line}" for line in problem.splitlines()))
        if problems:
            self._failed.append(what)

    def left_out(self, what: str, why: str) -> None:
        self.say(f"NOT CHECKED  {what}: {why}")
        self._left_out.append(what)

    def end(self) -> int:
        """The exit code."""
        if self._left_out:
            self.say(f"NOT CHECKED: {', '.join(self._left_out)}")
        if self._failed:
            self.say(f"FAILED in {self._seconds} s: {', '.join(self._failed)}")
            return 1
        self.say(f"all passed in {self._seconds} s")
        return 0

    @property
    def _seconds(self) -> int:
        return round(time.monotonic() - self._began)
