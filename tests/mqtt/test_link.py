"""The link against a broker that does what each test says, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.scripted_broker import FakeTime, Heard, Lines, ScriptedBroker, Wire
from whosin.mqtt.codec import (
    V5,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    Properties,
    ProtocolError,
    PubAck,
    Publish,
    PubRel,
    Reason,
    SubAck,
    Subscribe,
    encode,
)
from whosin.mqtt.link import Link
from whosin.mqtt.link.pulse import FULL_READ

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOPIC = b"whosin/v1/up/s/c/x/heartbeat"
SECRET = "hunter2-hunter2"


class World:
    def __init__(self, **options: Any) -> None:
        self.time = FakeTime()
        self.broker = ScriptedBroker(self.time)
        self.heard = Heard()
        self.log = Lines()
        self.link = Link(
            "broker.example", 1883, client_id="whosin-a", name="a", clock=self.time, username="whosin",
            password=SECRET, later=self.time.call_later, dial=self.broker.dial, random=Random(7),
            log=self.log, **options,
        )  # fmt: skip

    @property
    def wire(self) -> Wire:
        return self.broker.wire

    async def start(self) -> Wire:
        await self.link.start(self.heard)
        await self.time.settle()
        return self.wire


@pytest.fixture
async def world() -> AsyncIterator[World]:
    it = World()
    yield it
    await close(it)


async def close(world: World) -> None:
    task = world.link._task
    if task is not None:
        task.cancel()


def message(payload: bytes, packet_id: int = 0, *, retain: bool = False, dup: bool = False) -> Publish:
    return Publish(TOPIC, payload, qos=1 if packet_id else 0, retain=retain, dup=dup, packet_id=packet_id)


# --- coming in ---


async def test_it_asks_for_a_session_that_outlives_the_connection(world: World):
    wire = await world.start()
    [connect] = wire.of(Connect)
    assert (connect.client_id, connect.version, connect.clean_start) == ("whosin-a", 5, False)
    assert (connect.username, connect.password) == ("whosin", SECRET.encode())
    assert connect.keep_alive == 10
    assert connect.properties.session_expiry_interval == 86_400
    assert connect.properties.receive_maximum == 65_535
    will = connect.will
    assert (will.topic, will.payload, will.qos, will.retain) == (b"whosin/v1/daemon/a", b"offline", 1, True)


async def test_it_subscribes_so_that_retained_messages_come_marked_and_old_ones_once(world: World):
    wire = await world.start()
    [subscribe] = wire.of(Subscribe)
    [asked] = subscribe.subscriptions
    assert (asked.filter, asked.qos) == ("whosin/v1/up/#", 1)
    assert (asked.retain_handling, asked.retain_as_published, asked.no_local) == (1, True, True)


async def test_it_sees_only_once_the_subscription_is_granted(world: World):
    world.broker.suback = None
    wire = await world.start()
    assert world.heard.log == []
    assert not world.link.ready
    wire.send(SubAck(wire.of(Subscribe)[0].packet_id, (Reason.GRANTED_QOS_1,)))
    assert world.heard.kinds() == ["sighted", "proof"]
    assert world.link.ready


async def test_it_says_online_once_it_sees(world: World):
    wire = await world.start()
    [online] = wire.published
    assert (online.topic, online.payload, online.retain, online.qos) == (
        b"whosin/v1/daemon/a", b"online", True, 1,
    )  # fmt: skip
    assert wire.packets.index(online) > wire.packets.index(wire.of(Subscribe)[0])


async def test_it_subscribes_again_also_when_the_broker_remembers(world: World):
    world.broker.session_present = True
    wire = await world.start()
    assert len(wire.of(Subscribe)) == 1


async def test_a_refused_subscription_leaves_it_blind_is_said_and_tried_again(world: World):
    world.broker.suback = Reason.NOT_AUTHORIZED
    wire = await world.start()
    assert not world.link.ready
    assert "sighted" not in world.heard.kinds()
    assert wire.published == []
    [line] = world.log.of("link.not_subscribed")
    assert line["reason"] == "not_authorized"
    await world.time.advance(40_000)
    assert len(world.broker.wires) == 1
    assert 3 <= len(wire.of(Subscribe)) <= 40
    world.broker.suback = Reason.GRANTED_QOS_1
    await world.time.advance(31_000)
    assert world.link.ready


@pytest.mark.parametrize("silent", ["connack", "suback"])
async def test_a_broker_that_never_answers_is_left(world: World, silent: str):
    setattr(world.broker, silent, None)
    wire = await world.start()
    await world.time.advance(9_900)
    assert not wire.closed
    setattr(world.broker, silent, Reason.GRANTED_QOS_1 if silent == "suback" else Reason.SUCCESS)
    await world.time.advance(1_000)
    assert wire.aborted
    assert world.link.ready


async def test_a_refusal_is_said_with_its_reason_and_without_secrets(world: World):
    world.broker.connack = Reason.BAD_USER_NAME_OR_PASSWORD
    await world.start()
    [line] = world.log.of("link.refused")
    assert line["cause"] == "refused: bad_user_name_or_password"
    await world.time.advance(60_000)
    assert 5 <= len(world.log.of("link.refused")) <= 7
    assert SECRET not in repr(world.log.lines)
    assert SECRET not in repr(world.link._login)


async def test_each_cause_of_a_refusal_gets_its_own_line(world: World):
    world.broker.connack = Reason.SERVER_BUSY
    await world.start()
    world.broker.connack = Reason.BANNED
    await world.time.advance(5_000)
    world.broker.unreachable = ConnectionRefusedError("nobody there")
    await world.time.advance(5_000)
    causes = [line["cause"] for line in world.log.of("link.refused")]
    assert causes == ["refused: server_busy", "refused: banned", "nobody there"]


async def test_tries_come_at_chance_within_a_growing_bound(world: World):
    world.broker.unreachable = ConnectionRefusedError("nobody there")
    await world.link.start(world.heard)
    await world.time.advance(120_000)
    gaps = [after - before for before, after in pairwise(world.broker.dialled_ms)]
    for gap, bound in zip(gaps, (200, 400, 800, 1_600, 3_200, *[5_000] * 100), strict=False):
        assert gap <= bound
    assert len(set(gaps)) > len(gaps) // 2
    assert 1_500 < sum(gaps[5:]) / len(gaps[5:]) < 3_500
    assert world.log.of("link.refused")[0]["cause"] == "nobody there"


async def test_after_a_steady_connection_the_back_off_starts_anew(world: World):
    world.broker.unreachable = ConnectionRefusedError("nobody there")
    await world.link.start(world.heard)
    await world.time.advance(30_000)
    world.broker.unreachable = None
    await world.time.advance(5_000)
    assert world.link.ready
    await world.time.advance(6_000)
    world.wire.lose()
    await world.time.advance(200)
    assert world.link.ready


async def test_what_mqtt_forbids_is_refused_when_made():
    with pytest.raises(ProtocolError):
        Link("h", 1, client_id="a\0b", name="a", clock=FakeTime())


async def test_small_limits_of_the_broker_are_said(world: World):
    world.broker.properties = Properties(
        receive_maximum=20, maximum_packet_size=100_000, maximum_qos=0, retain_available=0,
        session_expiry_interval=60,
    )  # fmt: skip
    await world.start()
    said = {line["name"]: (line["found"], line["wanted"]) for line in world.log.of("broker.limit")}
    assert said == {
        "receive_maximum": (20, 1_000),
        "maximum_packet_size": (100_000, 263_168),
        "maximum_qos": (0, 1),
        "retain_available": (0, 1),
        "session_expiry_s": (60, 86_400),
    }


async def test_generous_limits_are_not_worth_a_line(world: World):
    world.broker.properties = Properties(receive_maximum=1_000, maximum_packet_size=327_680)
    await world.start()
    assert world.log.of("broker.limit") == []


async def test_a_subscription_granted_at_qos_0_is_said(world: World):
    world.broker.suback = Reason.SUCCESS
    await world.start()
    assert world.link.ready
    assert [line["name"] for line in world.log.of("broker.limit")] == ["granted_qos"]


# --- receiving ---


async def test_bytes_that_the_loop_hands_over_as_a_bytearray_are_read_as_well(world: World):
    """As Windows' loop does."""
    wire = await world.start()
    wire.protocol.data_received(bytearray(encode(Publish(TOPIC, b"{}"), V5)))
    assert ("deliver", world.time.now_ms(), [b"{}"]) in world.heard.log


