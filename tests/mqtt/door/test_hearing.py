"""Subscriptions and what comes through them."""

from __future__ import annotations

import pytest

from tests.mqtt.door.fakes import BOTH_VERSIONS, House, down
from whosin.mqtt.codec import (
    PINGRESP,
    V5,
    V311,
    Disconnect,
    PingReq,
    Properties,
    PubAck,
    Publish,
    Reason,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
)

both = pytest.mark.parametrize("version", BOTH_VERSIONS)
EVENT = "whosin/v1/events/north/books/session.logged_in"
STATUS = "whosin/v1/daemon/whosin"


def asking(*filters, qos=1, packet_id=1, **options):
    return Subscribe(packet_id, tuple(Subscription(one, qos, **options) for one in filters))


async def subscribed(house, pattern, qos=1, **who):
    client = house.client(**who)
    (suback, *_) = client.send(asking(pattern, qos=qos)).got()
    assert suback.reasons == (Reason(qos),)
    return client


@both
@pytest.mark.parametrize(
    ("user", "pattern", "allowed"),
    [
        ("anna", "whosin/v1/down/north/books/s1/#", True),
        ("anna", "whosin/v1/down/north/+/s1/+", True),
        ("anna", "whosin/v1/down/north/books/s1/lock", True),
        ("anna", "whosin/v1/down/north/books/+/lock", True),
        ("anna", "whosin/v1/down/+/books/s1/lock", True),
        ("anna", "whosin/v1/down/north/books/s2/#", False),
        ("anna", "whosin/v1/down/south/books/s1/#", False),
        ("anna", "whosin/v1/down/north/#", True),
        ("anna", "whosin/+/down/north/books/s1/#", True),
        ("anna", "#", True),
        ("anna", EVENT, False),
        ("anna", "elsewhere", False),
        ("portal", "whosin/v1/down/north/#", True),
        ("portal", "whosin/v1/down/north/+/+/+", True),
        ("portal", "whosin/v1/down/+/#", True),
        ("portal", "whosin/v1/down/#", True),
        ("portal", "whosin/v1/events/north/#", False),
        ("portal", "whosin/v1/down/+/+/+/+/#", True),
        ("portal", "/".join("+" * 9), False),  # deeper than any topic: thousands of levels would be kept
        ("portal", "+/" * 8 + "#", False),
        ("watcher", "whosin/v1/events/north/#", True),
        ("watcher", "whosin/v1/events/south/#", False),
        ("watcher", "whosin/v1/events/#", True),
        ("watcher", "whosin/v1/daemon/#", True),
        ("watcher", STATUS, True),
        ("watcher", "whosin/v1/down/north/#", False),
    ],
)
async def test_what_one_may_hear_follows_from_who_one_is(version, user, pattern, allowed):
    house = House()
    client = house.client("s1", user, version=version)
    (suback, *_) = client.send(asking(pattern)).got()
    refusal = Reason.NOT_AUTHORIZED if version == V5 else Reason.UNSPECIFIED_ERROR
    assert suback == SubAck(1, (Reason.GRANTED_QOS_1 if allowed else refusal,))
    assert house.intake.rejects == ([] if allowed else [("forbidden", pattern.encode())])


@both
@pytest.mark.parametrize(
    ("user", "heard"),
    [
        ("anna", ["whosin/v1/down/north/books/s1/lock"]),
        ("portal", ["whosin/v1/down/north/books/s1/lock", "whosin/v1/down/north/books/s2/lock"]),
        ("watcher", [STATUS, EVENT]),
    ],
)
async def test_of_a_filter_for_everything_one_hears_ones_own(version, user, heard):
    house = House()
    client = house.client("s1", user, version=version)
    (suback, *more) = client.send(asking("whosin/v1/#")).got()
    assert suback.reasons == (Reason.GRANTED_QOS_1,)
    for site, session in (("north", "s1"), ("north", "s2"), ("south", "s1")):
        house.door.answer(f"whosin/v1/down/{site}/books/{session}/lock", b"{}")
    for site in ("north", "south"):
        house.door.announce(f"whosin/v1/events/{site}/books/session.logged_in", b"{}", lambda: None)
    assert [packet.topic.decode() for packet in [*more, *client.got()]] == heard
    client.send(Unsubscribe(2, ("whosin/v1/#",)))
    assert client.got() == [UnsubAck(2, (Reason.SUCCESS,) if version == V5 else ())]
    house.door.answer("whosin/v1/down/north/books/s1/lock", b"{}")
    assert client.got() == []


@both
async def test_without_sign_in_everything_may_be_heard(version):
    house = House(signed_in=False)
    client = house.client("x", version=version)
    patterns = ("#", "whosin/v1/#", "whosin/v1/down/+/+/+/+", EVENT)
    (suback, *_) = client.send(asking(*patterns)).got()
    assert suback == SubAck(1, (Reason.GRANTED_QOS_1,) * 4)


