"""One key at a time from the terminal, without Enter and without echo. Owns that, on either platform."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType


class Keys:
    """While entered, `wait` gives the next key pressed, or "" when the time is over.

    Where stdin is no terminal no key ever comes. The terminal is put back as it was on leaving.
    """

    def __init__(self) -> None:
        self.real = sys.stdin is not None and sys.stdin.isatty()
        self._before: list[Any] | None = None

    if sys.platform == "win32":

        def __enter__(self) -> Self:
            return self

        def __exit__(
            self, kind: type[BaseException] | None, what: BaseException | None, where: TracebackType | None
        ) -> None:
            pass

        def wait(self, seconds: float) -> str:
            import msvcrt

            until = time.monotonic() + seconds
            while time.monotonic() < until:
                if self.real and msvcrt.kbhit():
                    return msvcrt.getwch()
                time.sleep(0.05)
            return ""

    else:

        def __enter__(self) -> Self:
            if self.real:
                import termios
                import tty

                self._before = termios.tcgetattr(sys.stdin)
                tty.setcbreak(sys.stdin)
            return self

        def __exit__(
            self, kind: type[BaseException] | None, what: BaseException | None, where: TracebackType | None
        ) -> None:
            if self._before is not None:
                import termios

                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

        def wait(self, seconds: float) -> str:
            import os
            import select

            if not self.real:
                time.sleep(seconds)
                return ""
            ready, _, _ = select.select([sys.stdin], [], [], seconds)
            return os.read(sys.stdin.fileno(), 1).decode("latin-1") if ready else ""
