"""Whatever strangers do, the door does not raise, disturbs nobody else, and ends with nothing left over."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mqtt.codec.helpers import calm
from tests.mqtt.codec.strategies import connects, packets
from tests.mqtt.door.fakes import BOTH_VERSIONS, Client, House, down, up
from whosin.mqtt.codec import (
    V5,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    Properties,
    PubAck,
    Publish,
    Side,
    Subscribe,
    Subscription,
    Will,
    encode,
)

SMALL = {
    "connections": 8, "pending": 4, "receive_maximum": 4, "in_flight": 3, "queue": 6, "filters": 3,
    "sessions": 3,
    "write_soft": 600, "write_hard": 2_000, "client_rate": 5, "client_burst": 10, "session_expiry_ms": 60_000,
}  # fmt: skip
NAMES = st.sampled_from(["s1", "s2", "", "+"])


def sensible(version):
    """Packets that get further than noise does."""
    fives = st.just(Properties())
    if version == V5:
        fives = st.builds(
            Properties,
            session_expiry_interval=st.sampled_from([None, 0, 5, 100]),
            receive_maximum=st.sampled_from([None, 1, 2]),
            maximum_packet_size=st.sampled_from([None, 60, 1000]),
        )
    delays = (
        st.builds(Properties, will_delay_interval=st.sampled_from([None, 3, 90])) if version == V5 else fives
    )
    wills = st.builds(
        Will, st.sampled_from([up("lost").topic, b"x"]), st.binary(max_size=9), properties=delays
    )
    users = st.sampled_from(["anna", "portal", "watcher", "nobody"])
    filters = st.sampled_from(
        [
            "whosin/v1/down/north/books/s1/#",
            "whosin/v1/down/north/#",
            "whosin/v1/#",
            "whosin/v1/daemon/+",
            "$share/a/b",
        ]
    )
    topics = st.sampled_from([up().topic, up("login").topic, up(session="s2").topic, b"x"])
    ids = st.integers(1, 4)
    flags = st.booleans()
    asked = st.builds(Subscription, filters, st.integers(0, 2))
    return st.one_of(
        st.builds(
            Connect, NAMES, st.booleans(), st.sampled_from([0, 1, 9]), st.just(version), users,
            st.sampled_from([b"right", b"wrong"]), st.none() | wills, fives,
        ),
        st.builds(lambda topic: Publish(topic, b"x"), topics),
        st.tuples(topics, st.just(b"y"), st.just(1), flags, flags, ids).map(lambda fields: Publish(*fields)),
        st.builds(Subscribe, ids, st.lists(asked, min_size=1, max_size=3).map(tuple)),
        ids.map(PubAck),
        st.just(PingReq()),
        st.just(Disconnect()),
    )  # fmt: skip


def actions(version):
    anything = sensible(version) | sensible(version) | packets(version, Side.CLIENT) | connects(version)
    who = st.integers(0, 5)
    return st.lists(
        st.one_of(
            st.tuples(st.just("say"), who, anything),
            st.tuples(st.just("say"), who, anything),
            st.tuples(st.just("say"), who, anything),
            st.tuples(st.just("noise"), who, st.binary(max_size=30)),
            st.tuples(st.just("cut"), who, st.none()),
            st.tuples(st.just("stuck"), who, st.booleans()),
            st.tuples(st.just("ack"), who, st.integers(0, 5)),
            st.tuples(st.just("answer"), st.sampled_from(["s1", "s2"]), st.binary(max_size=200)),
            st.tuples(st.just("time"), st.integers(1, 20_000), st.none()),
            st.tuples(st.just("full"), st.booleans(), st.none()),
        ),
        max_size=40,
    )


class Street:
    """A door, six strangers who come and go, and one who just lives there."""

    def __init__(self, version):
        self.house = House(**SMALL)
        self.version = version
        self.resident = self.house.client("resident", "bert", keep_alive=0)
        mine = (Subscription("whosin/v1/down/north/books/resident/#", 1),)
        self.resident.send(Subscribe(1, mine)).got()
        self.strangers = {}

    def stranger(self, number):
        client = self.strangers.get(number)
        if client is None or client.closed:
            client = self.strangers[number] = Client(self.house.door, self.version)
        return client

    def act(self, what, whom, value):
        house = self.house
        if what == "say":
            self.stranger(whom).raw(encode(value, self.version))
        elif what == "noise":
            self.stranger(whom).raw(value)
        elif what == "cut":
            client = self.stranger(whom)
            if not client.transport.lost:
                client.cut()
        elif what == "stuck":
            transport = self.stranger(whom).transport
            if value:
                transport.stuck = not transport.closing
            elif transport.stuck:
                transport.unstick()
        elif what == "ack":
            self.stranger(whom).connection.ack(value)
        elif what == "answer":
            house.door.answer(down(session=whom), value)
        elif what == "time":
            house.advance(whom)
        elif whom:
            house.intake.full = True
        else:
            house.intake.free()
        house.door.flush()

    def check_resident(self):
        self.house.intake.free()
        self.house.door.answer(down(session="resident"), b"hello")
        said = self.resident.send(PingReq()).got()
        (answer,) = [packet for packet in said if isinstance(packet, Publish)]
        assert answer.payload == b"hello"
        assert PingResp() in said
        self.resident.send(PubAck(answer.packet_id))

    def check_bounds(self):
        door = self.house.door
        assert door.connections <= SMALL["connections"]
        for session in door._sessions.values():
            assert len(session.queue) + len(session.in_flight) <= session.most
            assert session.bytes == sum(one.size for one in [*session.queue, *session.in_flight.values()])
            assert len(session.filters) <= SMALL["filters"]
            assert (session.connection is None) == (session.key in door._waiting)
        assert len(door._waiting) <= SMALL["sessions"]
        held = [session.bytes for session in door._sessions.values() if session.bytes]
        assert (door.room.bytes, door.room.holders) == (sum(held), len(held))

    def everybody_leaves(self):
        for client in [*self.strangers.values(), self.resident]:
            client.transport.settle()
            if not client.transport.lost:
                client.cut()
        self.house.advance(200_000)
        door = self.house.door
        assert door.connections == door.sessions == len(door.wheel) == 0
        assert door.heard_by.empty
        assert not door._wills
        assert not door._leaving


@pytest.mark.parametrize("version", BOTH_VERSIONS)
@calm(80)
@given(data=st.data())
def test_strangers_cannot_disturb_the_door(version, data):
    steps = data.draw(actions(version))

    async def live():
        street = Street(version)
        for step in steps:
            street.act(*step)
            street.check_bounds()
            street.check_resident()
        street.everybody_leaves()

    asyncio.run(live())


@calm(80)
@given(chunks=st.lists(st.binary(max_size=60), max_size=5))
def test_noise_from_the_first_byte_on_is_survived(chunks):
    async def live():
        street = Street(V5)
        client = Client(street.house.door)
        for chunk in chunks:
            client.raw(chunk)
        street.check_resident()
        street.strangers[0] = client
        street.everybody_leaves()

    asyncio.run(live())
