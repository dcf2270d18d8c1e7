"""The link through a real Mosquitto, run from the configuration that ships."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.certificates import Authority
from tests.support.mosquitto import (
    SHIPPED,
    Mosquitto,
    find_program,
    mosquitto_fixture,  # noqa: F401
    needs_mosquitto,
)
from tests.support.scripted_broker import Lines
from whosin import tls
from whosin.mqtt.codec import (
    V5,
    Connect,
    Decoder,
    Packet,
    PingReq,
    PingResp,
    Publish,
    Side,
    encode,
    encode_publish,
)
from whosin.mqtt.link import Link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from whosin.ports import Peer, Received

pytestmark = needs_mosquitto

BEAT = "whosin/v1/up/s/c/x/heartbeat"
LOGIN = "whosin/v1/up/s/c/x/login"
STATUS = "whosin/v1/daemon/it"


class RealTime:
    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self, at_ms: int) -> int:
        return at_ms

    def timeline_ms(self, wall_ms: int) -> int:
        return wall_ms


class Intake:
    """Acknowledges as it is told: at once, later (`hold_s`), or never (None)."""

    def __init__(self, hold_s: float | None = 0) -> None:
        self.hold_s = hold_s
        self.messages: list[Received] = []
        self.sights = 0
        self.blind = True
        self.proof_ms = 0
        self.full = False
        self.free: list[Callable[[], None]] = []

    def deliver(self, source: str, at_ms: int, peer: Peer, messages: Sequence[Received]) -> None:
        self.messages += messages
        to_ack = [message.packet_id for message in messages if message.qos]
        if to_ack and self.hold_s is not None:
            asyncio.get_running_loop().call_later(self.hold_s, self._ack, peer, to_ack)

    def deliver_bare(self, source: str, at_ms: int, peer: Peer, topics: Sequence[str]) -> None:
        self.deliver(source, at_ms, peer, [Publish(topic.encode(), b"") for topic in topics])

    def _ack(self, peer: Peer, packet_ids: list[int]) -> None:
        for packet_id in packet_ids:
            peer.ack(packet_id)

    def proof(self, source: str, at_ms: int) -> None:
        self.proof_ms = at_ms

    def sighted(self, source: str, at_ms: int) -> None:
        self.blind = False
        self.sights += 1

    def blinded(self, source: str) -> None:
        self.blind = True

    def rejected(self, reason: str, sample: bytes) -> None:
        raise AssertionError(reason)

    def when_free(self, call: Callable[[], None]) -> None:
        self.free.append(call)

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]


class Links:
    """Starts links and sees to it that they are gone afterwards."""

    def __init__(self) -> None:
        self._links: list[Link] = []

    async def start(self, port: int, intake: Intake, **options: Any) -> Link:
        link = make(port, **options)
        self._links.append(link)
        await link.start(intake)
        return link

    async def connected(self, port: int, intake: Intake, **options: Any) -> Link:
        link = await self.start(port, intake, **options)
        await until(lambda: link.ready)
        return link

    async def stop(self) -> None:
        await asyncio.gather(*(link.stop() for link in self._links))


def make(port: int, **options: Any) -> Link:
    settings = {"host": "127.0.0.1", "client_id": "whosin-it", "name": "it", "clock": RealTime(), **options}
    host = settings.pop("host")
    return Link(host, port, **settings)


def die(link: Link) -> None:
    """As by kill -9: nothing more is said, and no reconnecting."""
    assert link._task is not None
    assert link._connection is not None
    assert link._connection._transport is not None
    link._task.cancel()
    link._connection._transport.abort()


@pytest.fixture
async def links() -> AsyncIterator[Links]:
    them = Links()
    yield them
    await them.stop()


async def until(condition: Callable[[], object], limit_s: float = 20.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - what other processes do sends no event
            await asyncio.sleep(0.01)


class Client:
    """A program of the other side, as plain as can be: the codec on a stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.packets: list[Packet] = []
        self.writer = writer
        self._decoder = Decoder(Side.SERVER, V5)
        self._reading = asyncio.create_task(self._read(reader))

    @classmethod
    async def connect(cls, port: int, client_id: str = "x", **fields: Any) -> Client:
        tls = fields.pop("tls", None)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        client = cls(reader, writer)
        client.send(Connect(client_id, version=V5, **fields))
        await until(lambda: client.packets)
        return client

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65_536):
            self.packets += self._decoder.feed(data)

    def send(self, *packets: Packet) -> None:
        self.writer.write(b"".join(encode(packet, V5) for packet in packets))

    def publish(self, topic: str, payload: bytes, *, packet_id: int = 0, retain: bool = False) -> None:
        qos = 1 if packet_id else 0
        self.send(Publish(topic.encode(), payload, qos=qos, packet_id=packet_id, retain=retain))

    async def settled(self) -> None:
        """The broker has taken all that was sent."""
        before = len([packet for packet in self.packets if isinstance(packet, PingResp)])
        self.send(PingReq())
        await until(lambda: len([p for p in self.packets if isinstance(p, PingResp)]) > before)

    async def close(self) -> None:
        self._reading.cancel()
        self.writer.transport.abort()
        await asyncio.gather(self._reading, return_exceptions=True)


