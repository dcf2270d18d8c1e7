"""docs/asyncapi.yaml as data: references and allOf resolved, schemas closed, what breaks each single limit.

A closed schema takes no field that is not described. The published ones stay open, for there may be more
fields in later versions; the tests look closer than a client should.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft7Validator

from tests.docs.pages import ROOT

Json = dict[str, Any]
FILE = "docs/asyncapi.yaml"
DOCUMENT: Json = yaml.safe_load((ROOT / FILE).read_text(encoding="utf-8"))
SCHEMAS: Json = DOCUMENT["components"]["schemas"]
PARAMETER = re.compile(r"\{(\w+)\}")


def target(reference: str) -> Any:
    """What a local reference leads to. Raises KeyError."""
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def schema(name: str) -> Json:
    """One of the components, whole: nothing in it refers to another."""
    return _whole(SCHEMAS[name])


def _whole(one: Any) -> Any:
    if isinstance(one, list):
        return [_whole(each) for each in one]
    if not isinstance(one, dict):
        return one
    if "$ref" in one:
        return _whole(target(one["$ref"]))
    found: Json = {}
    for part in one.get("allOf", ()):
        found = _merged(found, _whole(part))
    return _merged(found, {key: _whole(value) for key, value in one.items() if key != "allOf"})


def _merged(one: Json, other: Json) -> Json:
    """Both hold; where they say different things, the other is the stricter."""
    found = copy.deepcopy(one)
    for key, value in other.items():
        if key == "required":
            found[key] = [*dict.fromkeys([*found.get(key, ()), *value])]
        elif isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = _merged(found[key], value)
        else:
            found[key] = value
    return found


def closed(one: Json) -> Json:
    """The same, without room for more fields."""
    found = dict(one)
    if found.get("type") == "object":
        found["additionalProperties"] = False
        found["properties"] = {name: closed(each) for name, each in found.get("properties", {}).items()}
    if "items" in found:
        found["items"] = closed(found["items"])
    return found


class Channel(NamedTuple):
    """`messages`: by name, each with the whole schema of its payload."""

    name: str
    address: str
    messages: dict[str, Json]

    def hears(self, topic: str) -> bool:
        return re.fullmatch(PARAMETER.sub("[^/]+", self.address), topic) is not None


@cache
def channels(beginning: str = "") -> list[Channel]:
    """Those whose address begins so."""
    return [
        Channel(
            name,
            one["address"],
            {key: _whole(target(it["$ref"])["payload"]) for key, it in one["messages"].items()},
        )
        for name, one in DOCUMENT["channels"].items()
        if one["address"].startswith(beginning)
    ]


def examples(message: str) -> dict[str, Any]:
    return {one["name"]: one["payload"] for one in DOCUMENT["components"]["messages"][message]["examples"]}


@cache
def validator(message: str) -> Draft7Validator:
    """Of a closed payload."""
    payload = DOCUMENT["components"]["messages"][message]["payload"]
    return Draft7Validator(closed(_whole(payload)))


def judge(topic: str, payload: Any) -> str:
    """The one message of the document that this is; fails if it is none, or more than one."""
    found = [channel for channel in channels("whosin/") if channel.hears(topic)]
    assert len(found) == 1, f"{topic} is of {[channel.name for channel in found]}"
    fitting = [message for message in found[0].messages if validator(message).is_valid(payload)]
    assert len(fitting) == 1, f"{topic} {payload} fits {fitting}; {list(_complaints(found[0], payload))}"
    return fitting[0]


def _complaints(channel: Channel, payload: Any) -> Iterator[str]:
    for message in channel.messages:
        for error in validator(message).iter_errors(payload):
            yield f"{message}: {error.json_path}: {error.message}"


def fields(one: Json, where: str = "") -> Iterator[str]:
    """The paths of all fields that a whole schema describes, as `data.held[].resource`."""
    for name, each in one.get("properties", {}).items():
        yield f"{where}{name}"
        yield from fields(each, f"{where}{name}.")
    if "items" in one:
        yield from fields(one["items"], f"{where.removesuffix('.')}[].")


def filled(value: Any, where: str = "") -> Iterator[str]:
    """The paths of all fields that are there in a payload."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield f"{where}{name}"
            yield from filled(each, f"{where}{name}.")
    elif isinstance(value, list):
        for each in value:
            yield from filled(each, f"{where.removesuffix('.')}[].")


# --- what breaks a limit -----------------------------------------------------------------------------------


class Variant(NamedTuple):
    """A payload that differs in one field from one that is good."""

    name: str
    payload: Json


def types(one: Json) -> set[str]:
    said = one.get("type", [])
    found = {said} if isinstance(said, str) else set(said)
    return found | {"null" if value is None else "string" for value in one.get("enum", ())}


def at_limits(name: str, good: Json) -> Iterator[Variant]:
    """Every field exactly at each of its limits: good as well."""
    for field, one in schema(name)["properties"].items():
        for limit, value in _at(one):
            yield Variant(f"{field}-{limit}", {**good, field: value})


def _at(one: Json) -> Iterator[tuple[str, Any]]:
    if "minLength" in one:
        yield "minLength", "\u6f22" * one["minLength"]
    if "maxLength" in one:
        yield "maxLength", "\U0001f600" * one["maxLength"]  # four bytes each
    if "minimum" in one:
        yield "minimum", one["minimum"]
    if "maximum" in one:
        yield "maximum", one["maximum"]
    if "maxItems" in one:
        yield "maxItems", ["s"] * one["maxItems"]
    if "null" in types(one):
        yield "null", None
    for value in one.get("enum", ()):
        yield f"enum-{value}", value


def beyond_limits(name: str, good: Json) -> Iterator[Variant]:
    """One field out of one of its limits, or of another type, or missing."""
    whole = schema(name)
    for field in whole.get("required", ()):
        yield Variant(f"{field}-missing", {key: value for key, value in good.items() if key != field})
        yield Variant(f"{field}-null", {**good, field: None})
    for field, one in whole["properties"].items():
        for limit, value in [*_beyond(one), *_of_other_types(one)]:
            yield Variant(f"{field}-{limit}", {**good, field: value})


def _beyond(one: Json) -> Iterator[tuple[str, Any]]:
    if one.get("minLength"):
        yield "minLength", "x" * (one["minLength"] - 1)
    if "maxLength" in one:
        yield "maxLength", "x" * (one["maxLength"] + 1)
    if "pattern" in one:
        yield "pattern", "x\0y"
    if "minimum" in one:
        yield "minimum", one["minimum"] - 1
    if "maximum" in one:
        yield "maximum", one["maximum"] + 1
    if "maxItems" in one:
        yield "maxItems", ["s"] * (one["maxItems"] + 1)
    if "enum" in one:
        yield "enum", "other"
    if "items" in one:
        yield from ((f"items-{limit}", ["s", value]) for limit, value in _of_other_types(one["items"]))
        for bad in ("", "a b", "a/b", "@batch", "\u00e4", "s" * 65):
            yield f"items-pattern-{bad[:5]}", ["s", bad]


def _of_other_types(one: Json) -> Iterator[tuple[str, Any]]:
    others = {"string": "7", "integer": 7, "number": 7.5, "boolean": True, "array": [], "object": {}}
    mine = types(one)
    for kind, value in others.items():
        if kind not in mine and not (kind == "integer" and "number" in mine):
            yield f"type-{kind}", value
