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
from whosin.settings.alerts import MOST_CHANNELS, Channel
from whosin.settings.effective import Settings
from whosin.settings.files import bare, meant, nearest, parse
from whosin.settings.kinds import Kind, Wrong, shown
from whosin.settings.schema import (
    SECTIONS,
    TABLES,
    TYPE_DEFAULTS,
    TYPE_NAME,
    ClientType,
    keys,
    section_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIX = "WHOSIN_"
OTHER_VARIABLES = frozenset({"WHOSIN_URL", "WHOSIN_TOKEN"})  # read by the command line
# What Kubernetes tells every container of a cluster in which a service is called "whosin".
_CLUSTER = re.compile(r"WHOSIN_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
_TYPES, _CHANNELS = "client_types", "alerts.channels"


class Given(NamedTuple):
    """A value that somebody set; `source` is the file's name or the variable's."""

    value: object
    source: str
    base: Path


@dataclass
class Draft:
    """What has been found so far, by dotted key, and what is wrong with it. `named`: by table, the sections
    in it that were named, in order."""

    given: dict[str, Given] = field(default_factory=dict)
    named: dict[str, dict[str, None]] = field(default_factory=lambda: {table: {} for table in TABLES})
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
        if section not in SECTIONS or "." in section:
            draft.problems.append(f"{source}: {_unknown_section(section)}")
        elif not isinstance(table, dict):
            draft.problems.append(
                f"{source}: {section} is {shown(table)}; expected a section, as in [{section}]"
            )
        elif section in TABLES:
            _take_named(draft, section, table, source, base)
        else:
            _take_table(draft, section, table, Given(None, source, base))


def _take_named(draft: Draft, owner: str, tables: dict[str, Any], source: str, base: Path) -> None:
    word, example = TABLES[owner]
    for name, table in tables.items():
        where = f"{owner}.{bare(name)}"
        if not isinstance(table, dict):
            draft.problems.append(
                f"{source}: {where} is {shown(table)}; expected a section, as in [{owner}.{example}]"
            )
        elif not TYPE_NAME.fullmatch(name):
            draft.problems.append(
                f"{source}: {where} is not a name for a {word}; expected 1 to 32 of a-z, 0-9, _ and -"
            )
        else:
            draft.named[owner][name] = None
            _take_table(draft, where, table, Given(None, source, base))


def _take_table(draft: Draft, prefix: str, table: dict[str, Any], origin: Given) -> None:
    known = keys(SECTIONS[section_of(prefix)])
    for name, value in table.items():
        inner = f"{prefix}.{name}"
        if name in known:
            draft.given[inner] = origin._replace(value=value)
        elif inner not in TABLES:
            draft.problems.append(f"{origin.source}: {_unknown_key(prefix, name, known)}")
        elif isinstance(value, dict):
            _take_named(draft, inner, value, origin.source, origin.base)
        else:
            example = f"[{inner}.{TABLES[inner].example}]"
            draft.problems.append(
                f"{origin.source}: {inner} is {shown(value)}; expected sections, as in {example}"
            )


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
    text = name.removeprefix(PREFIX).lower()
    for table in TABLES:
        start = table.replace(".", "__") + "__"
        middle, _, last = text.removeprefix(start).rpartition("__")
        if text.startswith(start) and TYPE_NAME.fullmatch(middle):
            item = keys(SECTIONS[table]).get(last)
            return f"{table}.{middle}.{last}", item.kind if item else None
    section, _, last = text.partition("__")
    item = keys(SECTIONS[section]).get(last) if section in SECTIONS and section not in TABLES else None
    return f"{section}.{last}", item.kind if item else None


def _take_variable(draft: Draft, path: str, kind: Kind, given: Given) -> None:
    owner, _, _ = path.rpartition(".")
    if (table := section_of(owner)) in TABLES:
        draft.named[table][owner.removeprefix(f"{table}.")] = None
    try:
        draft.given[path] = given._replace(value=kind.parse(str(given.value)))
    except Wrong as wrong:
        draft.given.pop(path, None)
        draft.broken.add(path)
        draft.problems.append(f"{given.source}: {path} is {_told(kind, given.value)}; {wrong}")


def _told(kind: Kind, value: object) -> str:
    """The wrong value, unless it may be a secret."""
    return "hidden" if getattr(kind, "secret", False) else shown(value)


# --- names that are nearly right -------------------------------------------------------------------


def _unknown_section(section: str) -> str:
    elsewhere = [
        f"{owner}.{section}"
        for owner, shape in SECTIONS.items()
        if owner != _CHANNELS and section in keys(shape)
    ]
    known = sorted(name for name in SECTIONS if "." not in name)
    near = nearest(section, known)
    if elsewhere:
        near = [elsewhere[0].replace(_TYPES, f"{_TYPES}.default")]
    return f"{bare(section)} is not a section; expected one of {', '.join(known)}{meant(near)}"


def _unknown_key(prefix: str, name: str, known: Iterable[str]) -> str:
    near = [f"{prefix}.{found}" for found in nearest(name, known)]
    if not near:
        owners = [owner for owner, shape in SECTIONS.items() if name in keys(shape) and owner != _CHANNELS]
        near = [f"{owner}.{name}" for owner in owners][:1]
    path = f"{prefix}.{bare(name)}"
    return f"{path} is not a setting; expected one of {', '.join(sorted(known))}{meant(near)}"


def _unknown_variable(draft: Draft, variable: str) -> str:
    named: dict[str, Iterable[str]] = {**draft.named, _TYPES: {**TYPE_DEFAULTS, **draft.named[_TYPES]}}
    known = [name.removeprefix(PREFIX) for name in sorted(OTHER_VARIABLES)]
    for section, shape in SECTIONS.items():
        start = section.replace(".", "__")
        owners = [f"{start}__{name}" for name in named[section]] if section in TABLES else [start]
        known += [f"{owner}__{name}".upper() for owner in owners for name in keys(shape)]
    near = [PREFIX + found for found in nearest(variable.upper().removeprefix(PREFIX), known)]
    return f"{bare(variable)}: there is no such setting; expected {PREFIX}SECTION__KEY{meant(near)}"


# --- all together ----------------------------------------------------------------------------------


def _build(draft: Draft, path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings of all values that fit, the defaults in place of the others."""
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS if section not in TABLES}
    named = {table: {name: dict[str, Any]() for name in draft.named[table]} for table in TABLES}
    named[_TYPES] = {name: {} for name in (*TYPE_DEFAULTS, *draft.named[_TYPES])}
    origins: dict[str, str] = {}
    for dotted, given in draft.given.items():
        owner, _, name = dotted.rpartition(".")
        section = section_of(owner)
        holder = values[owner] if owner in values else named[section][owner.removeprefix(f"{section}.")]
        kind = keys(SECTIONS[section])[name].kind
        try:
            holder[name] = kind.read(given.value, given.base)
            origins[dotted] = given.source
        except Wrong as wrong:
            draft.broken.add(dotted)
            draft.problems.append(f"{given.source}: {dotted} is {_told(kind, given.value)}; {wrong}")
    if len(named[_CHANNELS]) > MOST_CHANNELS:
        many = f"{_CHANNELS} has {len(named[_CHANNELS])} channels; expected at most {MOST_CHANNELS}"
        draft.problems.append(f"{path or 'environment'}: {many}")
    together.fill(values, environ)
    sections = {section: SECTIONS[section](**given) for section, given in values.items()}
    channels = {name: Channel(**given) for name, given in named[_CHANNELS].items()}
    return Settings(
        **sections, client_types=_types(named[_TYPES]), alert_channels=channels, file=path, origins=origins
    )


def _types(given: Mapping[str, dict[str, Any]]) -> dict[str, ClientType]:
    default = replace(TYPE_DEFAULTS["default"], **given["default"])
    return {
        name: default if name == "default" else replace(TYPE_DEFAULTS.get(name, default), **values)
        for name, values in given.items()
    }
