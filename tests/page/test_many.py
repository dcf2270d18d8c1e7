"""The page in front of a hundred thousand logins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from benchmarks import rig
from benchmarks.crowd import Crowd
from benchmarks.heartbeats import PATIENT, login
from tests.page.conftest import Operators

MANY = 100_000


@pytest.fixture
def many(tmp_path: Path, browser: Browser) -> Iterator[Operators]:
    daemon = rig.Daemon(tmp_path, PATIENT)
    daemon.start()
    try:
        login(daemon, Crowd(MANY))
        token = (tmp_path / "data" / "admin-token").read_text().strip()
        operators = Operators(browser, f"http://127.0.0.1:{daemon.http_port}", token)
        yield operators
        operators.close()
        assert operators.said == []
    finally:
        daemon.stop()


def test_a_hundred_thousand_are_searched_sorted_paged_and_logged_off(many: Operators) -> None:
    page = many("/users")
    expect(page.locator(".pager")).to_contain_text("50 of 100,000")
    page.locator("#next").click()
    expect(page.locator(".pager")).to_contain_text("100 of 100,000")
    page.locator("#q").fill("user012345")
    expect(page.locator("tr[data-id]")).to_have_count(1)
    page.locator("#q").fill("")
    expect(page.locator(".pager")).to_contain_text("50 of 100,000")
    page.get_by_role("link", name="User", exact=True).click()
    expect(page.locator("tr[data-id] a").first).to_have_text("user000000@example.com")
    page.locator("#choose-all").click()
    expect(page.locator("#chosen")).to_have_text("100,000 chosen")
    page.locator("#logoff").click()
    expect(page.locator("#dialog")).to_contain_text("100,000 logins are active", timeout=60_000)
    page.locator("#force").check()
    page.locator("#wait").select_option("0")
    page.locator("#do-logoff").click()
    expect(page.locator("#dialog")).to_contain_text("100,000 logins logged off", timeout=120_000)
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_text("Nobody is in.")).to_be_visible()
