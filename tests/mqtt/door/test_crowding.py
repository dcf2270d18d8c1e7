"""Events come no faster than those who read them can take, and wait for nobody who does not read."""

from __future__ import annotations

import pytest

from tests.mqtt.door.fakes import House
from whosin.mqtt.codec import PubAck, Publish, Reason, Subscribe, Subscription

EVENT = "whosin/v1/events/north/books/session.disconnected"
QUEUE = 100
PATIENCE_MS = 10_000


class Wave:
    """Hands over events as an outbox does: at most `window` that are not done."""

    def __init__(self, house: House, window: int = 20) -> None:
        self.house = house
        self.window = window
        self.handed = self.done = 0

    def go_on(self, until: int) -> None:
        while self.handed < until and self.handed - self.done < self.window:
            self.handed += 1
            self.house.door.announce(EVENT, b"{}", self._done, self.handed)

    def _done(self) -> None:
        self.done += 1


@pytest.fixture
async def house():
    return House(observer_queue=QUEUE, observer_in_flight=10)


def observer(house, name, **fields):
    client = house.client(name, "watcher", **fields)
    (suback, *_) = client.send(Subscribe(1, (Subscription("whosin/v1/events/#", 1),))).got()
    assert suback.reasons == (Reason.GRANTED_QOS_1,)
    return client


def read(client):
    """Take all that is there, and acknowledge it; how much that was."""
    found = [packet for packet in client.got() if isinstance(packet, Publish)]
    client.send(*(PubAck(packet.packet_id) for packet in found))
    return len(found)


async def test_a_wave_many_times_the_queue_reaches_one_who_reads_whole_and_is_never_cut_off(house):
    reader, wave, got = observer(house, "o1"), Wave(house), 0
    for _ in range(1_000):
        wave.go_on(10 * QUEUE)
        got += read(reader)
        if got == 10 * QUEUE:
            break
    assert (got, wave.done) == (10 * QUEUE, 10 * QUEUE)
    assert not reader.closed
    assert not house.door.counts["overflowed_sessions"]


async def test_while_one_who_reads_has_half_a_queue_no_more_is_asked_for(house):
    reader, wave = observer(house, "o1"), Wave(house)
    wave.go_on(10 * QUEUE)
    assert QUEUE // 2 <= wave.handed <= QUEUE // 2 + wave.window
    assert wave.handed - wave.done == wave.window
    while house.door.crowded:
        assert read(reader)
    assert wave.done == wave.handed


async def test_one_who_does_not_read_is_waited_for_once_and_then_loses_its_place(house):
    silent, reader, wave, got = observer(house, "o1"), observer(house, "o2"), Wave(house), 0
    for _ in range(100):
        wave.go_on(10 * QUEUE)
        got += read(reader)
    assert QUEUE // 2 <= got < QUEUE  # all wait for the silent one
    house.advance(PATIENCE_MS + 500)
    for _ in range(1_000):
        wave.go_on(10 * QUEUE)
        got += read(reader)
    assert got == 10 * QUEUE
    assert silent.closed
    assert house.door.counts["overflowed_sessions"] == 1


async def test_one_who_went_away_is_not_waited_for(house):
    gone, wave = observer(house, "o1"), Wave(house)
    wave.go_on(10 * QUEUE)
    assert wave.done < wave.handed
    gone.cut()
    assert wave.done == wave.handed
    assert not house.door.crowded


async def test_one_who_was_slow_and_caught_up_is_waited_for_again(house):
    slow, wave, got = observer(house, "o1"), Wave(house), 0
    wave.go_on(10 * QUEUE)
    house.advance(PATIENCE_MS + 500)
    assert wave.done == wave.handed
    while (more := read(slow)) > 0:
        got += more
    assert got == wave.handed
    wave.go_on(10 * QUEUE)
    assert wave.handed - wave.done == wave.window
    assert not slow.closed
