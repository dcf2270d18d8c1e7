"""`whosin sessions`, `show`, `locks`, `companies` and `history`."""

from __future__ import annotations

import json

import pytest

from tests.cli.fake_daemon import ago, blocked, event, fallen, held, lock, rule, session


def lines(found):
    return [line.rstrip() for line in found.stdout.splitlines()]


def test_sessions_show_who_is_in_and_whom_the_fallen_block(daemon, whosin):
    daemon.answers["GET sessions"] = [
        session("s-1", user="ben"),
        fallen("s-2", 245, locks=[held()], blocks=[blocked("carl"), blocked("dora")]),
    ]
    found = whosin("sessions")
    assert found.exit_code == 0
    head, ben, anna = lines(found)
    assert head.split()[:3] == ["STATUS", "USER", "SITE"]
    assert ben.split()[:2] == ["active", "ben"]
    assert "disconnected" in anna
    assert "4 min" in anna
    assert "sales-order/SO-1001" in anna
    assert "2: carl, dora" in anna


@pytest.mark.parametrize("columns", [60, 80, 100, 160, 250])
def test_sessions_fit_the_terminal_and_keep_what_matters_most(daemon, whosin, columns):
    ident = "0b9c2f7e-41f7-4d0c-9a52-0c5be1e2f6a1"
    daemon.answers["GET sessions"] = [
        fallen(
            ident, user="anna", machine="WORKSTATION-0815", blocks=[blocked(name) for name in ("ben", "carl")]
        )
    ]
    found = lines(whosin("sessions", columns=columns))
    assert max(map(len, found)) <= max(columns, 50)
    assert "disconnected" in found[1]
    assert "2: ben" in found[1]
    assert "0b9c2f7e" in found[1]


def test_sessions_in_json_are_the_apis_items_and_nothing_else(daemon, whosin):
    items = [session(f"s-{n}") for n in range(3)]
    daemon.answers["GET sessions"] = items
    found = whosin("sessions", "--json")
    assert json.loads(found.stdout) == items
    assert found.stderr == ""


def test_filters_go_to_the_api(daemon, whosin):
    daemon.answers["GET sessions"] = []
    whosin(
        "sessions", "--status", "removed", "--site", "s", "--company", "c", "--user", "u", "--client", "web",
        "--search", "SO 1", "--sort", "-since", "--limit", "7",
    )  # fmt: skip
    assert daemon.queries("GET sessions") == [
        {
            "status": "removed", "site": "s", "company": "c", "user": "u", "client": "web", "q": "SO 1",
            "sort": "-since", "limit": "7",
        }
    ]  # fmt: skip


def test_all_reads_page_after_page(daemon, whosin):
    daemon.answers["GET sessions"] = [session(f"s-{n}") for n in range(2500)]
    assert len(whosin.json("sessions", "--all")) == 2500
    assert [query.get("cursor") for query in daemon.queries("GET sessions")] == [None, "1000", "2000"]


def test_a_limit_above_one_page_is_kept_exactly(daemon, whosin):
    daemon.answers["GET sessions"] = [session(f"s-{n}") for n in range(2500)]
    assert len(whosin.json("sessions", "--limit", "1200")) == 1200


def test_that_there_are_more_is_said_on_stderr_only(daemon, whosin):
    daemon.answers["GET sessions"] = [session(f"s-{n}") for n in range(120)]
    found = whosin("sessions", "--json")
    assert len(json.loads(found.stdout)) == 100
    assert "Only 100 are shown" in found.stderr


def test_an_empty_house_is_said_in_a_sentence_and_is_an_empty_list_in_json(daemon, whosin):
    daemon.answers["GET sessions"] = []
    assert "Nobody is logged in" in whosin("sessions").stdout
    assert "No session is like that" in whosin("sessions", "--user", "x").stdout
    assert whosin.json("sessions") == []


