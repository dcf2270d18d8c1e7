"""Operators: adding, signing in and out, links, passwords, and what the history says of it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from tests.engine.bench import BOSS, IDLE_MS, LASTS_MS, LINK_MS
from whosin.desk.passwords import Cost, Passwords
from whosin.desk.web_sessions import MOST_OF_ONE
from whosin.errors import Refused, StoreError
from whosin.operations import Caller

PASSWORD = "correct horse battery"
OTHER = "staple correct horse"
NORTH = Caller("north-boss", "administrator", "north")


async def added(bench, name="grace", role="operator", site=None, password=PASSWORD):
    return await bench.desk.operators.add(name, role, site, BOSS, password)


async def signed_in(bench, name="grace", password=PASSWORD):
    return await bench.desk.operators.sign_in(name, password, "192.0.2.7")


def told(bench, kind="operator."):
    return [event for event in bench.events if event.type.startswith(kind)]


async def refused(code, asked):
    with pytest.raises(Refused) as caught:
        await asked
    assert caught.value.code == code
    return str(caught.value)


def code_of(made):
    return made["link"].partition("?code=")[2]


# --- signing in --------------------------------------------------------------------------------------


async def test_who_signs_in_is_known_by_the_secret_with_role_and_site(bench):
    await added(bench, role="viewer", site="north")
    fresh = await signed_in(bench)
    found = bench.desk.operators.web_session(fresh.secret)
    assert found == fresh.signed_in
    assert found.caller == Caller("grace", "viewer", "north")
    assert bench.desk.operators.web_session(fresh.secret + "x") is None
    assert bench.desk.operators.web_session("x" * 5_000) is None


async def test_each_sign_in_has_a_secret_and_a_csrf_token_of_its_own(bench):
    await added(bench)
    one, two = await signed_in(bench), await signed_in(bench)
    assert one.secret != two.secret
    assert one.signed_in.csrf != two.signed_in.csrf
    assert one.secret not in one.signed_in.csrf
    assert len(one.secret) >= 43  # 256 bits


async def test_wrong_unknown_disabled_and_not_yet_chosen_are_told_apart_by_nobody(bench):
    await added(bench)
    await added(bench, "kept-out")
    await bench.desk.operators.change("kept-out", {"disabled": True}, BOSS)
    await added(bench, "invited", password=None)
    texts = {
        await refused("wrong_password", signed_in(bench, name, password))
        for name, password in (
            ("grace", OTHER), ("nobody", PASSWORD), ("kept-out", PASSWORD), ("invited", PASSWORD),
            ("invited", ""), ("", ""), ("grace\ud800", "\ud800"),
        )
    }  # fmt: skip
    assert len(texts) == 1


async def test_an_unknown_name_costs_the_same_comparison_as_a_known_one(bench, monkeypatch):
    await added(bench)
    asked = []
    passwords = bench.desk.operators._passwords
    await passwords.matches(None, "warm up")
    verify = type(passwords._hasher).verify

    def noted(self, hashed, password):
        asked.append(self.check_needs_rehash(hashed))
        return verify(self, hashed, password)

    monkeypatch.setattr(type(passwords._hasher), "verify", noted)
    for name in ("grace", "nobody"):
        await refused("wrong_password", signed_in(bench, name, OTHER))
    assert asked == [False, False]  # one each, at the same cost


async def test_a_name_is_found_however_it_is_written_and_is_there_once(bench):
    await added(bench, "Grace")
    assert (await signed_in(bench, "gRACE")).signed_in.caller.name == "Grace"
    assert "Grace" in await refused("exists", added(bench, "GRACE"))


async def test_a_password_is_the_same_however_the_keyboard_composed_it(bench):
    await added(bench, password="größenwahn am see")
    assert await signed_in(bench, password="gro\u0308ßenwahn am see")


@pytest.mark.parametrize(
    "password", ["short", "x" * 257, "aaaaaaaaaaaaaaa", "grace.grace1", "Grace-Grace-12"]
)
async def test_a_weak_password_is_refused(bench, password):
    await refused("weak_password", added(bench, password=password))
    assert not bench.desk.operators.knows("grace")


async def test_a_hash_of_another_cost_is_renewed_at_the_next_sign_in(bench):
    await added(bench)
    before = bench.desk.operators._rows["grace"].password_hash
    bench.desk.operators._passwords = Passwords(Cost(2, 8, 1))
    await signed_in(bench)
    after = bench.desk.operators._rows["grace"].password_hash
    assert ("t=1" in before, "t=2" in after) == (True, True)
    assert await signed_in(bench)


# --- how long it lasts -------------------------------------------------------------------------------


async def test_a_session_ends_when_it_was_not_used_for_long_enough_and_not_sooner(bench):
    await added(bench)
    fresh = await signed_in(bench)
    for _ in range(3):
        bench.clock.now += IDLE_MS - 1
        assert bench.desk.operators.web_session(fresh.secret) is not None
    bench.clock.now += IDLE_MS
    assert bench.desk.operators.web_session(fresh.secret) is None
    await bench.go(61, step_s=61)
    assert [(event.reason, event.data["name"]) for event in told(bench, "operator.signed_out")] == [
        ("idle", "grace")
    ]


async def test_a_session_ends_some_time_after_its_beginning_however_much_it_is_used(bench):
    await added(bench)
    fresh = await signed_in(bench)
    end = bench.clock.now + LASTS_MS
    while bench.clock.now + IDLE_MS // 2 < end:
        bench.clock.now += IDLE_MS // 2
        assert bench.desk.operators.web_session(fresh.secret) is not None
    bench.clock.now = end - 1
    assert bench.desk.operators.web_session(fresh.secret) is not None
    bench.clock.now = end
    assert bench.desk.operators.web_session(fresh.secret) is None


async def test_a_restart_signs_nobody_out_and_brings_nobody_back(bench):
    await added(bench)
    kept, left = await signed_in(bench), await signed_in(bench)
    await bench.desk.operators.sign_out(left.secret)
    again = await bench.crash()
    assert again.desk.operators.web_session(kept.secret) == kept.signed_in  # the CSRF token too
    assert again.desk.operators.web_session(left.secret) is None


async def test_that_a_session_was_used_outlives_a_restart_to_the_minute(bench):
    await added(bench)
    fresh = await signed_in(bench)
    bench.clock.now += IDLE_MS - 1
    assert bench.desk.operators.web_session(fresh.secret) is not None
    await bench.go(61, step_s=61)
    again = await bench.crash()
    again.clock.now = bench.clock.now + IDLE_MS - 120_000
    assert again.desk.operators.web_session(fresh.secret) is not None


async def test_one_person_has_a_bounded_number_of_sessions_and_the_least_used_goes(bench):
    await added(bench)
    first = await signed_in(bench)
    bench.clock.now += 1
    rest = [await signed_in(bench) for _ in range(MOST_OF_ONE)]
    assert bench.desk.operators.web_session(first.secret) is None
    assert all(bench.desk.operators.web_session(one.secret) for one in rest)


# --- signing out -------------------------------------------------------------------------------------


async def test_signing_out_ends_this_session_and_everywhere_all_of_them(bench):
    await added(bench)
    await added(bench, "ada")
    one, two, three = [await signed_in(bench) for _ in range(3)]
    ada = await signed_in(bench, "ada")
    operators = bench.desk.operators
    assert await operators.sign_out(one.secret) == 1
    assert await operators.sign_out(one.secret) == 0
    assert operators.web_session(two.secret) is not None
    assert await operators.sign_out(two.secret, everywhere=True) == 2
    assert operators.web_session(three.secret) is None
    assert operators.web_session(ada.secret) is not None
    assert [event.data["sessions"] for event in told(bench, "operator.signed_out")] == [1, 2]


@pytest.mark.parametrize("how", ["remove", "disable", "password", "link", "end"])
async def test_sessions_end_with_what_they_rest_on(bench, how):
    await added(bench)
    fresh = await signed_in(bench)
    operators, called = bench.desk.operators, []
    operators.changed.append(lambda: called.append(1))
    match how:
        case "remove":
            await operators.remove("grace", BOSS)
        case "disable":
            await operators.change("grace", {"disabled": True}, BOSS)
        case "password":
            await operators.change_password(fresh.secret, PASSWORD, OTHER, None)
        case "link":
            made = await operators.make_link("grace", BOSS)
            assert operators.web_session(fresh.secret) is not None  # not by the making of a link
            await operators.use_link(code_of(made), None, OTHER, None)
        case "end":
            await operators.end_sessions("grace", BOSS)
    assert operators.web_session(fresh.secret) is None
    assert called
    assert (await bench.crash()).desk.operators.web_session(fresh.secret) is None


async def test_a_new_role_or_site_counts_at_once_for_open_sessions(bench):
    await added(bench, role="administrator")
    await added(bench, "other", role="administrator")
    fresh = await signed_in(bench)
    await bench.desk.operators.change("grace", {"role": "viewer", "site": "north"}, BOSS)
    assert bench.desk.operators.web_session(fresh.secret).caller == Caller("grace", "viewer", "north")


# --- with a token ------------------------------------------------------------------------------------


async def test_a_session_of_a_token_may_what_the_token_may_and_ends_with_it(bench):
    made = await bench.desk.create_token("till", "viewer", "north", BOSS)
    fresh = await bench.desk.operators.sign_in_with_token(made["token"], None)
    assert (fresh.signed_in.caller, fresh.signed_in.kind) == (Caller("till", "viewer", "north"), "token")
    await refused("no_password", bench.desk.operators.change_password(fresh.secret, "a", OTHER, None))
    await bench.desk.revoke_token("till", BOSS)
    assert bench.desk.operators.web_session(fresh.secret) is None
    await bench.desk.create_token("till", "administrator", None, BOSS)
    assert bench.desk.operators.web_session(fresh.secret) is None
    assert (await bench.crash()).desk.operators.web_session(fresh.secret) is None
    await refused("wrong_token", bench.desk.operators.sign_in_with_token(made["token"], None))


async def test_tokens_and_operators_have_different_names(bench):
    await bench.desk.create_token("till", "viewer", None, BOSS)
    await refused("exists", added(bench, "till"))
    await added(bench)
    await refused("exists", bench.desk.create_token("Grace", "viewer", None, BOSS))


# --- one-time links ----------------------------------------------------------------------------------


async def test_a_link_is_good_once(bench):
    made = await added(bench, password=None)
    operators, code = bench.desk.operators, code_of(made)
    assert operators.link(code) == {"name": "grace"}
    assert operators.link(code) == {"name": "grace"}  # looking does not use it up
    fresh = await operators.use_link(code, "somebody-else", PASSWORD, None)
    assert fresh.signed_in.caller.name == "grace"
    assert operators.link(code) is None
    await refused("bad_link", operators.use_link(code, None, OTHER, None))
    assert await signed_in(bench)


async def test_of_two_who_use_a_link_at_once_one_is_refused(bench):
    code = code_of(await added(bench, password=None))
    operators = bench.desk.operators
    done = await asyncio.gather(
        *(operators.use_link(code, None, word, None) for word in (PASSWORD, OTHER)), return_exceptions=True
    )
    assert sorted(getattr(one, "code", "in") for one in done) == ["bad_link", "in"]


async def test_a_link_is_good_for_a_while_and_over_a_restart(bench):
    code = code_of(await added(bench, password=None))
    again = await bench.crash()
    again.clock.now += LINK_MS - 1
    assert again.desk.operators.link(code) == {"name": "grace"}
    again.clock.now += 1
    assert again.desk.operators.link(code) is None
    await refused("bad_link", again.desk.operators.use_link(code, None, PASSWORD, None))


async def test_a_newer_link_a_new_password_and_disabling_void_a_link(bench):
    operators = bench.desk.operators
    first = code_of(await added(bench, password=None))
    second = code_of(await operators.make_link("grace", BOSS))
    assert (operators.link(first), operators.link(second)) == (None, {"name": "grace"})
    fresh = await operators.use_link(second, None, PASSWORD, None)
    third = code_of(await operators.make_link("grace", BOSS))
    await operators.change_password(fresh.secret, PASSWORD, OTHER, None)
    assert operators.link(third) is None
    fourth = code_of(await operators.make_link("grace", BOSS))
    await operators.change("grace", {"disabled": True}, BOSS)
    assert operators.link(fourth) is None
    await refused("disabled", operators.make_link("grace", BOSS))
    await operators.change("grace", {"disabled": False}, BOSS)
    assert operators.link(fourth) is None


async def test_a_refused_password_does_not_use_a_link_up(bench):
    code = code_of(await added(bench, password=None))
    await refused("weak_password", bench.desk.operators.use_link(code, None, "short", None))
    assert await bench.desk.operators.use_link(code, None, PASSWORD, None)


async def test_the_first_link_makes_the_first_administrator_and_no_second(bench):
    operators = bench.desk.operators
    code = operators.first_link()
    assert operators.link(code) == {"name": None}
    await refused("bad_name", operators.use_link(code, "no spaces", PASSWORD, None))
    fresh = await operators.use_link(code, "grace", PASSWORD, None)
    assert fresh.signed_in.caller == Caller("grace", "administrator")
    assert operators.link(code) is None
    await refused("bad_link", operators.use_link(code, "eve", OTHER, None))
    assert operators.first_link() is None


async def test_the_first_link_ends_with_its_time_or_when_an_operator_is_there(bench):
    operators = bench.desk.operators
    code = operators.first_link()
    bench.clock.now += LINK_MS
    assert operators.link(code) is None
    code = operators.first_link()
    await added(bench)
    assert operators.link(code) is None


# --- administration ----------------------------------------------------------------------------------


async def test_operators_are_listed_without_any_secret(bench):
    made = await added(bench, password=None)
    await bench.desk.operators.use_link(code_of(made), None, PASSWORD, None)
    assert await bench.desk.operators.list(BOSS) == [
        {
            "name": "grace", "role": "operator", "site": None, "disabled": False, "has_password": True,
            "created": "2025-11-24T16:00:00.000Z", "signed_in_at": "2025-11-24T16:00:00.000Z", "sessions": 1,
        }
    ]  # fmt: skip


async def test_the_last_administrator_of_all_sites_stays(bench):
    operators = bench.desk.operators
    await added(bench, "ann", role="administrator")
    await added(bench, "of-north", role="administrator", site="north")
    await added(bench, "invited", role="administrator", password=None)
    for change in ({"role": "operator"}, {"site": "north"}, {"disabled": True}):
        await refused("last_administrator", operators.change("ann", change, BOSS))
    await refused("last_administrator", operators.remove("ann", BOSS))
    await added(bench, "bob", role="administrator")
    await operators.change("ann", {"disabled": True}, BOSS)
    await refused("last_administrator", operators.remove("bob", BOSS))
    await operators.remove("ann", BOSS)
    assert operators.knows("bob")


async def test_an_administrator_of_a_site_has_only_its_operators_and_makes_no_others(bench):
    operators = bench.desk.operators
    await added(bench, "of-south", site="south")
    await added(bench, "of-all")
    await operators.add("of-north", "operator", "north", NORTH, PASSWORD)
    assert [row["name"] for row in await operators.list(NORTH)] == ["of-north"]
    for site in ("south", None):
        await refused("forbidden", operators.add("x", "viewer", site, NORTH))
        await refused("forbidden", operators.change("of-north", {"site": site}, NORTH))
    for name in ("of-south", "of-all", "nobody"):
        for asked in (
            operators.change(name, {"disabled": True}, NORTH), operators.remove(name, NORTH),
            operators.make_link(name, NORTH), operators.end_sessions(name, NORTH),
        ):  # fmt: skip
            assert await refused("not_found", asked) == f"there is no operator named {name}"


async def test_changing_to_what_is_already_so_is_no_news(bench):
    await added(bench)
    before = len(told(bench))
    assert (await bench.desk.operators.change("grace", {"role": "operator"}, BOSS))["role"] == "operator"
    assert len(told(bench)) == before


# --- the history, and secrets ------------------------------------------------------------------------


async def test_every_step_is_in_the_history_with_its_actor_and_no_secret_is_anywhere(bench):
    operators = bench.desk.operators
    made = await added(bench, password=None)
    fresh = await operators.use_link(code_of(made), None, PASSWORD, "192.0.2.7")
    newer = await operators.change_password(fresh.secret, PASSWORD, OTHER, "192.0.2.7")
    await refused("wrong_password", signed_in(bench, "grace", "a wrong password 1"))
    await refused("wrong_password", signed_in(bench, "my-password-by-mistake", "x"))
    await operators.change("grace", {"role": "viewer"}, BOSS)
    await operators.sign_out(newer.secret)
    await operators.remove("grace", BOSS)
    await bench.settle()
    assert [(event.type.partition(".")[2], event.actor) for event in told(bench)] == [
        ("added", "boss"), ("link_made", "boss"), ("password_changed", "grace"), ("signed_in", "grace"),
        ("password_changed", "grace"), ("signed_in", "grace"), ("sign_in_failed", None),
        ("sign_in_failed", None), ("changed", "boss"), ("signed_out", "grace"), ("removed", "boss"),
    ]  # fmt: skip
    changed = told(bench, "operator.changed")[0].data
    assert (changed["before"]["role"], changed["after"]["role"]) == ("operator", "viewer")
    failed = [event.data for event in told(bench, "operator.sign_in_failed")]
    assert [one["name"] for one in failed] == ["grace", None]
    secrets = (
        PASSWORD, OTHER, "a wrong password 1", "my-password-by-mistake", code_of(made), fresh.secret,
        newer.secret, fresh.signed_in.csrf,
    )  # fmt: skip
    with closing(sqlite3.connect(bench.path)) as db:
        dump = "\n".join(db.iterdump())
    for secret in secrets:
        assert secret not in repr(bench.events)
        assert secret not in dump
        assert secret.encode().hex().upper() not in dump.upper()


async def test_failures_are_told_at_once_and_then_once_a_minute_with_their_number(bench):
    await added(bench)
    for _ in range(7):
        await refused("wrong_password", signed_in(bench, "grace", OTHER))
    await bench.settle()
    assert [event.data["count"] for event in told(bench, "operator.sign_in_failed")] == [1]
    await bench.go(70, step_s=10)
    assert [event.data["count"] for event in told(bench, "operator.sign_in_failed")] == [1, 6]
    await bench.go(200, step_s=10)
    assert len(told(bench, "operator.sign_in_failed")) == 2


async def test_while_nothing_can_be_stored_one_can_sign_in_and_change_nothing(bench, monkeypatch):
    await added(bench)
    monkeypatch.setattr(type(bench.engine.committer), "trouble", StoreError("full", "the disk is full"))
    fresh = await signed_in(bench)
    assert bench.desk.operators.web_session(fresh.secret) is not None
    for asked in (
        added(bench, "ada"), bench.desk.operators.change("grace", {"disabled": True}, BOSS),
        bench.desk.operators.make_link("grace", BOSS), bench.desk.operators.remove("grace", BOSS),
        bench.desk.operators.change_password(fresh.secret, PASSWORD, OTHER, None),
    ):  # fmt: skip
        with pytest.raises(StoreError):
            await asked


# --- devices -----------------------------------------------------------------------------------------


async def test_a_device_is_known_for_its_operator_until_the_password_changes(bench):
    await added(bench)
    await added(bench, "ada", password=PASSWORD)
    fresh = await signed_in(bench)
    operators = bench.desk.operators
    assert operators.device("grace", fresh.device) is not None
    for name, proof in (
        ("ada", fresh.device), ("nobody", fresh.device), ("grace", fresh.device + "x"), ("grace", ""),
        ("grace", "x."), ("grace", "."), ("grace", "é.é"),
    ):  # fmt: skip
        assert operators.device(name, proof) is None
    await operators.change_password(fresh.secret, PASSWORD, OTHER, None)
    assert operators.device("grace", fresh.device) is None
