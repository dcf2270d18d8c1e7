"""Which rule a lock or a login gets (rule 16)."""

from __future__ import annotations

import time

import pytest

from tests.rules.driver import START, Driver
from whosin.model import Followup
from whosin.rules.guidance import REMEMBERED, SEVERITIES, Guidance, Rule, ids

S = 1_000
ORDER = Rule("order", "normal", "Ask.", "Look.", resource=("sales-order", "sales-order/*"))
LEDGER = Rule("ledger", "critical", "Ask.", "Prove.", resource=("*-ledger/*",))
PAYROLL = Rule("payroll", "critical", "Ask.", None, activity=("*payroll*",))
ROBOT = Rule("robot", "normal", None, "Read its log.", client=("api",))
NAMED = Rule("prove-balances", "critical", None, "Prove.")
RULES = Guidance([ORDER, LEDGER, PAYROLL, ROBOT, NAMED])


def rule(resource, activity=None, client="desktop", named=None, guidance=RULES):
    found = guidance.rule_for(resource, activity, client, named)
    return found and found.id


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("sales-order", "order"),
        ("sales-order/SO-1", "order"),
        ("sales-order/SO-1/lines/3", "order"),
        ("sales-orders", None),
        ("Sales-Order/SO-1", None),
        ("nominal-ledger/4000", "ledger"),
        ("nominal-ledger", None),
        ("*", None),
    ],
)
def test_a_resource_is_matched_as_a_whole_and_as_it_is_written(resource, expected):
    assert rule(resource) == expected


def test_a_star_itself_is_written_in_brackets():
    whole = Guidance([Rule("whole", before="Ask.", resource=("[*]",)), Rule("any", resource=("*",))])
    assert rule("*", guidance=whole) == "whole"
    assert rule("anything/else", guidance=whole) == "any"


def test_activities_and_client_types_are_matched_in_any_case():
    assert rule("x", "Running the PAYROLL") == "payroll"
    assert rule("x", None, "API") == "robot"
    assert rule("x", None) is None


def test_all_that_a_rule_asks_for_has_to_match_and_of_several_globs_one():
    both = Guidance([Rule("both", before="Ask.", resource=("a", "b"), activity=("post*", "pay*"))])
    assert rule("b", "paying", guidance=both) == "both"
    assert rule("b", "reading", guidance=both) is None
    assert rule("c", "paying", guidance=both) is None
    assert rule("b", guidance=both) is None


def test_the_first_that_matches_counts_unless_the_client_names_another():
    assert rule("sales-order/SO-1", "payroll") == "order"
    assert rule("sales-order/SO-1", named="prove-balances") == "prove-balances"
    assert rule("sales-order/SO-1", named="no-such-rule") == "order"


def test_a_rule_is_found_by_its_name():
    assert RULES.named("ledger") is LEDGER
    assert RULES.named("no-such-rule") is None


def test_a_rule_is_normal_unless_it_says_that_it_is_critical():
    assert SEVERITIES == ("normal", "critical")
    assert Rule("any").severity == "normal"


def test_a_rule_that_asks_for_nothing_is_only_for_those_who_name_it():
    assert rule("x", guidance=Guidance([NAMED])) is None


def test_why_a_rule_matches_or_not_is_told_up_to_the_one_that_does():
    told = [(it.id, why) for it, why in RULES.explain("x", "payroll", "desktop")]
    assert told == [("order", "resource"), ("ledger", "resource"), ("payroll", "")]


def session(d: Driver, *resources: str, activity: str | None = None, **lock):
    d.login(0, "s1", client=lock.pop("client", "desktop"))
    for resource in resources:
        d.lock(1, "s1", resource, **lock)
    if activity:
        d.beat(2, "s1", activity=activity)
    return d.session("s1")


def advice(*resources: str, **more):
    found = RULES.of_session(session(Driver(), *resources, **more))
    return [(one.rule.id, one.resource) for one in found]


def test_each_lock_of_a_session_has_its_rule():
    assert advice("sales-order/1", "x", "sales-order/2", "sales-ledger/9") == [
        ("order", "sales-order/1"), ("order", "sales-order/2"), ("ledger", "sales-ledger/9"),
    ]  # fmt: skip


def test_a_lock_without_an_activity_has_that_of_its_session():
    assert advice("x", activity="payroll of May") == [("payroll", "x")]
    assert advice("sales-order/1", activity="payroll") == [("order", "sales-order/1"), ("payroll", None)]


def test_a_login_without_locks_has_what_its_activity_or_its_client_type_asks_for():
    assert advice(activity="payroll") == [("payroll", None)]
    assert advice(client="api") == [("robot", None)]
    assert advice() == []


def test_what_the_client_type_asks_for_does_not_come_on_top_of_a_lock_s_rule():
    assert advice("sales-order/1", client="api") == [("order", "sales-order/1")]