async def test_a_chunk_is_one_delivery_and_its_proof_comes_behind(world: World):
    wire = await world.start()
    world.heard.log.clear()
    world.time.stand_still(300)
    wire.send(message(b"1"), message(b"2", 5), message(b"3", retain=True))
    now = world.time.now_ms()
    assert world.heard.log == [("deliver", now, [b"1", b"2", b"3"]), ("proof", now)]


async def test_any_packet_is_a_proof(world: World):
    wire = await world.start()
    world.heard.log.clear()
    wire.send(PubAck(1))
    assert world.heard.log == [("proof", world.time.now_ms())]


async def test_bare_messages_keep_their_place_among_others(world: World):
    wire = await world.start()
    world.heard.log.clear()
    said = [
        Publish(b"a", b"1"),
        Publish(b"a", b""),
        Publish(b"b", b""),
        Publish(b"a", b"2"),
        Publish(b"a", b""),
    ]
    wire.send(*said)
    now = world.time.now_ms()
    delivered = [payloads for _, payloads in world.heard.of("deliver")]
    assert delivered == [[b"1"], [b"", b""], [b"2"], [b""]]
    assert world.heard.log[-1] == ("proof", now)


async def test_messages_ahead_of_the_granted_subscription_are_delivered_and_prove_nothing(world: World):
    world.broker.suback = None
    world.broker.session_present = True
    wire = await world.start()
    wire.send(message(b"1", 5))
    assert world.heard.kinds() == ["deliver"]
    wire.send(message(b"2", 6), SubAck(wire.of(Subscribe)[0].packet_id, (Reason.GRANTED_QOS_1,)))
    assert world.heard.kinds() == ["deliver", "sighted", "deliver", "proof"]


