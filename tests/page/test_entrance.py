"""Signing in with a real browser: link, form, account, and what an open page does when its session ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.page.conftest import PATIENCE_MS, Office

PASSWORD, OTHER = "correct horse battery", "staple correct horse"


@pytest.fixture(params=[("light", 1280), ("dark", 390)], ids=["light-wide", "dark-narrow"])
def context(request: pytest.FixtureRequest, browser: Browser, office: Office) -> Iterator[BrowserContext]:
    theme, width = request.param
    made = browser.new_context(
        base_url=office.daemon.url, color_scheme=theme, viewport={"width": width, "height": 800}
    )
    made.set_default_timeout(PATIENCE_MS)
    yield made
    made.close()


def check(page: Page, axe: str) -> None:
    """Nothing that keeps anybody out; run beside the page's policy, which allows no script."""
    found = page.evaluate(f"(() => {{ {axe} }})() ?? axe.run({{resultTypes: ['violations']}})")["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"][:3]]) for one in found] == [], page.url
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url


def test_from_the_link_to_signing_out_everywhere(office: Office, context: BrowserContext, axe: str) -> None:
    page = context.new_page()
    page.goto("/locks?site=s1")
    expect(page).to_have_url(f"{office.daemon.url}/sign-in?next=/locks%3Fsite%3Ds1")
    expect(page.get_by_role("heading", name="Nobody can sign in yet")).to_be_visible()
    check(page, axe)

    page.goto(office.daemon.whosin("operators", "add", "grace", "--role", "operator").strip())
    check(page, axe)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same again").fill(OTHER)
    page.get_by_role("button", name="Save and sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The two passwords are not the same.")
    check(page, axe)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#pulse.on")).to_be_visible()  # in, and live

    page.goto("/account")
    check(page, axe)
    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_label("New password").fill(OTHER)
    page.get_by_label("The same again").fill(OTHER)
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("status")).to_have_text("The password is changed.")
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page).to_have_url(f"{office.daemon.url}/sign-in")

    page.goto("/locks?site=s1")
    page.get_by_label("Name").fill("Grace")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("password is wrong")
    check(page, axe)
    page.get_by_label("Password").fill(OTHER)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{office.daemon.url}/locks?site=s1")
    expect(page.locator("#pulse.on")).to_be_visible()

    office.daemon.whosin("operators", "set", "grace", "--role", "viewer")
    assert page.evaluate("fetch('/api/v1/me').then(it => it.json())")["role"] == "viewer"
    page.goto("/account")
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
    assert {cookie["name"] for cookie in context.cookies()} == {f"whosin-device-{office.daemon.http_port}"}


def test_an_open_page_is_sent_to_the_form_when_its_operator_is_kept_out(
    office: Office, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto(office.daemon.whosin("operators", "add", "grace", "--role", "operator").strip())
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#pulse.on")).to_be_visible()
    page.goto("/users")
    expect(page.locator("#pulse.on")).to_be_visible()
    office.daemon.whosin("operators", "set", "grace", "--disable")
    expect(page.locator("#pulse.on")).not_to_be_visible()
    page.goto("/users")
    expect(page).to_have_url(f"{office.daemon.url}/sign-in?next=/users")
