"""A running daemon keeps to docs/asyncapi.yaml: it takes what the document lets clients say and nothing else;
all that it says is described there, field by field; and nothing is described that it never says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.docs import contract
from tests.docs.afternoon import SCENES, SITE, Office
from tests.docs.pages import ROOT
from tests.docs.test_asyncapi import NAMES, SAID, richest
from tests.support.daemon import until

if TYPE_CHECKING:
    from collections.abc import Iterable

SEEDS = 8


class Overheard(NamedTuple):
    """`taken` and `refused`: how many of what was said, by how many were said."""

    taken: tuple[float, int]
    refused: tuple[float, int]
    heard: list[tuple[str, Any]]


def say_all(office: Office, payloads: Iterable[tuple[str, Any]], metric: str) -> tuple[float, int]:
    """Each on behalf of another session; by how much the metric rose, and how many there were."""
    before, count = office.daemon.metric(metric), 0
    for message, payload in payloads:
        session, verb = ("@batch", "heartbeat") if message == "batch" else (f"{message}-{count}", message)
        topic = f"whosin/v1/up/{SITE}/tried/{session}/{verb}"
        office.portal.mqtt.publish(topic, json.dumps(payload, ensure_ascii=False).encode(), qos=1)
        count += 1
    until(lambda: office.daemon.metric(metric) >= before + count, what=f"{count} more of {metric}")
    return office.daemon.metric(metric) - before, count


@pytest.fixture(scope="module")
def overheard(tmp_path_factory: pytest.TempPathFactory) -> Overheard:
    good = [(message, it) for message in SAID for it in contract.examples(message).values()]
    edges = [
        (message, it.payload)
        for message in SAID
        for it in contract.at_limits(NAMES[message], richest(message))
    ]
    bad = [
        (message, it.payload)
        for message in SAID
        for it in contract.beyond_limits(NAMES[message], richest(message))
    ]
    office = Office(tmp_path_factory.mktemp("office"))
    try:
        office.open()
        for scene in SCENES[:-1]:
            scene(office)
        taken = say_all(office, [*good, *edges], "whosin_messages_total")
        refused = say_all(office, bad, 'whosin_messages_rejected_total{reason="schema"}')
        SCENES[-1](office)
        assert office.daemon.stop() == 0
        until(
            lambda: any(it == "offline" for _, it in office.heard()), what="the daemon says that it is away"
        )
        return Overheard(taken, refused, office.heard())
    finally:
        office.close()


def test_a_daemon_takes_every_example_and_all_that_is_just_within_its_limits(overheard: Overheard) -> None:
    rise, count = overheard.taken
    assert rise == count > 80


def test_a_daemon_refuses_all_that_breaks_a_limit(overheard: Overheard) -> None:
    rise, count = overheard.refused
    assert rise == count > 200


def test_all_that_a_daemon_says_is_described_and_all_that_is_described_it_says(overheard: Overheard) -> None:
    seen: dict[str, set[str]] = {}
    codes: dict[str, set[str]] = {"LoginCode": set(), "LockCode": set()}
    for topic, payload in overheard.heard:
        message = contract.judge(topic, payload)
        seen.setdefault(message, set()).update(contract.filled(payload))
        if message in ("loginRefused", "lockRefused"):
            codes[f"{message.removesuffix('Refused').capitalize()}Code"].add(payload["code"])
    outward = [it for it in contract.channels() if not it.address.startswith("whosin/v1/up/")]
    assert set(seen) == {message for channel in outward for message in channel.messages}
    never = {
        f"{message}.{field}"
        for channel in outward
        for message, payload in channel.messages.items()
        for field in set(contract.fields(payload)) - seen[message]
    }
    assert never == set()
    for name, said in codes.items():
        told = contract.SCHEMAS[name]
        assert said == set(told["enum"]) - set(told.get("x-later", ()))


def test_what_a_daemon_says_on_made_up_days_is_described() -> None:
    """Those of the simulator: what leaves in them, faults and all."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.made_up_days", str(SEEDS)], cwd=ROOT, capture_output=True,
        text=True, check=True, timeout=300, env={**os.environ, "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    said = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = {contract.judge(topic, payload) for topic, payload in said}
    assert len(said) > 500
    assert {
        "lockGranted",
        "lockTaken",
        "loginAccepted",
        "ended",
        "sessionRemoved",
        "cleanupFinished",
    } <= kinds
