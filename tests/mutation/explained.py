"""Why some mutants may live: read, compared with what happened."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutants import Mutant

Key = tuple[str, str, str, str]  # file, function, line, what it becomes
FILE = Path(__file__).with_name("explained.toml")


@dataclass(frozen=True)
class Explanation:
    """For the mutants that make `line` into one of `becomes`."""

    file: str
    function: str
    line: str
    becomes: tuple[str, ...]
    why: str

    @property
    def keys(self) -> list[Key]:
        return [(self.file, self.function, self.line, text) for text in self.becomes]


def read(path: Path = FILE) -> list[Explanation]:
    entries = tomllib.loads(path.read_text())["explained"] if path.exists() else []
    found = [
        Explanation(it["file"], it["function"], it["line"], tuple(it["becomes"]), it["why"]) for it in entries
    ]
    for one in found:
        if not one.why.strip():
            raise ValueError(f"{path}: {one.line!r} in {one.function} is explained by nothing")
    return found


def draft(mutants: list[Mutant]) -> str:
    """Entries for these, to be completed by hand."""
    return "\n".join(
        f"[[explained]]\nfile = {_toml(it.file)}\nfunction = {_toml(it.function)}\n"
        f'line = {_toml(it.before)}\nbecomes = [{_toml(it.after)}]\nwhy = ""\n'
        for it in mutants
    )


def _toml(text: str) -> str:
    return f"'{text}'" if "'" not in text else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
