"""One short conversation with a broker, step by step. Owns packets and their order; judges nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from whosin.mqtt.codec import (
    V5,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PubAck,
    Publish,
    Reason,
    Side,
    SubAck,
    Subscribe,
    Subscription,
    encode,
    encode_publish,
)

if TYPE_CHECKING:
    import socket

P = TypeVar("P", bound="ConnAck | SubAck | PubAck")

DELIVERED_S: Final = 2.0


class Closed(Exception):  # noqa: N818 - what happened
    """The broker ended it."""


class Visit:
    """`greet` first. Raises Closed, ProtocolError, OSError (TimeoutError where the broker is silent)."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._decoder = Decoder(Side.SERVER, V5)
        self._number = 0
        self._heard: set[bytes] = set()
        self._waiting: list[Packet] = []

    def greet(self, client_id: str, username: str | None, password: str | None) -> ConnAck:
        secret = None if password is None else password.encode()
        connect = Connect(client_id, keep_alive=30, version=V5, username=username, password=secret)
        self._connection.sendall(encode(connect, V5))
        return self._await(ConnAck, None)

    def subscribe(self, pattern: str) -> Reason:
        self._number += 1
        asked = Subscribe(self._number, (Subscription(pattern, qos=1),))
        self._connection.sendall(encode(asked, V5))
        return self._await(SubAck, self._number).reasons[0]

    def publish(self, topic: str, payload: bytes) -> Reason:
        self._number += 1
        packet = encode_publish(topic.encode(), payload, qos=1, packet_id=self._number, version=V5)
        self._connection.sendall(packet)
        return self._await(PubAck, self._number).reason

    def hears(self, topic: str) -> bool:
        """Whether a message on that topic is delivered to us, soon."""
        end = time.monotonic() + DELIVERED_S
        while topic.encode() not in self._heard:
            left = end - time.monotonic()
            if left <= 0:
                return False
            self._connection.settimeout(left)
            try:
                self._waiting += self._receive()
            except TimeoutError:
                return False
        return True

    def leave(self) -> None:
        self._connection.sendall(encode(Disconnect(), V5))

    def _await(self, kind: type[P], number: int | None) -> P:
        """The reply of that kind; what else comes meanwhile was other clients'."""
        end = time.monotonic() + (self._connection.gettimeout() or DELIVERED_S)
        while True:
            while self._waiting:
                packet = self._waiting.pop(0)
                if isinstance(packet, Disconnect):
                    raise Closed(packet.reason.name.lower().replace("_", " "))
                if isinstance(packet, kind) and (
                    number is None or getattr(packet, "packet_id", None) == number
                ):
                    return packet
            if time.monotonic() > end:
                raise TimeoutError
            self._waiting += self._receive()

    def _receive(self) -> list[Packet]:
        data = self._connection.recv(65_536)
        if not data:
            raise Closed("the connection was closed")
        found = list(self._decoder.feed(data))
        self._heard.update(one.topic for one in found if isinstance(one, Publish))
        return found
