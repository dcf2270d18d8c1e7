"""Who comes in, what they are told, and how they are sent away."""

from __future__ import annotations

import asyncio

import pytest

from tests.mqtt.door.fakes import BOTH_VERSIONS, Client, FakeClock, House, authenticate, down, up
from whosin.errors import SettingsError
from whosin.mqtt.codec import (
    PINGREQ,
    V5,
    V311,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    Properties,
    PubComp,
    PubRec,
    PubRel,
    Reason,
    Will,
    encode,
)
from whosin.mqtt.door import Door

both = pytest.mark.parametrize("version", BOTH_VERSIONS)


async def test_an_mqtt_5_client_is_told_the_limits():
    (connack,) = House().connect().got()
    assert connack == ConnAck(
        properties=Properties(
            receive_maximum=250, maximum_qos=1, retain_available=0, maximum_packet_size=16 * 1024,
            subscription_identifier_available=0, shared_subscription_available=0,
        )
    )  # fmt: skip


async def test_a_gateway_may_send_packets_as_large_as_a_batch():
    (connack,) = House().connect("web", "portal").got()
    assert connack.properties.maximum_packet_size == 260 * 1024


async def test_an_mqtt_3_client_just_gets_in():
    assert House().connect(version=V311).got() == [ConnAck()]


@both
@pytest.mark.parametrize(("user", "password"), [("anna", b"wrong"), ("nobody", b"right"), (None, None)])
async def test_without_the_right_secret_nobody_gets_in(version, user, password):
    house = House()
    client = house.connect(user=user, password=password, version=version)
    assert client.got() == [ConnAck(False, Reason.BAD_USER_NAME_OR_PASSWORD)]
    assert client.closed
    assert house.intake.rejects == [("sign_in", b"s1")]
    assert house.door.sessions == house.door.connections == 0


async def test_sign_in_off_is_for_loopback_only():
    for listen in ("0.0.0.0:1883", "example.org:1883", "[::]:1883", "192.168.1.1:1"):
        with pytest.raises(SettingsError, match="loopback"):
            Door(listen, clock=FakeClock(), name="x")
        Door(listen, clock=FakeClock(), name="x", authenticate=authenticate)
    for listen in ("127.0.0.1:1883", "localhost:0", "[::1]:1883", "127.8.8.8:1"):
        Door(listen, clock=FakeClock(), name="x")


@pytest.mark.parametrize("listen", ["1883", "127.0.0.1", ":1883", "127.0.0.1:x", "127.0.0.1:70000"])
async def test_an_address_that_is_none_is_refused_with_an_example(listen):
    with pytest.raises(SettingsError, match=r"expected host:port, for example 127\.0\.0\.1:1883"):
        Door(listen, clock=FakeClock(), name="x")


async def test_an_empty_client_id_gets_one():
    (connack,) = House(signed_in=False).connect("").got()
    assert connack.properties.assigned_client_identifier.startswith("auto-")
    assert House(signed_in=False).connect("", version=V311).got() == [ConnAck()]


async def test_an_empty_client_id_with_a_session_to_keep_is_refused_in_3_1_1():
    client = House(signed_in=False).connect("", version=V311, clean_start=False)
    assert client.got() == [ConnAck(False, Reason.CLIENT_ID_NOT_VALID)]


@pytest.mark.parametrize("client_id", ["+", "#", "a/b", "x" * 65, "é"])
async def test_a_client_id_that_is_no_session_id_is_refused_to_clients(client_id):
    """As `+` it would hear the answers to everybody."""
    (connack,) = House().connect(client_id).got()
    assert connack.reason is Reason.CLIENT_ID_NOT_VALID


@pytest.mark.parametrize(
    ("wire", "answer"),
    [
        ("100c00044d515454 06 02 0000 0000", "2003 00 84 00"),
        ("100e00064d51497364700302 0000 0000", "2002 00 01"),
        ("100c00044d515454 04 03 0000 0000", ""),
        ("100d00044d515454 05 03 0000 00 0000", "2003 00 81 00"),
        ("c000", ""),
        ("474554202f", ""),
    ],
)
async def test_a_broken_connect_is_answered_where_there_is_an_answer(wire, answer):
    house = House()
    client = Client(house.door)
    client.raw(bytes.fromhex(wire))
    assert client.transport.wire == bytes.fromhex(answer)
    assert client.closed
    assert house.door.connections == 0


async def test_enhanced_authentication_is_refused():
    client = House().connect(properties=Properties(authentication_method="SCRAM"))
    assert client.got() == [ConnAck(False, Reason.BAD_AUTHENTICATION_METHOD)]
    client = House().client()
    client.send(Auth(Reason.RE_AUTHENTICATE, Properties(authentication_method="SCRAM")))
    assert client.got() == [Disconnect(Reason.PROTOCOL_ERROR)]


