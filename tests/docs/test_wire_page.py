"""docs/wire.md says what `messages` and `wire` do: fields, bounds, examples, reasons, events."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from tests.docs.pages import ROOT, blocks, rows
from whosin import messages, wire
from whosin.errors import BadInput
from whosin.observe.metrics import REASONS
from whosin.ports import EventRow

PAGE = "docs/wire.md"
TOPIC = "whosin/v1/up/head-office/books/{session}/{verb}"
EXAMPLES = [block for block in blocks(PAGE) if block.language == "json"]
STRUCTS = {
    "login": messages.Login,
    "heartbeat": messages.Heartbeat,
    "logout": messages.Logout,
    "lost": messages.Lost,
    "lock": messages.LockRequest,
    "unlock": messages.Unlock,
}
NAMES = re.compile(r"`([a-z_]+)`")


def verb(heading: str) -> str:
    return heading.strip("`")


SAID = [each for each in EXAMPLES if verb(each.heading) in STRUCTS]


@pytest.mark.parametrize("block", SAID, ids=lambda block: block.heading)
def test_an_example_of_what_clients_say_is_taken(block):
    topic = TOPIC.format(session="s", verb=verb(block.heading)).encode()
    heard = msgspec.structs.asdict(wire.decode(topic, block.text.encode(), retain=False).message)
    said = json.loads(block.text)
    assert {name: value for name, value in heard.items() if name in said} == said


def test_the_example_of_a_batch_is_taken():
    (block,) = [each for each in EXAMPLES if each.heading == "A gateway's batch"]
    topic = TOPIC.format(session="@batch", verb="heartbeat").encode()
    heard = wire.decode(topic, block.text.encode(), retain=False)
    assert heard.verb == "batch"


@pytest.mark.parametrize(("name", "kind"), STRUCTS.items())
def test_every_field_of_a_verb_is_described_and_no_other(name, kind):
    known = {field.name for field in msgspec.structs.fields(kind)}
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    section = re.split(r"^##", text.partition(f"### `{name}`\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    told = {found for cells in rows(PAGE, f"`{name}`") for found in NAMES.findall(cells[0])}
    told = told or set(NAMES.findall(section))
    assert known <= told
    if list(rows(PAGE, f"`{name}`")):
        assert told <= known


@pytest.mark.parametrize(
    ("said", "bound"),
    [
        ({"user": "u" * 256, "client": "c" * 64, "at": "t" * 1024, "conn": 0}, {"client": "c" * 65}),
        ({"user": "u", "client": "c", "os_session": 7}, {"user": "u" * 257}),
        ({"user": "u", "client": "c", "machine": None}, {"machine": ""}),
    ],
)
def test_the_bounds_of_a_login_are_those_of_the_page(said, bound):
    topic = TOPIC.format(session="s", verb="login").encode()
    wire.decode(topic, json.dumps(said).encode(), retain=False)
    with pytest.raises(BadInput):
        wire.decode(topic, json.dumps({**said, **bound}).encode(), retain=False)


def test_all_examples_are_json():
    for block in EXAMPLES:
        for line in block.text.splitlines():
            assert isinstance(json.loads(line), dict)


def test_the_reasons_for_dropping_are_told():
    reasons = [cells[0].strip("`") for cells in rows(PAGE, "What a client hears")]
    assert sorted(reasons[-len(REASONS) :]) == sorted(REASONS)


def test_the_event_has_the_shape_of_real_ones():
    (block,) = [each for each in EXAMPLES if each.heading == "Events"]
    shown = json.loads(block.text)
    data = {name: shown["data"][name] for name in ("client", "machine", "last_seen", "locks", "idle_s")}
    row = EventRow(
        seq=4, at=1_795_356_855_489, type=shown["type"], site="head-office", company="books",
        session=shown["subject"], user="anna", actor=None, reason="silence", data=json.dumps(data).encode(),
    )  # fmt: skip
    sent = wire.event(row, shown["id"].removesuffix("-4"), "head-office-1")
    assert sent is not None
    assert sent[0] == "whosin/v1/events/head-office/books/session.disconnected"
    assert json.loads(sent[1]) == shown


def test_every_type_of_event_is_told():
    literal = re.compile(r'"((?:session|lock|cleanup|alert|followup)\.[a-z_]+)"')
    rules = (ROOT / "daemon/whosin/rules").glob("*.py")
    made = {name for path in rules for name in literal.findall(path.read_text(encoding="utf-8"))}
    told = {name for cells in rows(PAGE, "Events") for name in re.findall(r"`([a-z]+\.[a-z_]+)`", cells[0])}
    others = {
        "cleanup.finished", "alert.cleared", "alert.given_up", "followup.done", "message.sent",
        "maintenance.planned",
    }  # fmt: skip
    assert made | others == told
