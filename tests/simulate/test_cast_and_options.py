"""The play's people and numbers: a pure function of the seed."""

from __future__ import annotations

import json
from random import Random

import pytest

from whosin.client import wire
from whosin.simulate import Options, Summary
from whosin.simulate.cast import cast, task


def test_the_same_seed_gives_the_same_people() -> None:
    options = Options(clients=100, companies=3, sites=2, seed=7)
    assert cast(options) == cast(options)
    assert cast(options) != cast(Options(clients=100, companies=3, sites=2, seed=8))


def test_everybody_is_somebody_and_can_be_said_on_the_wire() -> None:
    people = cast(Options(clients=3000, companies=25, sites=12, seed=1))
    assert len({each.user for each in people}) == 3000
    assert len({each.site for each in people}) == 12
    assert len({each.company for each in people}) == 25
    for each in people:
        wire.ident("site", each.site)
        wire.ident("company", each.company)
        assert 0 <= each.arrives <= 5


def test_the_mix_of_clients_is_what_was_asked_for() -> None:
    people = cast(Options(clients=2000, web=0.5, api=0.25, seed=1))
    share = {kind: sum(each.client == kind for each in people) / 2000 for kind in ("web", "api", "desktop")}
    assert share == pytest.approx({"web": 0.5, "api": 0.25, "desktop": 0.25}, abs=0.05)
    assert {each.client for each in cast(Options(clients=50, web=0, api=0))} == {"desktop"}


def test_people_meet_at_the_same_records() -> None:
    draw = Random(1)
    resources = [task(draw).resource for _ in range(300)]
    assert len(set(resources)) < 200
    assert all(0 < len(each) < wire.MAX_RESOURCE for each in resources)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"clients": 0}, "clients is 0"),
        ({"speed": -1.0}, "speed is -1"),
        ({"crash": 2.0}, "crash is 2"),
        ({"minutes": 0.0}, "minutes is 0"),
        ({"web": 0.8, "api": 0.8}, "at most 1 together"),
    ],
)
def test_numbers_out_of_bounds_are_named(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Options.of(**wrong)


def test_options_not_given_keep_their_defaults_and_become_arguments() -> None:
    options = Options.of(clients=5, minutes=None, seed=3, password="hunter2")
    assert options.minutes is None
    words = options.arguments()
    assert words[:4] == ["--url", "mqtt://127.0.0.1:1883", "--clients", "5"]
    assert "--minutes" not in words
    assert "hunter2" not in " ".join(words) + repr(options)


def test_a_summary_reads_well_and_survives_json() -> None:
    summary = Summary(seed=3, clients=5, speed=60, seconds=61, logins=7, beats=12, locks=4, waits=1)
    summary.lock_refusals["held"] = 3
    summary.holders.update({"Ann": 2, "Bob": 1})
    summary.crashed.append("s-1")
    summary.login_refusals["seats"] = 1
    summary.outages = summary.unanswered = summary.defects = 2
    text = "\n".join(summary.lines())
    assert "7 logins, 12 heartbeats in 61 s (seed 3)" in text
    assert "3 refused, in use by Ann (2), Bob (1)" in text
    assert "is the daemon running?" in text
    assert json.loads(json.dumps(summary.as_dict()))["crashed"] == ["s-1"]
