"""Of which connections something may be unread, and up to when they are read."""

from __future__ import annotations

import asyncio

import pytest

from tests.mqtt.door.fakes import Client, House, up
from whosin.mqtt.codec import PINGREQ, V5, Disconnect, encode
from whosin.mqtt.door.backlog import KEPT

PIECE = 256


def house(**limits: int) -> House:
    return House(**{"piece": PIECE, "client_rate": 1 << 30, "client_burst": 1 << 30, **limits})


def read(client: Client, data: bytes) -> None:
    """As the loop does: a piece at a time, as long as reading is not paused."""
    door = client.connection.door
    assert client.transport.reading
    door.piece[: len(data)] = data
    client.connection.buffer_updated(len(data))


async def proven(here: House) -> None:
    here.door.prove()
    for _ in range(3):
        await asyncio.sleep(0)


def pings(size: int) -> bytes:
    return PINGREQ * (size // len(PINGREQ))


async def test_who_fills_a_piece_is_behind_until_a_read_that_does_not() -> None:
    here = house()
    client, other = here.client(), here.client("s2", "bert")
    await proven(here)
    here.clock.ms += 700
    read(client, pings(PIECE))
    read(other, pings(PIECE - 2))
    assert here.intake.lags == {client.connection.line: 1_000_000}
    read(client, pings(PIECE - 2))
    assert here.intake.lags == {}


async def test_it_is_behind_before_what_was_read_of_it_is_handed_over(monkeypatch) -> None:
    here = house()
    client = here.client()
    said: list[bool] = []
    monkeypatch.setattr("whosin.mqtt.door.door.READS_AHEAD", False)  # else none is proven by what was read
    here.intake.proof = lambda _source, _at_ms: said.append(client.connection.line in here.intake.lags)
    beats = encode(up(), V5)
    read(client, (beats * PIECE)[:PIECE])
    assert said == [True]


async def test_a_whole_piece_and_nothing_behind_it_is_known_a_proof_later() -> None:
    here = house()
    client = here.client()
    read(client, pings(PIECE))
    await proven(here)
    assert here.intake.lags == {}


async def test_who_fills_another_piece_while_that_is_found_out_stays_behind() -> None:
    here = house()
    client = here.client()
    read(client, pings(PIECE))
    here.door.prove()
    read(client, pings(PIECE))
    for _ in range(3):
        await asyncio.sleep(0)
    assert client.connection.line in here.intake.lags


async def test_who_is_paused_is_behind_until_it_is_read_again() -> None:
    here = house(client_rate=10, client_burst=10)
    client = here.client()
    read(client, pings(60))
    assert not client.transport.reading
    await proven(here)
    await proven(here)
    assert client.connection.line in here.intake.lags
    here.advance(10_000)
    assert client.transport.reading
    read(client, PINGREQ)
    assert here.intake.lags == {}


async def test_one_that_always_has_more_is_read_up_to_a_moment_all_the_same() -> None:
    here = house(pieces=1 << 20)
    client = here.client()
    line, began = client.connection.line, here.clock.ms
    found = []
    for _ in range(2 * KEPT // PIECE):
        here.clock.ms += 1
        read(client, pings(PIECE))
        found.append(here.intake.lags[line])
    pieces = KEPT // PIECE
    assert found == [0] * (pieces - 1) + [began + 1] * pieces + [began + pieces]


async def test_who_waits_in_line_is_behind_and_who_has_ended_is_not() -> None:
    here = house(pieces=1)
    first, second = here.client(), here.client("s2", "bert")
    read(first, pings(PIECE))
    read(second, pings(PIECE))
    assert not second.transport.reading
    assert set(here.intake.lags) == {first.connection.line, second.connection.line}
    second.cut()
    assert set(here.intake.lags) == {first.connection.line}


async def test_a_proof_during_which_reading_stopped_is_none() -> None:
    here = house()
    client = here.client()
    here.door.prove()
    here.intake.full = True
    client.send(up())
    here.intake.free()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not any(call == "proof" for call, _ in here.intake.calls)
    await proven(here)
    assert [call for call, _ in here.intake.calls] == ["proof"]


@pytest.mark.parametrize(("after_ms", "back"), [(1_999, False), (2_000, True)])
async def test_who_is_cut_off_after_long_unread_has_to_come_back(after_ms: int, back: bool) -> None:
    here = house(client_rate=1, client_burst=1)
    client = here.client()
    read(client, pings(60))
    here.clock.ms += after_ms
    client.cut()
    assert (("unread", client.connection.line) in here.intake.calls) == back
    assert here.intake.lags == {}


async def test_who_says_goodbye_or_ends_what_it_says_was_read_to_its_end() -> None:
    here = house(client_rate=1, client_burst=1)
    polite, closing = here.client(), here.client("s2", "bert")
    for client in (polite, closing):
        read(client, pings(60))
    here.clock.ms += 30_000
    polite.send(Disconnect())
    closing.connection.connection_lost(None)
    assert here.intake.lags == {}
    assert not any(call == "unread" for call, _ in here.intake.calls)
