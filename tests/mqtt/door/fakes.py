"""Stand-ins for what lies on both sides of the door: clock, engine, network, and a client."""

from __future__ import annotations

import asyncio

from whosin.model import Account, Role
from whosin.mqtt.codec import V5, V311, Connect, Decoder, Publish, Side, encode
from whosin.mqtt.door import Door, DoorLimits
from whosin.mqtt.door.connection import Connection

SECRETS = {
    "anna": Account("anna", Role.CLIENT, "north", "anna"),
    "bert": Account("bert", Role.CLIENT, "north"),
    "portal": Account("portal", Role.GATEWAY, "north"),
    "watcher": Account("watcher", Role.OBSERVER, "north"),
}


def authenticate(username, password):
    return SECRETS.get(username) if password == b"right" else None


class FakeClock:
    def __init__(self):
        self.ms = 1_000_000

    def now_ms(self):
        return self.ms

    def wall_ms(self, at_ms):
        return at_ms

    def timeline_ms(self, wall_ms):
        return wall_ms


class FakeIntake:
    """Records; acknowledges at once only if told so."""

    def __init__(self, *, acking=False):
        self.acking = acking
        self.heard = []  # (at_ms, peer, message)
        self.calls = []
        self.rejects = []
        self.full = False
        self.waiting = []
        self.lags = {}

    def deliver(self, source, at_ms, peer, messages):
        assert source == "door"
        assert messages
        self.heard += [(at_ms, peer, message) for message in messages]
        if self.acking:
            for message in messages:
                if message.qos:
                    peer.ack(message.packet_id)

    def deliver_bare(self, source, at_ms, peer, topics):
        self.deliver(source, at_ms, peer, [Publish(topic.encode(), b"") for topic in topics])

    def proof(self, source, at_ms):
        self.calls.append(("proof", at_ms))

    def behind(self, source, line, since_ms):
        self.lags[line] = since_ms

    def caught_up(self, source, line, *, unread=False):
        if unread:
            self.calls.append(("unread", line))
        self.lags.pop(line, None)

    def sighted(self, source, at_ms):
        self.calls.append(("sighted", at_ms))

    def blinded(self, source):
        self.calls.append(("blinded", None))

    def rejected(self, reason, sample):
        self.rejects.append((reason, sample))

    def when_free(self, call):
        self.waiting.append(call)

    @property
    def topics(self):
        return [message.topic for _, _, message in self.heard]

    def free(self):
        self.full = False
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


class FakeTransport(asyncio.Transport):
    """A network in memory. `stuck`: the peer does not read, so what is written piles up."""

    def __init__(self, connection):
        super().__init__()
        self.connection = connection
        self.wire = b""
        self.buffered = 0
        self.stuck = False
        self.reading = True
        self.closing = False
        self.lost = False
        self.high = 65_536

    def set_write_buffer_limits(self, high=None, low=None):
        self.high = high

    def write(self, data):
        assert not self.lost
        if self.stuck:
            was, self.buffered = self.buffered, self.buffered + len(data)
            if was <= self.high < self.buffered:
                self.connection.pause_writing()
        self.wire += data

    def get_write_buffer_size(self):
        return self.buffered

    def unstick(self):
        self.stuck = False
        was, self.buffered = self.buffered, 0
        if was > self.high:
            self.connection.resume_writing()

    def pause_reading(self):
        assert self.reading
        self.reading = False

    def resume_reading(self):
        assert not self.reading
        self.reading = True

    def is_closing(self):
        return self.closing

    def close(self):
        self.closing = True

    def abort(self):
        self.closing = True
        self.stuck = False
        self.buffered = 0

    def settle(self):
        """What a loop does in its next turn once a closed transport has sent everything."""
        if self.closing and not self.buffered and not self.lost:
            self.lost = True
            self.connection.connection_lost(None)


class Client:
    """Speaks raw packets to a door in memory."""

    def __init__(self, door, version=V5):
        self.version = version
        self.connection = Connection(door)
        self.transport = FakeTransport(self.connection)
        self.decoder = Decoder(Side.SERVER, version)
        self.connection.connection_made(self.transport)
        self._door = door

    def send(self, *packets):
        self.raw(b"".join(encode(packet, self.version) for packet in packets))
        return self

    def raw(self, data):
        if not self.transport.closing:
            self.connection.data_received(data)

    def got(self):
        """Everything received since the last time."""
        self._door.flush()
        wire, self.transport.wire = self.transport.wire, b""
        return self.decoder.feed(wire)

    @property
    def closed(self):
        self.transport.settle()
        return self.transport.lost

    def cut(self):
        """The network breaks."""
        self.transport.lost = self.transport.closing = True
        self.connection.connection_lost(ConnectionResetError())


class House:
    """A door without a socket, and what surrounds it."""

    def __init__(self, *, signed_in=True, acking=False, **limits):
        self.clock = FakeClock()
        self.intake = FakeIntake(acking=acking)
        self.door = Door(
            "127.0.0.1:0", clock=self.clock, name="whosin", authenticate=authenticate if signed_in else None,
            limits=DoorLimits(**limits),
        )  # fmt: skip
        self.door.begin(self.intake)

    def connect(self, client_id="s1", user="anna", version=V5, password=b"right", **fields):
        """A client that has said CONNECT; its answer is still to be read."""
        client = Client(self.door, version)
        if self.door.authenticate is None:
            user = password = None
        fields.setdefault("clean_start", True)
        client.send(Connect(client_id, version=version, username=user, password=password, **fields))
        return client

    def client(self, *args, **kwargs):
        """One that is in."""
        client = self.connect(*args, **kwargs)
        (connack,) = client.got()[:1]
        assert not connack.reason, connack
        return client

    def advance(self, ms):
        """Time passes in the steps in which the door looks at its clock."""
        until = self.clock.ms + ms
        while self.clock.ms < until:
            self.clock.ms = min(until, self.clock.ms + 200)
            self.door.tick()


def up(verb="heartbeat", session="s1", site="north", company="books", payload=b"", **fields):
    return Publish(f"whosin/v1/up/{site}/{company}/{session}/{verb}".encode(), payload, **fields)


def down(kind="message", session="s1", site="north", company="books"):
    return f"whosin/v1/down/{site}/{company}/{session}/{kind}"


BOTH_VERSIONS = (V311, V5)
