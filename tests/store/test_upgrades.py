"""Databases of every version of the schema, made by the programs of their time, opened by this one."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import Client
from tests.faults.shim import Shim, built
from tests.store.fixtures import kept, story
from tests.support.daemon import until
from whosin.ports import HistoryQuery
from whosin.store import SqliteStore, schema

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.daemon import Daemon

SOON_S = 30.0  # by then locks that were held on for a while are due
NEWEST = schema.migrations()[-1].version
every_version = pytest.mark.parametrize("version", kept.versions(), ids=lambda number: f"v{number}")

# What a restart changes, or looking at it: deadlines begin anew, and who is signed in may have left since.
MOVES = {
    "guidance",
    "deadline",
    "next_at",
    "signed_in_at",
    "sessions",
    "waiting_for",
    "rule",
    "targets",
    "took_s",
}


def test_there_is_a_fixture_of_every_version_before_this_one() -> None:
    """A new migration changes what a release before it wrote: make that release's fixture first."""
    missing = set(range(1, NEWEST)) - set(kept.versions())
    assert not missing, (
        f"there is no fixture of schema version {sorted(missing)}; with a checkout of a program that writes "
        "it: python -m tests.store.fixtures --program CHECKOUT"
    )


def structure(path: Path) -> dict[tuple[str, str], str]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {(kind, name): sql for kind, name, sql in rows}


@every_version
async def test_an_upgraded_database_is_built_like_a_new_one_and_whole(version: int, path: Path) -> None:
    kept.build(version, path)
    fresh = path.with_name("fresh.db")
    for one in (path, fresh):
        store = SqliteStore(one)
        await store.open()
        await store.close()
    assert structure(path) == structure(fresh)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (NEWEST,)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute("DELETE FROM events")


@every_version
async def test_the_history_of_an_upgraded_database_is_found_by_resource(version: int, path: Path) -> None:
    kept.build(version, path)
    store = SqliteStore(path)
    await store.open()
    rows = await store.history(HistoryQuery(resource="sales-order/SO-2"))
    await store.close()
    assert ("lock.granted", "carl") in {(row.type, row.session) for row in rows}


# --- a daemon on it ------------------------------------------------------------------------------------


class Upgraded:
    """A daemon of today on such a database, soon after the other stopped: its clock says so. Else waits would
    run out, and refusals be forgotten, between the day of the fixture and that of the test."""

    def __init__(self, version: int, folder: Path, library: Path) -> None:
        self.version = version
        (folder / "data").mkdir(mode=0o700)
        kept.build(version, folder / "data" / "whosin.db")
        self.before = kept.seen(version)
        secrets = self.before["secrets"]
        (folder / "data" / "admin-token").write_text(secrets["tokens"]["admin"] + "\n")
        shim = Shim(folder, library)
        shim.step_clock(self._stopped_s() + SOON_S - time.time())
        self.daemon: Daemon = story.daemon(folder, folder / "data", fast=False, environ=shim.environ)
        self.port = int(self.daemon._mqtt.rpartition(":")[2].strip('"'))
        self.daemon.start()
        self.now = story.views(self.daemon)

    def _stopped_s(self) -> float:
        last = max(one["at"] for one in self.before["views"]["history?limit=1000"]["items"])
        return datetime.fromisoformat(last).timestamp()

    def of(self, view: str) -> tuple[Any, Any]:
        """What was shown of it, nothing if that version had no such thing, and what is."""
        return self.before["views"].get(view, {"items": []}), self.now[view]


def same(before: Any, now: Any, where: str = "") -> None:
    """All that was shown is shown, but for what moves; there may be more to see."""
    if isinstance(before, dict):
        for key in before.keys() - MOVES:
            same(before[key], now[key], f"{where}.{key}")
    elif isinstance(before, list):
        assert len(before) == len(now), where
        if all(isinstance(one, dict) and "name" in one for one in before):  # the order is not what counts
            before, now = (sorted(rows, key=lambda one: one["name"]) for rows in (before, now))
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            same(one, other, f"{where}[{number}]")
    else:
        assert before == now, where


MOVING = ("locks", "companies", "history", "maintenance", "alerts")  # told of one by one


def _all_is_shown_that_was_shown_before(upgraded: Upgraded) -> None:
    """Living and ended sessions, who blocks whom, the cleanup and what it holds back, follow-ups, access."""
    views = [one for one in upgraded.before["views"] if not one.startswith(MOVING)]
    assert len(views) >= 6
    for view in views:
        same(*upgraded.of(view), view)


