"""docs/asyncapi.yaml and the code say the same: fields, limits, codes, events; and its examples are good."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator

from tests.docs import contract
from tests.docs.pages import ROOT
from whosin import messages, wire
from whosin.alerts.kinds import KINDS
from whosin.alerts.kinds import SEVERITIES as ALERT_SEVERITIES
from whosin.desk.messages import LONGEST_TEXT
from whosin.errors import BadInput
from whosin.model import Status
from whosin.mqtt.door.limits import DoorLimits
from whosin.observe.journal import TABLE
from whosin.observe.metrics import CAUSES, REASONS, SEVERITIES, WHY_GONE
from whosin.rules.roll import NAMED_LOCKS

SPECS = "@asyncapi/specs@6.11.1"
SAID = {
    "login": messages.Login,
    "heartbeat": messages.Heartbeat,
    "logout": messages.Logout,
    "lost": messages.Lost,
    "lock": messages.LockRequest,
    "unlock": messages.Unlock,
    "batch": messages.Batch,
}
NAMES = {message: message.capitalize() for message in SAID}  # their schemas
# Of no site, so that they are in the history and never leave by MQTT.
OF_NO_SITE = {
    "alert.tested", "guidance.changed", "cleanup.switched", "cleanup.started", "source.blind",
    "source.regained", "store.degraded", "store.recovered", "token.created", "token.revoked", "account.added",
    "account.removed", "operator.added", "operator.changed", "operator.removed", "operator.link_made",
    "operator.password_changed", "operator.signed_in", "operator.sign_in_failed", "operator.signed_out",
    "settings.reloaded", "settings.changed", "database.upgraded", "database.restored", "backup.made",
    "daemon.started", "daemon.stopped",
}  # fmt: skip


def decode(message: str, payload: Any) -> Any:
    """What the daemon's decoder makes of it. Raises BadInput."""
    session, verb = ("@batch", "heartbeat") if message == "batch" else ("s", message)
    topic = f"whosin/v1/up/head-office/books/{session}/{verb}".encode()
    return wire.decode(topic, json.dumps(payload, ensure_ascii=False).encode(), retain=False).message


