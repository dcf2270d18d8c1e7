"""TLS at the door: nothing that was said is lost, certificates speak for accounts, handshakes are bounded."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import warnings
from contextlib import asynccontextmanager

import pytest

from tests.mqtt.door.fakes import SECRETS, FakeIntake, FakeTransport, authenticate, up
from tests.support.certificates import Authority, needs_openssl
from whosin import tls
from whosin.clock import SystemClock
from whosin.mqtt.codec import V5, ConnAck, Connect, Decoder, Reason, Side, encode
from whosin.mqtt.door import Door, DoorLimits
from whosin.mqtt.door.connection import Connection

pytestmark = needs_openssl


class House:
    """Who signs, and the certificates of the server and of some clients."""

    def __init__(self, folder):
        self.authority = Authority(folder / "ours")
        self.stranger = Authority(folder / "theirs")
        self.server = self.authority.issue("localhost", server=True)
        self.by = {name: self.authority.issue(name) for name in ("anna", "portal", "nobody", "")}
        self.forged = self.stranger.issue("anna")
        self.revoked = self.authority.issue("anna", into=folder / "revoked")
        self.crl = self.authority.revocations(self.revoked)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    return House(tmp_path_factory.mktemp("door"))


@asynccontextmanager
async def opened(house, *, required=False, **limits):
    clients = tls.Clients(house.authority.ca, house.crl, required)
    served = tls.Served(*house.server, clients)
    intake = FakeIntake(acking=True)
    door = Door(
        "127.0.0.1:0", clock=SystemClock(), name="whosin", authenticate=authenticate, certified=SECRETS.get,
        context=lambda: served.context, limits=DoorLimits(**limits),
    )  # fmt: skip
    await door.start(intake)
    try:
        yield door, intake, served
    finally:
        await door.stop()


async def until(true):
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - another program's doing
            await asyncio.sleep(0.01)


class Person:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self._decoder = Decoder(Side.SERVER, V5)

    @classmethod
    async def come(cls, door, context):
        return cls(*await asyncio.open_connection("127.0.0.1", door.port, ssl=context))

    def say(self, *packets):
        self.writer.write(b"".join(encode(packet, V5) for packet in packets))

    async def greet(self, client_id="s1", user=None, password=None):
        """The reason in the answer to CONNECT; None where there is no answer."""
        self.say(Connect(client_id, version=V5, username=user, password=password))
        with contextlib.suppress(OSError):
            while data := await asyncio.wait_for(self.reader.read(4096), 10):
                if packets := self._decoder.feed(data):
                    assert isinstance(packets[0], ConnAck)
                    return packets[0].reason
        return None

    async def ended(self):
        with contextlib.suppress(OSError):
            while await asyncio.wait_for(self.reader.read(4096), 10):
                pass
        return True

    def leave(self):
        self.writer.transport.abort()


# --- what is said -----------------------------------------------------------------------------------------


def talk_and_go(door, context, count):
    """As a program that ends: everything written, and the socket closed without another word."""
    with socket.create_connection(("127.0.0.1", door.port)) as plain:
        sealed = context.wrap_socket(plain, server_hostname="localhost")
        sealed.sendall(encode(Connect("web", version=V5, username="portal", password=b"right"), V5))
        sealed.recv(4096)
        sealed.sendall(b"".join(encode(up(payload=b"%05d" % nth), V5) for nth in range(count)))
        sealed.close()


async def test_what_was_said_before_the_connection_broke_is_heard_to_its_end(house):
    async with opened(house) as (door, intake, _):
        await asyncio.to_thread(talk_and_go, door, house.authority.trusting(), 5_000)
        await until(lambda: not door.connections)
        assert [int(message.payload) for _, _, message in intake.heard] == list(range(5_000))
        assert intake.lags == {}
        assert ("unread", intake.heard[0][1].line) not in intake.calls


class Alone:
    """One client and its door with nothing but memory between them, read piece by piece."""

    def __init__(self, house):
        served = tls.Served(*house.server)
        self.intake = FakeIntake(acking=True)
        self.door = Door("127.0.0.1:0", clock=SystemClock(), name="whosin", authenticate=authenticate,
                         context=lambda: served.context, limits=DoorLimits(pieces=1_000))  # fmt: skip
        self.door.begin(self.intake)
        self.connection = Connection(self.door)
        self.transport = FakeTransport(self.connection)
        self.connection.connection_made(self.transport)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = house.authority.trusting().wrap_bio(self._in, self._out, server_hostname="localhost")
        for _ in range(3):
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
            self.read(self._out.read())
            self._in.write(self.transport.wire)
            self.transport.wire = b""

    def sealed(self, *packets):
        self._tls.write(b"".join(encode(packet, V5) for packet in packets))
        return self._out.read()

    def read(self, data):
        """As the loop does: as much as fits into the buffer."""
        size = len(self.door.piece)
        for at in range(0, len(data), size):
            part = data[at : at + size]
            self.connection.get_buffer(-1)[: len(part)] = part
            self.connection.buffer_updated(len(part))


async def test_a_connection_counts_as_unread_until_its_last_byte_is_handed_over(house):
    """A record is larger than a piece: nothing of it is kept, once it is whole, that is not handed over."""
    alone, marked = Alone(house), []
    deliver = alone.intake.deliver

    def delivered(source, at_ms, peer, messages):
        marked.append(peer.line in alone.intake.lags)
        deliver(source, at_ms, peer, messages)

    alone.intake.deliver = delivered
    alone.read(alone.sealed(Connect("web", version=V5, username="portal", password=b"right")))
    sealed = alone.sealed(*(up(payload=b"%05d" % nth) for nth in range(2_000)))
    piece = len(alone.door.piece)
    for at in range(0, len(sealed), piece):
        last = at + piece >= len(sealed)
        alone.read(sealed[at : at + piece])
        assert (alone.connection.line in alone.intake.lags) is not last
    assert [int(message.payload) for _, _, message in alone.intake.heard] == list(range(2_000))
    assert len(marked) > 3
    assert all(marked[:-1])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_goodbye_of_tls_ends_the_connection_behind_what_was_said(house, version):
    async with opened(house) as (door, intake, _):
        context = house.authority.trusting()
        context.maximum_version = version
        one = await Person.come(door, context)
        assert await one.greet("s1", "anna", b"right") is Reason.SUCCESS
        one.say(up(payload=b"last"))
        one.writer.close()
        await until(lambda: not door.connections)
        assert intake.topics == [up().topic]


# --- who a certificate speaks for -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "user", "password", "reason"),
    [
        ("anna", None, None, Reason.SUCCESS),
        ("anna", "anna", None, Reason.SUCCESS),
        ("anna", "anna", b"right", Reason.SUCCESS),
        ("anna", "anna", b"wrong", Reason.BAD_USER_NAME_OR_PASSWORD),
        ("anna", "portal", b"right", Reason.BAD_USER_NAME_OR_PASSWORD),
        ("anna", "portal", None, Reason.BAD_USER_NAME_OR_PASSWORD),
        ("nobody", None, None, Reason.BAD_USER_NAME_OR_PASSWORD),
        ("nobody", "anna", b"right", Reason.BAD_USER_NAME_OR_PASSWORD),
        ("", None, None, Reason.BAD_USER_NAME_OR_PASSWORD),
        ("", "anna", b"right", Reason.BAD_USER_NAME_OR_PASSWORD),
        (None, "anna", b"right", Reason.SUCCESS),
        (None, "anna", None, Reason.BAD_USER_NAME_OR_PASSWORD),
        (None, None, None, Reason.BAD_USER_NAME_OR_PASSWORD),
    ],
)
async def test_a_certificate_stands_for_the_password_of_the_account_it_names(
    house, shown, user, password, reason
):
    async with opened(house) as (door, _, _):
        one = await Person.come(door, house.authority.trusting(None if shown is None else house.by[shown]))
        assert await one.greet("s1", user, password) is reason
        one.leave()


async def test_whoever_came_by_a_certificate_may_say_what_its_account_may(house):
    async with opened(house) as (door, intake, _):
        one = await Person.come(door, house.authority.trusting(house.by["anna"]))
        await one.greet()
        one.say(
            up(session="s2", payload=b"another's"),
            up(site="south", payload=b"elsewhere"),
            up(payload=b"mine"),
        )
        await until(lambda: intake.heard)
        assert [(peer.account, message.payload) for _, peer, message in intake.heard] == [
            (SECRETS["anna"], b"mine")
        ]
        assert door.dismiss("anna") == 1
        assert await one.ended()


@pytest.mark.parametrize("how", ["forged", "revoked"])
async def test_a_certificate_that_is_not_good_lets_nobody_in(house, how):
    async with opened(house) as (door, intake, _):
        with contextlib.suppress(ssl.SSLError):  # TLS 1.3 tells it only afterwards
            one = await Person.come(door, house.authority.trusting(getattr(house, how)))
            assert await one.greet("s1", "anna", b"right") is None
        await until(lambda: not door.connections)
        ((reason, sample),) = intake.rejects
        assert reason == "tls"
        assert (b"revoked" if how == "revoked" else b"unable to get") in sample


async def test_where_a_certificate_is_required_a_password_is_not_enough(house):
    async with opened(house, required=True) as (door, intake, _):
        with contextlib.suppress(ssl.SSLError):
            one = await Person.come(door, house.authority.trusting())
            assert await one.greet("s1", "anna", b"right") is None
        await until(lambda: intake.rejects)
        assert intake.rejects[0][0] == "tls"
        two = await Person.come(door, house.authority.trusting(house.by["anna"]))
        assert await two.greet() is Reason.SUCCESS
        two.leave()


async def test_a_renewed_certificate_is_shown_to_those_who_come_and_cuts_nobody_off(house, tmp_path):
    async with opened(house) as (door, intake, served):
        before = await Person.come(door, house.authority.trusting(house.by["anna"]))
        await before.greet()
        renewed = Authority(tmp_path / "renewed")
        pair = renewed.issue("localhost", server=True)
        served._cert, served._key = pair
        served.prepare()()
        after = await Person.come(door, renewed.trusting())
        assert await after.greet("s2", "bert", b"right") is Reason.SUCCESS
        before.say(up(payload=b"still here"))
        await until(lambda: intake.heard)
        for one in (before, after):
            one.leave()


# --- strangers --------------------------------------------------------------------------------------------


async def test_older_versions_of_tls_are_not_spoken(house):
    async with opened(house) as (door, intake, _):
        old = house.authority.trusting()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that is what is tried
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await Person.come(door, old)
        await until(lambda: intake.rejects)
        assert intake.rejects[0][0] == "tls"


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01", encode(Connect("s1", version=V5), V5)[:3]])
async def test_who_does_not_get_on_with_the_handshake_is_closed(house, said):
    async with opened(house, connect_ms=300) as (door, _, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(said)
        assert await Person(reader, writer).ended()
        await until(lambda: not door.connections)
        writer.close()


@pytest.mark.parametrize(
    "said", [encode(Connect("s1", version=V5), V5), b"GET / HTTP/1.1\r\n\r\n", b"\0" * 9_000]
)
async def test_what_is_not_tls_ends_at_once_and_is_counted(house, said):
    async with opened(house) as (door, intake, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(said)
        assert await Person(reader, writer).ended()
        assert [reason for reason, _ in intake.rejects] == ["tls"]
        assert door.counts["closed_tls"] == 1
        assert intake.heard == []
        writer.close()


async def test_a_connection_counts_before_its_handshake(house):
    async with opened(house, pending=3) as (door, _, _):
        silent = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(4)]
        await until(lambda: door.counts["refused_pending"] == 1)
        assert door.connections == 3
        for _, writer in silent:
            writer.close()


def first_words(context):
    """What a client says first in a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def test_handshakes_beyond_the_bound_wait_and_are_not_refused(house):
    async with opened(house, handshakes=2, handshakes_at_once=1, connect_ms=1_000) as (door, _, _):
        begun = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(2)]
        for reader, writer in begun:
            writer.write(first_words(house.authority.trusting()))
            await asyncio.wait_for(reader.read(1), 10)  # greeted, and never heard of again
        waiting = await asyncio.gather(*(Person.come(door, house.authority.trusting()) for _ in range(5)))
        answers = await asyncio.gather(
            *(one.greet(f"s{nth}", "anna", b"right") for nth, one in enumerate(waiting))
        )
        assert answers == [Reason.SUCCESS] * 5
        assert door.counts["connect_timeout"] == 2
        for one in waiting:
            one.leave()
        for _, writer in begun:
            writer.close()


async def test_who_leaves_while_it_waits_in_line_holds_up_nobody(house):
    async with opened(house, handshakes=1, handshakes_at_once=1, connect_ms=1_000) as (door, _, _):
        begun = await asyncio.open_connection("127.0.0.1", door.port)
        begun[1].write(first_words(house.authority.trusting()))
        await asyncio.wait_for(begun[0].read(1), 10)
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(first_words(house.authority.trusting()))
            await until(lambda: len(door.handshakes))
            writer.transport.abort()
        one = await Person.come(door, house.authority.trusting())
        assert await one.greet("s1", "anna", b"right") is Reason.SUCCESS
        one.leave()
        begun[1].close()
