"""`whosin operators`."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tests.cli.fake_daemon import ago
from whosin.cli import main

UNTIL = "2026-11-02T09:00:00.000Z"


def row(name="grace", **more):
    return {
        "name": name, "role": "operator", "site": None, "disabled": False, "has_password": True,
        "created": ago(9), "signed_in_at": ago(3600), "sessions": 2, **more,
    }  # fmt: skip


def test_a_new_operators_link_stands_alone_on_stdout_with_the_daemons_address(daemon, whosin):
    daemon.answers["POST operators"] = row(
        has_password=False, link="/sign-in/link?code=once", link_until=UNTIL
    )
    found = whosin("operators", "add", "grace", "--role", "operator")
    assert found.stdout == f"{daemon.url}/sign-in/link?code=once\n"
    assert UNTIL in found.stderr
    assert daemon.bodies("POST operators") == [{"name": "grace", "role": "operator", "site": None}]
    shown = whosin.json("operators", "add", "grace", "--role", "operator", "--site", "vienna")
    assert shown["url"] == f"{daemon.url}/sign-in/link?code=once"
    assert daemon.bodies("POST operators")[1]["site"] == "vienna"


def test_a_password_comes_by_stdin_and_never_as_an_argument(daemon, whosin):
    daemon.answers["POST operators"] = row(link=None, link_until=None)
    args = ["operators", "add", "grace", "--role", "operator", "--password-stdin"]
    found = CliRunner(env=whosin.env).invoke(main, args, input="correct horse battery\nmore\n")
    assert found.exit_code == 0
    assert "correct" not in found.output
    assert daemon.bodies("POST operators")[0]["password"] == "correct horse battery"
    empty = CliRunner(env=whosin.env).invoke(main, args, input="")
    assert (empty.exit_code, "no password on stdin" in empty.output) == (1, True)
    wrong = whosin("operators", "add", "grace", "--role", "operator", "--password", "x")
    assert wrong.exit_code == 2


def test_another_link_is_made_for_a_forgotten_password(daemon, whosin):
    daemon.answers["POST operators/grace/link"] = {
        "name": "grace", "link": "/sign-in/link?code=again", "link_until": UNTIL
    }  # fmt: skip
    assert whosin("operators", "link", "grace").stdout == f"{daemon.url}/sign-in/link?code=again\n"


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (["--role", "viewer"], {"role": "viewer"}),
        (["--site", "vienna", "--enable"], {"site": "vienna", "disabled": False}),
        (["--every-site"], {"site": None}),
        (["--disable"], {"disabled": True}),
    ],
)
def test_only_what_is_named_changes(daemon, whosin, options, body):
    daemon.answers["PATCH operators/grace"] = row(**body)
    found = whosin("operators", "set", "grace", *options)
    assert (found.exit_code, daemon.bodies("PATCH operators/grace")) == (0, [body])
    assert found.stdout.startswith("grace: ")


@pytest.mark.parametrize("options", [[], ["--disable", "--enable"], ["--site", "x", "--every-site"]])
def test_what_says_nothing_or_two_things_is_wrong_use(daemon, whosin, options):
    assert whosin("operators", "set", "grace", *options).exit_code == 2
    assert daemon.bodies("PATCH operators/grace") == []


def test_operators_are_listed_with_what_matters(daemon, whosin):
    items = [row(), row("ada", disabled=True), row("new", has_password=False, signed_in_at=None)]
    daemon.answers["GET operators"] = items
    text = whosin("operators").stdout
    for word in ("grace", "1 h ago", "disabled", "no password yet", "never"):
        assert word in text
    assert [one["name"] for one in whosin.json("operators")] == ["grace", "ada", "new"]


def test_an_operator_is_removed_and_signed_out(daemon, whosin):
    daemon.answers |= {"DELETE operators/grace": None, "POST operators/grace/sign-out": {"ended": 3}}
    assert "no longer" in whosin("operators", "remove", "grace").stdout
    assert "3 sessions" in whosin("operators", "sign-out", "grace").stdout


def test_the_history_tells_whose_access_it_was_and_what_changed(daemon, whosin):
    def event(kind, **data):
        nobody = dict.fromkeys(("site", "company", "session", "user", "reason"))
        return {**nobody, "seq": 1, "at": ago(9), "type": f"operator.{kind}", "actor": "admin", "data": data}

    grace = {"name": "grace", "role": "operator", "site": None, "disabled": False}
    daemon.answers["GET history"] = [
        event("changed", name="grace", before=grace, after={**grace, "role": "viewer"}),
        event("sign_in_failed", name=None, address="192.0.2.7", count=6),
        event("signed_in", name="grace", how="password", address="192.0.2.7"),
        event("removed", **grace),
    ]
    text = whosin("history", "--type", "operator.", columns=140).stdout
    for words in (
        "grace: role operator → viewer", "unknown name: 192.0.2.7, 6 times", "grace: password, 192.0.2.7",
        "grace: operator",
    ):  # fmt: skip
        assert words in text