def test_marks_tell_what_else_is_wrong_with_a_session(daemon, whosin):
    daemon.answers["GET sessions"] = [session("s-1", lost=True, idle=True), fallen("s-2", held_back=True)]
    text = whosin("sessions").stdout
    assert "active (lost, idle)" in text
    assert "disconnected (held back)" in text


def test_a_name_cannot_steer_the_terminal(daemon, whosin):
    daemon.answers["GET sessions"] = [session("s-1", user="x\x1b]0;gone\x07", activity="[bold]a\u202eb")]
    text = whosin("sessions").stdout
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]a" in text


# --- show ------------------------------------------------------------------------------------------


def test_show_tells_everything_of_one_session(daemon, whosin):
    item = fallen(
        "s-1",
        locks=[held(rule="prove-balances")],
        blocks=[blocked("ben")],
        guidance=["prove-balances"],
        reason="silence",
    )
    daemon.answers["GET guidance"] = [rule("prove-balances", severity="critical")]
    daemon.answers["GET sessions/s-1"] = item
    text = whosin("show", "s-1", columns=80).stdout
    for words in ("anna in main, site vienna", "disconnected for 4 min", "Holds 1 lock",
                  "sales-order/SO-1001",
                  "Blocks 1 person", "ben", "prove-balances: sales-order/SO-1001 (critical)",
                  "before: Ask whether it was saved.", "after: Open the order.",
                  "whosin logoff s-1"):  # fmt: skip
        assert words in text
    assert whosin.json("show", "s-1") == item


def test_show_tells_how_a_session_that_is_over_ended(daemon, whosin):
    daemon.answers["GET sessions/s-1"] = session(
        "s-1", status="removed", ended_at=ago(60), ended_by="admin", reason="asked by phone", deadline=None
    )
    text = whosin("show", "s-1").stdout
    assert "removed for 1 min" in text
    assert "asked by phone" in text
    assert "To log it off" not in text


def test_show_takes_the_beginning_of_an_id_where_only_one_session_is_meant(daemon, whosin):
    daemon.answers["GET sessions"] = [session("abcd-1"), session("zabcd-2")]
    assert whosin.json("show", "abcd")["id"] == "abcd-1"


def test_show_refuses_what_could_be_two_sessions(daemon, whosin):
    daemon.answers["GET sessions"] = [session("abcd-1"), session("abcd-2")]
    found = whosin("show", "abcd")
    assert found.exit_code == 1
    assert "abcd-1, abcd-2" in found.stderr


def test_show_says_that_nobody_is_known_by_that_id(daemon, whosin):
    daemon.answers["GET sessions"] = []
    found = whosin("show", "abcdef", "--json")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "No session abcdef is known" in found.stderr


def test_show_asks_for_an_id_as_one_part_of_the_path(daemon, whosin):
    daemon.answers["GET sessions"] = []
    whosin("show", "../stats?x=1#y")
    assert daemon.asked[0][1] == "sessions/..%2Fstats%3Fx%3D1%23y"


# --- locks -----------------------------------------------------------------------------------------


def test_locks_say_by_whom_and_for_whom_they_are_in_the_way(daemon, whosin):
    locks = [
        lock(status="disconnected", blocks=[blocked("ben")]),
        lock("menu", left_behind=True, sticky=True),
        lock("stock", release_at=ago(-30)),
    ]
    daemon.answers["GET locks"] = locks
    _, order, menu, stock = lines(whosin("locks", "--company", "main"))
    assert "disconnected" in order
    assert "1: ben" in order
    assert "left behind" in menu
    assert "goes in" in stock
    assert whosin.json("locks") == locks
    assert daemon.queries("GET locks")[0] == {"company": "main", "limit": "200"}


def test_nothing_locked_is_said_in_a_sentence(daemon, whosin):
    daemon.answers["GET locks"] = []
    assert whosin("locks").stdout == "Nothing is locked.\n"
    assert whosin("locks", "--resource", "x").stdout == "No such lock is held.\n"


