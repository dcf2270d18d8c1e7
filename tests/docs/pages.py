"""How each command of the documents is tried: what the mark above its block says.

    <!-- run: daemon -->     beside a running daemon, in order; a block of text behind it is what it prints
                             (test_commands)
    <!-- run: machine -->    as root on a machine with a real systemd, in order (tests/service)
    <!-- run: wine -->       by a Windows Python under Wine, in order (tests/windows)
    <!-- run: tests/... -->  by that test, which takes the blocks from the page with `marked`
    <!-- run: .ci/run -->    by that
    <!-- not run: why -->    by nobody; its arguments are checked, and the tests' summary names it

A mark holds for all blocks of commands below it, up to the next mark or heading. Owns how documents are read:
blocks, tables, what stands between backticks. Must not know how anything is run.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from tests.house import repository

ROOT = repository.ROOT
SHELLS = ("sh", "bash", "console", "shell", "bat", "powershell")
OTHERS = ("text", "json", "toml", "yaml", "python", "javascript", "csharp", "mermaid", "ini", "nginx", "http")
"""What is no command."""
PLACES = ("daemon", "machine", "wine")

_MARK = re.compile(r" *<!-- (run|not run): (.+?) -->")
_FENCE = re.compile(r" *```(\S*)")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


class Block(NamedTuple):
    """`heading` is the nearest one above. `how` is empty where there is no mark, `run` or `not run`;
    `what` is where, or why not. `shown` is the text that stands behind commands: what they print."""

    page: str
    line: int
    language: str
    text: str
    heading: str
    how: str = ""
    what: str = ""
    shown: str | None = None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def documents() -> list[str]:
    """All pages that are there for people."""
    return [repository.name(path) for path in repository.files("*.md")]


def blocks(page: str) -> list[Block]:
    """All fenced ones of a page, in order."""
    found: list[Block] = []
    heading, how, what = "", "", ""
    inside: list[str] | None = None
    for number, line in enumerate(_text(page).splitlines(), 1):
        fence = _FENCE.match(line)
        if inside is not None and not (fence and not fence[1]):
            inside.append(line)
        elif inside is not None:
            begun, language, *rows = inside
            text = textwrap.dedent("".join(f"{row}\n" for row in rows))
            marked = language in SHELLS
            found.append(Block(page, int(begun), language, text, heading, how * marked, what * marked))
            inside = None
        elif fence:
            inside = [str(number), fence[1]]
        elif mark := _MARK.match(line):
            how, what = mark[1], mark[2]
        elif line.startswith("#"):
            heading, how, what = line.lstrip("#").strip(), "", ""
    assert inside is None, f"{page}: the block that begins in line {inside} has no end"
    return _with_what_they_print(found)


def _with_what_they_print(found: list[Block]) -> list[Block]:
    following: list[Block | None] = [*found[1:], None]
    return [
        one._replace(shown=after.text) if after and one.language in SHELLS and _behind(one, after) else one
        for one, after in zip(found, following[: len(found)], strict=True)
    ]


def _behind(one: Block, after: Block) -> bool:
    """Nothing but an empty line is between them."""
    end = one.line + one.text.count("\n") + 1
    return after.language == "text" and after.line == end + 2


def marked(page: str, what: str) -> list[Block]:
    """Blocks of commands that are to be run in that way, in order: one of PLACES, or the path of a test."""
    return [one for one in blocks(page) if one.how == "run" and one.what == what]


def commands() -> list[Block]:
    """Every block of commands there is."""
    return [one for page in documents() for one in blocks(page) if one.language in SHELLS]


def spans(page: str) -> list[str]:
    """What stands between backticks in prose and tables, each in one line."""
    prose = re.sub(r"^ *```.*?^ *```$", "", _text(page), flags=re.MULTILINE | re.DOTALL)
    paragraphs = re.split(r"\n\s*\n", prose)
    return [" ".join(span[2].split()) for part in paragraphs for span in _SPAN.finditer(part)]


def rows(page: str, heading: str) -> Iterator[list[str]]:
    """The cells of the tables below a heading, up to the next one, without their heads."""
    part = re.split(r"^#+ ", _text(page).partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = part.splitlines()
    for number, line in enumerate(lines):
        head = number + 1 < len(lines) and lines[number + 1].startswith("| ---")
        if line.startswith("| ") and not line.startswith("| ---") and not head:
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")
