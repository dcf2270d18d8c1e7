"""The guidance file: what is read, and how what is wrong is told."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.settings.helpers import ENVIRON, problem
from tests.settings.helpers import read as settings_of
from whosin.errors import SettingsError
from whosin.rules.guidance import Guidance, Rule
from whosin.settings import load
from whosin.settings.guidance import MOST_RULES, NO_RULES, read, rules_of, shipped
from whosin.simulate import cast

ROOT = Path(__file__).parents[2]


def rules(tmp_path: Path, text: str) -> tuple[Rule, ...]:
    file = tmp_path / "g.toml"
    file.write_text(text, encoding="utf-8")
    return read(file)


def wrong(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        rules(tmp_path, text)
    return [sentence.replace(f"{tmp_path}/", "") for sentence in refused.value.problems]


def test_a_rule_is_read_with_one_glob_or_several(tmp_path):
    text = """
        [[rule]]
        id = "order"
        match = {resource = "sales-order/*", activity = ["amend*", "post*"], client = "desktop"}
        severity = "critical"
        before = " Ask. "
        after = '''Look.
        Twice.'''

        [[rule]]
        id = "named"
        before = "Ask."
    """
    order = Rule(
        "order",
        "critical",
        "Ask.",
        "Look.\n        Twice.",
        ("sales-order/*",),
        ("amend*", "post*"),
        ("desktop",),
    )
    assert rules(tmp_path, text) == (order, Rule("named", "normal", "Ask."))


def test_an_empty_file_has_no_rules(tmp_path):
    assert rules(tmp_path, "") == ()


RULE = '[[rule]]\nid = "r"\nbefore = "Ask."\n'
ID = "expected 1 to 64 letters, digits or ._-"
ONE = "expected at least one of them"
EITHER = 'expected "normal" or "critical"'
KEYS = "expected one of id, match, severity, before, after"
MATCH = "expected one of match.resource, match.activity, match.client"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[rule]]\nbefore = 'x'", f"rule 1: id is missing; {ID}"),
        ("[[rule]]\nid = 'a b'\nbefore = 'x'", f'rule 1: id is "a b"; {ID}'),
        (
            "[[rule]]\nid = 'r'",
            "rule 1 (r): neither before nor after is there; expected at least one of them",
        ),
        (RULE + RULE, "rule 2 (r): id is that of rule 1 too; expected another"),
        ("[rule]\nid = 'x'", "rule is a table; expected [[rule]], with two brackets"),
        ("[[rules]]", "rules is not part of a guidance file; expected [[rule]]; did you mean rule?"),
        ("[[rule]]\n" * (MOST_RULES + 1), f"{MOST_RULES + 1} rules; expected at most {MOST_RULES}"),
    ],
)
def test_what_is_wrong_is_told_with_the_rule_and_what_is_allowed(tmp_path, text, sentence):
    assert wrong(tmp_path, text) == [f"g.toml: {sentence}"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "severity = 'normál'",
            'severity is "normál"; expected "normal" or "critical"; did you mean normal?',
        ),
        ("severity = 7", 'severity is 7; expected "normal" or "critical"'),
        ("afetr = 'x'", f"afetr is not a key of a rule; {KEYS}; did you mean after?"),
        ("resource = 'x'", f"resource is not a key of a rule; {KEYS}; did you mean match.resource?"),
        (
            "match.resorce = 'x'",
            f"match.resorce is not a key of a rule; {MATCH}; did you mean match.resource?",
        ),
        ("match = 'x'", 'match is "x"; expected a table, as in match.resource = "sales-order/*"'),
        ("match = {}", "match is empty; expected at least one of resource, activity, client"),
        ("match.client = []", "match.client is []; expected a glob, or a list of 1 to 100"),
        ("match.client = ['', 'x']", 'match.client has ""; expected 1 to 512 printable characters'),
        ("after = ''", 'after is ""; expected 1 to 2000 printable characters'),
        ("after = 5", "after is 5; expected 1 to 2000 printable characters"),
    ],
)
def test_what_is_wrong_in_a_rule_is_told_with_the_key_and_what_is_allowed(tmp_path, line, sentence):
    assert wrong(tmp_path, RULE + line) == [f"g.toml: rule 1 (r): {sentence}"]


def test_what_is_not_toml_is_told_with_its_line(tmp_path):
    (sentence,) = wrong(tmp_path, "[[rule]\n")
    assert sentence.startswith("g.toml: line 1, column ")
    assert sentence.endswith("expected TOML, as in key = value")


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    assert len(wrong(tmp_path, "[[rule]]\nid = '?'\nseverity = 'x'\n[[rule]]\nid = 'r'\nmatch.x = 1\n")) == 5


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    assert "larger than" in wrong(tmp_path, "#" * 1_100_000)[0]


# --- the setting ---------------------------------------------------------------------------------------


def test_without_a_setting_the_set_that_ships_counts():
    found = rules_of(load(None, ENVIRON))
    assert found.source == "shipped"
    assert {rule.severity for rule in found.rules} == {"normal", "critical"}
    assert all(rule.before or rule.after for rule in found.rules)


def test_off_means_no_rules(tmp_path):
    assert rules_of(settings_of(tmp_path, 'guidance.file = "off"')) == NO_RULES
    assert rules_of(load(None, {**ENVIRON, "WHOSIN_GUIDANCE__FILE": "off"})) == NO_RULES


def test_a_file_is_found_from_the_settings_and_has_to_be_there(tmp_path):
    (tmp_path / "g.toml").write_text(RULE)
    found = rules_of(settings_of(tmp_path, 'guidance.file = "g.toml"'))
    assert (found.source, found.rules) == (str(tmp_path / "g.toml"), (Rule("r", "normal", "Ask."),))
    assert problem(tmp_path, 'guidance.file = "no.toml"') == (
        'whosin.toml: guidance.file is "no.toml"; none is at no.toml, expected a readable file, or "off"'
    )


def test_the_file_for_administrators_is_the_set_that_ships():
    assert (ROOT / "config/guidance.toml").read_text(encoding="utf-8") == shipped()


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("*", "whole-program"),
        ("sales-order/SO-1001", "sales-order"),
        ("purchase-order/PO-7", "purchase-order"),
        ("sales-ledger/104", "sales-ledger"),
        ("nominal-ledger", "nominal-ledger"),
        ("vat-return", "vat-return"),
        ("accounting-periods", "period-end"),
        ("stock/item/W-1", "stock"),
        ("payroll/run", "payroll"),
        ("menu-editor", "menu-editor"),
        ("sales-orders", None),
    ],
)
def test_the_set_that_ships_knows_accounting_work(resource, expected):
    rule = Guidance(rules_of(load(None, ENVIRON)).rules).rule_for(resource, None, "desktop")
    assert (rule and rule.id) == expected


def test_whatever_the_simulated_day_locks_has_a_rule():
    guidance = Guidance(rules_of(load(None, ENVIRON)).rules)
    tasks = [cast.task(Random(seed)) for seed in range(300)]
    assert {it.resource for it in tasks if guidance.rule_for(it.resource, None, "desktop") is None} == set()