# --- the document as such ----------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("npm") is None, reason="NOT TESTED: npm is missing")
def test_it_is_asyncapi_3_by_the_schema_of_its_makers(tmp_path: Path) -> None:
    """Their package has it (Apache-2.0); it is fetched rather than copied into this repository."""
    done = subprocess.run(
        ["npm", "pack", "--silent", SPECS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"NOT TESTED: npm pack failed: {done.stderr[-300:]}")
    shutil.unpack_archive(tmp_path / done.stdout.split()[-1], tmp_path)
    path = tmp_path / "package" / "schemas" / "3.0.0-without-$id.json"
    specification = json.loads(path.read_text(encoding="utf-8"))
    errors = list(Draft7Validator(specification).iter_errors(contract.DOCUMENT))
    assert [f"{error.json_path}: {error.message[:300]}" for error in errors] == []
    shouting = {"x": {"action": "shout", "channel": {"$ref": "#/channels/upLogin"}}}
    assert not Draft7Validator(specification).is_valid({**contract.DOCUMENT, "operations": shouting})


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    return set()


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    found = references(contract.DOCUMENT)
    for reference in found:
        contract.target(reference)
    there = {
        f"#/components/{kind}/{name}"
        for kind, components in contract.DOCUMENT["components"].items()
        for name in components
    }
    assert there - found == set()


def test_a_channel_has_the_parameters_of_its_address_and_an_operation_the_messages_of_its_channel() -> None:
    for name, channel in contract.DOCUMENT["channels"].items():
        assert set(contract.PARAMETER.findall(channel["address"])) == set(channel["parameters"]), name
    for name, operation in contract.DOCUMENT["operations"].items():
        for part in (operation, operation.get("reply", {"channel": operation["channel"]})):
            place = part["channel"]["$ref"]
            for message in part.get("messages", ()):
                assert message["$ref"].startswith(f"{place}/messages/"), name


def test_every_channel_has_one_operation_and_every_message_one_channel() -> None:
    used = [it["channel"]["$ref"] for it in contract.DOCUMENT["operations"].values()]
    assert sorted(used) == sorted(f"#/channels/{name}" for name in contract.DOCUMENT["channels"])
    carried = [message for channel in contract.channels() for message in channel.messages]
    assert sorted(carried) == sorted(contract.DOCUMENT["components"]["messages"])


@pytest.mark.parametrize("name", contract.SCHEMAS)
def test_a_schema_is_one(name: str) -> None:
    Draft7Validator.check_schema(contract.SCHEMAS[name])
    Draft7Validator.check_schema(contract.closed(contract.schema(name)))


@pytest.mark.parametrize("message", contract.DOCUMENT["components"]["messages"])
def test_every_example_of_a_message_is_one_and_has_no_field_that_is_not_described(message: str) -> None:
    examples = contract.examples(message)
    assert examples
    for name, payload in examples.items():
        assert [error.message for error in contract.validator(message).iter_errors(payload)] == [], name


# --- what clients say --------------------------------------------------------------------------------------


def test_the_verbs_are_those_of_the_decoder() -> None:
    up = {channel.address.rpartition("/")[2] for channel in contract.channels(wire.UP)}
    assert up == set(wire._TYPES)
    assert {name: kind for name, kind in SAID.items() if name != "batch"} == wire._TYPES
    (batch,) = [it for it in contract.channels(wire.UP) if wire.BATCH_ID in it.address]
    assert batch.address == f"{wire.UP}{{site}}/{{company}}/{wire.BATCH_ID}{wire.HEARTBEAT.decode()}"
    for channel in contract.channels(wire.UP):
        *_, session, verb = channel.address.split("/")
        assert list(channel.messages) == ["batch" if session == wire.BATCH_ID else verb]


LIMITS = {"minLength", "maxLength", "pattern", "minimum", "maximum", "maxItems"}


def limits(one: Any) -> dict[str, Any]:
    """Types and limits of a field, in one form: the document's, or what msgspec says of the code's."""
    found: dict[str, Any] = {"types": contract.types(one)}
    for branch in (one, *one.get("anyOf", ())):
        found["types"] |= contract.types(branch)
        found.update({key: value for key, value in branch.items() if key in LIMITS})
        if "enum" in branch:
            found["enum"] = {value for value in branch["enum"] if value is not None}
        if "items" in branch:
            found["items"] = limits(branch["items"])
    if "pattern" in found:
        for here, there in ((r"\A", "^"), (r"\Z", "$"), (r"\x00", r"\u0000")):
            found["pattern"] = found["pattern"].replace(here, there)
    return found


@pytest.mark.parametrize("message", SAID)
def test_fields_types_and_limits_are_those_of_the_code(message: str) -> None:
    (code,) = msgspec.json.schema(SAID[message])["$defs"].values()
    told = contract.schema(NAMES[message])
    assert set(told.get("required", ())) == set(code["required"])
    assert {name: limits(one) for name, one in told["properties"].items()} == {
        name: limits(one) for name, one in code["properties"].items()
    }


def test_a_limit_that_drifts_is_noticed() -> None:
    told = contract.schema("Login")["properties"]["machine"]
    (code,) = msgspec.json.schema(messages.Login)["$defs"].values()
    for change in ({"maxLength": 255}, {"minLength": 0}, {"pattern": "^.*$"}, {"type": "string"}):
        assert limits({**told, **change}) != limits(code["properties"]["machine"])


EXAMPLES = [(message, name) for message in SAID for name in contract.examples(message)]


@pytest.mark.parametrize(("message", "name"), EXAMPLES)
def test_an_example_of_what_clients_say_is_taken_as_it_is(message: str, name: str) -> None:
    said = contract.examples(message)[name]
    heard = msgspec.structs.asdict(decode(message, said))
    assert {field: heard[field] for field in said} == said


@pytest.mark.parametrize("message", SAID)
def test_every_field_has_an_example(message: str) -> None:
    shown = {field for payload in contract.examples(message).values() for field in payload}
    assert shown == set(contract.schema(NAMES[message])["properties"])


def richest(message: str) -> Any:
    return max(contract.examples(message).values(), key=len)


@pytest.mark.parametrize("message", SAID)
def test_what_is_exactly_at_a_limit_is_taken_by_schema_and_decoder(message: str) -> None:
    for variant in contract.at_limits(NAMES[message], richest(message)):
        assert contract.validator(message).is_valid(variant.payload), variant.name
        decode(message, variant.payload)


@pytest.mark.parametrize("message", SAID)
def test_what_breaks_one_limit_is_refused_by_schema_and_decoder(message: str) -> None:
    variants = list(contract.beyond_limits(NAMES[message], richest(message)))
    assert variants
    for variant in variants:
        assert not contract.validator(message).is_valid(variant.payload), variant.name
        with pytest.raises(BadInput) as caught:
            decode(message, variant.payload)
        assert caught.value.reason == "schema", variant.name


def test_what_schemas_cannot_say_is_said_in_words() -> None:
    words = " ".join(contract.DOCUMENT["info"]["description"].split())
    assert f"at most {wire.MAX_PAYLOAD} bytes of UTF-8, a batch at most {wire.MAX_BATCH}" in words
    assert f"`{ident()}`" in words
    assert set(re.findall(r"`(\w+)`", words.partition("reasons are")[2].partition(".")[0])) == set(REASONS)
    long = dict.fromkeys(("activity", "at"), "\u6f22" * 1_024)
    long |= dict.fromkeys(("app", "user", "machine", "address"), "\u6f22" * 256)
    assert contract.validator("heartbeat").is_valid(long)
    with pytest.raises(BadInput, match="bytes of payload"):
        wire.decode(b"whosin/v1/up/a/b/s/heartbeat", msgspec.json.encode(long), retain=False)
    assert contract.validator("login").is_valid({"user": "\ud800", "client": "web"})
    with pytest.raises(BadInput):
        wire.decode(b"whosin/v1/up/a/b/s/login", rb'{"user": "\ud800", "client": "web"}', retain=False)
    assert contract.validator("lost").is_valid({"conn": 1.0})
    with pytest.raises(BadInput):
        decode("lost", {"conn": 1.0})
    assert decode("heartbeat", {"more": 1, "conn": None}) == messages.BARE_HEARTBEAT
    assert wire.decode(b"whosin/v1/up/a/b/s/heartbeat", b"", retain=False).message == messages.BARE_HEARTBEAT


def ident() -> str:
    return wire.IDENT.pattern.removesuffix(r"\Z")


def test_ids_in_topics_are_told_as_the_decoder_takes_them() -> None:
    for name in ("site", "company", "session", "companyOrAll"):
        assert ident() in contract.DOCUMENT["components"]["parameters"][name]["description"]
    for channel in contract.channels(wire.UP):
        topic = contract.PARAMETER.sub("~" * 64, channel.address)
        wire.split(topic.encode())
        for bad in ("", "~" * 65, "a b", "ä"):
            with pytest.raises(BadInput):
                wire.split(contract.PARAMETER.sub(bad, channel.address, count=1).encode())


def test_the_endpoint_is_as_it_is_described() -> None:
    limits, server = DoorLimits(), contract.DOCUMENT["servers"]["door"]["bindings"]["mqtt"]
    assert server["sessionExpiryInterval"]["maximum"] * 1000 == limits.session_expiry_ms
    assert server["maximumPacketSize"]["maximum"] == limits.packet
    assert str(limits.batch_packet) in server["maximumPacketSize"]["description"]
    (lost,) = [it.address for it in contract.channels(wire.UP) if it.name == "upLost"]
    assert server["lastWill"]["topic"] == lost
    assert contract.validator("lost").is_valid(json.loads(server["lastWill"]["message"]))


# --- what they hear --------------------------------------------------------------------------------------


def test_topics_are_those_of_the_code() -> None:
    beginnings = {wire.UP: 7, wire.DOWN: 6, wire.EVENTS: 1, "whosin/v1/daemon/": 1}
    assert {it: len(contract.channels(it)) for it in beginnings} == beginnings
    assert sum(beginnings.values()) == len(contract.channels())


def refusals(*names: str) -> set[str]:
    """The codes that these modules refuse with: pairs of a code and why, and what the locks' helpers get."""
    found = set()
    for name in names:
        tree = ast.parse((ROOT / "daemon/whosin/rules" / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            pair = isinstance(node, ast.Tuple) and len(node.elts) == 2
            parts = node.elts if pair else node.args if _refuses(node) else []  # type: ignore[union-attr]
            found |= {
                one.value
                for one, other in pairwise(parts)
                if isinstance(one, ast.Constant) and _is_code(one.value) and _is_why(other)
            }
    return found


def _refuses(node: ast.AST) -> bool:
    called = getattr(getattr(node, "func", None), "attr", getattr(getattr(node, "func", None), "id", ""))
    return isinstance(node, ast.Call) and called in {"_refuse_plainly", "_turned_down"}


def _is_code(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[a-z_]+", value) is not None


def _is_why(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Attribute) and node.attr == "text")


def test_the_codes_of_refusals_are_those_of_the_rules() -> None:
    login, lock = contract.SCHEMAS["LoginCode"], contract.SCHEMAS["LockCode"]
    assert refusals("admission", "roll") == set(login["enum"]) - set(login["x-later"])
    assert refusals("locks") == set(lock["enum"])
    for message, told in (("loginRefused", login), ("lockRefused", lock)):
        shown = {payload["code"] for payload in contract.examples(message).values()}
        assert shown == set(told["enum"]) - set(told.get("x-later", ()))
        assert all(f"`{code}`" in told["description"] for code in shown)


def test_words_of_a_closed_list_are_those_of_the_code() -> None:
    def of(name: str, *path: str) -> set[Any]:
        one = contract.schema(name)
        for field in path:
            one = one["properties"][field]
        return set(one["enum"])

    final = {status.value for status in Status if status.final}
    assert of("Status") == {status.value for status in Status}
    assert of("Ended", "status") == final
    assert of("LoginAccepted", "status") == of("SessionRemoved", "data", "was") == of("Status") - final
    assert of("SessionRemoved", "data", "cause") == set(CAUSES)
    assert (
        of("SessionDisconnected", "data", "reason")
        == of("SessionReconnected", "data", "was")
        == set(WHY_GONE)
    )
    assert of("FollowupOpened", "data", "severity") == set(SEVERITIES)
    assert of("AlertKind") == of("AlertRaised", "data", "kind") | {"mass_silence"} == set(KINDS)
    assert (
        of("AlertRaised", "data", "severity")
        == of("AlertCleared", "data", "severity")
        == set(ALERT_SEVERITIES)
    )
    assert contract.SCHEMAS["Names"]["maxItems"] == NAMED_LOCKS
    assert contract.SCHEMAS["Message"]["properties"]["text"]["maxLength"] == LONGEST_TEXT


def test_the_events_are_those_of_the_code_that_are_of_a_site() -> None:
    (channel,) = contract.channels(wire.EVENTS)
    types = [one["properties"]["type"]["const"] for one in channel.messages.values()]
    assert [*dict.fromkeys(types)] == contract.DOCUMENT["components"]["parameters"]["type"]["enum"]
    assert len(types) == len(set(types)) + 1, "alert.raised tells a mass silence in another shape"
    assert set(types) & OF_NO_SITE == set()
    assert set(types) | OF_NO_SITE == set(TABLE)
