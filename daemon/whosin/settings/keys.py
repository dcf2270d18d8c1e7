"""One setting: its default, what it takes, what it does, when a change takes effect.

Owns how a key stands in a section. Must not know which keys there are.
"""

from __future__ import annotations

import re
from dataclasses import Field, field, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from whosin.settings.kinds import Kind, Location

if TYPE_CHECKING:
    from collections.abc import Mapping

Effect = Literal["live", "restart", "first"]
"""When a changed value takes effect: on reload, at the next start, or only on the very first start."""

LINE = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
HOST = re.compile(r"(?=.{1,253}\Z)(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*|\[[0-9A-Fa-f:.]+\]")
READABLE = Location("a readable file", exists=True)


class Key(NamedTuple):
    """One setting, as the documents and the loader see it."""

    name: str
    kind: Kind
    default: Any
    about: str
    effect: Effect
    derived: str


def key(default: object, kind: Kind, about: str, effect: Effect = "restart", derived: str = "") -> Any:
    """A field of a section. `derived` says in words what the default is where it depends on other things."""
    meta = {"kind": kind, "about": about, "effect": effect, "derived": derived}
    return field(default=default, metadata=meta)


def keys(section: type[Any]) -> dict[str, Key]:
    return {item.name: _key(item) for item in fields(section)}


def _key(item: Field[Any]) -> Key:
    meta: Mapping[str, Any] = item.metadata
    return Key(item.name, meta["kind"], item.default, meta["about"], meta["effect"], meta["derived"])
