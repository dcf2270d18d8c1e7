"""Messages in: who may say what, acknowledgements, and how fast."""

from __future__ import annotations

import pytest

from tests.mqtt.door.fakes import BOTH_VERSIONS, House, down, up
from whosin.mqtt.codec import (
    V5,
    V311,
    Disconnect,
    PingReq,
    Properties,
    PubAck,
    Publish,
    Reason,
    Subscribe,
    Subscription,
    Will,
    encode,
)

both = pytest.mark.parametrize("version", BOTH_VERSIONS)


@both
async def test_a_chunk_is_handed_over_in_order_stamped_with_its_receipt(version):
    house = House()
    client = house.client(version=version)
    calls = []
    deliver = house.intake.deliver
    house.intake.deliver = lambda *args: (calls.append(args), deliver(*args))
    house.clock.ms = 5_000_000
    bare, full = [up(), up()], [up("lock", payload=b"{}", qos=1, packet_id=1), up("unlock", payload=b"{}")]
    client.send(*bare, *full)
    assert calls == [
        ("door", 5_000_000, client.connection, bare),
        ("door", 5_000_000, client.connection, full),
    ]
    assert client.connection.account.name == "anna"


@both
@pytest.mark.parametrize(
    ("user", "heard", "rejected"),
    [
        ("anna", ["north/books/s1", "north/books/s1"], ["forbidden", "forbidden", "topic"]),
        ("portal", ["north/books/s1", "north/books/s2", "north/books/s1"], ["forbidden", "topic"]),
        ("watcher", [], ["forbidden"] * 4 + ["topic"]),
    ],
)
async def test_of_bare_messages_together_each_is_judged(version, user, heard, rejected):
    house = House()
    client = house.client("s1", user, version=version)
    places = ["up/north/books/s1", "up/north/books/s2", "up/south/books/s1", "down/north/books/s1"]
    client.send(*(Publish(f"whosin/v1/{it}/heartbeat".encode(), b"") for it in (*places, places[0])))
    said = [message.topic.decode() for _, _, message in house.intake.heard]
    assert said == [f"whosin/v1/up/{place}/heartbeat" for place in heard]
    assert sorted(reason for reason, _ in house.intake.rejects) == rejected


@both
@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        ("anna", "whosin/v1/up/north/books/s1/heartbeat", True),
        ("anna", "whosin/v1/up/north/other/s1/heartbeat", True),
        ("anna", "whosin/v1/up/north/books/s2/heartbeat", False),
        ("anna", "whosin/v1/up/south/books/s1/heartbeat", False),
        ("anna", "whosin/v1/up/north/books/s1/heartbeat/x", False),
        ("anna", "whosin/v1/up/north/books/@batch/heartbeat", False),
        ("anna", "whosin/v1/up/north", False),
        ("portal", "whosin/v1/up/north/books/@batch/heartbeat", True),
        ("portal", "whosin/v1/up/north/books/s7/login", True),
        ("portal", "whosin/v1/up/northern/books/s7/login", False),
        ("portal", "whosin/v1/down/north/books/s7/login", False),
        ("watcher", "whosin/v1/up/north/books/s1/heartbeat", False),
    ],
)
async def test_what_one_may_say_follows_from_who_one_is(version, user, topic, allowed):
    house = House()
    client = house.client("s1", user, version=version)
    client.send(Publish(topic.encode(), b""))
    assert house.intake.topics == ([topic.encode()] if allowed else [])
    reason = "forbidden" if topic.startswith("whosin/v1/up/") else "topic"
    assert house.intake.rejects == ([] if allowed else [(reason, topic.encode())])
    assert not client.closed


async def test_without_sign_in_one_may_say_all_that_is_ours():
    house = House(signed_in=False)
    client = house.client("anything at all")
    client.send(up(session="s9"), Publish(b"foreign/topic", b""), Publish(b"whosin/v1/up/x", b""))
    assert house.intake.topics == [up(session="s9").topic, b"whosin/v1/up/x"]
    assert house.intake.rejects == [("topic", b"foreign/topic")]


