"""The door on a real socket, with the clients that people use."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager

import aiomqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from tests.mqtt.door.fakes import FakeIntake, authenticate, down, up
from whosin.clock import SystemClock
from whosin.mqtt.door import Door

needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None, reason="mosquitto-clients is not here"
)
PATIENCE_S = 10


@asynccontextmanager
async def opened(*, signed_in=True, context=None):
    intake = FakeIntake(acking=True)
    door = Door(
        "127.0.0.1:0",
        clock=SystemClock(),
        name="whosin",
        authenticate=authenticate if signed_in else None,
        context=context,
    )
    await door.start(intake)
    try:
        yield door, intake
    finally:
        await door.stop()


async def until(true):
    """Wait for what another program brings about; it can be seen, but gives us no signal."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def mosquitto(tool, door, *args, user="anna", client_id="s1"):
    return await asyncio.create_subprocess_exec(
        tool, "-h", "127.0.0.1", "-p", str(door.port), "-i", client_id, "-u", user, "-P", "right", *args,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@needs_mosquitto
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
@pytest.mark.parametrize("qos", ["0", "1"])
async def test_mosquitto_pub_gets_its_message_in(version, qos):
    async with opened() as (door, intake):
        tool = await mosquitto(
            "mosquitto_pub",
            door,
            "-V",
            version,
            "-q",
            qos,
            "-t",
            up("login").topic.decode(),
            "-m",
            '{"user":"anna"}',
        )
        output, _ = await asyncio.wait_for(tool.communicate(), PATIENCE_S)
        assert (tool.returncode, output) == (0, b"")
        ((_, _, message),) = intake.heard
        assert (message.topic, message.payload, message.qos) == (
            up("login").topic,
            b'{"user":"anna"}',
            int(qos),
        )


@needs_mosquitto
async def test_mosquitto_pub_is_told_a_wrong_password():
    async with opened() as (door, _):
        tool = await mosquitto("mosquitto_pub", door, "-t", "x", "-m", "x", user="nobody")
        output, _ = await asyncio.wait_for(tool.communicate(), PATIENCE_S)
        assert tool.returncode != 0
        assert b"ot authori" in output or b"user name" in output


@needs_mosquitto
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
async def test_mosquitto_sub_hears_its_answers(version):
    async with opened() as (door, _):
        tool = await mosquitto(
            "mosquitto_sub",
            door,
            "-V",
            version,
            "-q",
            "1",
            "-C",
            "2",
            "-v",
            "-t",
            "whosin/v1/down/north/+/s1/#",
        )
        await until(lambda: not door.heard_by.empty)
        door.answer(down("lock"), b"1")
        door.answer(down("lock", session="s2"), b"not yours")
        door.answer(down("message"), b"2")
        output, _ = await asyncio.wait_for(tool.communicate(), PATIENCE_S)
        assert output.decode().splitlines() == [f"{down('lock')} 1", f"{down('message')} 2"]


@needs_mosquitto
async def test_mosquitto_sub_hears_the_daemons_status_and_its_end():
    async with opened() as (door, _):
        tool = await mosquitto(
            "mosquitto_sub",
            door,
            "-V",
            "mqttv5",
            "-C",
            "2",
            "-F",
            "%r %p",
            "-t",
            "whosin/v1/daemon/#",
            user="watcher",
        )
        await until(lambda: not door.heard_by.empty)
        await door.stop()
        output, _ = await asyncio.wait_for(tool.communicate(), PATIENCE_S)
        assert output.decode().split("\n")[:2] == ["1 online", "0 offline"]


@needs_mosquitto
async def test_a_killed_client_leaves_its_will():
    async with opened() as (door, intake):
        tool = await mosquitto(
            "mosquitto_sub", door, "-t", "whosin/v1/down/north/books/s1/#",
            "--will-topic", up("lost").topic.decode(), "--will-payload", "{}", "--will-qos", "1",
        )  # fmt: skip
        await until(lambda: not door.heard_by.empty)
        tool.kill()
        await tool.wait()
        await until(lambda: intake.heard)
        assert intake.topics == [up("lost").topic]


class Paho:
    """A paho client on its own thread, its callbacks as lists."""

    def __init__(self, door, protocol, client_id="s1", user="anna", **kwargs):
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, protocol=protocol, **kwargs)
        self.client.username_pw_set(user, "right")
        self.connected, self.messages, self.published, self.gone = [], [], [], []
        self.client.on_connect = lambda _c, _u, flags, reason, _p: self.connected.append((flags, reason))
        self.client.on_message = lambda _c, _u, message: self.messages.append(message)
        self.client.on_publish = lambda _c, _u, mid, reason, _p: self.published.append((mid, reason))
        self.client.on_disconnect = lambda _c, _u, _f, reason, _p: self.gone.append(reason)
        self._door = door

    async def start(self, **kwargs):
        await asyncio.to_thread(self.client.connect, "127.0.0.1", self._door.port, 30, **kwargs)
        self.client.loop_start()
        await until(lambda: self.connected)
        return self

    async def stop(self):
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


