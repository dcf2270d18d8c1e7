"""Texts of strangers are shown as texts, whatever is in them, and anybody can use the page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import Office

Open = Callable[..., Page]

EVIL = "\"><img src=x onerror=window.hit=1><script>window.hit=1</script>'{{7*7}}"
VIEWS = ("/users", "/disconnected", "/locks", "/cleanup", "/history", "/companies", "/alerts")


def test_nothing_that_a_client_or_an_operator_can_say_is_run(office: Office, operator: Open) -> None:
    fields = dict.fromkeys(("machine", "address", "app", "activity"), EVIL)
    mallory = office.enter(EVIL, ident="s-mallory", **fields)
    trudy = office.enter("trudy" + EVIL, ident="s-trudy", **fields)
    office.lock(mallory, "order/" + EVIL.replace("/", "|"), activity=EVIL)
    office.lock(trudy, "order/" + EVIL.replace("/", "|"), wait_s=600)
    office.fall(mallory)
    page = operator("/disconnected")
    page.locator("tr[data-id] input").first.click()
    expect(page.locator("#action")).to_contain_text(EVIL)
    page.locator("#logoff").click()
    page.locator("#dialog").get_by_label("Reason").fill(EVIL)
    page.locator("#do-logoff").click()
    expect(page.locator("#dialog")).to_contain_text("1 login logged off")
    searched = "/history?q=%22%3E%3Cscript%3Ewindow.hit=1%3C/script%3E"
    for path in (*VIEWS, f"/sessions/{mallory}", searched):
        page.goto(path)
        expect(page.locator("#view")).to_be_visible()
        assert page.evaluate("window.hit") is None, path
        assert page.locator("img, #view script").count() == 0, path
    expect(page.locator("#q")).to_have_value('"><script>window.hit=1</script>')


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_view_is_accessible(office: Office, operator: Open, axe: str, theme: str, width: int) -> None:
    anna, ben = office.enter("anna", activity="amending"), office.enter("ben")
    office.lock(anna, "sales-order/SO-1001")
    office.lock(ben, "sales-order/SO-1001", wait_s=600)
    office.lock(ben, "menu-editor", sticky=True)
    office.fall(anna)
    page = operator("/users", color_scheme=theme, viewport={"width": width, "height": 800})

    def check(what: str) -> None:
        page.evaluate(axe)
        found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"][:3]]) for one in found] == [], what

    for path in (*VIEWS, f"/sessions/{anna}"):
        page.goto(path)
        expect(page.locator("#pulse.on")).to_be_visible()
        check(path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.goto("/disconnected")
    page.locator("tr[data-id] input").first.click()
    expect(page.locator("#action")).to_contain_text("sales-order/SO-1001")
    check("the pane")
    page.locator("#logoff").click()
    expect(page.locator("#dialog")).to_contain_text("Log off 1 login?")
    check("the confirmation")


def test_an_unknown_address_is_said_in_words(office: Office, operator: Open) -> None:
    page = operator("/users", quiet=False)
    page.goto("/sessions/nobody")
    expect(page.get_by_text('No login "nobody" is known here.')).to_be_visible()
    page.goto("/history?since=never")
    expect(page.get_by_text('since is "never"; expected a day')).to_be_visible()
