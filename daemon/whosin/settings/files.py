"""A TOML file as plain values, and names that are nearly right.

Owns how a file that cannot be read is told. Must not know: which keys there are.
"""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from whosin.settings.kinds import shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def parse(problems: list[str], path: Path) -> dict[str, Any]:
    """The file's content; empty, with a problem more, where it cannot be had."""
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        return tomllib.loads(text)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}; expected a readable file"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        problem = f"line {line}, column {column}: byte 0x{error.object[error.start]:02x}; expected UTF-8"
    except tomllib.TOMLDecodeError as error:
        problem = _syntax(str(error), text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets
        problem = f"not readable as TOML ({shown(str(error))}); expected smaller values"
    problems.append(f"{path}: {problem}")
    return {}


def _syntax(message: str, text: str) -> str:
    what, _, where = message.rpartition(" (at ")
    found = re.match(r"line (\d+), column (\d+)", where)
    lines = text.split("\n")
    line, column = (found[1], found[2]) if found else (len(lines), len(lines[-1]) + 1)
    what = what if what.isprintable() else ascii(what)
    return f"line {line}, column {column}: {what or 'not TOML'}; expected TOML, as in key = value"


def nearest(name: str, known: Iterable[str]) -> list[str]:
    return get_close_matches(name[:100], list(known), 1, 0.6)


def meant(found: list[str]) -> str:
    return f"; did you mean {found[0]}?" if found else ""


def bare(name: str) -> str:
    """A name as it stands in TOML: quoted only where it has to be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name) else shown(name)
