"""What outlives a connection: sessions, take-over, and wills."""

from __future__ import annotations

import gc
import weakref

import pytest

from tests.mqtt.door.fakes import BOTH_VERSIONS, House, down, up
from whosin.mqtt.codec import (
    V5,
    V311,
    Disconnect,
    Properties,
    PubAck,
    Publish,
    Reason,
    Subscribe,
    Subscription,
    Will,
)

both = pytest.mark.parametrize("version", BOTH_VERSIONS)
MINE = Subscribe(1, (Subscription("whosin/v1/down/north/books/s1/#", 1),))
LOST = up("lost").topic


def keeping(version, seconds=600, **properties):
    """The fields of a CONNECT whose session is to be kept."""
    if version == V311:
        return {"version": version, "clean_start": False}
    return {
        "version": version, "clean_start": False,
        "properties": Properties(session_expiry_interval=seconds, **properties),
    }  # fmt: skip


def payloads(client):
    return [packet.payload for packet in client.got() if isinstance(packet, Publish)]


@both
async def test_a_kept_session_keeps_its_subscriptions_and_unread_answers(version):
    house = House()
    client = house.client(**keeping(version))
    client.send(MINE)
    client.cut()
    house.door.answer(down(), b"1")
    house.door.answer(down(), b"2")
    again = house.connect(**keeping(version))
    connack, *answers = again.got()
    assert connack.session_present
    assert [(one.payload, one.dup) for one in answers] == [(b"1", False), (b"2", False)]


@both
async def test_what_was_not_acknowledged_comes_again_first_and_marked(version):
    house = House()
    client = house.client(**keeping(version))
    client.send(MINE)
    for number in range(3):
        house.door.answer(down(), b"%d" % number)
    assert payloads(client) == [b"0", b"1", b"2"]
    client.send(PubAck(2))
    client.cut()
    house.door.answer(down(), b"3")
    again = house.connect(**keeping(version))
    _, *answers = again.got()
    assert [(one.payload, one.dup, one.packet_id) for one in answers] == [
        (b"0", True, 1), (b"2", True, 3), (b"3", False, 4),
    ]  # fmt: skip
    again.send(PubAck(1), PubAck(3), PubAck(4))
    assert house.connect(**keeping(version)).got()[1:] == []


@both
async def test_a_clean_start_forgets_it(version):
    house = House()
    house.client(**keeping(version)).send(MINE).cut()
    house.door.answer(down(), b"1")
    again = house.connect(version=version, clean_start=True)
    (connack,) = again.got()
    assert not connack.session_present
    assert house.door.heard_by.empty


@both
async def test_a_session_not_kept_ends_with_its_connection(version):
    house = House()
    house.client(version=version, clean_start=True).send(MINE).cut()
    assert house.door.sessions == 0
    assert house.door.heard_by.empty
    assert not house.connect(**keeping(version)).got()[0].session_present


@both
async def test_a_session_is_kept_no_longer_than_allowed(version):
    house = House(session_expiry_ms=60_000)
    client = house.connect(**keeping(version, seconds=0xFFFF_FFFF))
    (connack,) = client.got()
    assert connack.properties.session_expiry_interval == (60 if version == V5 else None)
    client.send(MINE).cut()
    house.advance(59_000)
    assert house.door.sessions == 1
    house.advance(1_400)
    assert house.door.sessions == 0


async def test_a_client_may_change_its_mind_when_it_leaves():
    house = House()
    client = house.client(**keeping(V5))
    client.send(Disconnect(properties=Properties(session_expiry_interval=0)))
    assert house.door.sessions == 0
    client = house.client()
    client.send(Disconnect(properties=Properties(session_expiry_interval=10)))
    assert client.got() == [Disconnect(Reason.PROTOCOL_ERROR)]


async def test_sessions_that_wait_are_limited_and_the_oldest_goes():
    house = House(signed_in=False, sessions=2)
    for name in ("a", "b", "c"):
        house.client(name, **keeping(V5)).cut()
    present = [house.connect(name, **keeping(V5)).got()[0].session_present for name in ("a", "b", "c")]
    assert present == [False, True, True]


async def test_an_absent_clients_queue_is_bounded_and_beyond_it_the_session_ends():
    house = House(queue=3)
    house.client(**keeping(V5)).send(MINE).cut()
    for _ in range(4):
        house.door.answer(down(), b"x")
    assert house.door.sessions == 0
    house = House(queue_bytes=1_000)
    house.client(**keeping(V5)).send(MINE).cut()
    house.door.answer(down(), bytes(900))
    assert house.door.sessions == 0


async def test_qos_0_answers_do_not_wait():
    house = House(signed_in=False)
    house.client(**keeping(V5)).send(Subscribe(1, (Subscription("#", 0),))).cut()
    house.door.answer(down(), b"x")
    assert len(house.connect(**keeping(V5)).got()) == 1


@both
async def test_the_same_client_again_takes_over_without_a_will(version):
    house = House()
    old = house.client(version=version, will=Will(LOST, b""))
    new = house.client(version=version, will=Will(LOST, b""))
    assert old.got() == ([Disconnect(Reason.SESSION_TAKEN_OVER)] if version == V5 else [])
    assert old.closed
    assert not new.closed
    assert house.intake.heard == []
    assert house.door.connections == house.door.sessions == 1