async def test_messages_ahead_of_a_broken_packet_are_delivered(world: World):
    wire = await world.start()
    wire.send_bytes(b"\x30\x04\0\1a\0" + b"\xff\xff\xff\xff\xff")
    assert world.heard.payloads == [b""]
    [goodbye] = wire.of(Disconnect)
    assert goodbye.reason is Reason.MALFORMED_PACKET
    await world.time.advance(1_000)
    assert len(world.broker.wires) == 2
    assert "protocol error" in world.log.of("link.lost")[0]["cause"]


async def test_a_packet_that_has_no_place_ends_the_connection(world: World):
    wire = await world.start()
    wire.send(PubRel(3))
    assert wire.of(Disconnect)[0].reason is Reason.PROTOCOL_ERROR
    assert not world.link.ready


async def test_a_message_that_breaks_each_connection_is_shed_with_the_session(world: World):
    await world.start()
    for _ in range(3):
        world.wire.send_bytes(b"\xff\xff\xff\xff\xff\xff")
        await world.time.advance(2_000)
    assert [wire.of(Connect)[0].clean_start for wire in world.broker.wires] == [False, False, False, True]
    assert len(world.log.of("link.session_dropped")) == 1


# --- acknowledging ---


async def test_only_what_the_engine_acknowledged_is_acknowledged_and_in_order(world: World):
    wire = await world.start()
    wire.send(message(b"1", 11), message(b"2", 12), message(b"3", 13))
    await world.time.settle()
    assert wire.of(PubAck) == []
    world.heard.peers[-1].ack(11)
    world.heard.peers[-1].ack(12)
    await world.time.settle()
    assert wire.of(PubAck) == [PubAck(11), PubAck(12)]


async def test_an_acknowledgement_never_overtakes_an_answer_that_the_window_holds_back(world: World):
    world.broker.properties = Properties(receive_maximum=1)
    wire = await world.start()
    world.broker.puback = None
    wire.send(message(b"1", 11))
    world.link.answer("whosin/v1/down/s/c/x/login", b"a")
    world.link.answer("whosin/v1/down/s/c/x/lock", b"b")
    world.heard.peers[-1].ack(11)
    await world.time.settle()
    assert wire.published[-1].payload == b"a"
    assert wire.of(PubAck) == []
    wire.send(PubAck(wire.published[-1].packet_id))
    await world.time.settle()
    assert [type(packet) for packet in wire.packets[-2:]] == [Publish, PubAck]
    assert wire.published[-1].payload == b"b"


