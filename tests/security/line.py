"""One client of the tests' own: plain MQTT 5 on a TLS socket, able to say what decent libraries refuse to."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from whosin.mqtt.codec import (
    PINGREQ,
    V5,
    ConnAck,
    Connect,
    Decoder,
    PingResp,
    Properties,
    PubAck,
    Publish,
    Reason,
    Side,
    SubAck,
    Subscribe,
    Subscription,
    Will,
    encode,
    encode_publish,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from whosin.mqtt.codec import Packet

PATIENCE_S = 20.0


class Who(NamedTuple):
    """How one signs in. `tls` None: without TLS."""

    tls: ssl.SSLContext | None
    user: str | None = None
    password: str | None = None


class Line:
    """`reason` is that of the CONNACK; None where there was none."""

    def __init__(
        self, port: int, who: Who, ident: str, *, will: Will | None = None, kept: bool = False
    ) -> None:
        self.ident = ident
        self.heard: list[tuple[str, bytes]] = []
        self.granted: list[Reason] = []
        self.closed = False
        self.reason: Reason | None = None
        self._decoder = Decoder(Side.SERVER, V5)
        self._pongs = 0
        self._socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        try:
            if who.tls is not None:
                self._socket = who.tls.wrap_socket(self._socket, server_hostname="localhost")
            hello = Connect(
                ident, clean_start=not kept, version=V5, username=who.user, will=will,
                password=None if who.password is None else who.password.encode(),
                properties=Properties(session_expiry_interval=600 if kept else None),
            )  # fmt: skip
            self.raw(encode(hello, V5))
            self.until(lambda: self.reason is not None)
        except OSError:
            self.close()

    @property
    def welcome(self) -> bool:
        return self.reason is Reason.SUCCESS

    def raw(self, data: bytes) -> None:
        """Whatever it is; a broken line is found when something is awaited."""
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    def say(self, topic: str, payload: object = None, *, qos: int = 1, retain: bool = False) -> None:
        body = (
            payload
            if isinstance(payload, bytes)
            else b""
            if payload is None
            else json.dumps(payload).encode()
        )
        self.raw(
            encode_publish(
                topic.encode(), body, qos=qos, packet_id=7 if qos else 0, retain=retain, version=V5
            )
        )

    def hear(self, *filters: str) -> None:
        wanted = len(self.granted) + len(filters)
        self.raw(encode(Subscribe(9, tuple(Subscription(one, qos=1) for one in filters)), V5))
        self.until(lambda: len(self.granted) >= wanted)

    def settle(self) -> None:
        """What was said has been taken, or the line is closed."""
        pongs = self._pongs
        self.raw(PINGREQ)
        self.until(lambda: self._pongs > pongs)

    def until(self, true: Callable[[], object], limit_s: float = PATIENCE_S) -> bool:
        """Read until it holds; False where the line is closed before."""
        end = time.monotonic() + limit_s
        while not true():
            if self.closed:
                return False
            assert time.monotonic() < end, f"{self.ident}: not within {limit_s} s"
            self._read()
        return True

    def _read(self) -> None:
        try:
            self._socket.settimeout(0.2)
            data = self._socket.recv(65_536)
        except TimeoutError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        for packet in self._decoder.feed(data):
            self._take(packet)

    def _take(self, packet: Packet) -> None:
        if isinstance(packet, ConnAck):
            self.reason = packet.reason
        elif isinstance(packet, SubAck):
            self.granted += packet.reasons
        elif isinstance(packet, PingResp):
            self._pongs += 1
        elif isinstance(packet, Publish):
            self.heard.append((packet.topic.decode(), packet.payload))
            if packet.qos:
                self.raw(encode(PubAck(packet.packet_id), V5))

    def answer(self, ending: str) -> Any:
        """The last answer whose topic ends so, waited for."""
        found = lambda: [body for topic, body in self.heard if topic.endswith(ending)]  # noqa: E731
        assert self.until(found), f"{self.ident} was cut off"
        return json.loads(found()[-1])

    def cut(self) -> None:
        """Without a goodbye: what a will is for."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.close()

    def close(self) -> None:
        self.closed = True
        with contextlib.suppress(OSError):
            self._socket.close()
