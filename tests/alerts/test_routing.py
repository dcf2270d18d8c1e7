"""Which alert goes by which channel."""

from __future__ import annotations

import pytest

from tests.alerts.house import channel
from whosin.alerts.conditions import Group

BOOKS = Group("blocking", "hq", "books")
SITE = Group("mass_silence", "hq", None)
DAEMON = Group("storage", None, None)
FACTS = [{"company": "books", "fallen": 1}, {"company": "stock", "fallen": 2}]


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ({}, "BSD"),
        ({"sites": ("hq",)}, "BS"),
        ({"sites": ("north",)}, ""),
        ({"companies": ("books",)}, "BS"),
        ({"companies": ("hq/books",)}, "BS"),
        ({"companies": ("north/books",)}, ""),
        ({"companies": ("sales",)}, ""),
        ({"roles": ("operator",)}, "BS"),
        ({"roles": ("administrator",)}, "SD"),
        ({"kinds": ("storage", "blocking")}, "BD"),
        ({"at_least": "critical"}, "SD"),
    ],
)
def test_a_channel_gets_what_it_asked_for(limits, wanted):
    it = channel(**limits)
    found = ""
    for letter, group, severity, facts in (
        ("B", BOOKS, "warning", [{"company": "books"}]), ("S", SITE, "critical", FACTS),
        ("D", DAEMON, "critical", [{"problem": "x"}]),
    ):  # fmt: skip
        found += letter if it.wants(group, severity, facts) else ""
    assert found == wanted


def test_of_an_alert_of_a_site_a_company_reads_its_own_part():
    assert channel(companies=("stock",)).part(SITE, FACTS) == FACTS[1:]
    rest = {"company": None, "fallen": 7}
    assert channel(companies=("hq/stock",)).part(SITE, [*FACTS, rest]) == [FACTS[1], rest]