async def test_acknowledgements_for_an_earlier_connection_are_dropped(world: World):
    wire = await world.start()
    wire.send(message(b"1", 11))
    old = world.heard.peers[-1]
    wire.lose()
    old.ack(11)
    world.broker.session_present = True
    await world.time.advance(1_000)
    old.ack(11)
    await world.time.settle()
    world.wire.send(message(b"1", 11, dup=True))
    assert world.wire.of(PubAck) == []
    assert world.heard.payloads == [b"1", b"1"]
    world.heard.peers[-1].ack(11)
    await world.time.settle()
    assert world.wire.of(PubAck) == [PubAck(11)]


# --- sending ---


async def test_done_is_called_at_the_brokers_puback(world: World):
    wire = await world.start()
    world.broker.puback = None
    done: list[int] = []
    world.link.announce("whosin/v1/events/s/c/x", b"1", lambda: done.append(1))
    await world.time.settle()
    assert done == []
    wire.send(PubAck(wire.published[-1].packet_id))
    assert done == [1]


@pytest.mark.parametrize("kept", [True, False])
async def test_what_was_not_acknowledged_is_sent_again(world: World, kept: bool):
    wire = await world.start()
    world.broker.puback = None
    done: list[int] = []
    world.link.announce("whosin/v1/events/s/c/x", b"1", lambda: done.append(1))
    world.link.answer("whosin/v1/down/s/c/x/login", b"2")
    await world.time.settle()
    first = {packet.payload: packet.packet_id for packet in wire.published}
    wire.lose()
    assert not world.link.ready
    world.link.answer("whosin/v1/down/s/c/x/login", b"3")
    world.broker.puback = Reason.SUCCESS
    world.broker.session_present = kept
    await world.time.advance(1_000)
    again = [packet for packet in world.wire.published if packet.payload != b"online"]
    assert sorted(p.payload for p in again[:2]) == [b"1", b"2"]
    assert again[2].payload == b"3"
    assert [packet.dup for packet in again] == [kept, kept, False]
    if kept:
        assert all(packet.packet_id == first[packet.payload] for packet in again[:2])
    assert done == [1]


async def test_it_is_not_ready_while_events_are_at_their_bound():
    world = World(events=2, window=1)
    await world.start()
    world.broker.puback = None
    for _ in range(3):
        world.link.announce("whosin/v1/events/s/c/x", b"1", lambda: None)
    await world.time.settle()
    assert not world.link.ready
    world.wire.send(PubAck(world.wire.published[-1].packet_id))
    await world.time.settle()
    assert world.link.ready
    await close(world)


async def test_a_socket_that_takes_no_more_is_not_filled(world: World):
    wire = await world.start()
    wire.protocol.pause_writing()
    world.link.answer("whosin/v1/down/s/c/x/login", b"1")
    await world.time.settle()
    assert wire.published[-1].payload == b"online"
    wire.protocol.resume_writing()
    await world.time.settle()
    assert wire.published[-1].payload == b"1"


# --- proofs, and connections that only look alive ---


async def test_a_proof_asked_for_is_a_ping_at_once_and_one_at_a_time(world: World):
    wire = await world.start()
    world.broker.answers_pings = False
    world.link.prove()
    world.link.prove()
    assert len(wire.of(PingReq)) == 1
    asked = world.time.now_ms()
    assert world.link.asked_ms == asked
    await world.time.advance(40)
    world.heard.log.clear()
    wire.send(PingResp())
    assert world.heard.log == [("proof", asked), ("proof", asked + 40)]
    assert len(wire.of(PingReq)) == 2, "the second asked while the first was on its way"


async def test_asking_for_a_proof_without_a_connection_is_harmless(world: World):
    world.link.prove()
    assert world.link.asked_ms == 0