async def test_a_forbidden_message_is_refused_in_mqtt_5_and_swallowed_in_3_1_1():
    house = House()
    forbidden = [
        up(session="s2", qos=1, packet_id=3), Publish(b"elsewhere", b"", 1, packet_id=4), up(session="s2"),
    ]  # fmt: skip
    assert house.client(version=V5).send(*forbidden).got() == [
        PubAck(3, Reason.NOT_AUTHORIZED), PubAck(4, Reason.TOPIC_NAME_INVALID),
    ]  # fmt: skip
    assert house.client(version=V311).send(*forbidden).got() == [PubAck(3), PubAck(4)]
    assert house.intake.heard == []


@both
async def test_a_message_is_acknowledged_when_the_engine_says_so_and_not_before(version):
    house = House()
    client = house.client(version=version)
    client.send(up("login", qos=1, packet_id=7), up("login", qos=1, packet_id=8))
    assert client.got() == []
    peer = house.intake.heard[0][1]
    peer.ack(7)
    assert client.got() == [PubAck(7)]
    peer.ack(8)
    peer.ack(8)
    peer.ack(99)
    assert client.got() == [PubAck(8)]


async def test_a_refusal_does_not_overtake_an_acknowledgement():
    house = House()
    client = house.client()
    client.send(
        up(qos=1, packet_id=1), up(session="s2", qos=1, packet_id=2), up(qos=1, packet_id=3),
        up(session="s2", qos=1, packet_id=4),
    )  # fmt: skip
    assert client.got() == []
    client.connection.ack(1)
    assert client.got() == [PubAck(1), PubAck(2, Reason.NOT_AUTHORIZED)]
    client.connection.ack(3)
    assert client.got() == [PubAck(3), PubAck(4, Reason.NOT_AUTHORIZED)]


async def test_acknowledging_a_closed_connection_is_harmless():
    house = House()
    client = house.client()
    client.send(up(qos=1, packet_id=1))
    client.cut()
    client.connection.ack(1)
    client.connection.ack(0)


@both
async def test_qos_2_ends_the_connection_behind_what_came_before(version):
    house = House()
    client = house.client(version=version, will=Will(up("lost").topic, b""))
    client.send(up(), up("login", qos=2, packet_id=1))
    assert client.got() == ([Disconnect(Reason.QOS_NOT_SUPPORTED)] if version == V5 else [])
    assert client.closed
    assert house.intake.topics == [up().topic, up("lost").topic]


@both
async def test_a_retained_message_reaches_the_engine_as_such(version):
    """Which drops and counts it (rule 3); an MQTT 5 client was told that retain is not available."""
    house = House()
    client = house.client(version=version)
    client.send(up(retain=True))
    assert [message.retain for _, _, message in house.intake.heard] == [True]
    assert not client.closed


async def test_more_unacknowledged_messages_than_announced_end_the_connection():
    house = House(receive_maximum=3)
    client = house.client()
    client.send(*(up(qos=1, packet_id=number) for number in (1, 2, 3)))
    client.connection.ack(1)
    client.send(up(qos=1, packet_id=4))
    assert client.got() == [PubAck(1)]
    client.send(up(qos=1, packet_id=5))
    assert client.got() == [Disconnect(Reason.RECEIVE_MAXIMUM_EXCEEDED)]
    assert len(house.intake.heard) == 4


async def test_a_3_1_1_client_knows_no_such_limit_and_is_read_no_further_instead():
    house = House(receive_maximum=3)
    client = house.client(version=V311)
    client.send(*(up(qos=1, packet_id=number) for number in range(1, 7)))
    assert len(house.intake.heard) == 6
    assert not client.transport.reading
    for number in range(1, 5):
        client.connection.ack(number)
    assert client.transport.reading


@pytest.mark.parametrize(
    ("user", "size", "fits"), [("anna", 15_000, True), ("anna", 17_000, False), ("portal", 262_000, True)]
)
async def test_packets_have_a_largest_size(user, size, fits):
    house = House()
    client = house.client("s1", user)
    client.send(up(payload=bytes(size)))
    assert len(house.intake.heard) == fits
    if not fits:
        assert client.got() == [Disconnect(Reason.PACKET_TOO_LARGE)]
        assert [reason for reason, _ in house.intake.rejects] == ["size"]


