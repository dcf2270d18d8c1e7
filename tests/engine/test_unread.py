"""What lies unread at the door: the silence of those who speak through it waits until it is read (rule 8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.bench import Bench
from tests.mqtt.door.fakes import Client, up
from whosin.mqtt.codec import V5, Connect, Disconnect, PingReq, Publish, encode
from whosin.mqtt.door import Door, DoorLimits, backlog

RATE = 10  # messages a second
PIECE = 1_024
PINGS = PIECE // 2  # fill a piece
UNREAD = 4 * PIECE  # may lie there where no socket says
UNREAD_FOR_MS = 2 * UNREAD // 2 * 1000 // RATE  # of pings, what lay there at a moment, and at the next


class Socket(Client):
    """A client whose bytes lie in the system's buffer until the door reads them, as a socket's do."""

    def __init__(self, door: Door) -> None:
        super().__init__(door, V5)
        self.unread = b""

    def write(self, *packets: object) -> None:
        self.unread += b"".join(encode(packet, V5) for packet in packets)

    def read(self) -> None:
        """What one turn of the loop reads of it."""
        if self.unread and self.transport.reading and not self.transport.closing:
            buffer = self.connection.get_buffer(-1)
            count = min(len(buffer), len(self.unread))
            buffer[:count], self.unread = self.unread[:count], self.unread[count:]
            self.connection.buffer_updated(count)


class Office(Bench):
    """A whole engine behind a real door without a socket, on a clock moved by hand."""

    async def start(self, *, enabled: bool = False) -> Office:
        await super().start(enabled=enabled)
        self.door = Door(
            "127.0.0.1:0", clock=self.clock, name="whosin",
            limits=DoorLimits(piece=PIECE, gateway_rate=RATE, gateway_burst=RATE),
        )  # fmt: skip
        self.door.begin(self.engine)
        self.engine.transports["door"] = self.door
        self.sockets: list[Socket] = []
        return self

    def dial(self, ident: str) -> Socket:
        one = Socket(self.door)
        self.sockets.append(one)
        one.write(Connect(ident, version=V5, clean_start=True))
        one.read()
        return one

    async def turn(self) -> None:
        """One turn of the loop: what is readable is read, then what was called for soon."""
        for one in self.sockets:
            one.read()
        await asyncio.sleep(0)

    async def pass_(self, seconds: float) -> None:
        end = self.clock.now + round(seconds * 1000)
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + 200)
            self.door.tick()
            self.engine.tick()
            for _ in range(4):
                await self.turn()
            self.engine.drain()
        await self.settle()


def say(session: str, verb: str = "heartbeat", payload: bytes = b"") -> Publish:
    return up(verb, session, "s1", "c1", payload)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    office = await Office(tmp_path / "whosin.db").start()
    yield office
    await office.close()


async def at_work(office: Office, *idents: str) -> Socket:
    """One connection through which these have logged in, as a gateway's."""
    line = office.dial(f"of {idents[0]}".replace(" ", "-"))
    for ident in idents:
        line.write(say(ident, "login", b'{"user": "u-%b", "client": "desktop"}' % ident.encode()))
    await office.pass_(5)
    assert [office.status(ident) for ident in idents] == ["active"] * len(idents)
    return line


async def test_who_has_unread_bytes_is_not_disconnected_until_they_are_read(office: Office) -> None:
    line = await at_work(office, "a", "b")
    await office.pass_(290)
    line.write(*[PingReq()] * PINGS, say("a"))  # the heartbeat lies behind what is paused for
    await office.pass_(30)
    assert line.unread
    assert office.status("a") == office.status("b") == "active"
    await office.pass_(60)
    assert not line.unread
    assert office.status("a") == office.status("b") == "active"
    await office.pass_(91)
    assert office.status("a") == "active"
    assert office.status("b") == "disconnected"


async def test_what_was_kept_back_by_a_full_line_may_be_lost_with_it_and_has_the_time_to_come_again(
    office: Office,
) -> None:
    line = await at_work(office, "a")
    await office.pass_(280)
    line.write(*[PingReq()] * PINGS)
    while line.unread or office.door.backlog._marks:
        await office.pass_(1)
    line.cut()  # with the heartbeat that had no room in it
    await office.pass_(80)
    assert office.status("a") == "active"
    office.dial("again").write(say("a"))
    await office.pass_(2)
    assert office.status("a") == "active"
    assert not [it for it in office.events if it.type == "session.disconnected"]


