"""`whosin guidance` and `whosin followups`."""

from __future__ import annotations

import json

import pytest

from tests.cli.fake_daemon import ago, followup, rule
from whosin.settings.guidance import shipped


def test_the_rules_in_force_are_listed(daemon, whosin):
    daemon.answers["GET guidance"] = [
        rule(), rule("named", severity="critical", match={"resource": [], "activity": [], "client": []}),
    ]  # fmt: skip
    text = whosin("guidance").stdout
    assert "sales-order/*" in text
    assert "who names it" in text
    assert [item["id"] for item in whosin.json("guidance", "list")] == ["sales-order", "named"]


def test_without_rules_that_is_said(daemon, whosin):
    daemon.answers["GET guidance"] = []
    assert "There are no rules" in whosin("guidance").stdout


def test_a_lock_is_tried_against_the_shipped_set_without_a_daemon(whosin, daemon):
    found = whosin("guidance", "test", "sales-order/SO-1001")
    assert found.exit_code == 0
    assert found.stdout.startswith(
        "sales-order, normal (shipped)\n  because it asks for resource sales-order or"
    )
    assert "  before  Ask the user whether the order was saved" in found.stdout
    assert daemon.asked == []


def test_why_a_rule_comes_is_told_for_programs_too(whosin):
    told = whosin.json("guidance", "test", "vat-return")
    assert (told["rule"]["id"], told["source"]) == ("vat-return", "shipped")
    assert told["tried"] == [
        {"id": "whole-program", "differs": "resource"},
        {"id": "vat-return", "differs": None},
    ]


def test_the_rules_are_those_of_the_settings(whosin, tmp_path):
    (tmp_path / "g.toml").write_text(
        '[[rule]]\nid = "mine"\nmatch = {activity = "pay*", client = "web"}\nafter = "Look."\n'
    )
    config = tmp_path / "whosin.toml"
    config.write_text('[guidance]\nfile = "g.toml"\n')
    found = whosin("guidance", "test", "--activity", "Paying", "--client", "web", "--config", config)
    assert found.stdout == (
        f"mine, normal ({tmp_path}/g.toml)\n"
        "  because it asks for activity pay*, client web; it is the first that matches\n"
        "  after   Look.\n"
    )
    none = whosin("guidance", "test", "x", "--guidance", "theirs", "--config", config)
    assert (none.exit_code, none.stdout) == (
        1, f"No rule ({tmp_path}/g.toml): there is no rule theirs; none of the 1 rules matches.\n"
    )  # fmt: skip
    named = whosin("guidance", "test", "x", "--guidance", "mine", "--config", config)
    assert "because the client names it: guidance = mine" in named.stdout


def test_a_wrong_file_is_told_by_test_and_by_check_config(whosin, tmp_path):
    (tmp_path / "g.toml").write_text('[[rule]]\nid = "r"\nbefor = "x"\nafter = "y"\n')
    config = tmp_path / "whosin.toml"
    config.write_text('[guidance]\nfile = "g.toml"\n')
    for command in (("guidance", "test", "x"), ("check-config",)):
        found = whosin(*command, "--config", config)
        assert found.exit_code == 2
        assert "g.toml: rule 1 (r): befor is not a key of a rule" in found.stderr
        assert "did you mean before?" in found.stderr


def test_something_has_to_be_asked(whosin):
    assert whosin("guidance", "test").exit_code == 2


def test_the_set_that_ships_can_be_printed(whosin):
    assert whosin("guidance", "default").stdout == shipped()


# --- follow-ups ----------------------------------------------------------------------------------------


def test_what_is_to_be_done_is_listed(daemon, whosin):
    daemon.answers["GET followups"] = [followup(18, severity="critical"), followup()]
    text = whosin("followups", columns=140).stdout
    for words in ("18", "2 h", "anna", "sales-order/SO-1001", "Open the order."):
        assert words in text
    assert daemon.queries("GET followups")[0]["status"] == "open"
    assert [item["id"] for item in whosin.json("followups")] == [18, 17]


def test_a_listing_is_narrowed(daemon, whosin):
    daemon.answers["GET followups"] = []
    found = whosin("followups", "list", "--status", "all", "--company", "main", "--search", "SO-1")
    assert found.stdout == "Nothing like that.\n"
    (query,) = daemon.queries("GET followups")
    assert query == {"company": "main", "q": "SO-1", "limit": "100"}
    assert whosin("followups").stdout == "Nothing is left to do.\n"


def test_several_are_ticked_off_with_a_note(daemon, whosin):
    for ident in (17, 18):
        daemon.answers[f"POST followups/{ident}/done"] = followup(ident, done=ago(0), done_by="admin")
    found = whosin("followups", "done", "17", "18", "17", "--note", "two lines")
    assert found.stdout.splitlines() == [
        "17: sales-order of sales-order/SO-1001, done by admin.",
        "18: sales-order of sales-order/SO-1001, done by admin.",
    ]
    assert daemon.bodies("POST followups/17/done") == [{"note": "two lines"}]


def test_one_that_is_not_known_is_told_and_the_others_are_done(daemon, whosin):
    daemon.answers["POST followups/17/done"] = followup(done=ago(0), done_by="admin")
    found = whosin("followups", "done", "5", "17", "--json")
    assert found.exit_code == 1
    assert [item["id"] for item in json.loads(found.stdout)] == [17]
    assert "1 id not known: 5" in found.stderr


@pytest.mark.parametrize("ident", ["0", "x", "-1"])
def test_what_is_no_number_is_refused(whosin, ident):
    assert whosin("followups", "done", "--", ident).exit_code == 2