@both
async def test_a_broken_packet_ends_the_connection_behind_the_good_ones(version):
    house = House()
    client = house.client(version=version, will=Will(up("lost").topic, b""))
    client.raw(encode(up(), version) + b"\x00\x00")
    assert client.got() == ([Disconnect(Reason.MALFORMED_PACKET)] if version == V5 else [])
    assert client.closed
    assert house.intake.topics == [up().topic, up("lost").topic]
    assert [reason for reason, _ in house.intake.rejects] == ["protocol"]


async def test_above_the_rate_reading_pauses_and_nothing_is_dropped():
    house = House(client_rate=10, client_burst=20)
    client = house.client()
    client.send(*[up()] * 19)  # the CONNECT was the first
    assert client.transport.reading
    client.send(*[up()] * 10)
    assert not client.transport.reading
    assert len(house.intake.heard) == 29
    house.advance(800)
    assert not client.transport.reading
    house.advance(400)
    assert client.transport.reading
    assert house.door.counts["paused_for_rate"] == 1


async def test_a_time_in_which_we_stood_still_is_no_debt_of_the_peer():
    """What it sent meanwhile is read before the door has looked at its clock again."""
    house = House(client_rate=10, client_burst=20)
    client = house.client()
    house.advance(5_000)
    house.clock.ms += 60_000  # stopped and continued
    client.send(*[up()] * 15)
    house.advance(200)
    client.send(up())
    assert client.transport.reading


async def test_a_debt_is_paid_as_quickly_after_a_time_in_which_we_stood_still():
    house = House(client_rate=10, client_burst=20)
    client = house.client()
    house.advance(5_000)
    house.clock.ms += 60_000
    client.send(*[up()] * 30)
    assert not client.transport.reading
    house.advance(1_400)
    assert client.transport.reading


async def test_every_packet_counts_against_the_rate_but_expected_acknowledgements():
    house = House(client_rate=10, client_burst=20)
    client = house.client()
    client.send(Subscribe(1, (Subscription("whosin/v1/down/north/books/s1/#", 1),)))
    for _ in range(50):
        house.door.answer(down(), b"")
    client.send(*(PubAck(number) for number in range(1, 51)))
    assert client.transport.reading
    client.send(*(PubAck(number) for number in range(1, 51)))
    assert not client.transport.reading
    house.advance(10_000)
    assert client.transport.reading
    client.send(*[PingReq()] * 30)
    assert not client.transport.reading


async def test_a_peer_that_is_not_read_is_not_silent():
    house = House(client_rate=1, client_burst=1)
    client = house.client(keep_alive=2)
    client.send(*[up()] * 30)
    house.advance(28_000)
    assert not client.closed
    house.advance(6_000)
    assert client.closed


async def test_a_full_inbox_stops_all_reading_until_there_is_room():
    house = House()
    one, two = house.client("s1"), house.client("s2")
    house.intake.full = True
    one.send(up())
    assert not one.transport.reading
    assert not two.transport.reading
    late = house.connect("s3")
    assert not late.transport.reading
    assert len(house.intake.waiting) == 1
    house.intake.free()
    assert one.transport.reading
    assert two.transport.reading
    assert late.transport.reading


async def test_while_reading_stops_nothing_is_proven():
    house = House()
    client = house.client()
    house.intake.full = True
    client.send(up())
    house.door.prove()
    house.advance(5_000)
    assert not any(call == "proof" for call, _ in house.intake.calls)


async def test_topics_that_differ_without_end_take_bounded_memory():
    house = House()
    client = house.client("web", "portal")
    for start in range(0, 20_000, 1_000):
        client.send(*(up(session=f"s{number}") for number in range(start, start + 1_000)))
        client.send(*(up(session=f"s{number}", payload=b"{}") for number in range(start, start + 1_000)))
    assert len(house.intake.heard) == 40_000
    assert len(client.connection.allowed) <= 256
    assert len(client.connection.decoder._topics) <= 256
    assert client.send(Publish(down().encode(), b"", properties=Properties(content_type="x"))).got() == []
