"""What a message says, and what it can never hold."""

from __future__ import annotations

import json

import pytest

from tests.alerts.conftest import FACT, told
from whosin.alerts.conditions import Group
from whosin.alerts.kinds import KINDS
from whosin.alerts.messages import ACTIONS, compose, summary


def composed(told, ident="i"):
    return compose(told, ident, page="https://w.example.com", daemon="hq-1")


def test_it_says_what_happened_whom_it_affects_what_to_do_and_where_to_look():
    made = composed(told())
    assert made.text.splitlines() == [
        "1 disconnected login keeps 1 person waiting in books (site hq).",
        "",
        "- anna on PC-7 (desktop), silent since 2025-11-24 16:00:00 UTC, login anna-1",
        "    holds sales-order/SO-1001 (amending)",
        "    keeps waiting: ben since 2025-11-24 16:01:00 UTC",
        "    before it is removed (critical, order-lines): Check the order's lines.",
        "",
        f"What to do: {ACTIONS['blocking']}",
        "See: https://w.example.com/disconnected?site=hq&company=books",
        "",
        "-- ",
        "warning · blocking · alert a1b2 · raised 2025-11-24 16:01:30 UTC · by Whosin hq-1",
    ]
    assert 'href="https://w.example.com/disconnected?site=hq&amp;company=books"' in made.html


@pytest.mark.parametrize("kind", [*KINDS, "test"])
def test_every_kind_has_words_an_action_and_a_link(kind):
    facts = {
        "mass_silence": {"company": "books", "client": "web", "fallen": 9, "since": 1, "until": 2},
        "cleanup": {"company": "books", "problem": "no access"},
        "storage": {"problem": "the disk is full", "since": 1_764_000_000_000},
        "blind": {"source": "link", "since": 1_764_000_000_000},
    }.get(kind, FACT if kind in ("blocking", "guidance") else {"problem": "bad"})
    group = Group(kind, "hq", "books") if kind != "storage" else Group(kind, None, None)
    made = composed(told(kind, facts, group=group))
    assert summary(told(kind, facts)) in made.text
    assert f"What to do: {ACTIONS[kind]}" in made.text or kind == "test"
    assert "See: https://w.example.com/" in made.text
    assert made.payload["kind"] == kind
    json.dumps(made.payload)


def test_what_is_over_asks_for_nothing():
    made = composed(told(phase="cleared", cleared=1_764_000_100_000))
    assert made.subject.startswith("[Whosin] Over: ")
    assert "What to do" not in made.text + made.html
    assert "over 2025-11-24 16:01:40 UTC" in made.text
    assert made.payload["type"] == "alert.cleared"


NASTY = "<script>alert(1)</script>\r\nBcc: x@y\x1b[31m\u202e" + "A" * 500


def test_names_of_strangers_steer_nothing():
    block = {"user": NASTY, "machine": NASTY, "since": 0, "resource": NASTY}
    fact = {
        **FACT, "session": NASTY, "user": NASTY, "machine": NASTY, "client": NASTY, "company": NASTY,
        "locks": [{"resource": NASTY, "activity": NASTY}], "blocks": [block],
        "guidance": [{"id": NASTY, "severity": "critical", "before": NASTY}],
    }  # fmt: skip
    made = compose(
        told("blocking", fact, group=Group("blocking", NASTY, NASTY)), "i", page="https://w", daemon=NASTY
    )
    assert "<script" not in made.html
    assert made.subject.isprintable()
    assert len(made.subject) <= 180
    for text in (made.text, made.html):
        assert all(mark.isprintable() or mark == "\n" for mark in text)
        assert "\u202e" not in text
    assert not any(line.startswith("Bcc") for line in made.text.splitlines())


def test_its_size_is_bounded_whatever_it_is_about():
    long = {**FACT, "guidance": [{"id": "g", "severity": "normal", "before": "x" * 10_000}] * 100}
    made = composed(told("blocking", *[long] * 50, total=100_000))
    assert len(made.text) <= 24_100
    assert len(made.html) <= 30_000
    assert "99,980 more" in composed(told("blocking", *[FACT] * 50, total=100_000)).text
    assert len(made.payload["about"]) == 20