@pytest.mark.parametrize("protocol", [paho.MQTTv311, paho.MQTTv5])
async def test_paho_logs_in_and_hears_the_answer(protocol):
    async with opened() as (door, intake):
        one = await Paho(door, protocol).start()
        one.client.subscribe("whosin/v1/down/north/books/s1/#", 1)
        await until(lambda: not door.heard_by.empty)
        for number in range(50):
            one.client.publish(up("login").topic.decode(), b"%d" % number, 1)
        await until(lambda: len(one.published) == 50)
        assert [message.payload for _, _, message in intake.heard] == [b"%d" % number for number in range(50)]
        door.answer(down("login"), b'{"accepted":true}')
        await until(lambda: one.messages)
        assert one.messages[0].topic == down("login")
        await one.stop()
        await until(lambda: door.connections == 0)


async def test_paho_takes_up_its_session_again():
    async with opened() as (door, _):
        kept = PahoProperties(PacketTypes.CONNECT)
        kept.SessionExpiryInterval = 300
        one = await Paho(door, paho.MQTTv5).start(clean_start=False, properties=kept)
        one.client.subscribe("whosin/v1/down/north/books/s1/#", 1)
        await until(lambda: not door.heard_by.empty)
        await one.stop()
        await until(lambda: door.connections == 0)
        door.answer(down(), b"while you were away")
        two = await Paho(door, paho.MQTTv5).start(clean_start=False, properties=kept)
        assert two.connected[0][0].session_present
        await until(lambda: two.messages)
        assert two.messages[0].payload == b"while you were away"
        await two.stop()


async def test_paho_is_told_what_it_may_not_say_or_hear():
    async with opened() as (door, intake):
        one = await Paho(door, paho.MQTTv5).start()
        granted = []
        one.client.on_subscribe = lambda _c, _u, _m, reasons, _p: granted.extend(reasons)
        one.client.subscribe([("whosin/v1/down/north/books/s2/#", paho.SubscribeOptions(1))])
        one.client.publish(up(session="s2").topic.decode(), b"", 1)
        await until(lambda: granted and one.published)
        assert [reason.value for reason in [*granted, one.published[0][1]]] == [0x87, 0x87]
        assert intake.heard == []
        await one.stop()


async def test_two_pahos_of_one_name_take_over_from_each_other():
    async with opened() as (door, _):
        one = await Paho(door, paho.MQTTv5, reconnect_on_failure=False).start()
        two = await Paho(door, paho.MQTTv5).start()
        await until(lambda: one.gone)
        assert one.gone[0].value == 0x8E
        assert door.connections == 1
        await one.stop()
        await two.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="aiomqtt needs a selector loop")
@pytest.mark.parametrize("protocol", [aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5])
async def test_aiomqtt_beats_and_an_observer_hears(protocol):
    async with opened() as (door, intake):
        common = {"port": door.port, "password": "right", "protocol": protocol}
        async with (
            aiomqtt.Client("127.0.0.1", identifier="w", username="watcher", **common) as watcher,
            aiomqtt.Client("127.0.0.1", identifier="web", username="portal", **common) as portal,
        ):
            await watcher.subscribe("whosin/v1/events/north/#", qos=1)
            batch = json.dumps({"sessions": [f"s{number}" for number in range(5_000)]}).encode()
            assert len(batch) > 32_000
            await portal.publish("whosin/v1/up/north/books/@batch/heartbeat", batch, qos=1)
            assert [message.payload for _, _, message in intake.heard] == [batch]
            done = []
            door.announce("whosin/v1/events/north/books/x", b"{}", lambda: done.append(1))
            message = await asyncio.wait_for(anext(watcher.messages), PATIENCE_S)
            assert (message.topic.value, message.payload, done) == (
                "whosin/v1/events/north/books/x",
                b"{}",
                [1],
            )


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
async def test_tls(tmp_path):
    await asyncio.to_thread(
        subprocess.run,
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key", "-out",
         tmp_path / "cert", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    async with opened(context=lambda: ours) as (door, intake):
        one = Paho(door, paho.MQTTv5)
        one.client.tls_set(str(tmp_path / "cert"))
        await one.start()
        one.client.publish(up().topic.decode(), b"", 1)
        await until(lambda: one.published)
        assert intake.topics == [up().topic]
        await one.stop()


async def test_the_door_says_that_it_sees_and_proves_it():
    async with opened() as (door, intake):
        assert intake.calls[0][0] == "sighted"
        assert door.ready
        before = door.clock.now_ms()
        door.prove()
        door.prove()
        await until(lambda: len(intake.calls) > 1)
        kind, at_ms = intake.calls[1]
        assert kind == "proof"
        assert at_ms >= before
    assert intake.calls[-1] == ("blinded", None)
    assert not door.ready


async def test_a_proof_follows_what_was_sent_before_it():
    async with opened(signed_in=False) as (door, intake):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(bytes.fromhex("100d00044d515454 04 02 0000 0001 78"))
        assert await reader.readexactly(4) == b"\x20\x02\0\0"
        order = []
        deliver = intake.deliver
        intake.deliver = lambda *args: (order.append("message"), deliver(*args))
        intake.proof = lambda *_: order.append("proof")
        writer.write(b"\x30\x11\0\x0fwhosin/v1/up/xy")
        door.prove()
        await until(lambda: "proof" in order)
        assert order[:2] == ["message", "proof"]
        writer.close()
        await writer.wait_closed()


async def test_an_address_in_use_is_an_os_error():
    async with opened() as (door, _):
        second = Door(f"127.0.0.1:{door.port}", clock=SystemClock(), name="x")
        with pytest.raises(OSError, match=r"address already in use|10048"):
            await second.start(FakeIntake())
        await second.stop()