async def test_qos_2_is_granted_as_1_and_shared_filters_are_refused():
    client = House(signed_in=False).client("x")
    asked = Subscribe(9, (Subscription("a", 2), Subscription("b", 0), Subscription("$share/g/a", 1)))
    assert client.send(asked).got() == [
        SubAck(9, (Reason.GRANTED_QOS_1, Reason.SUCCESS, Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED))
    ]
    client = House(signed_in=False).client("x", version=V311)
    assert client.send(asking("$share/g/a")).got() == [SubAck(1, (Reason.UNSPECIFIED_ERROR,))]


async def test_subscription_identifiers_were_not_offered():
    client = House(signed_in=False).client("x")
    client.send(Subscribe(1, (Subscription("a"),), Properties(subscription_identifier=(1,))))
    assert client.got() == [Disconnect(Reason.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED)]


async def test_a_session_has_a_limit_on_filters():
    house = House(signed_in=False, filters=2)
    client = house.client("x")
    (suback,) = client.send(asking("a", "b", "c", "a")).got()
    quota = Reason.QUOTA_EXCEEDED
    assert suback.reasons == (Reason(1), Reason(1), quota, Reason(1))


@both
async def test_an_answer_reaches_its_session_and_nobody_else(version):
    house = House()
    one = await subscribed(house, "whosin/v1/down/north/books/s1/#", client_id="s1", version=version)
    two = await subscribed(house, "whosin/v1/down/north/books/s2/#", client_id="s2", version=version)
    house.door.answer(down("lock"), b"{}")
    assert one.got() == [Publish(down("lock").encode(), b"{}", 1, packet_id=1)]
    assert two.got() == []


async def test_answers_precede_the_acknowledgement_that_was_given_later():
    house = House()
    client = await subscribed(house, "whosin/v1/down/north/books/s1/#")
    client.send(Publish(b"whosin/v1/up/north/books/s1/login", b"", 1, packet_id=4))
    house.door.answer(down("login"), b"{}")
    client.connection.ack(4)
    assert [type(packet) for packet in client.got()] == [Publish, PubAck]


async def test_overlapping_filters_bring_a_message_once_at_their_best_qos():
    house = House(signed_in=False)
    client = house.client("x")
    client.send(
        Subscribe(1, (Subscription("whosin/v1/events/#", 0), Subscription("whosin/+/events/north/+/+", 1)))
    )
    client.got()
    house.door.announce(EVENT, b"{}", lambda: None)
    assert client.got() == [Publish(EVENT.encode(), b"{}", 1, packet_id=1)]


@both
async def test_unsubscribing_ends_it(version):
    house = House()
    client = await subscribed(house, "whosin/v1/down/north/books/s1/#", version=version)
    client.send(Unsubscribe(2, ("whosin/v1/down/north/books/s1/#", "never")))
    gone = (Reason.SUCCESS, Reason.NO_SUBSCRIPTION_EXISTED) if version == V5 else ()
    assert client.got() == [UnsubAck(2, gone)]
    house.door.answer(down(), b"{}")
    assert client.got() == []
    assert house.door.heard_by.empty


async def test_an_event_is_done_once_it_is_queued_for_everyone_who_hears_it():
    house = House()
    one = await subscribed(house, "whosin/v1/events/north/#", client_id="w1", user="watcher")
    two = await subscribed(house, "whosin/v1/events/north/#", client_id="w2", user="watcher", qos=0)
    done = []
    house.door.announce(EVENT, b"{}", lambda: done.append(1))
    assert done == [1]
    assert one.got() == [Publish(EVENT.encode(), b"{}", 1, packet_id=1)]
    assert two.got() == [Publish(EVENT.encode(), b"{}")]
    house.door.announce("whosin/v1/events/south/books/x", b"{}", lambda: done.append(2))
    assert done == [1, 2]
    assert one.got() == []


@both
@pytest.mark.parametrize("pattern", [STATUS, "whosin/v1/daemon/#", "whosin/v1/daemon/+"])
async def test_the_daemons_status_comes_at_once_and_retained(version, pattern):
    client = House().client("w", "watcher", version=version)
    (_, status) = client.send(asking(pattern)).got()
    assert status == Publish(STATUS.encode(), b"online", 1, True, packet_id=1)
    (_, status) = client.send(asking(pattern, qos=0)).got()
    assert status == Publish(STATUS.encode(), b"online", 0, True)


@pytest.mark.parametrize(("handling", "times"), [(0, 2), (1, 1), (2, 0)])
async def test_retain_handling_says_whether_it_comes(handling, times):
    client = House().client("w", "watcher")
    client.send(asking(STATUS, retain_handling=handling), asking(STATUS, retain_handling=handling))
    assert len([one for one in client.got() if isinstance(one, Publish)]) == times


