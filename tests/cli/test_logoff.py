"""`whosin logoff`: never unasked, and each id gets its own result."""

from __future__ import annotations

import json

import pytest

from tests.cli.fake_daemon import ago, blocked, fallen, held, result


@pytest.fixture
def one(daemon):
    """A fallen session that locks an order and blocks Ben."""
    daemon.answers["GET sessions/s-1"] = fallen(
        "s-1", locks=[held()], blocks=[blocked("ben")], guidance=["prove"]
    )

    def logoff(_query, body):
        outcome = "would_remove" if body["dry_run"] else "removed"
        freed = [{"session": "b", "user": "ben", "machine": None, "resource": "sales-order/SO-1001"}]
        resource = "sales-order/SO-1001"
        advice = {"id": "prove", "severity": "critical", "before": "Ask.", "after": "Prove balances."}
        left = {"id": None if body["dry_run"] else 17, "rule": "prove", "severity": "critical"}
        more = {
            "guidance": [{**advice, "resource": resource}],
            "followups": [{**left, "text": "Prove balances.", "resource": resource}],
        }
        return {
            "results": [
                result(ident, outcome, released=[resource], freed=freed, **more) for ident in body["ids"]
            ]
        }

    daemon.answers["POST sessions/logoff"] = logoff
    return daemon


def dry_runs(daemon):
    return [body["dry_run"] for body in daemon.bodies("POST sessions/logoff")]


def test_yes_does_it_at_once_with_the_reason(one, whosin):
    found = whosin("logoff", "s-1", "--yes", "--force", "--reason", "asked by phone")
    assert found.exit_code == 0
    assert "1 session logged off and 1 lock released, 1 person can go on: ben." in found.stdout
    assert one.bodies("POST sessions/logoff") == [
        {"ids": ["s-1"], "force": True, "reason": "asked by phone", "dry_run": False}
    ]


def test_without_a_terminal_nothing_is_asked_or_done(one, whosin):
    found = whosin("logoff", "s-1")
    assert found.exit_code == 2
    assert "add --yes to do it, or --dry-run" in found.stderr
    assert one.asked == []


def test_a_dry_run_shows_what_would_go_and_changes_nothing(one, whosin):
    found = whosin("logoff", "s-1", "--dry-run", columns=100)
    assert found.exit_code == 0
    for words in ("would remove", "anna on PC-7", "sales-order/SO-1001", "ben",
                  "Before (sales-order/SO-1001): Ask.",
                  "Afterwards (sales-order/SO-1001): Prove balances."):  # fmt: skip
        assert words in found.stdout
    assert dry_runs(one) == [True]


def test_what_is_left_to_do_is_told_with_its_number_once_it_is_done(one, whosin):
    text = whosin("logoff", "s-1", "--yes").stdout
    assert "Afterwards (17: sales-order/SO-1001): Prove balances." in text
    assert "Before" not in text


def test_even_with_yes_a_dry_run_stays_one(one, whosin):
    whosin("logoff", "s-1", "--dry-run", "--yes")
    assert dry_runs(one) == [True]


def test_on_a_terminal_the_dry_run_is_shown_and_then_asked(one, whosin, answering, monkeypatch):
    asked = []
    monkeypatch.setattr("click.confirm", lambda text, **_: asked.append(text) or True)
    found = whosin("logoff", "s-1")
    assert found.exit_code == 0
    assert asked == ["Log off 1 session?"]
    assert "would be logged off" in found.stderr
    assert "1 session logged off" in found.stdout
    assert dry_runs(one) == [True, False]


def test_a_no_changes_nothing(one, whosin, answering, monkeypatch):
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    found = whosin("logoff", "s-1")
    assert found.exit_code == 1
    assert "Nothing was changed." in found.stderr
    assert dry_runs(one) == [True]


def test_in_json_the_question_is_on_stderr_and_stdout_has_the_results_alone(
    one, whosin, answering, monkeypatch
):
    monkeypatch.setattr("click.confirm", lambda *_, **__: True)
    found = whosin("logoff", "s-1", "--json")
    assert [item["result"] for item in json.loads(found.stdout)] == ["removed"]


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("removed", 0), ("already_over", 0), ("needs_force", 1), ("not_found", 1)],
)
def test_the_exit_code_tells_whether_all_are_gone(daemon, whosin, outcome, code):
    daemon.answers["POST sessions/logoff"] = {"results": [result("s-0", "removed"), result("s-1", outcome)]}
    found = whosin("logoff", "s-0", "s-1", "--yes", "--json")
    assert found.exit_code == code
    assert [item["result"] for item in json.loads(found.stdout)] == ["removed", outcome]


def test_what_was_not_done_and_what_stays_is_said(daemon, whosin):
    daemon.answers["POST sessions/logoff"] = {
        "results": [
            result("s-1", "removed", held=[{"resource": "vat", "release_at": ago(-15)}], sticky=["menu"]),
            result("s-2", "needs_force"),
            result("s-3", "not_found"),
        ]
    }
    found = whosin("logoff", "s-1", "s-2", "s-3", "--yes")
    assert found.exit_code == 1
    for words in (
        "Held on until",
        "vat",
        "Left behind",
        "menu",
        "1 session is active: --force",
        "1 id is not known",
    ):
        assert words in found.stdout


def test_nobody_is_asked_when_nothing_would_go(daemon, whosin, answering):
    daemon.answers["POST sessions/logoff"] = {"results": [result("s-1", "already_over")]}
    assert whosin("logoff", "s-1").exit_code == 0
    daemon.answers["POST sessions/logoff"] = {"results": [result("s-1", "needs_force")]}
    found = whosin("logoff", "s-1")
    assert found.exit_code == 1
    assert "--force" in found.stderr


def test_a_shortened_id_is_completed_before_the_question(daemon, whosin, answering, monkeypatch):
    daemon.answers["GET sessions"] = [fallen("abcd-1"), fallen("x-abcd")]

    def logoff(_query, body):
        known = "would_remove" if body["dry_run"] else "removed"
        return {"results": [result(i, known if i == "abcd-1" else "not_found") for i in body["ids"]]}

    daemon.answers["POST sessions/logoff"] = logoff
    monkeypatch.setattr("click.confirm", lambda *_, **__: True)
    assert whosin("logoff", "abcd").exit_code == 0
    assert [body["ids"] for body in daemon.bodies("POST sessions/logoff")] == [
        ["abcd"],
        ["abcd-1"],
        ["abcd-1"],
    ]


def test_with_yes_an_id_has_to_be_whole(daemon, whosin):
    daemon.answers["GET sessions"] = [fallen("abcd-1")]
    daemon.answers["POST sessions/logoff"] = {"results": [result("abcd", "not_found")]}
    assert whosin("logoff", "abcd", "--yes").exit_code == 1
    assert [body["ids"] for body in daemon.bodies("POST sessions/logoff")] == [["abcd"]]


def test_many_ids_go_in_parts_and_come_back_in_order(daemon, whosin):
    daemon.answers["POST sessions/logoff"] = lambda _, body: {
        "results": [result(ident) for ident in body["ids"]]
    }
    ids = [f"s-{n}" for n in range(1100)]
    found = whosin("logoff", *ids, "--yes", "--json")
    assert [item["id"] for item in json.loads(found.stdout)] == ids
    assert [len(body["ids"]) for body in daemon.bodies("POST sessions/logoff")] == [500, 500, 100]


def test_an_id_named_twice_is_sent_once(one, whosin):
    whosin("logoff", "s-1", "s-1", "--yes")
    assert one.bodies("POST sessions/logoff")[0]["ids"] == ["s-1"]
