"""Deadlines that wait until a connection is read, each by itself."""

from __future__ import annotations

import pytest

from tests.rules.driver import DOOR, LINK, START, Driver
from whosin.messages import BARE_HEARTBEAT, Heartbeat, Login, Message
from whosin.model import Status, line_of
from whosin.rules.roll import Sender

S = 1_000


class Lines(Driver):
    """A Driver that says by which connection."""

    def via(self, at: int, ident: str, number: int, *, source: str = DOOR, login: bool = False) -> None:
        now = START + at
        self.roll.expire(now)
        if login:
            self.roll.receive(Sender(source, "s", "A", ident, line=number), Login(ident, "desktop"), now)
        else:
            self.roll.beat(self.session(ident), now, source, number)
        self._collect()

    def say(self, at: int, ident: str, number: int, message: Message, *, source: str = DOOR) -> None:
        if message is BARE_HEARTBEAT:
            self.via(at, ident, number, source=source)
        else:
            self.roll.receive(Sender(source, "s", "A", ident, line=number), message, START + at)
            self._collect()

    def behind(self, at: int, number: int, *, source: str = DOOR) -> None:
        self.roll.behind(source, number, START + at)

    def caught_up(self, number: int, *, source: str = DOOR) -> None:
        self.roll.caught_up(source, number)

    def fallen(self) -> list[tuple[str | None, int]]:
        return [(it.session, it.at) for it in self.events if it.type == "session.disconnected"]


@pytest.fixture
def d() -> Lines:
    """`a` and `b` by connection 1, `c` by 2."""
    d = Lines(sources=(DOOR, LINK))
    for ident, number in (("a", 1), ("b", 1), ("c", 2)):
        d.via(0, ident, number, login=True)
    return d


def test_the_silence_of_those_heard_through_it_waits_and_of_nobody_else(d: Lines):
    d.behind(299 * S, 1)
    d.pass_to(400 * S)
    assert d.fallen() == [("c", 300 * S)]
    d.caught_up(1)
    d.pass_to(400 * S)
    assert d.fallen() == [("c", 300 * S), ("a", 300 * S), ("b", 300 * S)]


def test_what_is_due_when_it_was_still_read_does_not_wait(d: Lines):
    d.behind(300 * S, 1)
    d.pass_to(400 * S)
    assert len(d.fallen()) == 3


@pytest.mark.parametrize(("read", "fallen"), [(300 * S - 1, 1), (300 * S, 3)])
def test_reading_on_proves_silence_up_to_there(d: Lines, read: int, fallen: int):
    d.behind(200 * S, 1)
    d.pass_to(500 * S)
    d.behind(read, 1)
    d.pass_to(500 * S)
    assert len(d.fallen()) == fallen


def test_a_sign_of_life_that_lay_unread_is_in_time(d: Lines):
    d.behind(200 * S, 1)
    d.pass_to(350 * S)
    d.via(350 * S, "a", 1)
    d.caught_up(1)
    d.pass_to(649 * S)
    assert d.fallen() == [("c", 300 * S), ("b", 300 * S)]
    d.pass_to(650 * S)
    assert d.fallen()[2:] == [("a", 650 * S)]


@pytest.mark.parametrize("at", [250 * S, 350 * S])
def test_who_is_heard_by_another_meanwhile_waits_for_the_one_that_is_unread_all_the_same(d: Lines, at: int):
    d.behind(200 * S, 1)
    d.pass_to(at)
    d.via(at, "a", 3)
    d.pass_to(700 * S)
    assert d.fallen() == [("c", 300 * S)]
    d.caught_up(1)
    d.pass_to(700 * S)
    assert ("a", at + 300 * S) in d.fallen()


def test_once_that_is_read_it_waits_for_it_no_more(d: Lines):
    d.behind(200 * S, 1)
    d.caught_up(1)
    d.via(250 * S, "a", 3)
    d.behind(260 * S, 1)
    d.pass_to(550 * S)
    assert ("a", 550 * S) in d.fallen()


