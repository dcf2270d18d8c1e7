"""From a TOML file and environment variables to settings, or to a list of all that is wrong with them.

Owns: finding values, naming their sources, nearest names. Must not know: single kinds of values, the rules
between keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from whosin.errors import SettingsError
from whosin.settings import together
from whosin.settings.effective import Settings
from whosin.settings.files import bare, meant, nearest, parse
from whosin.settings.kinds import Kind, Wrong, shown
from whosin.settings.schema import SECTIONS, TYPE_DEFAULTS, TYPE_NAME, ClientType, keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIX = "WHOSIN_"
OTHER_VARIABLES = frozenset({"WHOSIN_URL", "WHOSIN_TOKEN"})  # read by the command line
# What Kubernetes tells every container of a cluster in which a service is called "whosin".
_CLUSTER = re.compile(r"WHOSIN_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
_TYPES = "client_types"


class Given(NamedTuple):
    """A value that somebody set; `source` is the file's name or the variable's."""

    value: object
    source: str
    base: Path


@dataclass
class Draft:
    """What has been found so far, by dotted key, and what is wrong with it."""

    given: dict[str, Given] = field(default_factory=dict)
    types: dict[str, None] = field(default_factory=dict)  # client types that were named, in order
    problems: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of the file, if there is one, and of the environment, which wins.

    Raises SettingsError with every problem there is, one sentence each.
    """
    draft = Draft()
    if path is not None:
        _take_file(draft, path)
    _take_environment(draft, environ)
    settings = _build(draft, path, environ)
    for clash in together.clashes(settings):
        if draft.broken.isdisjoint(clash.keys):
            source = next(
                (settings.origins[key] for key in clash.keys if key in settings.origins), "defaults"
            )
            draft.problems.append(f"{source}: {clash.text}")
    if draft.problems:
        raise SettingsError(draft.problems)
    return settings


# --- the file --------------------------------------------------------------------------------------


def _take_file(draft: Draft, path: Path) -> None:
    source, base = str(path), path.absolute().parent
    for section, table in parse(draft.problems, path).items():
        if section not in SECTIONS:
            draft.problems.append(f"{source}: {_unknown_section(section)}")
        elif not isinstance(table, dict):
            draft.problems.append(
                f"{source}: {section} is {shown(table)}; expected a section, as in [{section}]"
            )
        elif section == _TYPES:
            _take_types(draft, table, source, base)
        else:
            _take_table(draft, section, table, Given(None, source, base))


def _take_types(draft: Draft, tables: dict[str, Any], source: str, base: Path) -> None:
    for name, table in tables.items():
        where = f"{_TYPES}.{bare(name)}"
        if not isinstance(table, dict):
            draft.problems.append(
                f"{source}: {where} is {shown(table)}; expected a section, as in [{_TYPES}.desktop]"
            )
        elif not TYPE_NAME.fullmatch(name):
            draft.problems.append(
                f"{source}: {where} is not a name for a client type; expected 1 to 32 of a-z, 0-9, _ and -"
            )
        else:
            draft.types[name] = None
            _take_table(draft, where, table, Given(None, source, base))


def _take_table(draft: Draft, prefix: str, table: dict[str, Any], origin: Given) -> None:
    known = keys(SECTIONS[prefix.split(".", maxsplit=1)[0]])
    for name, value in table.items():
        if name in known:
            draft.given[f"{prefix}.{name}"] = origin._replace(value=value)
        else:
            draft.problems.append(f"{origin.source}: {_unknown_key(prefix, name, known)}")


# --- the environment -------------------------------------------------------------------------------


def _take_environment(draft: Draft, environ: Mapping[str, str]) -> None:
    base = Path().absolute()
    taken: dict[str, str] = {}
    for variable in sorted(environ):
        name = variable.upper()
        if not name.startswith(PREFIX) or name in OTHER_VARIABLES or _CLUSTER.fullmatch(name):
            continue
        path, kind = _variable(name)
        if kind is None:
            draft.problems.append(_unknown_variable(draft, variable))
        elif path in taken:
            draft.problems.append(f"{variable}: {path} is set by {taken[path]} too; expected one of them")
        else:
            taken[path] = variable
            _take_variable(draft, path, kind, Given(environ[variable], variable, base))