async def test_the_peers_receive_maximum_is_kept_and_the_rest_waits():
    house = House()
    client = await subscribed(
        house, "whosin/v1/down/north/books/s1/#", properties=Properties(receive_maximum=2)
    )
    for number in range(4):
        house.door.answer(down(), b"%d" % number)
    assert [packet.payload for packet in client.got()] == [b"0", b"1"]
    assert [packet.payload for packet in client.send(PubAck(2)).got()] == [b"2"]
    assert client.send(PubAck(2), PubAck(77)).got() == []
    assert [packet.payload for packet in client.send(PubAck(1)).got()] == [b"3"]


async def test_what_is_larger_than_the_peer_takes_is_not_sent():
    house = House()
    client = await subscribed(
        house, "whosin/v1/down/north/books/s1/#", properties=Properties(maximum_packet_size=100)
    )
    house.door.answer(down(), bytes(200))
    house.door.answer(down(), b"small")
    assert [packet.payload for packet in client.got()] == [b"small"]
    assert house.door.counts["dropped_too_large"] == 1
    assert client.connection.session.bytes < 200


async def test_for_a_slow_reader_qos_0_is_dropped_and_qos_1_waits():
    house = House(write_soft=1_000)
    slow = await subscribed(house, "whosin/v1/events/north/#", client_id="w1", user="watcher", qos=0)
    waits = await subscribed(house, "whosin/v1/events/north/#", client_id="w2", user="watcher")
    slow.transport.stuck = waits.transport.stuck = True
    for number in range(60):
        house.door.announce(EVENT, b"%050d" % number, lambda: None)
        house.door.flush()
    assert house.door.counts["dropped_qos_0"] > 20
    assert 0 < len(slow.got()) < 30
    before = len(waits.got())
    assert before < 30
    waits.transport.unstick()
    assert before + len(waits.got()) == 60
    slow.transport.unstick()
    house.door.announce(EVENT, b"again", lambda: None)
    assert slow.got()[-1].payload == b"again"


async def test_a_slow_reader_beyond_the_bound_loses_its_connection_and_session():
    house = House(write_soft=1_000, queue=50)
    slow = await subscribed(
        house, "whosin/v1/down/north/books/s1/#", properties=Properties(session_expiry_interval=600)
    )
    slow.transport.stuck = True
    for _ in range(60):
        house.door.answer(down(), bytes(100))
        house.door.flush()
    assert slow.closed
    assert (house.door.counts["closed_slow"], house.door.counts["overflowed_sessions"]) == (1, 1)
    assert house.door.sessions == 0
    assert not house.connect(clean_start=False).got()[0].session_present


async def test_replies_that_nobody_reads_are_bounded_too():
    house = House(write_soft=1_000, write_hard=4_000)
    client = house.client()
    client.transport.stuck = True
    for _ in range(3_000):
        client.raw(b"\xc0\x00")
        house.door.flush()
    assert client.closed
    assert house.door.counts["closed_slow"] == 1


async def test_many_who_do_not_read_are_bounded_together_and_cost_nobody_who_does():
    house = House(queue_bytes_in_all=100_000)
    everything = "whosin/v1/events/#"
    deaf = [await subscribed(house, everything, user="watcher", client_id=f"d{n}") for n in range(50)]
    reader = await subscribed(house, everything, user="watcher", client_id="reader")
    for number in range(1_000):
        house.door.announce(EVENT, b"x" * 200, lambda: None, number + 1)
        (heard,) = [packet for packet in reader.got() if isinstance(packet, Publish)]
        reader.send(PubAck(heard.packet_id))
        assert house.door.room.bytes <= 100_000
    assert not reader.closed
    assert all(one.closed for one in deaf)
    assert house.door.counts["overflowed_sessions"] == len(deaf)
    assert house.door.room.bytes == 0


async def test_one_who_keeps_little_stays_while_another_takes_all_the_room():
    house = House(queue_bytes_in_all=10_000)
    alerts = "whosin/v1/events/north/books/alert.raised"
    modest = await subscribed(house, alerts, user="watcher", client_id="m")
    greedy = await subscribed(house, "whosin/v1/events/#", user="watcher", client_id="g")
    house.door.announce(alerts, b"{}", lambda: None, 1)
    for number in range(100):
        house.door.announce(EVENT, b"x" * 200, lambda: None, number + 2)
    assert greedy.closed
    assert not modest.closed


async def test_no_reply_is_larger_than_the_peer_takes():
    """MQTT-3.1.2-24: discarded, as if it had been sent."""
    house = House()
    client = house.connect(properties=Properties(maximum_packet_size=4))
    client.send(asking("whosin/v1/down/north/books/s1/#", packet_id=7), PingReq())
    house.door.flush()
    assert client.transport.wire == PINGRESP  # CONNACK and SUBACK tell more than four bytes can
    assert not client.closed
    assert house.door.counts["dropped_too_large"] == 2