@both
async def test_packets_right_behind_the_connect_are_taken(version):
    house = House()
    client = Client(house.door, version)
    hello = Connect("s1", version=version, username="anna", password=b"right")
    client.raw(encode(hello, version) + encode(up(), version) + PINGREQ)
    assert [type(packet) for packet in client.got()] == [ConnAck, PingResp]
    assert house.intake.topics == [up().topic]


@both
async def test_a_second_connect_ends_the_connection(version):
    house = House()
    client = house.client(version=version)
    client.raw(bytes.fromhex("100c00044d515454 04 02 0000 0000"))
    assert client.got() == ([Disconnect(Reason.PROTOCOL_ERROR)] if version == V5 else [])
    assert client.closed


@both
async def test_pings_are_answered(version):
    client = House().client(version=version)
    assert client.send(PingReq()).got() == [PingResp()]


async def test_qos_2_leftovers_of_another_server_are_answered():
    client = House().client()
    assert client.send(PubRel(5)).got() == [PubComp(5, Reason.PACKET_ID_NOT_FOUND)]
    client.send(PubRec(5))
    assert client.got() == [Disconnect(Reason.PROTOCOL_ERROR)]


@both
async def test_a_silent_peer_is_closed_after_one_and_a_half_keep_alives(version):
    house = House()
    client = house.client(version=version, keep_alive=10)
    house.advance(14_000)
    assert not client.closed
    client.send(PingReq())
    client.got()
    house.advance(14_800)
    assert not client.closed
    house.advance(400)
    assert client.got() == ([Disconnect(Reason.KEEP_ALIVE_TIMEOUT)] if version == V5 else [])
    assert client.closed
    assert house.door.counts["closed_keep_alive"] == 1


async def test_no_keep_alive_is_forever():
    house = House()
    client = house.client()
    house.advance(3_600_000)
    assert not client.closed
    assert len(house.door.wheel) == 0


async def test_time_in_which_the_daemon_did_not_run_is_not_the_peers():
    house = House()
    client = house.client(keep_alive=10)
    house.advance(10_000)
    house.clock.ms += 60_000  # suspended
    house.door.tick()
    assert not client.closed
    house.advance(4_600)
    assert not client.closed
    house.advance(800)
    assert client.closed


async def test_who_does_not_say_connect_in_time_is_closed():
    house = House()
    client = Client(house.door)
    client.raw(b"\x10")
    house.advance(9_800)
    assert not client.closed
    house.advance(400)
    assert client.closed
    assert house.door.counts["connect_timeout"] == 1


async def test_who_was_not_read_cannot_have_said_connect():
    house = House()
    house.intake.full = True
    house.client().send(up())
    late = Client(house.door)
    house.advance(15_000)
    assert not late.closed
    house.intake.free()
    house.advance(10_400)
    assert late.closed


async def test_there_is_a_limit_on_connections():
    house = House(connections=2)
    first, _ = house.client("s1"), house.client("s2")
    third = Client(house.door)
    assert third.closed
    assert house.door.counts["refused_connections"] == 1
    first.cut()
    assert house.client("s3").got() == []


async def test_there_is_a_limit_on_those_who_said_nothing_yet():
    house = House(pending=2)
    house.client("s1")
    waiting = [Client(house.door), Client(house.door)]
    assert not any(one.closed for one in waiting)
    assert Client(house.door).closed
    assert house.door.counts["refused_pending"] == 1


async def test_a_removed_account_is_shown_out():
    house = House()
    anna, bert = house.client("s1", "anna"), house.client("s2", "bert")
    assert house.door.dismiss("anna") == 1
    assert anna.got() == [Disconnect(Reason.ADMINISTRATIVE_ACTION)]
    assert not bert.closed


async def test_stopping_says_goodbye_and_publishes_no_will():
    house = House()
    will = Will(up("lost").topic, b"")
    client = house.client(will=will)
    delayed = house.client(
        "s2", "bert", will=Will(up("lost", "s2").topic, b"", properties=Properties(will_delay_interval=60)),
        properties=Properties(session_expiry_interval=600),
    )  # fmt: skip
    delayed.cut()
    stopping = asyncio.create_task(house.door.stop())
    await asyncio.sleep(0)
    assert client.got() == [Disconnect(Reason.SERVER_SHUTTING_DOWN)]
    assert client.closed
    await stopping
    assert house.intake.heard == []
    assert house.intake.calls[-1] == ("blinded", None)
    house.door.answer(down(), b"{}")  # harmless afterwards