async def test_after_standing_still_only_a_ping_proves(world: World):
    wire = await world.start()
    world.broker.answers_pings = False
    world.time.stand_still(60_000)
    world.heard.log.clear()
    wire.send(message(b"old"))
    assert world.heard.kinds() == ["deliver"]
    await world.time.settle()
    asked = world.link.asked_ms
    assert asked == world.time.now_ms()
    wire.send(message(b"older"), PingResp())
    assert world.heard.kinds() == ["deliver", "deliver", "proof", "proof"]
    assert world.heard.of("proof")[0] == asked


async def test_a_full_read_proves_nothing_until_a_ping_is_answered(world: World):
    wire = await world.start()
    world.heard.log.clear()
    wire.send(message(b"x" * FULL_READ))
    assert world.heard.kinds() == ["deliver"]
    await world.time.advance(500)
    assert world.heard.kinds()[1:] == ["proof", "proof"]


async def test_a_quiet_connection_is_pinged(world: World):
    wire = await world.start()
    await world.time.advance(30_000)
    assert len(wire.of(PingReq)) == 10
    assert max(world.heard.of("proof")) >= world.time.now_ms() - 3_000


async def test_the_brokers_own_keep_alive_is_kept(world: World):
    world.broker.properties = Properties(server_keep_alive=4)
    world.broker.answers_pings = False
    wire = await world.start()
    await world.time.advance(7_500)
    assert len(wire.of(PingReq)) == 3, "at 3 s, and while unanswered every 2 s"


async def test_a_half_open_connection_is_noticed_and_replaced(world: World):
    wire = await world.start()
    world.broker.answers_pings = False
    world.heard.log.clear()
    await world.time.advance(3_000 + 5_000 - 500)
    assert not wire.closed
    assert world.heard.log == []
    await world.time.advance(500)
    assert wire.aborted
    assert world.heard.kinds()[0] == "blinded"
    world.broker.answers_pings = True
    await world.time.advance(1_000)
    assert world.link.ready
    assert world.log.of("link.lost")[0]["cause"].startswith("half-open")


async def test_a_lost_connection_blinds(world: World):
    wire = await world.start()
    world.heard.log.clear()
    wire.lose(ConnectionResetError("reset"))
    assert world.heard.kinds() == ["blinded"]
    assert not world.link.ready
    await world.time.advance(1_000)
    assert "sighted" in world.heard.kinds()
    assert world.log.of("link.lost")[0]["cause"] == "reset"


async def test_the_brokers_goodbye_is_understood(world: World):
    wire = await world.start()
    wire.send(message(b"1"), Disconnect(Reason.SERVER_SHUTTING_DOWN))
    assert world.heard.payloads == [b"1"]
    await world.time.advance(1_000)
    assert world.log.of("link.lost")[0]["cause"] == "server_shutting_down"


# --- back-pressure ---


async def test_it_stops_reading_while_the_inbox_is_full(world: World):
    wire = await world.start()
    world.heard.full = True
    wire.send(message(b"1"))
    assert not wire.reading
    world.heard.free()
    assert wire.reading


async def test_not_reading_is_no_half_open_connection_and_keeps_the_broker_patient(world: World):
    wire = await world.start()
    world.heard.full = True
    wire.send(message(b"1"))
    before = len(wire.of(PingReq))
    await world.time.advance(60_000)
    assert not wire.closed
    assert len(wire.of(PingReq)) - before >= 10
    world.heard.log.clear()
    world.heard.free()
    wire.send(message(b"2"))
    assert world.heard.kinds() == ["deliver"], "a backlog may be behind it"


async def test_room_in_the_inbox_after_the_connection_is_gone_is_harmless(world: World):
    wire = await world.start()
    world.heard.full = True
    wire.send(message(b"1"))
    wire.lose()
    world.heard.free()
    assert not wire.reading


# --- resting ---


BARE = Publish(b"whosin/v1/up/s/c/x/heartbeat", b"")
FLOOD = [BARE] * 40


