"""What an operator does on the page, in a real browser in front of a real daemon."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import Office
from tests.support.daemon import until

Open = Callable[..., Page]


def row(page: Page, ident: str) -> object:
    return page.locator(f'tr[data-id="{ident}"]')


def test_who_falls_silent_appears_by_itself_with_what_it_holds_and_whom_that_blocks(
    office: Office, operator: Open
) -> None:
    anna, ben = office.enter("anna", activity="amending SO-1001"), office.enter("ben")
    office.lock(anna, "sales-order/SO-1001")
    office.lock(ben, "sales-order/SO-1001", wait_s=600)
    page = operator("/")
    expect(page.get_by_text("No login is disconnected")).to_be_visible()
    office.fall(anna)
    expect(row(page, anna)).to_contain_text("sales-order/SO-1001")
    expect(row(page, anna)).to_contain_text("1 ben")
    expect(page.locator("#tab-disconnected .count")).to_have_text("1")
    row(page, anna).locator("td").nth(2).click()
    pane = page.locator("#action")
    for text in ("anna", "PC-anna", "amending SO-1001", "sales-order/SO-1001", "ben", "PC-ben"):
        expect(pane).to_contain_text(text)
    expect(pane.get_by_text(re.compile(r"^waiting \d+ (s|min)$"))).to_be_visible()
    expect(pane).to_contain_text(re.compile(r"silent \d+ (s|min), in for \d+ (s|min)"))


def test_logging_off_asks_once_names_everything_and_shows_each_result(office: Office, operator: Open) -> None:
    names = ["anna", "ben", "carla", "dora"]
    anna, ben, carla, dora = (office.enter(name) for name in names)
    office.lock(anna, "sales-order/SO-1")
    office.lock(ben, "sales-order/SO-2")
    office.lock(dora, "sales-order/SO-1", wait_s=600)
    office.fall(anna, ben, carla)
    page = operator("/disconnected")
    row(page, anna).locator("td").nth(2).click()
    row(page, ben).locator("td").nth(2).click(modifiers=["Control"])
    expect(page.locator("#chosen")).to_have_text("2 chosen")
    page.locator("#logoff").click()
    dialog = page.locator("#dialog")
    for text in ("Log off 2 logins?", "2 locks will be released", "1 person can go on", "dora"):
        expect(dialog).to_contain_text(text)
    dialog.get_by_label("Reason").fill("PC lost power")
    assert office.daemon.status(anna) == "disconnected"  # nothing is done before it is confirmed
    dialog.get_by_role("button", name="Log off 2 logins").click()
    expect(dialog).to_contain_text("2 logins logged off")
    expect(dialog.locator(".result.removed")).to_have_count(2)
    dialog.get_by_role("button", name="Close").click()
    expect(row(page, anna)).to_have_count(0)
    expect(row(page, carla)).to_be_visible()
    assert office.daemon.status(anna) == "removed"
    gone = office.daemon.history(type="session.removed", session=anna)[0]
    assert (gone["actor"], gone["reason"]) == ("admin", "PC lost power")
    until(lambda: office.daemon.api("GET", f"sessions/{dora}")["locks"], what="dora has the order")


def test_rows_are_chosen_as_on_a_desktop(office: Office, operator: Open) -> None:
    idents = [office.enter(f"u{n}") for n in range(6)]
    page = operator("/users?sort=user")
    chosen = page.locator('tr[aria-selected="true"]')

    def names() -> list[str]:
        return chosen.locator("th").all_inner_texts()

    row(page, idents[1]).locator("td").nth(2).click()
    row(page, idents[3]).locator("td").nth(2).click(modifiers=["Shift"])
    assert names() == ["u1", "u2", "u3"]
    row(page, idents[5]).locator("td").nth(2).click(modifiers=["Control"])
    row(page, idents[2]).locator("td").nth(2).click(modifiers=["Control"])
    assert names() == ["u1", "u3", "u5"]
    row(page, idents[0]).locator("input").click()
    assert names() == ["u0", "u1", "u3", "u5"]
    page.keyboard.press("Control+a")
    expect(chosen).to_have_count(6)
    page.keyboard.press("Escape")
    expect(chosen).to_have_count(0)
    page.keyboard.press("Home")
    assert names() == ["u0"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowDown")
    assert names() == ["u1", "u2", "u3"]
    page.keyboard.press("Control+ArrowDown")
    page.keyboard.press("Space")
    assert names() == ["u1", "u2", "u3", "u4"]
    expect(page.locator("#chosen")).to_have_text("4 chosen")


def test_what_is_chosen_typed_and_scrolled_to_stays_while_the_list_changes(
    office: Office, operator: Open
) -> None:
    idents = [office.enter(f"u{n:02}") for n in range(30)]
    page = operator("/users?sort=user", viewport={"width": 1000, "height": 400})
    row(page, idents[20]).locator("td").nth(2).click()
    page.locator("#q").evaluate("it => { it.focus({preventScroll: true}); it.value = 'u'; }")
    page.evaluate("scrollTo(0, 500)")
    office.enter("u99")
    expect(row(page, "s-u99")).to_be_attached()
    assert page.evaluate("[scrollY, document.activeElement.id, document.getElementById('q').value]") == [
        500, "q", "u",
    ]  # fmt: skip
    expect(row(page, idents[20])).to_have_attribute("aria-selected", "true")
    expect(page.locator('tr[aria-selected="true"]')).to_have_count(1)


def test_a_login_that_comes_back_while_its_confirmation_is_open_is_left_alone(
    office: Office, operator: Open
) -> None:
    anna = office.enter("anna")
    office.fall(anna)
    page = operator("/disconnected")
    row(page, anna).locator("input").click()
    page.locator("#logoff").click()
    expect(page.locator("#dialog")).to_contain_text("Log off 1 login?")
    office.heart.add(anna)
    until(lambda: office.daemon.status(anna) == "active", what="anna is back")
    page.locator("#do-logoff").click()
    expect(page.locator("#dialog")).to_contain_text("No login was logged off")
    expect(page.locator("#dialog .result.needs_force")).to_have_text("came back: active, left alone")
    assert office.daemon.status(anna) == "active"


def test_two_operators_at_once_are_told_who_was_first(office: Office, operator: Open) -> None:
    anna = office.enter("anna")
    office.fall(anna)
    first, second = operator("/disconnected"), operator("/disconnected")
    for page in (first, second):
        row(page, anna).locator("input").click()
        page.locator("#logoff").click()
        expect(page.locator("#dialog")).to_contain_text("Log off 1 login?")
    first.locator("#do-logoff").click()
    expect(first.locator("#dialog")).to_contain_text("1 login logged off")
    second.locator("#do-logoff").click()
    expect(second.locator("#dialog .result.already_over")).to_have_text("was over already")
    assert len(office.daemon.history(type="session.removed", session=anna)) == 1


def test_all_that_match_go_in_one_order(office: Office, operator: Open) -> None:
    idents = [office.enter(f"clerk{n:03}") for n in range(60)]
    other = office.enter("manager")
    office.fall(*idents, other)
    page = operator("/disconnected?q=clerk")
    expect(page.locator("tr[data-id]")).to_have_count(50)
    page.locator("#choose-all").click()
    expect(page.locator("#chosen")).to_have_text("60 chosen")
    page.locator("#logoff").click()
    page.locator("#do-logoff").click()
    expect(page.locator("#dialog")).to_contain_text("60 logins logged off")
    assert office.daemon.status(other) == "disconnected"
    assert {office.daemon.status(ident) for ident in idents} == {"removed"}


def test_a_view_is_a_link_with_its_filters_and_order(office: Office, operator: Open) -> None:
    office.enter("anna", company="c1")
    office.enter("ben", company="c2")
    page = operator("/users")
    page.locator("#q").press_sequentially("ann")
    expect(page.locator("tr[data-id]")).to_have_count(1)
    page.get_by_role("link", name="User", exact=True).click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("User")
    assert page.url.endswith("/users?q=ann&sort=user")
    again = operator(page.url.removeprefix(office.daemon.url))
    expect(again.locator("tr[data-id]")).to_have_count(1)
    expect(again.locator("#q")).to_have_value("ann")
    page.go_back()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("In since")


def test_active_ones_go_only_when_asked_to_by_force(office: Office, operator: Open) -> None:
    anna = office.enter("anna")
    page = operator("/users")
    row(page, anna).locator("input").click()
    page.locator("#logoff").click()
    dialog = page.locator("#dialog")
    expect(dialog).to_contain_text("1 login is active")
    expect(page.locator("#do-logoff")).to_be_disabled()
    dialog.get_by_label("Force out active ones too").check()
    page.locator("#wait").select_option("0")
    page.locator("#do-logoff").click()
    expect(dialog).to_contain_text("1 login logged off")
    assert office.daemon.status(anna) == "removed"


def test_an_open_page_says_that_it_is_not_live_and_recovers_when_the_daemon_is_back(
    office: Office, operator: Open
) -> None:
    anna = office.enter("anna")
    page = operator("/users", quiet=False)
    expect(row(page, anna)).to_be_visible()
    office.daemon.kill()
    expect(page.locator("#pulse.off")).to_contain_text("Not live")
    office.daemon.start()
    expect(page.locator("#pulse.on")).to_be_visible()
    office.enter("ben")
    expect(row(page, "s-ben")).to_be_visible()


def test_the_cleanup_is_switched_tried_and_run(office: Office, operator: Open) -> None:
    anna = office.enter("anna")
    office.fall(anna)
    page = operator("/cleanup")
    page.get_by_role("button", name="What would it do?").click()
    expect(page.locator("#dialog")).to_contain_text("Removed: 1")
    page.get_by_role("button", name="Close").click()
    assert office.daemon.status(anna) == "disconnected"
    page.get_by_role("button", name="Run a pass now").click()
    expect(page.locator("#dialog")).to_contain_text("The pass has run")
    page.get_by_role("button", name="Close").click()
    assert office.daemon.status(anna) == "removed"
    expect(page.locator("tr[id^=pass-]").first).to_contain_text("admin")
    page.get_by_role("button", name="Switch on").click()
    expect(page.locator("#dialog")).to_contain_text("The cleanup is on")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Switch off")).to_be_visible()
    assert office.daemon.api("GET", "cleanup")["enabled"] is True


def test_what_happened_to_an_order_is_one_search(office: Office, operator: Open) -> None:
    anna = office.enter("anna")
    office.lock(anna, "sales-order/SO-1001")
    office.fall(anna)
    office.daemon.api("POST", "sessions/logoff", {"ids": [anna], "reason": "gone home"})
    page = operator("/history")
    page.locator("#q").fill("SO-1001")
    expect(page.locator("table.story")).not_to_contain_text("daemon started")
    table = page.locator("table.story")
    for text in ("got a lock", "fell silent", "was logged off", "released a lock", "gone home", "admin"):
        expect(table).to_contain_text(text)
    table.get_by_role("link", name="sales-order/SO-1001").first.click()
    expect(page.get_by_text("Resource: sales-order/SO-1001")).to_be_visible()
    for text in ("got a lock", "fell silent", "was logged off", "released a lock"):
        expect(table).to_contain_text(text)
    table.get_by_role("link", name="admin").first.click()
    expect(page.locator("table.story")).to_contain_text("gone home")


def test_a_day_of_the_history_is_the_readers_day(office: Office, operator: Open) -> None:
    office.enter("anna")
    far = "Pacific/Kiritimati" if datetime.now(UTC).hour >= 10 else "Pacific/Niue"  # there it is another day
    today = datetime.now(ZoneInfo(far)).date()
    page = operator("/history?type=session.", timezone_id=far)
    for name in ("From day", "To day"):
        page.get_by_label(name).fill(today.isoformat())
    expect(page.locator(".days")).to_contain_text(f"Days are those of {far}. Shown from")
    expect(page.locator("table.story")).to_contain_text("anna")
    page.get_by_label("To day").fill((today - timedelta(days=1)).isoformat())
    expect(page.get_by_text("Nothing has happened that matches.")).to_be_visible()


@pytest.mark.parametrize(
    ("zone", "day", "since", "until"),
    [
        ("Europe/Berlin", "2026-03-29", "+01:00", "+02:00"),  # 23 hours
        ("Europe/Berlin", "2026-10-25", "+02:00", "+01:00"),  # 25 hours
        ("America/Santiago", "2026-09-06", "-04:00", "-03:00"),  # begins at one o'clock
        ("Asia/Kathmandu", "2026-11-02", "+05:45", "+05:45"),
    ],
)
def test_a_day_of_23_or_25_hours_is_one_in_the_link(
    office: Office, operator: Open, zone: str, day: str, since: str, until: str
) -> None:
    page = operator("/history", timezone_id=zone, locale="en-GB")
    page.get_by_label("From day").fill(day)
    page.get_by_label("To day").fill(day)
    query = urlencode({"since": day + since, "until": day + until})
    page.wait_for_url(f"**/history?{query}")
    hour = "01:00" if zone == "America/Santiago" else "00:00"
    expect(page.locator(".days time").first).to_contain_text(hour)
    expect(page.locator(".days time").last).to_contain_text("00:00")
    again = operator(f"/history?{query}")  # in another zone the link shows the same
    again.locator("#q").fill("daemon")
    again.wait_for_url(f"**/history?q=daemon&{query}")


def test_every_table_can_be_taken_along(office: Office, operator: Open) -> None:
    anna = office.enter("anna", machine="=HYPERLINK(1)")
    office.enter("ben")
    office.lock(anna, "sales-order/SO-1")
    page = operator("/users?q=anna")
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    text = started.value.path().read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(it["user"], it["machine"], it["locks"]) for it in rows] == [
        ("anna", "'=HYPERLINK(1)", "sales-order/SO-1")
    ]
    for table in ("users", "disconnected", "locks", "history", "companies", "cleanup", "alerts", "followups"):
        status, _ = office.daemon.get(f"/export/{table}.csv")
        assert status == 200
        status, found = office.daemon.get(f"/export/{table}.json")
        assert (status, isinstance(found, list)) == (200, True)
    assert json.dumps(office.daemon.get("/export/users.json?q=anna")[1]).count('"id"') == 1


def test_locks_show_the_worst_first_and_are_filtered_sorted_and_freed(office: Office, operator: Open) -> None:
    anna, ben, jon = office.enter("anna"), office.enter("ben"), office.enter("jon")
    for resource in ("sales-order/SO-1", "stock/bay-4"):
        office.lock(anna, resource)
    office.lock(jon, "menu-editor", sticky=True)
    office.lock(ben, "stock/bay-4", wait_s=600)
    page = operator("/locks")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("stock/bay-4")
    expect(rows.first).to_contain_text("1 ben")
    page.get_by_role("link", name="Resource").click()
    expect(rows.first).to_contain_text("menu-editor")
    page.get_by_label("Show").select_option("blocking")
    expect(rows).to_have_count(1)
    office.daemon.api("POST", "sessions/logoff", {"ids": [jon], "force": True})
    page.get_by_label("Show").select_option("left")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Free…").click()
    expect(page.locator("#dialog")).to_contain_text("left behind by jon")
    page.get_by_role("button", name="Free it").click()
    expect(page.locator("#dialog")).to_contain_text("menu-editor is free.")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_text("No lock matches these filters.")).to_be_visible()


def test_a_follow_up_is_ticked_off_with_a_note(office: Office, operator: Open) -> None:
    anna = office.enter("anna")
    office.lock(anna, "vat-return")
    office.fall(anna)
    office.daemon.api("POST", "sessions/logoff", {"ids": [anna]})
    page = operator("/followups")
    expect(page.locator("#tab-followups .count")).to_have_text("1")
    page.get_by_role("button", name="Done…").click()
    page.locator("#dialog").get_by_label("Note").fill("receipt found")
    page.get_by_role("button", name="It is done").click()
    expect(page.locator("#dialog")).to_contain_text("Done by admin")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_text("Nothing is left to do.")).to_be_visible()
    page.get_by_label("Show").select_option("done")
    expect(page.locator("tbody tr")).to_contain_text("receipt found")


def test_the_keyboard_alone_clears_a_login(office: Office, operator: Open) -> None:
    anna = office.enter("anna")
    office.fall(anna)
    page = operator("/disconnected")
    page.locator(f'tr[data-id="{anna}"]').focus()
    page.keyboard.press("Space")
    expect(page.locator("#action")).to_contain_text("anna")
    page.keyboard.press("Delete")
    expect(page.locator("#dialog")).to_contain_text("Log off 1 login?")
    page.keyboard.type("gone home")
    page.keyboard.press("Enter")
    expect(page.locator("#dialog")).to_contain_text("1 login logged off")
    page.keyboard.press("Enter")
    expect(page.locator("#dialog[open]")).to_have_count(0)
    assert office.daemon.status(anna) == "removed"


def test_whoever_is_signed_out_elsewhere_is_led_to_the_form(office: Office, operator: Open) -> None:
    page = operator("/users?sort=user", quiet=False)
    office.daemon.api("POST", "sign-out", {"everywhere": True})
    page.wait_for_url(re.compile(r"/sign-in\?next="))
    assert "sort" in page.url


def test_a_mass_silence_is_held_back_until_an_operator_confirms_it(office: Office, operator: Open) -> None:
    idents = [office.enter(f"u{n:02}") for n in range(14)]
    page = operator("/disconnected")
    office.fall(*idents)
    banner = page.locator(".banner.warn")
    expect(banner).to_contain_text("14 desktop logins of s1/c1 fell silent at once: held back from cleanup")
    expect(page.locator("tr[data-id] .tag.warn").first).to_have_text("held back")
    banner.get_by_role("link", name="Cleanup").click()
    page.get_by_role("button", name="Run a pass now").click()
    expect(page.locator("#dialog")).to_contain_text("Held back: 14")
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Confirm…").click()
    expect(page.locator("#dialog")).to_contain_text("Are they really gone?")
    page.get_by_role("button", name="They are gone").click()
    expect(page.locator("#dialog")).to_contain_text("Confirmed.")
    page.get_by_role("button", name="Close").click()
    expect(banner).to_have_count(0)
    page.get_by_role("button", name="Run a pass now").click()
    expect(page.locator("#dialog")).to_contain_text("Removed: 14")
    assert {office.daemon.status(ident) for ident in idents} == {"removed"}


def test_active_ones_are_warned_and_the_countdown_can_be_cut_short_or_called_off(
    office: Office, operator: Open
) -> None:
    anna = office.enter("anna")
    page = operator("/users")
    dialog = page.locator("#dialog")

    def count_down() -> None:
        row(page, anna).locator("td").nth(1).click()
        page.locator("#logoff").click()
        dialog.get_by_label("Force out active ones too").check()
        dialog.get_by_label("Message to them").fill("Please save and leave")
        page.locator("#do-logoff").click()
        expect(page.locator("#do-logoff")).to_contain_text("Logging off in")

    count_down()
    said = office.site.ear.answer(anna, "message")
    assert said["text"] == "Please save and leave"
    assert said["from"] == "admin"
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator("#dialog[open]")).to_have_count(0)
    assert office.daemon.status(anna) == "active"
    count_down()
    page.locator("#do-logoff").click()
    expect(dialog).to_contain_text("1 login logged off")
    assert office.daemon.status(anna) == "removed"


def test_a_company_is_told_something_and_closed_for_a_while(office: Office, operator: Open) -> None:
    anna = office.enter("anna")
    page = operator("/companies")
    dialog = page.locator("#dialog")
    page.locator("#company-s1-c1").get_by_role("button", name="Message…").click()
    dialog.get_by_label("Text").fill("Lunch is at noon")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog).to_contain_text("Sent to 1 login")
    dialog.get_by_role("button", name="Close").click()
    assert office.site.ear.answer(anna, "message")["text"] == "Lunch is at noon"
    page.locator("#company-s1-c1").get_by_role("button", name="Close…").click()
    expect(dialog).to_contain_text("Close s1/c1 for maintenance")
    tomorrow = datetime.now().astimezone() + timedelta(days=1)
    dialog.get_by_label("Until").fill(tomorrow.strftime("%Y-%m-%dT%H:%M"))
    dialog.get_by_label("What users are told").fill("Upgrade")
    dialog.get_by_role("button", name="Plan it").click()
    expect(dialog).to_contain_text("s1/c1 is closed")
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".banner.info")).to_contain_text("s1/c1 is closed for maintenance")
    office.client.login("s-late", "late")
    refused = office.site.ear.answer("s-late", "login")
    assert (refused["accepted"], refused["code"]) == (False, "maintenance")
    page.get_by_role("button", name="Open now").click()
    expect(dialog).to_contain_text("s1/c1 is open again")
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".banner.info")).to_have_count(0)


def test_alerts_show_whom_they_were_told_and_are_tried_out(office: Office, operator: Open) -> None:
    anna, ben = office.enter("anna"), office.enter("ben")
    office.lock(anna, "sales-order/SO-1001")
    office.lock(ben, "sales-order/SO-1001", wait_s=600)
    page = operator("/alerts")
    expect(page.get_by_text("There is nothing to be alarmed about.")).to_be_visible()
    office.fall(anna)
    alert = page.locator("tr[id^=alert-]", has_text="keeps 1 person waiting")
    expect(alert.first).to_contain_text("Open", timeout=60_000)
    page.get_by_role("button", name="Send a test to all channels").click()
    expect(page.locator("#dialog")).to_contain_text("taken")
    page.get_by_role("button", name="Close").click()
    office.daemon.api("POST", "sessions/logoff", {"ids": [anna]})
    page.get_by_label("Show").select_option("over")
    expect(alert.first).to_contain_text("Over", timeout=60_000)
