"""The guidance file (rule 16): rules from TOML, or all that is wrong with them.

Owns the keys of a rule and their bounds. The set that ships is `guidance.toml` beside this file;
`config/guidance.toml` is a copy of it, which a test keeps alike. Must not know how rules are matched.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from whosin.errors import SettingsError
from whosin.rules.guidance import SEVERITIES, Rule
from whosin.settings.files import bare, meant, nearest, parse
from whosin.settings.kinds import shown

if TYPE_CHECKING:
    from whosin.settings.effective import Settings

OFF = "off"
SHIPPED = "shipped"
MOST_RULES = 1_000
MOST_GLOBS = 100
LONGEST_GLOB = 512
LONGEST_TEXT = 2_000
LARGEST_FILE = 1024 * 1024
_KEYS = ("id", "match", "severity", "before", "after")
_MATCH = ("resource", "activity", "client")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RuleSet(NamedTuple):
    """`source`: the file, `shipped` or `off`."""

    rules: tuple[Rule, ...]
    source: str


NO_RULES = RuleSet((), OFF)


def rules_of(settings: Settings) -> RuleSet:
    """The rules that these settings put in force. Raises SettingsError with every problem there is."""
    file = settings.guidance.file
    if file == OFF:
        return NO_RULES
    if file is None:
        problems: list[str] = []
        with resources.as_file(resources.files("whosin.settings").joinpath("guidance.toml")) as path:
            found = _read(problems, path)
        assert not problems, problems
        return RuleSet(found, SHIPPED)
    return RuleSet(read(Path(file)), str(file))


def shipped() -> str:
    """The text of the set that ships."""
    return resources.files("whosin.settings").joinpath("guidance.toml").read_text(encoding="utf-8")


def read(path: Path) -> tuple[Rule, ...]:
    """The rules of a file, in order. Raises SettingsError with every problem there is."""
    problems: list[str] = []
    rules = _read(problems, path)
    if problems:
        raise SettingsError(problems)
    return rules


def _read(problems: list[str], path: Path) -> tuple[Rule, ...]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            problems.append(f"{path}: larger than {LARGEST_FILE} bytes; expected a smaller file")
            return ()
    except OSError:
        pass  # `parse` says so
    content = parse(problems, path)
    problems += [
        f"{path}: {bare(name)} is not part of a guidance file; expected [[rule]]"
        f"{meant(nearest(name, ['rule']))}"
        for name in content
        if name != "rule"
    ]
    tables = content.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        problems.append(f"{path}: rule is {shown(tables)}; expected [[rule]], with two brackets")
        return ()
    if len(tables) > MOST_RULES:
        problems.append(f"{path}: {len(tables)} rules; expected at most {MOST_RULES}")
        return ()
    reader = _Reader(path, problems)
    rules = tuple(reader.rule(number, table) for number, table in enumerate(tables, 1))
    return () if problems else rules


class _Reader:
    """Reads one rule after the other, noting what is wrong."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self._path = path
        self._problems = problems
        self._where = ""
        self._seen: dict[str, int] = {}

    def _wrong(self, text: str) -> None:
        self._problems.append(f"{self._path}: {self._where}: {text}")

    def rule(self, number: int, table: dict[str, Any]) -> Rule:
        given = table.get("id")
        named = isinstance(given, str) and _ID.fullmatch(given) is not None
        self._where = f"rule {number} ({given})" if named else f"rule {number}"
        self._unknown(table, _KEYS, "")
        ident = self._id(number, given if named else None, given)
        severity = table.get("severity", SEVERITIES[0])
        if severity not in SEVERITIES:
            near = nearest(severity, SEVERITIES) if isinstance(severity, str) else []
            allowed = " or ".join(map(shown, SEVERITIES))
            self._wrong(f"severity is {shown(severity)}; expected {allowed}{meant(near)}")
        before, after = self._text(table, "before"), self._text(table, "after")
        if "before" not in table and "after" not in table:
            self._wrong("neither before nor after is there; expected at least one of them")
        return Rule(ident, str(severity), before, after, **self._match(table.get("match")))

    def _id(self, number: int, ident: str | None, given: object) -> str:
        if ident is None:
            told = "is missing" if given is None else f"is {shown(given)}"
            self._wrong(f"id {told}; expected 1 to 64 letters, digits or ._-")
            return ""
        if ident in self._seen:
            self._wrong(f"id is that of rule {self._seen[ident]} too; expected another")
        self._seen[ident] = number
        return ident

    def _text(self, table: dict[str, Any], name: str) -> str | None:
        value = table.get(name)
        if value is None:
            return None
        text = value.strip() if isinstance(value, str) else ""
        if not text or len(text) > LONGEST_TEXT or any(not it.isprintable() and it != "\n" for it in text):
            self._wrong(f"{name} is {shown(value)}; expected 1 to {LONGEST_TEXT} printable characters")
            return None
        return text

    def _match(self, match: object) -> dict[str, tuple[str, ...]]:
        if match is None:
            return {}
        if not isinstance(match, dict):
            self._wrong(f'match is {shown(match)}; expected a table, as in match.resource = "sales-order/*"')
            return {}
        self._unknown(match, _MATCH, "match.")
        if not match:
            self._wrong(f"match is empty; expected at least one of {', '.join(_MATCH)}")
        return {name: self._globs(name, match[name]) for name in _MATCH if name in match}

    def _globs(self, name: str, value: object) -> tuple[str, ...]:
        globs = [value] if isinstance(value, str) else value
        if not isinstance(globs, list) or not 0 < len(globs) <= MOST_GLOBS:
            self._wrong(f"match.{name} is {shown(value)}; expected a glob, or a list of 1 to {MOST_GLOBS}")
            return ()
        for glob in globs:
            if not isinstance(glob, str) or not 0 < len(glob) <= LONGEST_GLOB or not glob.isprintable():
                self._wrong(
                    f"match.{name} has {shown(glob)}; expected 1 to {LONGEST_GLOB} printable characters"
                )
                return ()
        return tuple(globs)

    def _unknown(self, table: dict[str, Any], known: tuple[str, ...], prefix: str) -> None:
        for name in table:
            if name not in known:
                near = [f"{prefix}{found}" for found in nearest(name, known)]
                if not near and not prefix and name in _MATCH:
                    near = [f"match.{name}"]
                self._wrong(
                    f"{prefix}{bare(name)} is not a key of a rule; "
                    f"expected one of {', '.join(prefix + one for one in known)}{meant(near)}"
                )