def test_a_lock_left_behind_is_freed_after_a_question(daemon, whosin, answering, monkeypatch):
    daemon.answers["GET locks"] = [lock("menu", left_behind=True)]
    daemon.answers["POST locks/free"] = {"resource": "menu", "released": True}
    asked = []
    monkeypatch.setattr("click.confirm", lambda text, **_: asked.append(text) or True)
    found = whosin("locks", "free", "menu", "--reason", "asked by phone")
    assert found.exit_code == 0
    assert "Free menu in main, site vienna (of anna" in asked[0]
    assert daemon.bodies("POST locks/free") == [
        {"site": "vienna", "company": "main", "resource": "menu", "reason": "asked by phone"}
    ]


def test_a_no_frees_nothing(daemon, whosin, answering, monkeypatch):
    daemon.answers["GET locks"] = [lock("menu", left_behind=True)]
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    assert whosin("locks", "free", "menu").exit_code == 1
    assert daemon.bodies("POST locks/free") == []


def test_freeing_needs_yes_where_nobody_can_be_asked(daemon, whosin):
    found = whosin("locks", "free", "menu")
    assert found.exit_code == 2
    assert "--yes" in found.stderr


def test_freeing_refuses_when_several_locks_could_be_meant(daemon, whosin):
    daemon.answers["GET locks"] = [
        lock("menu", left_behind=True),
        lock("menu", company="b", left_behind=True),
    ]
    found = whosin("locks", "free", "menu", "--yes")
    assert found.exit_code == 1
    assert "main (site vienna), b (site vienna)" in found.stderr


def test_freeing_passes_on_the_refusal(daemon, whosin):
    daemon.answers["POST locks/free"] = (
        409,
        "in_use",
        "menu is held by a live session; log that off instead",
    )
    found = whosin("locks", "free", "menu", "--site", "vienna", "--company", "main", "--yes")
    assert found.exit_code == 1
    assert "held by a live session" in found.stderr


# --- companies, history ----------------------------------------------------------------------------


def test_companies_are_counted(daemon, whosin):
    items = [{"site": "vienna", "company": "main", "active": 3, "disconnected": 1, "locks": 2, "waiting": 1}]
    daemon.answers["GET companies"] = items
    assert lines(whosin("companies"))[1].split() == ["vienna", "main", "3", "1", "2", "1"]
    assert whosin.json("companies") == items


def test_history_tells_by_whom_and_why(daemon, whosin):
    items = [event(3, "session.removed", actor="admin", reason="asked by phone"), event(9, "lock.granted")]
    daemon.answers["GET history"] = items
    assert "asked by phone" in lines(whosin("history"))[1]
    assert whosin.json("history") == items


def test_history_is_asked_for_with_exact_times(daemon, whosin):
    daemon.answers["GET history"] = []
    found = whosin(
        "history", "--type", "lock.", "--resource", "so/1", "--since", "2026-03-02T08:30:00+01:00",
        "--until", "2026-03-02T08:00Z",
    )  # fmt: skip
    assert found.stdout == "Nothing like that happened.\n"
    assert daemon.queries("GET history") == [
        {
            "type": "lock.", "resource": "so/1", "since": "2026-03-02T07:30:00.000Z",
            "until": "2026-03-02T08:00:00.000Z", "limit": "50",
        }
    ]  # fmt: skip


@pytest.mark.parametrize("given", ["2h", "90min", "3 d", "2026-03-02"])
def test_history_takes_times_as_people_write_them(daemon, whosin, given):
    daemon.answers["GET history"] = []
    assert whosin("history", "--since", given).exit_code == 0


def test_history_refuses_what_is_no_time(whosin):
    found = whosin("history", "--since", "sometime")
    assert found.exit_code == 2
    assert "'sometime' is no time" in found.stderr
