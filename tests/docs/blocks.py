"""The fenced blocks of the documents, and a shell to run them in as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
PROGRAMS = Path(sys.executable).parent


class Block(NamedTuple):
    """`heading` is the nearest one above."""

    language: str
    text: str
    heading: str


def blocks(name: str, begin: str = "", end: str = "") -> list[Block]:
    """Those of a document, if wished only between two marks."""
    text = (ROOT / name).read_text(encoding="utf-8")
    first = text.index(begin)
    last = text.index(end, first) if end else len(text)
    return [
        Block(found[1], found[2], _heading(text[: found.start()]))
        for found in BLOCK.finditer(text)
        if first <= found.start() < last
    ]


def _heading(above: str) -> str:
    plain = re.sub(r"```.*?^```$", "", above, flags=re.MULTILINE | re.DOTALL)
    return ["", *HEADING.findall(plain)][-1]


def rows(name: str, heading: str) -> Iterator[list[str]]:
    """The cells of the tables below a heading, up to the next one, without their heads."""
    text = (ROOT / name).read_text(encoding="utf-8")
    part = re.split(r"^#+ ", text.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = part.splitlines()
    for number, line in enumerate(lines):
        head = number + 1 < len(lines) and lines[number + 1].startswith("| ---")
        if line.startswith("| ") and not line.startswith("| ---") and not head:
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


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
    mark = "@@ next part @@"
    script = "\n".join(["set -e", before, *(f"{part}\necho '{mark}'" for part in parts)])
    order = ["timeout", str(limit_s), "bash", "-c", script]  # what it printed until then is shown
    done = subprocess.run(order, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout.split(f"{mark}\n")[:-1]


VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "<clock>"),
    (re.compile(r"\b\d+ (ms|s|min|h|d)\b"), "<span>"),
    (re.compile(r" +"), " "),
)


def plain(text: str) -> list[str]:
    """Lines without what differs from run to run: times, spans, the width of columns."""
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return [line.strip() for line in text.strip().splitlines()]
