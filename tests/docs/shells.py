"""A shell to run the commands of the documents in as a reader would, and how what they print is compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAMS = Path(sys.executable).parent
_MARK = "@@ next part @@"


def shell_env(home: Path, **more: str) -> dict[str, str]:
    """Of somebody who has just begun: no settings, an empty home, this Python's programs."""
    left_out = ("WHOSIN_", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    env = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    return {**env, "PATH": path, "HOME": str(home), "XDG_DATA_HOME": "", "TZ": "UTC", **more}


def shell(
    parts: Sequence[str], folder: Path, env: dict[str, str], before: str = "", limit_s: int = 240
) -> list[str]:
    """What each of the parts prints in one bash, which stops at the first failure."""
    order = [
        "timeout",
        str(limit_s),
        "bash",
        "-c",
        script(parts, before),
    ]  # what it printed until then is shown
    done = subprocess.run(order, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return parted(done.stdout)


def script(parts: Sequence[str], before: str = "") -> str:
    """One for all parts, so that a later one has what an earlier one set."""
    return "\n".join(["set -e", before, *(f"{part}\necho '{_MARK}'" for part in parts)])


def parted(printed: str) -> list[str]:
    """What each part of such a script printed."""
    return printed.split(f"{_MARK}\n")[:-1]


VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "<clock>"),
    (re.compile(r"\b\d+ (ms|s|min|h|d)\b"), "<span>"),
    (re.compile(r"\b[\d,.]+ (bytes|B|kB|MB|GB)\b"), "<size>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "<day>"),
    (re.compile(r"\bWhosin \d+\.\d+\.\d+\w*"), "Whosin <version>"),
    (re.compile(r"\bprocess \d+"), "process <number>"),
    (re.compile(r" +"), " "),
)


def plain(text: str) -> list[str]:
    """Lines without what differs from run to run: times, spans, sizes, processes, the width of columns."""
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return [line.strip() for line in text.strip().splitlines()]