def _locks_are_held_but_for_those_that_were_to_go_meanwhile(upgraded: Upgraded) -> None:
    before, now = upgraded.of("locks?limit=1000")
    kept_on = [lock for lock in before["items"] if not lock["release_at"]]
    assert {"menu-editor", "sales-order/SO-2", "*", "ledger"} <= {lock["resource"] for lock in kept_on}
    same(kept_on, now["items"])
    released = {(one["data"]["resource"], one["at"]) for one in upgraded.daemon.history(type="lock.released")}
    assert {
        (lock["resource"], lock["release_at"]) for lock in before["items"] if lock["release_at"]
    } <= released


def _companies_have_as_many_in_them(upgraded: Upgraded) -> None:
    before, now = (
        {one["company"]: one for one in side["items"]} for side in upgraded.of("companies?limit=1000")
    )
    assert before.keys() == now.keys()
    for name, one in before.items():
        same({key: value for key, value in one.items() if key != "locks"}, now[name], name)


def _history_is_what_it_was_and_goes_on(upgraded: Upgraded) -> None:
    before, now = upgraded.of("history?limit=1000")
    assert len(before["items"]) > 30
    shown = {one["seq"]: one for one in now["items"]}
    for one in before["items"]:
        same(one, shown[one["seq"]], f"event {one['seq']}")
    last = max(one["seq"] for one in before["items"])
    fresh = {one["type"] for one in now["items"] if one["seq"] > last}
    assert "daemon.started" in fresh
    told = upgraded.daemon.history(type="database.upgraded")
    upgrade = {
        "from": upgraded.version,
        "to": NEWEST,
        "kept": f"whosin.db.v{upgraded.version}-before-upgrade",
    }
    assert [one["data"] for one in told] == ([upgrade] if upgraded.version < NEWEST else [])
    assert not [kind for kind in fresh if kind.startswith("session.")], "nobody falls or goes by an upgrade"


def _closings_are_planned_and_begun(upgraded: Upgraded) -> None:
    before, now = upgraded.of("maintenance?limit=1000")
    same(before["items"], now["items"])


def _alerts_are_known_with_what_they_are_about(upgraded: Upgraded) -> None:
    before, now = upgraded.of("alerts?limit=1000")
    found = {one["id"]: one for one in now["items"]}
    for one in before["items"]:
        fixed = {key: one[key] for key in ("kind", "site", "company", "severity", "raised")}
        same(fixed, found[one["id"]])


def _tokens_accounts_and_passwords_let_one_in(upgraded: Upgraded) -> None:
    secrets = upgraded.before["secrets"]
    assert secrets["tokens"].keys() == {"admin", "wallboard", "desk-1"}
    for token in secrets["tokens"].values():
        assert upgraded.daemon.ask("GET", "/api/v1/stats", token=token)[0] == 200
    for name, password in secrets["operators"].items():
        body = {"name": name, "password": password}
        assert upgraded.daemon.ask("POST", "/api/v1/sign-in", body, token=None)[0] == 200
    if upgraded.version >= 3:
        assert secrets["operators"]


def _an_observer_gets_what_it_was_owed_and_clients_go_on(upgraded: Upgraded) -> None:
    accounts = upgraded.before["secrets"]["accounts"]
    ear = Client(upgraded.port, "ear", username="ear", password=accounts["ear"], expiry_s=story.LONG_S)
    until(lambda: ear.events("session.logged_in"), what="what was owed from before")
    assert ear.event("session.disconnected", "carl")["data"]["reason"] == "silence"
    gate = Client(upgraded.port, "gate", username="gate", password=accounts["gate"])
    gate.say("carl", "heartbeat", company="books")
    assert ear.event("session.reconnected", "carl")
    gate.say("ben", "unlock", {"resource": "sales-order/SO-2"}, company="books")
    gate.say("carl", "lock", {"resource": "invoice/1"}, company="books")
    highest = max(lock["token"] for lock in upgraded.before["views"]["locks?limit=1000"]["items"])
    assert ear.event("lock.granted", "carl")
    locks = {one["resource"]: one for one in upgraded.daemon.api("GET", "locks?limit=1000")["items"]}
    assert locks["invoice/1"]["token"] > highest
    ear.close()
    gate.close()


@every_version
def test_a_daemon_goes_on_with_the_database_of_any_older_one(version: int, tmp_path: Path) -> None:
    """One start for all of it."""
    library = built()
    if isinstance(library, str):
        pytest.skip(f"NOT PROVEN HERE: {library}")
    upgraded = Upgraded(version, tmp_path, library)
    try:
        _all_is_shown_that_was_shown_before(upgraded)
        _locks_are_held_but_for_those_that_were_to_go_meanwhile(upgraded)
        _companies_have_as_many_in_them(upgraded)
        _history_is_what_it_was_and_goes_on(upgraded)
        _closings_are_planned_and_begun(upgraded)
        _alerts_are_known_with_what_they_are_about(upgraded)
        _tokens_accounts_and_passwords_let_one_in(upgraded)
        _an_observer_gets_what_it_was_owed_and_clients_go_on(upgraded)
    finally:
        upgraded.daemon.stop()
