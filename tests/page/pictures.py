"""Draws the pictures of the page for the documentation: `python -m tests.page.pictures [FOLDER]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.conftest import Site
from tests.page.conftest import CHROMIUM, FLAGS, PATIENCE_MS, Office, Operators

PEOPLE = [
    ("anna", "PC-07", "desktop", "books", "amending sales order SO-1001", ["sales-order/SO-1001"]),
    ("ben", "PC-12", "desktop", "books", "posting purchase invoices", ["purchase-ledger/batch-17"]),
    ("dmitri", "PC-02", "desktop", "trade", "VAT return, third quarter", ["vat-return"]),
    ("farid", "RDS-1", "desktop", "books", "stock take, bay 4", ["stock/bay-4", "stock/bay-5"]),
    ("carla", "LT-31", "web", "trade", "picking list 88", []),
    ("elena", "PC-19", "web", "books", "nominal journal", ["nominal-ledger/journal-9"]),
    ("grace", "PC-22", "web", "books", "", []),
    ("henri", "LT-08", "web", "books", "approving orders", []),
    ("ines", "PC-40", "web", "payroll", "payroll run November", ["payroll-run"]),
]
WAITING = [("grace", "sales-order/SO-1001"), ("henri", "sales-order/SO-1001"), ("carla", "vat-return"),
           ("elena", "stock/bay-4")]  # fmt: skip
FALLEN = ("anna", "ben", "dmitri", "farid")


def people(office: Office) -> None:
    place = {}
    for user, machine, client, company, activity, locks in PEOPLE:
        place[user] = company
        office.enter(user, machine=machine, client=client, company=company, activity=activity or None)
        for resource in locks:
            office.client.say(
                f"s-{user}", "lock", {"resource": resource, "activity": activity}, company=company
            )
    for user, resource in WAITING:
        office.client.say(f"s-{user}", "lock", {"resource": resource, "wait_s": 600}, company=place[user])
    office.fall(*(f"s-{user}" for user in FALLEN))


def choose(page: Page, *users: str) -> None:
    for user in users:
        page.locator(f"#tick-s-{user}").click()
    expect(page.locator("#action")).to_contain_text("Holds")


def draw(operator: Operators, folder: Path) -> None:
    for theme in ("light", "dark"):
        page = operator("/disconnected", color_scheme=theme, viewport={"width": 1280, "height": 640})
        choose(page, "anna", "dmitri")
        page.screenshot(path=folder / f"page-{theme}.png", animations="disabled")
        if theme == "light":
            page.locator("#logoff").click()
            expect(page.locator("#dialog")).to_contain_text("Log off 2 logins?")
            page.screenshot(path=folder / "page-logoff.png", animations="disabled")
    phone = operator("/disconnected", color_scheme="light", viewport={"width": 390, "height": 760})
    choose(phone, "anna")
    phone.screenshot(path=folder / "page-phone.png", animations="disabled")


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        site = Site(Path(scratch), "door").start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        expect.set_options(timeout=PATIENCE_MS)
        try:
            office = Office(site)
            people(office)
            operators = Operators(browser, office.daemon.url, office.daemon.token)
            draw(operators, folder)
            operators.close()
        finally:
            browser.close()
            site.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures"))