@pytest.mark.parametrize(("site", "waits"), [(None, True), ("s", True), ("t", False)])
def test_its_own_connection_is_waited_for_whoever_spoke_for_it_last(d: Lines, site: str | None, waits: bool):
    d.behind(200 * S, line_of(site, "a"))
    d.pass_to(300 * S)
    assert (("a", 300 * S) not in d.fallen()) == waits
    assert line_of(site, "a")


def test_who_spoke_through_one_that_broke_unread_waits_until_it_is_given_up(d: Lines):
    d.behind(200 * S, 1)
    d.roll.broke(DOOR, 1, START + 290 * S)
    d.via(310 * S, "a", 1)
    d.pass_to(400 * S)
    assert d.fallen() == [("c", 300 * S)]
    d.roll.give_up(DOOR, 1, START + 290 * S)
    d.pass_to(400 * S)
    assert d.fallen() == [("c", 300 * S), ("b", 300 * S)]
    d.pass_to(610 * S)
    assert d.fallen()[2:] == [("a", 610 * S)]


def test_who_comes_back_after_the_break_waits_no_more(d: Lines):
    d.behind(200 * S, 1)
    d.roll.broke(DOOR, 1, START + 240 * S)
    d.via(240 * S, "b", 1)
    d.via(240 * S + 1, "a", 1)
    d.pass_to(541 * S)
    assert ("a", 540 * S + 1) in d.fallen()
    assert d.status("b") is Status.ACTIVE, "that was before it broke"


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("said", [BARE_HEARTBEAT, Heartbeat(activity="x")])
def test_who_waited_and_comes_back_after_the_break_has_a_deadline_at_once(d: Lines, number: int, said):
    d.behind(200 * S, 1)
    d.roll.broke(DOOR, 1, START + 240 * S)
    d.pass_to(350 * S)
    d.say(299 * S, "a", number, said)  # it lay in the inbox
    d.pass_to(599 * S)
    assert ("a", 599 * S) in d.fallen()
    assert d.status("b") is Status.ACTIVE


def test_one_that_broke_twice_is_given_up_after_the_second(d: Lines):
    d.behind(200 * S, 1)
    d.roll.broke(DOOR, 1, START + 240 * S)
    d.behind(250 * S, 1)
    d.roll.broke(DOOR, 1, START + 260 * S)
    d.roll.give_up(DOOR, 1, START + 240 * S)
    d.pass_to(400 * S)
    assert d.fallen() == [("c", 300 * S)]
    d.roll.give_up(DOOR, 1, START + 260 * S)
    d.pass_to(400 * S)
    assert len(d.fallen()) == 3


def test_of_one_that_broke_twice_nothing_is_known_since_it_was_first_read(d: Lines):
    d.lost(100 * S, "b")  # falls at 175 s, which had been read
    d.lost(160 * S, "a")  # falls at 235 s
    d.behind(200 * S, 1)
    d.roll.broke(DOOR, 1, START + 240 * S)
    d.behind(250 * S, 1)
    d.roll.broke(DOOR, 1, START + 260 * S)
    d.pass_to(265 * S)
    assert d.fallen() == [("b", 175 * S)]


def test_what_is_due_when_it_was_read_before_it_broke_does_not_wait(d: Lines):
    d.behind(300 * S, 1)
    d.roll.broke(DOOR, 1, START + 310 * S)
    d.pass_to(320 * S)
    assert len(d.fallen()) == 3


def test_giving_up_one_that_did_not_break_is_harmless(d: Lines):
    d.roll.give_up(DOOR, 1, START + 240 * S)
    d.pass_to(300 * S)
    assert len(d.fallen()) == 3


def test_what_was_read_when_it_broke_is_nothing_to_wait_for(d: Lines):
    d.roll.broke(DOOR, 1, START + 240 * S)
    d.pass_to(300 * S)
    assert len(d.fallen()) == 3


def test_who_waited_and_came_back_by_another_source_has_a_deadline_there(d: Lines):
    d.behind(200 * S, 1)
    d.pass_to(350 * S)
    d.via(350 * S, "a", 1, source=LINK)
    d.pass_to(650 * S)
    assert d.fallen() == [("c", 300 * S), ("a", 650 * S)]