@both
async def test_a_kept_session_is_taken_over_as_it_is(version):
    house = House()
    old = house.client(**keeping(version))
    old.send(MINE)
    house.door.answer(down(), b"1")
    assert payloads(old) == [b"1"]
    connack, again = house.connect(**keeping(version)).got()
    assert connack.session_present
    assert (again.payload, again.dup) == (b"1", True)


async def test_another_account_cannot_take_over():
    house = House()
    anna = house.client("s1", "anna", **keeping(V5))
    anna.send(MINE)
    bert = house.connect("s1", "bert", **keeping(V5))
    assert not bert.got()[0].session_present
    assert not anna.closed


@both
@pytest.mark.parametrize("end", ["cut", "silence", "broken"])
async def test_an_abnormal_end_publishes_the_will(version, end):
    house = House()
    client = house.client(version=version, keep_alive=10, will=Will(LOST, b'{"conn":1}', 1))
    if end == "cut":
        client.cut()
    elif end == "silence":
        house.advance(15_000)
    else:
        client.raw(b"\0\0")
    ((at_ms, peer, will),) = house.intake.heard
    assert at_ms == house.clock.ms
    assert peer.account.name == "anna"
    assert (will.topic, will.payload, will.qos, will.packet_id) == (LOST, b'{"conn":1}', 1, 0)
    peer.ack(will.packet_id)
    client.transport.settle()
    assert len(house.intake.heard) == 1


@both
async def test_a_goodbye_publishes_no_will(version):
    house = House()
    client = house.client(version=version, will=Will(LOST, b""))
    client.send(Disconnect())
    assert client.closed
    assert house.intake.heard == []


async def test_a_goodbye_that_asks_for_the_will_gets_it():
    house = House()
    house.client(will=Will(LOST, b"")).send(Disconnect(Reason.DISCONNECT_WITH_WILL))
    assert house.intake.topics == [LOST]


async def test_a_delayed_will_waits_and_a_return_cancels_it():
    house = House()
    will = Will(LOST, b"", properties=Properties(will_delay_interval=30))
    house.client(**keeping(V5), will=will).cut()
    house.advance(29_000)
    assert house.intake.heard == []
    back = house.client(**keeping(V5), will=will)
    house.advance(60_000)
    assert house.intake.heard == []
    back.cut()
    house.advance(30_400)
    assert house.intake.topics == [LOST]
    house.advance(600_000)
    assert house.intake.topics == [LOST]


@pytest.mark.parametrize("clean", [True, False])
async def test_a_return_without_the_old_session_cancels_the_will_too(clean):
    house = House()
    will = Will(LOST, b"", properties=Properties(will_delay_interval=30))
    house.client(**keeping(V5), will=will).cut()
    house.client(clean_start=clean)
    house.advance(60_000)
    assert house.intake.heard == []


async def test_the_end_of_the_session_ends_the_delay():
    house = House()
    will = Will(LOST, b"", properties=Properties(will_delay_interval=3_000))
    house.client(**keeping(V5, seconds=10), will=will).cut()
    house.advance(9_800)
    assert house.intake.heard == []
    house.advance(600)
    assert house.intake.topics == [LOST]
    house.client(will=will).cut()  # no session to wait for
    assert house.intake.topics == [LOST, LOST]


@both
@pytest.mark.parametrize(
    ("will", "reason_5", "let_in_311"),
    [
        (Will(up("lost", "s2").topic, b""), Reason.NOT_AUTHORIZED, False),
        (Will(b"elsewhere", b""), Reason.NOT_AUTHORIZED, False),
        (Will(LOST, bytes(9_000)), Reason.PACKET_TOO_LARGE, False),
        (Will(LOST, b"", 2), Reason.QOS_NOT_SUPPORTED, True),
        (Will(LOST, b"", 1, True), Reason.RETAIN_NOT_SUPPORTED, True),
    ],
)
async def test_a_will_must_be_one_that_could_be_said(version, will, reason_5, let_in_311):
    house = House()
    client = house.connect(version=version, will=will)
    (connack,) = client.got()
    if version == V5:
        assert connack.reason is reason_5
    else:
        assert (connack.reason is Reason.SUCCESS) is let_in_311
    client.cut()
    assert [message.retain for _, _, message in house.intake.heard] == (
        [will.retain] if version == V311 and let_in_311 else []
    )


async def test_an_observer_has_no_will():
    (connack,) = House().connect("w", "watcher", will=Will(LOST, b"")).got()
    assert connack.reason is Reason.NOT_AUTHORIZED


async def test_coming_and_going_leaves_nothing_behind():
    house = House()
    for number in range(300):
        house.client("s1", keep_alive=65_535, **keeping(V5) if number % 2 else {}).cut()
    house.client("s1").cut()
    assert len(house.door.wheel) == 0
    assert house.door.sessions == house.door.connections == 0
    assert house.door.heard_by.empty


@both
@pytest.mark.parametrize("goodbye", [True, False])
async def test_a_connection_that_ended_is_let_go_of_without_the_collector(version, goodbye):
    house = House()
    client = house.client(version=version)
    client.send(up(), Publish(b"elsewhere", b""))
    house.intake.heard.clear()
    gone = weakref.ref(client.connection)
    gc.disable()
    try:
        if goodbye:
            client.send(Disconnect())
            assert client.closed
        else:
            client.cut()
        house.door.tick()
        client.connection = client.transport.connection = None
        assert gone() is None
    finally:
        gc.enable()
