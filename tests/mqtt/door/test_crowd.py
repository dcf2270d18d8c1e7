"""Two thousand connections, a quarter of them slow: bounded memory, and the quick ones do not notice."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc

from tests.mqtt.door.fakes import FakeIntake, House, down, up
from whosin.clock import SystemClock
from whosin.mqtt.codec import V5, Connect, Publish, Subscribe, Subscription, encode
from whosin.mqtt.door import Door

CROWD = 2_000
SLOW = 500


def crowd(house):
    clients = []
    for number in range(CROWD):
        client = house.client(f"s{number}", "portal", keep_alive=60)
        mine = Subscription(f"whosin/v1/down/north/books/s{number}/#", 1)
        client.send(Subscribe(1, (mine,)))
        client.got()
        clients.append(client)
    return clients


async def test_slow_readers_cost_bounded_memory_and_disturb_nobody():
    house = House()
    clients = crowd(house)
    for client in clients[:SLOW]:
        client.transport.stuck = True
        client.transport.write = lambda data, one=client.transport: _swallow(one, data)
    tracemalloc.start()
    payload = b"x" * 4_000
    for _ in range(100):  # 200 MB for the slow ones, of which none is read
        for number in range(SLOW):
            house.door.answer(down(session=f"s{number}"), payload)
        house.door.flush()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    gone = house.door.counts["closed_slow"]
    for client in clients[:SLOW]:
        client.transport.settle()
    assert gone == SLOW
    assert held < SLOW * 64 * 1024
    assert house.door.connections == house.door.sessions == CROWD - SLOW
    for number in range(SLOW, CROWD):
        house.door.answer(down(session=f"s{number}"), b"{}")
        clients[number].send(up(session=f"s{number}"))
    assert all([type(packet) for packet in one.got()] == [Publish] for one in clients[SLOW:])
    assert len(house.intake.heard) == CROWD - SLOW


def _swallow(transport, data):
    """A kernel that takes nothing: only the sizes are kept, so that the door's own memory is measured."""
    was, transport.buffered = transport.buffered, transport.buffered + len(data)
    if was <= transport.high < transport.buffered:
        transport.connection.pause_writing()


async def test_finding_who_hears_an_answer_does_not_look_at_everybody():
    house = House()
    crowd(house)
    steps = 0

    class Counting(dict):
        def get(self, *args):
            nonlocal steps
            steps += 1
            return super().get(*args)

    def instrument(level):
        level.below = Counting({name: instrument(below) for name, below in level.below.items()})
        return level

    instrument(house.door.heard_by._root)
    house.door.answer(down(session="s777"), b"{}")
    assert 0 < steps < 30


async def test_keeping_2000_keep_alives_touches_only_those_that_are_due():
    house = House()
    clients = crowd(house)
    assert len(house.door.wheel) == CROWD
    for client in clients:
        client.connection._time_is_up = None  # would raise if the timer looked before it is due
    house.advance(80_000)
    assert len(house.door.wheel) == CROWD


async def test_nobody_waits_behind_more_than_a_few_pieces_of_what_others_send():
    intake = FakeIntake()
    door = Door("127.0.0.1:0", clock=SystemClock(), name="whosin")
    await door.start(intake)
    loop = asyncio.get_running_loop()
    turns = 0
    heard_in: dict[int, int] = {}
    deliver = intake.deliver

    def count(source, at_ms, peer, messages):
        heard_in[turns] = heard_in.get(turns, 0) + len(messages)
        deliver(source, at_ms, peer, messages)

    def turn():
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    intake.deliver = count
    message = encode(up(), V5)
    lines = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(20)]
    for number, line in enumerate(lines):  # into the system's buffers: the loop does not run meanwhile
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        line.sendall(encode(Connect(f"s{number}", version=V5), V5) + message * 3_000)
    turn()
    async with asyncio.timeout(30):
        while len(intake.heard) < 20 * 3_000:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    for line in lines:
        line.close()
    await door.stop()
    first = 20 * (door.limits.piece + len(message))  # who is read for the first time may have little to say
    most, *_ = sizes = sorted((count * len(message) for count in heard_in.values()), reverse=True)
    assert most <= first
    assert sizes[3] <= 2 * door.limits.pieces * door.limits.piece