def test_a_lock_has_the_rule_of_its_client_type_or_that_which_its_client_named():
    assert advice("x", client="api") == [("robot", "x")]
    assert advice("x", guidance="prove-balances") == [("prove-balances", "x")]


def test_what_one_of_its_locks_asks_for_anyway_does_not_come_on_top_for_the_login():
    assert advice("x", "sales-order/1", activity="payroll") == [("payroll", "x"), ("order", "sales-order/1")]


@pytest.mark.parametrize(
    ("rules", "idle", "busy"),
    [([ORDER], False, False), ([PAYROLL], False, True), ([ROBOT], True, True), ([], False, False)],
)
def test_one_without_locks_is_looked_at_only_where_a_rule_could_match_it(rules, idle, busy):
    guidance = Guidance(rules)
    assert guidance.without_locks(session(Driver())) is idle
    assert guidance.without_locks(session(Driver(), activity="walks about")) is busy


def test_ids_are_named_once():
    assert ids(RULES.of_session(session(Driver(), "sales-order/1", "sales-order/2"))) == ["order"]


def test_answers_are_remembered_within_a_bound():
    guidance = Guidance([ORDER])
    for n in range(REMEMBERED + 10):
        guidance.rule_for(f"sales-order/{n}", None, "desktop")
        assert len(guidance._found) <= REMEMBERED
    assert len(guidance._found) == 10


def test_no_glob_takes_long():
    guidance = Guidance([Rule("slow", before="Ask.", resource=("*a" * 30 + "b",))])
    started = time.perf_counter()
    assert guidance.rule_for("a" * 512, None, "desktop") is None
    assert time.perf_counter() - started < 1


# --- what a removal leaves to do ----------------------------------------------------------------------


def opened(d: Driver):
    return [
        (event.data["followup"], event.data["rule"], event.data["resource"])
        for event in d.happened("followup.opened")
    ]


def with_rules() -> Driver:
    d = Driver()
    d.roll.set_guidance(RULES)
    return d


@pytest.mark.parametrize("cause", ["operator", "cleanup", "replaced", "blocking"])
def test_what_is_to_be_done_afterwards_is_opened_however_it_was_removed(cause):
    d = with_rules()
    session(d, "sales-order/1", "nominal-ledger/4000", "vat")
    d.remove(3, "s1", cause=cause)
    assert opened(d) == [(1, "order", "sales-order/1"), (2, "ledger", "nominal-ledger/4000")]
    (first, _) = d.happened("followup.opened")
    assert (first.at, first.session, first.actor) == (3, "s1", "olga")
    assert first.data["text"] == "Look."
    assert [it.id for it in d.roll.out.followups] == [1, 2]


def test_a_sticky_lock_that_is_left_behind_leaves_its_duty_too():
    d = with_rules()
    session(d, "sales-order/1", sticky=True)
    d.remove(3, "s1")
    assert opened(d) == [(1, "order", "sales-order/1")]


def test_the_same_person_who_comes_back_after_a_crash_leaves_the_duty_of_the_old_login():
    d = with_rules()
    d.login(0, "s1", machine="PC", os_session="1")
    d.lock(1, "s1", "sales-order/1")
    d.pass_to(300 * S)
    d.login(301 * S, "s2", machine="PC", os_session="1")
    assert opened(d) == [(1, "order", "sales-order/1")]


def test_a_logout_is_in_order_and_leaves_nothing():
    d = with_rules()
    session(d, "sales-order/1")
    d.logout(3, "s1")
    assert opened(d) == []


def test_what_is_left_to_do_is_kept_and_told_with_all_that_belongs_to_it():
    d = with_rules()
    session(d, "nominal-ledger/4000", activity="payroll")  # which has nothing to do afterwards
    d.lock(2, "s1", "sales-order/1")
    it = d.session("s1")
    d.remove(3, "s1")
    assert d.roll.out.followups == [
        Followup(1, START + 3, it, "nominal-ledger/4000", "ledger", "critical", "Prove."),
        Followup(2, START + 3, it, "sales-order/1", "order", "normal", "Look."),
    ]
    assert [event.data["severity"] for event in d.happened("followup.opened")] == ["critical", "normal"]
    assert opened(d) == [(1, "ledger", "nominal-ledger/4000"), (2, "order", "sales-order/1")]


def test_what_has_nothing_to_do_afterwards_does_not_hide_what_has():
    d = with_rules()
    session(d, "x", "sales-order/1", activity="payroll")
    d.remove(3, "s1")
    assert opened(d) == [(1, "order", "sales-order/1")]


def test_a_rule_without_an_after_leaves_nothing():
    d = with_rules()
    session(d, activity="payroll")
    d.remove(3, "s1")
    assert opened(d) == []