def _variable(name: str) -> tuple[str, Kind | None]:
    """The dotted key that a variable's name stands for, and its kind if there is such a key."""
    section, _, rest = name.removeprefix(PREFIX).lower().partition("__")
    middle, _, last = rest.rpartition("__")
    fits = TYPE_NAME.fullmatch(middle) if section == _TYPES else not middle
    item = keys(SECTIONS[section]).get(last) if fits and section in SECTIONS else None
    return ".".join(part for part in (section, middle, last) if part), item.kind if item else None


def _take_variable(draft: Draft, path: str, kind: Kind, given: Given) -> None:
    section, *middle, _ = path.split(".")
    if section == _TYPES:
        draft.types[middle[0]] = None
    try:
        draft.given[path] = given._replace(value=kind.parse(str(given.value)))
    except Wrong as wrong:
        draft.given.pop(path, None)
        draft.broken.add(path)
        draft.problems.append(f"{given.source}: {path} is {shown(given.value)}; {wrong}")


# --- names that are nearly right -------------------------------------------------------------------


def _unknown_section(section: str) -> str:
    elsewhere = [f"{owner}.{section}" for owner, shape in SECTIONS.items() if section in keys(shape)]
    near = nearest(section, SECTIONS)
    if elsewhere:
        near = [elsewhere[0].replace(_TYPES, f"{_TYPES}.default")]
    return f"{bare(section)} is not a section; expected one of {', '.join(sorted(SECTIONS))}{meant(near)}"


def _unknown_key(prefix: str, name: str, known: Iterable[str]) -> str:
    near = [f"{prefix}.{found}" for found in nearest(name, known)]
    if not near:
        near = [f"{owner}.{name}" for owner, shape in SECTIONS.items() if name in keys(shape)][:1]
    path = f"{prefix}.{bare(name)}"
    return f"{path} is not a setting; expected one of {', '.join(sorted(known))}{meant(near)}"


def _unknown_variable(draft: Draft, variable: str) -> str:
    types = {**TYPE_DEFAULTS, **draft.types}
    known = [name.removeprefix(PREFIX) for name in sorted(OTHER_VARIABLES)]
    for section, shape in SECTIONS.items():
        owners = [f"{section}__{name}" for name in types] if section == _TYPES else [section]
        known += [f"{owner}__{name}".upper() for owner in owners for name in keys(shape)]
    near = [PREFIX + found for found in nearest(variable.upper().removeprefix(PREFIX), known)]
    return f"{bare(variable)}: there is no such setting; expected {PREFIX}SECTION__KEY{meant(near)}"


# --- all together ----------------------------------------------------------------------------------


def _build(draft: Draft, path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings of all values that fit, the defaults in place of the others."""
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    types: dict[str, dict[str, Any]] = {name: {} for name in (*TYPE_DEFAULTS, *draft.types)}
    origins: dict[str, str] = {}
    for dotted, given in draft.given.items():
        section, *middle, name = dotted.split(".")
        holder = types[middle[0]] if middle else values[section]
        try:
            holder[name] = keys(SECTIONS[section])[name].kind.read(given.value, given.base)
            origins[dotted] = given.source
        except Wrong as wrong:
            draft.broken.add(dotted)
            draft.problems.append(f"{given.source}: {dotted} is {shown(given.value)}; {wrong}")
    together.fill(values, environ)
    del values[_TYPES]
    sections = {section: SECTIONS[section](**given) for section, given in values.items()}
    return Settings(**sections, client_types=_types(types), file=path, origins=origins)


def _types(given: Mapping[str, dict[str, Any]]) -> dict[str, ClientType]:
    default = replace(TYPE_DEFAULTS["default"], **given["default"])
    return {
        name: default if name == "default" else replace(TYPE_DEFAULTS.get(name, default), **values)
        for name, values in given.items()
    }
