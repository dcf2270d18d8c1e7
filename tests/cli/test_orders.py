"""`whosin cleanup`, `clients`, `tokens`, `backup`, `reload` and `status`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.fake_daemon import ago, cleanup, entry, report, stats


def test_cleanup_tells_its_switch_its_next_pass_and_its_last_one(daemon, whosin):
    state = cleanup(last=report(entry(removed=3, released=1)))
    daemon.answers["GET cleanup"] = state
    text = whosin("cleanup").stdout
    assert "On: every 30 min, next in 11 min" in text
    assert "3 removed, 1 lock released." in text
    assert whosin("cleanup", "show").stdout.splitlines()[0].startswith("On:")
    assert whosin.json("cleanup") == state


def test_cleanup_tells_why_passes_wait_and_how_to_let_a_group_go(daemon, whosin):
    hold = {
        "site": "vienna", "company": "main", "client": "web", "opened": ago(300), "until": ago(-3000),
        "sessions": 12,
    }  # fmt: skip
    daemon.answers["GET cleanup"] = cleanup(enabled=False, waiting_for=["blind"], holds=[hold])
    text = whosin("cleanup", columns=80).stdout
    assert "Off:" in text
    assert "Passes wait: the daemon does not see all sources." in text
    assert "12 web sessions of main" in text
    assert "  whosin cleanup confirm --site vienna --company main --client web\n" in text


@pytest.mark.parametrize(("order", "enabled"), [("on", True), ("off", False)])
def test_the_switch_is_one_command(daemon, whosin, order, enabled):
    daemon.answers["PUT cleanup"] = cleanup(enabled=enabled)
    assert whosin("cleanup", order).exit_code == 0
    assert daemon.bodies("PUT cleanup") == [{"enabled": enabled}]


def test_a_switch_that_is_refused_names_the_companies(daemon, whosin):
    daemon.answers["PUT cleanup"] = (409, "no_access", "the account cleanup has no access to: acme, beta")
    found = whosin("cleanup", "on", "--json")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "acme, beta" in found.stderr


def test_a_pass_reports_each_company_where_something_happened(daemon, whosin):
    done = report(entry(removed=2, released=1), entry("quiet"))
    daemon.answers["POST cleanup/run"] = done
    text = whosin("cleanup", "run").stdout
    assert text.startswith("Done: 2 removed, 1 lock released.")
    assert "quiet" not in text
    assert daemon.bodies("POST cleanup/run") == [{"dry_run": False}]
    assert whosin.json("cleanup", "run") == done


def test_a_pass_in_which_a_company_failed_exits_with_1(daemon, whosin):
    daemon.answers["POST cleanup/run"] = report(entry(failed="no access"))
    found = whosin("cleanup", "run")
    assert found.exit_code == 1
    assert "no access" in found.stdout


def test_a_dry_run_of_a_pass_says_that_it_is_one(daemon, whosin):
    daemon.answers["POST cleanup/run"] = report(entry(), id=None, state="dry_run", dry_run=True)
    text = whosin("cleanup", "run", "--dry-run").stdout
    assert text.startswith("A pass now: 0 removed")
    assert "Nobody would have to go in 1 company." in text
    assert daemon.bodies("POST cleanup/run") == [{"dry_run": True}]


@pytest.mark.parametrize(("state", "words"), [("waiting", "waits, and runs"), ("running", "still runs")])
def test_a_pass_that_is_not_finished_says_so(daemon, whosin, state, words):
    daemon.answers["POST cleanup/run"] = report(state=state, finished=None)
    assert words in whosin("cleanup", "run").stdout


def test_a_mass_silence_is_confirmed_by_site_company_and_client(daemon, whosin):
    daemon.answers["POST cleanup/confirm"] = {"confirmed": 1}
    text = whosin("cleanup", "confirm", "--site", "vienna", "--client", "web").stdout
    assert text == "1 group is no longer held back.\n"
    assert daemon.bodies("POST cleanup/confirm") == [{"site": "vienna", "company": None, "client": "web"}]


def test_confirming_needs_a_site(whosin):
    assert whosin("cleanup", "confirm").exit_code == 2


def test_past_passes_are_listed(daemon, whosin):
    reports = [report(entry(removed=n)) for n in range(3)]
    daemon.answers["GET cleanup/passes"] = reports
    assert len(whosin("cleanup", "passes").stdout.splitlines()) == 4
    assert whosin.json("cleanup", "passes") == reports


# --- access ----------------------------------------------------------------------------------------


def test_a_new_token_stands_alone_on_stdout(daemon, whosin):
    made = {"name": "till", "role": "viewer", "site": "vienna", "token": "secret-1"}
    daemon.answers["POST tokens"] = made
    found = whosin("tokens", "create", "till", "--role", "viewer", "--site", "vienna")
    assert found.stdout == "secret-1\n"
    assert "shown only now" in found.stderr
    assert daemon.bodies("POST tokens") == [{"name": "till", "role": "viewer", "site": "vienna"}]
    assert whosin.json("tokens", "create", "till", "--role", "viewer") == made


def test_a_role_that_does_not_exist_is_wrong_use(whosin):
    found = whosin("tokens", "create", "till", "--role", "boss")
    assert found.exit_code == 2
    assert "viewer" in found.stderr


def test_tokens_are_listed_and_revoked(daemon, whosin):
    items = [{"name": "till", "role": "viewer", "site": None, "created": ago(60)}]
    daemon.answers |= {"GET tokens": items, "DELETE tokens/till%2F1": None}
    assert "1 min ago" in whosin("tokens").stdout
    assert whosin.json("tokens", "list") == items
    assert whosin.json("tokens", "revoke", "till/1") == {"name": "till/1", "revoked": True}


def test_revoking_an_unknown_token_is_refused(daemon, whosin):
    daemon.answers["DELETE tokens/x"] = (404, "not_found", "there is no token named x")
    found = whosin("tokens", "revoke", "x")
    assert found.exit_code == 1
    assert "there is no token named x" in found.stderr


def test_an_account_is_added_and_its_password_stands_alone_on_stdout(daemon, whosin):
    made = {"name": "pc-1", "role": "client", "site": "vienna", "user": "anna", "password": "secret-2"}
    daemon.answers["POST clients"] = made
    found = whosin("clients", "add", "pc-1", "--role", "client", "--site", "vienna", "--user", "anna")
    assert found.stdout == "secret-2\n"
    assert daemon.bodies("POST clients") == [
        {"name": "pc-1", "role": "client", "site": "vienna", "user": "anna"}
    ]


def test_accounts_are_listed_and_removed(daemon, whosin):
    items = [{"name": "portal", "role": "gateway", "site": "vienna", "user": None}]
    daemon.answers |= {"GET clients": items, "DELETE clients/portal": None}
    assert "portal" in whosin("clients").stdout
    assert whosin.json("clients") == items
    assert whosin("clients", "remove", "portal").stdout == "portal can no longer sign in.\n"


def test_empty_lists_say_how_to_fill_them(daemon, whosin):
    daemon.answers |= {"GET clients": [], "GET tokens": [], "GET companies": [], "GET history": []}
    assert "whosin clients add" in whosin("clients").stdout
    assert "whosin tokens create" in whosin("tokens").stdout
    assert "first login" in whosin("companies").stdout
    assert whosin("history").stdout == "Nothing has happened yet.\n"


# --- the daemon ------------------------------------------------------------------------------------


def test_a_backup_is_named_from_where_the_operator_stands(daemon, whosin):
    daemon.answers["POST backup"] = lambda _, body: {"path": body["path"], "bytes": 1_234_567}
    found = whosin("backup", "today.db")
    assert daemon.bodies("POST backup") == [{"path": str(Path.cwd() / "today.db")}]
    assert found.stdout.endswith("today.db (1.2 MB), and checked it.\n")


def test_a_backup_never_overwrites(daemon, whosin):
    daemon.answers["POST backup"] = (409, "exists", "/x exists already")
    assert whosin("backup", "/x").exit_code == 1


def test_reload_tells_what_changed_and_what_waits_for_a_restart(daemon, whosin):
    daemon.answers["POST reload"] = {"changed": ["cleanup.every_s"], "needs_restart": ["mqtt.listen"]}
    text = whosin("reload").stdout
    assert "In force now: cleanup.every_s." in text
    assert "restart" in text.splitlines()[1]
    daemon.answers["POST reload"] = {"changed": [], "needs_restart": []}
    assert whosin("reload").stdout == "Nothing has changed.\n"


def test_status_tells_how_many_are_in(daemon, whosin):
    numbers = stats()
    daemon.answers["GET stats"] = numbers
    text = whosin("status").stdout
    for words in (
        "vienna-1 is ready",
        "41 active, 3 disconnected",
        "desktop 32, web 12",
        "3 sessions blocked",
    ):
        assert words in text
    assert whosin.json("status") == numbers


def test_status_says_in_words_what_is_wrong_and_check_exits_with_1(daemon, whosin):
    daemon.answers["GET stats"] = stats(
        ready=False, blind=True, problems=["blind: nothing is received through the link"],
        sources={"link": {"seeing": False, "since": ago(120), "grace_until": None}},
        storage={"ok": False, "problem": "the disk is full", "kind": "full"},
    )  # fmt: skip
    found = whosin("status")
    assert found.exit_code == 0
    for words in (
        "blind, not storing",
        "nothing is received through the link",
        "blind for 2 min",
        "disk is full",
    ):
        assert words in found.stdout
    assert whosin("status", "--check").exit_code == 1