async def test_in_a_flood_of_heartbeats_reading_rests_for_a_moment(world: World):
    wire = await world.start()
    wire.send(*FLOOD)
    assert wire.reading, "it may have been all"
    await world.time.advance(3)
    wire.send(*FLOOD)
    assert not wire.reading
    await world.time.advance(1)
    assert not wire.reading
    await world.time.advance(1)
    assert wire.reading
    wire.send(*FLOOD)
    assert not wire.reading
    await world.time.advance(4)
    wire.send(*FLOOD)
    assert wire.reading, "the last ones were long ago"


async def test_few_heartbeats_and_anything_else_are_read_as_they_come(world: World):
    wire = await world.start()
    for _ in range(10):
        wire.send(*FLOOD[:10])
        wire.send(*(message(b"{}") for _ in range(40)))
        assert wire.reading


async def test_what_is_read_after_a_rest_is_proven_as_ever(world: World):
    wire = await world.start()
    wire.send(*FLOOD)
    wire.send(*FLOOD)
    world.heard.log.clear()
    await world.time.advance(2)
    wire.send(BARE, message(b"1"))
    now = world.time.now_ms()
    assert world.heard.log == [("deliver", now, [b""]), ("deliver", now, [b"1"]), ("proof", now)]


async def test_a_large_piece_is_followed_by_the_next_at_once(world: World):
    wire = await world.start()
    wire.send(*FLOOD)
    wire.send(*FLOOD * 25)
    assert wire.reading


async def test_the_end_of_a_rest_does_not_end_the_wait_for_room_nor_the_other_way_round(world: World):
    wire = await world.start()
    wire.send(*FLOOD)
    world.heard.full = True
    wire.send(*FLOOD)
    await world.time.advance(3)
    assert not wire.reading, "the inbox is full"
    world.heard.free()
    assert wire.reading
    world.heard.full = True
    wire.send(*FLOOD)
    world.heard.free()
    assert not wire.reading, "it rests"
    await world.time.advance(2)
    assert wire.reading


async def test_a_connection_that_is_lost_while_it_rests_is_left_alone(world: World):
    wire = await world.start()
    wire.send(*FLOOD)
    wire.send(*FLOOD)
    wire.lose()
    await world.time.advance(5)
    assert not wire.reading


# --- going ---


async def stopped(world: World) -> None:
    task = asyncio.create_task(world.link.stop())
    while not task.done():
        await world.time.advance(10)
    await task


async def test_it_says_offline_behind_what_waits_and_leaves_properly(world: World):
    wire = await world.start()
    world.link.announce("whosin/v1/events/s/c/x", b"1", lambda: None)
    await stopped(world)
    assert [packet.payload for packet in wire.published] == [b"online", b"1", b"offline"]
    assert wire.published[-1].retain
    assert wire.packets[-1] == Disconnect(Reason.SUCCESS)
    assert wire.closed
    assert world.heard.kinds()[-1] == "blinded"
    await world.time.advance(20_000)
    assert len(world.broker.wires) == 1


async def test_it_leaves_within_two_seconds_and_lets_the_will_speak_if_the_broker_is_stuck(world: World):
    wire = await world.start()
    world.broker.puback = None
    world.link.announce("whosin/v1/events/s/c/x", b"1", lambda: None)
    began = world.time.now_ms()
    await stopped(world)
    assert world.time.now_ms() - began <= 2_600
    assert wire.packets[-1] == Disconnect(Reason.DISCONNECT_WITH_WILL)


async def test_what_comes_while_leaving_is_left_for_the_next_start(world: World):
    wire = await world.start()
    world.broker.puback = None
    task = asyncio.create_task(world.link.stop())
    await world.time.advance(100)
    wire.send(message(b"1", 5))
    assert world.heard.payloads == []
    while not task.done():
        await world.time.advance(10)


async def test_stopping_without_a_broker_is_quick(world: World):
    world.broker.unreachable = ConnectionRefusedError("nobody there")
    await world.link.start(world.heard)
    await world.time.settle()
    await world.link.stop()
    await world.link.stop()
    await world.time.advance(20_000)
    assert len(world.broker.dialled_ms) == 1


async def test_stopping_in_the_handshake_closes_the_connection(world: World):
    world.broker.connack = None
    wire = await world.start()
    await world.link.stop()
    assert wire.closed