async def test_it_is_dated_at_its_deadline_all_the_same(office: Office) -> None:
    line = await at_work(office, "a")
    deadline = office.engine.live("a").seen_ms + 300_000
    await office.pass_(290)
    line.write(*[PingReq()] * PINGS)
    await office.pass_(200)
    assert [it.at_ms for it in office.events if it.type == "session.disconnected"] == [deadline]


async def test_others_are_found_while_one_floods(office: Office) -> None:
    flood = await at_work(office, "flooder")
    await at_work(office, "quiet")
    for _ in range(320):
        flood.write(*[PingReq()] * 20, say("flooder"))
        await office.pass_(1)
    assert flood.unread
    assert office.status("quiet") == "disconnected"
    assert office.status("flooder") == "active"


async def test_a_flood_that_never_ends_keeps_nobody_alive_but_by_what_lay_unread(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "KEPT", UNREAD)
    flood = await at_work(office, "silent")
    for _ in range(285):
        await office.pass_(1)
    deadline = office.engine.live("silent").seen_ms + 300_000
    flood.write(*[PingReq()] * 4 * PINGS)
    while office.status("silent") == "active":
        flood.write(*[PingReq()] * 40)  # four times what it may: something lies unread for ever
        await office.pass_(1)
        assert office.clock.now < deadline + UNREAD_FOR_MS
    assert flood.unread
    assert office.clock.now > deadline + UNREAD_FOR_MS // 4


async def test_who_was_cut_off_unread_gets_the_time_to_come_back(office: Office) -> None:
    line = await at_work(office, "a", "b")
    deadline = office.engine.live("b").seen_ms + 300_000
    await office.pass_(290)
    line.write(*[PingReq()] * PINGS * 8)
    await office.pass_(20)
    line.cut()
    await office.pass_(89)
    assert office.status("a") == office.status("b") == "active"
    office.dial("again").write(say("a"))
    await office.pass_(2)
    assert office.status("a") == "active"
    assert [(it.session, it.at_ms) for it in office.events if it.type == "session.disconnected"] == [
        ("b", deadline)
    ]


async def test_who_is_cut_off_and_was_read_until_then_is_judged_at_once(office: Office) -> None:
    line = await at_work(office, "a")
    await office.pass_(299)
    line.write(*[PingReq()] * 20)
    await office.pass_(0.4)
    line.cut()
    await office.pass_(2)
    assert office.status("a") == "disconnected"


async def test_who_speaks_through_another_connection_since_is_judged_by_that(office: Office) -> None:
    line = await at_work(office, "a")
    await office.pass_(200)
    other = office.dial("other")
    other.write(say("a"))
    await office.pass_(1)
    line.write(*[PingReq()] * PINGS * 20)
    await office.pass_(302)
    assert line.unread
    assert office.status("a") == "disconnected"


async def test_who_is_heard_through_another_meanwhile_waits_for_the_one_that_is_unread_all_the_same(
    office: Office,
) -> None:
    line = await at_work(office, "a")
    await office.pass_(290)
    line.write(*[PingReq()] * PINGS * 7, say("a"))
    await office.pass_(20)
    other = office.dial("other")
    other.write(say("a"))
    await office.pass_(305)
    assert line.unread
    assert office.status("a") == "active"
    await office.pass_(60)
    assert not line.unread
    assert office.status("a") == "active"


async def test_what_lies_unread_in_its_own_connection_is_waited_for_whoever_spoke_for_it_last(
    office: Office,
) -> None:
    own = office.dial("a")
    own.write(say("a", "login", b'{"user": "anna", "client": "desktop"}'))
    office.dial("late").write(say("a"))
    await office.pass_(290)
    own.write(*[PingReq()] * PINGS, say("a"))
    await office.pass_(30)
    assert own.unread
    assert office.status("a") == "active"
    await office.pass_(60)
    assert office.status("a") == "active"


@pytest.mark.parametrize("ident", ["a", "portal"])
async def test_a_new_connection_of_the_same_client_is_waited_for_before_it_has_said_anything(
    office: Office, ident: str
) -> None:
    first = office.dial(ident)
    first.write(say("a", "login", b'{"user": "anna", "client": "desktop"}'))
    await office.pass_(290)
    first.cut()
    again = office.dial(ident)
    again.write(*[PingReq()] * PINGS, say("a"))
    await office.pass_(30)
    assert again.unread
    assert office.status("a") == "active"
    await office.pass_(60)
    assert office.status("a") == "active"


async def test_a_clean_goodbye_leaves_nothing_unread(office: Office) -> None:
    line = await at_work(office, "a")
    await office.pass_(290)
    line.write(*[PingReq()] * PINGS, Disconnect())
    await office.pass_(100)
    assert line.closed
    assert office.status("a") == "disconnected"
    assert not office.door.backlog._marks