def test_the_same_number_of_another_source_is_another_connection(d: Lines):
    d.behind(200 * S, 1, source=LINK)
    d.pass_to(300 * S)
    assert len(d.fallen()) == 3


def test_a_login_of_the_same_person_replaces_nobody_whose_silence_is_unread(d: Lines):
    for ident in ("d", "e"):
        d.roll.receive(
            Sender(DOOR, "s", "A", ident, line=1),
            Login("dora", "desktop", "PC", os_session="1"),
            START + (301 * S if ident == "e" else 0),
        )
        if ident == "d":
            d.behind(200 * S, 1)
            d.prove(301 * S)
    assert d.session("d").status is Status.ACTIVE


def test_one_who_waits_and_logs_out_or_is_removed_does_not_fall_later(d: Lines):
    d.behind(200 * S, 1)
    d.pass_to(350 * S)
    d.remove(350 * S, "a")
    d.caught_up(1)
    d.pass_to(400 * S)
    assert d.fallen() == [("c", 300 * S), ("b", 300 * S)]


def test_other_settings_take_nobody_out_of_the_queue(d: Lines):
    d.behind(200 * S, 1)
    d.pass_to(350 * S)
    d.roll.set_policy(d.roll.policy)
    d.pass_to(400 * S)
    d.caught_up(1)
    d.pass_to(400 * S)
    assert sorted(d.fallen()) == [("a", 300 * S), ("b", 300 * S), ("c", 300 * S)]


def test_falls_of_a_mass_are_not_forgotten_while_some_of_it_lies_unread():
    d = Lines()
    for n in range(20):
        d.via(0, f"s{n}", 1 + n // 8, login=True)
    d.behind(299 * S, 2)
    d.behind(299 * S, 3)
    d.pass_to(1_000 * S)
    assert len(d.fallen()) == 8
    d.caught_up(2)
    d.caught_up(3)
    d.pass_to(1_000 * S)
    assert len([it for it in d.events if it.type == "alert.raised"]) == 1
    assert all(d.roll.silence.held(session) for session in d.roll.sessions.values())


def test_a_beat_by_the_same_connection_moves_nothing(d: Lines):
    before = d.session("a").filed_ms
    d.via(10 * S, "a", 1)
    assert d.session("a").filed_ms == before
    assert BARE_HEARTBEAT.user is None


@pytest.mark.parametrize("said", [BARE_HEARTBEAT, Heartbeat(activity="x")])
@pytest.mark.parametrize("at", [250 * S, 310 * S])
@pytest.mark.parametrize("source", [DOOR, LINK])
def test_who_is_heard_by_another_connection_waits_for_that_from_then_on(d: Lines, said, at: int, source: str):
    d.pass_to(at)
    d.say(at, "a", 3, said, source=source)
    d.behind(at + 10 * S, 3, source=source)
    d.pass_to(at + 400 * S)
    assert ("a", at + 300 * S) not in d.fallen()
    d.caught_up(3, source=source)
    d.pass_to(at + 400 * S)
    assert ("a", at + 300 * S) in d.fallen()


def test_a_beat_by_no_connection_that_is_told_apart_is_one_of_none(d: Lines):
    d.login(0, "e")
    d.roll.beat(d.session("e"), START + 1, DOOR)
    assert d.session("e").line == 0


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_those_who_wait_take_nobodys_place_where_time_comes_in_steps(d: Lines, limit: int):
    for ident in ("e", "f", "g", "h"):
        d.via(0, ident, 2 if ident < "g" else 1, login=True)
    d.behind(200 * S, 2)
    d.prove(300 * S)
    watch = d.roll.watches[DOOR]
    taken = [session.id for _, session in watch.take(START + 300 * S, limit)]
    assert taken == ["a", "b", "g", "h"][:limit]
    if limit > 2:
        assert watch.held == {2: {d.session(ident): None for ident in "cef"}}
    assert watch.waits_for(d.session("c"), START + 300 * S) == 2
    assert watch.waits_for(d.session("a"), START + 300 * S) == 0
    d.caught_up(2)
    assert watch.waits_for(d.session("c"), START + 300 * S) == 0