@pytest.fixture
async def client(mosquitto: Mosquitto) -> AsyncIterator[Client]:
    it = await Client.connect(mosquitto.port)
    yield it
    await it.close()


async def status_becomes(port: int, wanted: str) -> None:
    """As a stranger's program sees it."""
    async with asyncio.timeout(20):
        while await retained(port, STATUS) != wanted:
            pass


async def retained(port: int, topic: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "mosquitto_sub", "-p", str(port), "-t", topic, "-C", "1", "-W", "5", stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode().strip()


async def test_heartbeats_and_logins_arrive(mosquitto: Mosquitto, links: Links, client: Client):
    intake = Intake()
    await links.connected(mosquitto.port, intake)
    client.publish(BEAT, b"1")
    client.publish(LOGIN, b"2", packet_id=1)
    client.publish(BEAT, b"3", retain=True)
    await until(lambda: len(intake.messages) >= 3)
    assert [(m.payload, m.qos, m.retain) for m in intake.messages] == [
        (b"1", 0, False),
        (b"2", 1, False),
        (b"3", 0, True),
    ]


async def test_stored_retained_messages_come_marked_and_once(
    mosquitto: Mosquitto, links: Links, client: Client
):
    client.publish(BEAT, b"old", retain=True)
    await client.settled()
    intake = Intake()
    link = await links.connected(mosquitto.port, intake)
    await until(lambda: intake.messages)
    assert [m.retain for m in intake.messages] == [True]
    await link.stop()
    await links.connected(mosquitto.port, intake)
    client.publish(BEAT, b"new")
    await until(lambda: b"new" in intake.payloads())
    assert intake.payloads() == [b"old", b"new"]


async def test_a_message_not_acknowledged_when_we_die_comes_again(
    mosquitto: Mosquitto, links: Links, client: Client
):
    intake = Intake(hold_s=None)
    link = await links.connected(mosquitto.port, intake)
    client.publish(LOGIN, b"1", packet_id=1)
    await until(lambda: intake.messages)
    die(link)
    await status_becomes(mosquitto.port, "offline")  # the broker has noticed
    client.publish(LOGIN, b"2", packet_id=2)
    client.publish(BEAT, b"a heartbeat of the past")
    await client.settled()
    after = Intake()
    await links.connected(mosquitto.port, after)
    await until(lambda: len(after.messages) >= 2)
    assert after.payloads() == [b"1", b"2"]


async def test_acknowledged_messages_do_not_come_again(mosquitto: Mosquitto, links: Links, client: Client):
    intake = Intake()
    link = await links.connected(mosquitto.port, intake)
    client.publish(LOGIN, b"1", packet_id=1)
    await until(lambda: intake.messages and link._outgoing.idle)
    now = RealTime().now_ms()
    link.prove()
    await until(lambda: intake.proof_ms > now)  # the broker has the acknowledgement, which went ahead
    die(link)
    after = Intake()
    await links.connected(mosquitto.port, after)
    client.publish(LOGIN, b"2", packet_id=2)
    await until(lambda: after.messages)
    assert after.payloads() == [b"2"]


async def test_answers_handed_over_while_the_broker_is_away_arrive(mosquitto: Mosquitto, links: Links):
    intake = Intake()
    link = await links.connected(mosquitto.port, intake)
    mosquitto.kill()
    await until(lambda: intake.blind)
    assert not link.ready
    done: list[int] = []
    for number in range(50):
        link.announce("whosin/v1/events/s/c/x", b"%d" % number, lambda number=number: done.append(number))
    mosquitto.start()
    await until(lambda: len(done) == 50)
    assert done == list(range(50))


@pytest.mark.parametrize("keep_state", [True, False])
async def test_a_broker_killed_and_restarted_is_found_again(
    mosquitto: Mosquitto, links: Links, keep_state: bool
):
    intake = Intake()
    link = await links.connected(mosquitto.port, intake)
    mosquitto.restart(keep_state=keep_state)
    await until(lambda: intake.sights == 2)
    client = await Client.connect(mosquitto.port)
    client.publish(LOGIN, b"1", packet_id=1)
    await until(lambda: intake.payloads() == [b"1"])
    await until(lambda: link.ready)
    await status_becomes(mosquitto.port, "online")
    await client.close()


async def test_a_broker_that_stands_still_is_noticed_and_recovered(mosquitto: Mosquitto, links: Links):
    intake = Intake()
    link = await links.connected(mosquitto.port, intake, ping_every_s=0.5, ping_timeout_s=1.0)
    mosquitto.pause()
    try:
        await until(lambda: intake.blind, 4)
        assert not link.ready
    finally:
        mosquitto.resume()
    await until(lambda: link.ready)
    client = await Client.connect(mosquitto.port)
    client.publish(BEAT, b"1")
    await until(lambda: intake.payloads() == [b"1"])
    await client.close()


async def test_proofs_come_when_asked_for(mosquitto: Mosquitto, links: Links):
    intake = Intake()
    link = await links.connected(mosquitto.port, intake, ping_every_s=3600)
    now = RealTime().now_ms()
    link.prove()
    assert link.asked_ms > 0
    await until(lambda: intake.proof_ms >= now, 2)
    await until(lambda: link.asked_ms == 0, 2)


async def test_the_status_is_online_then_offline(mosquitto: Mosquitto, links: Links):
    link = await links.connected(mosquitto.port, Intake())
    await status_becomes(mosquitto.port, "online")
    await link.stop()
    assert await retained(mosquitto.port, STATUS) == "offline"


async def test_the_will_says_offline_for_one_that_died(mosquitto: Mosquitto, links: Links):
    link = await links.connected(mosquitto.port, Intake())
    await until(lambda: link._outgoing.idle)
    die(link)
    await status_becomes(mosquitto.port, "offline")


@pytest.mark.parametrize(("count", "qos"), [(100_000, 0), (20_000, 1)])
async def test_a_flood_arrives_whole(
    mosquitto: Mosquitto, links: Links, client: Client, count: int, qos: int
):
    intake = Intake(hold_s=0.2)
    await links.connected(mosquitto.port, intake)
    topic = BEAT.encode()
    for start in range(0, count, 1_000):
        for n in range(start, start + 1_000):
            client.writer.write(
                encode_publish(topic, b"%d" % n, qos=qos, packet_id=(n + 1) * qos, version=V5)
            )
        await client.writer.drain()
    await until(lambda: len(intake.messages) >= count, 60)
    assert intake.payloads() == [b"%d" % n for n in range(count)]


async def test_a_flood_waits_for_a_daemon_that_reads_late(mosquitto: Mosquitto, links: Links, client: Client):
    """Ten thousand logins while it is away, and a burst of heartbeats while its inbox is full."""
    intake = Intake()
    link = await links.connected(mosquitto.port, intake)
    await link.stop()
    for n in range(10_000):
        client.publish(LOGIN, b"%d" % n, packet_id=n + 1)
    await until(lambda: len(client.packets) == 10_001)  # CONNACK and all PUBACKs
    await links.connected(mosquitto.port, intake)
    await until(lambda: len(intake.messages) == 10_000)
    intake.full = True
    client.publish(BEAT, b"the last that fits")
    await until(lambda: intake.free)
    beat = encode_publish(BEAT.encode(), b'{"activity":"%s"}' % (b"x" * 100), version=V5)
    for _ in range(100):  # some 15 MB: more than the sockets between us hold
        client.writer.write(beat * 1_000)
        await client.writer.drain()
    await client.settled()
    for _ in range(20):  # whatever the link would still read, it could read now
        await asyncio.sleep(0)
    assert len(intake.messages) == 10_001
    intake.full = False
    intake.free[0]()
    await until(lambda: len(intake.messages) >= 110_001, 60)
    assert len(intake.messages) == 110_001
    assert intake.sights == 2


async def test_the_shipped_limits_are_wide_enough_and_mosquittos_own_are_not(
    mosquitto: Mosquitto, links: Links
):
    log = Lines()
    await links.connected(mosquitto.port, Intake(), log=log)
    assert log.of("broker.limit") == []
    mosquitto.stop()
    shipped = mosquitto.config.read_text()
    mosquitto.config.write_text(shipped.replace("max_inflight_messages 65535\n", ""))
    mosquitto.start()
    await until(lambda: len(log.of("link.connected")) == 2)
    assert [(limit["name"], limit["found"]) for limit in log.of("broker.limit")] == [("receive_maximum", 20)]


@pytest.mark.parametrize("way", ["plain", "tls"])
async def test_leaving_a_broker_that_stands_still_takes_no_longer_than_allowed(
    way: str, tmp_path: Path, certificates: Path, links: Links
):
    listener = "listener {port} 127.0.0.1\nallow_anonymous true"
    context = None
    if way == "tls":
        listener += f"\ncertfile {certificates}/server.crt\nkeyfile {certificates}/server.key"
        context = ssl.create_default_context(cafile=str(certificates / "server.crt"))
    broker = Mosquitto(tmp_path, listener=listener).start()
    try:
        link = await links.connected(broker.port, Intake(), tls=context)
        broker.pause()
        async with asyncio.timeout(3.5):
            await link.stop()
    finally:
        broker.stop()


# --- signed in, over TLS ---


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_program("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", folder / "server.key", "-out", folder / "server.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def guarded(tmp_path: Path, certificates: Path) -> Iterator[Mosquitto]:
    """As the comments of the shipped configuration advise for a network, with the shipped rules."""
    passwords = tmp_path / "passwords"
    passwords.touch()
    for user in ("whosin", "acme"):
        subprocess.run(
            [find_program("mosquitto_passwd") or "", "-b", passwords, user, f"{user}-secret"],
            check=True, capture_output=True,
        )  # fmt: skip
    broker = Mosquitto(
        tmp_path,
        listener="\n".join(
            (
                "listener {port} 127.0.0.1",
                f"certfile {certificates}/server.crt",
                f"keyfile {certificates}/server.key",
                "allow_anonymous false",
                f"password_file {passwords}",
                f"acl_file {SHIPPED}/whosin.acl",
            )
        ),
    )
    try:
        yield broker.start()
    finally:
        broker.stop()


async def test_over_tls_with_a_password_each_may_say_and_hear_its_own(
    guarded: Mosquitto, certificates: Path, links: Links
):
    context = ssl.create_default_context(cafile=str(certificates / "server.crt"))
    intake = Intake()
    link = await links.connected(
        guarded.port, intake, tls=context, username="whosin", password="whosin-secret", host="localhost"
    )
    client = await Client.connect(guarded.port, tls=context, username="acme", password=b"acme-secret")
    client.publish("whosin/v1/up/acme/c/another/login", b"forged session", packet_id=1)
    client.publish("whosin/v1/up/rival/c/x/login", b"forged site", packet_id=2)
    client.publish("whosin/v1/up/acme/c/x/login", b"own", packet_id=3)
    await until(lambda: intake.messages)
    assert intake.payloads() == [b"own"]
    done: list[int] = []
    link.announce("whosin/v1/events/acme/c/session.logged_in", b"{}", lambda: done.append(1))
    await until(lambda: done)
    await client.close()


async def test_a_wrong_password_or_an_unknown_certificate_is_said(
    guarded: Mosquitto, certificates: Path, links: Links, capsys: pytest.CaptureFixture[str]
):
    trusting = ssl.create_default_context(cafile=str(certificates / "server.crt"))
    for context, cause in (
        (trusting, "not_authorized"),
        (ssl.create_default_context(), "CERTIFICATE_VERIFY"),
    ):
        intake = Intake()
        link = await links.start(
            guarded.port, intake, tls=context, username="whosin", password="wrong-secret", host="localhost"
        )
        said = ""
        async with asyncio.timeout(10):
            while cause not in said:
                await asyncio.sleep(0.01)
                said += capsys.readouterr().out
        assert "link.refused" in said
        assert "wrong-secret" not in said
        assert not link.ready
        await link.stop()


async def test_files_for_the_broker_are_read_anew_for_each_connection(
    guarded: Mosquitto, certificates: Path, links: Links, tmp_path: Path
):
    password = tmp_path / "password"
    password.write_text("of before")

    def secrets() -> tuple[ssl.SSLContext, str]:
        return tls.of_client(certificates / "server.crt", None, None), password.read_text()

    link = await links.start(guarded.port, Intake(), username="whosin", host="localhost", secrets=secrets)
    await until(lambda: "not_authorized" in link.trouble)
    password.unlink()
    await until(lambda: "No such file" in link.trouble)
    password.write_text("whosin-secret")
    await until(lambda: link.ready)
    assert link.trouble == ""


@pytest.mark.parametrize(
    ("trust", "host", "said"),
    [
        ("stranger", "localhost", "CERTIFICATE_VERIFY_FAILED"),
        ("ours", "127.0.0.1", "not valid for '127.0.0.1'"),
    ],
)
async def test_a_broker_that_does_not_prove_its_name_is_not_told_the_password(
    tmp_path: Path, links: Links, trust: str, host: str, said: str
):
    ours, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "stranger")
    cert, key = ours.issue("localhost", server=True, hosts="DNS:localhost")
    listener = f"listener {{port}} 127.0.0.1\nallow_anonymous true\ncertfile {cert}\nkeyfile {key}"
    broker = Mosquitto(tmp_path, listener=listener).start()
    try:
        context = tls.of_client((ours if trust == "ours" else stranger).ca, None, None)
        link = await links.start(broker.port, Intake(), tls=context, host=host, username="w", password="p")
        await until(lambda: said in link.trouble)
        assert "New client connected" not in broker.log.read_text()
    finally:
        broker.stop()
