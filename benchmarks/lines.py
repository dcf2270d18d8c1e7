"""Plain sockets that speak MQTT: what goes out was encoded beforehand, what comes back is only counted.

Owns sending so fast that the sender is not what is measured. Must not know who listens.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence

from whosin.mqtt.codec import (
    PINGREQ,
    PINGRESP,
    V5,
    V311,
    Connect,
    Properties,
    Subscribe,
    Subscription,
    Version,
    encode,
)

PIECE = 1 << 17
PUBACK_SIZE = 4


def dial(
    port: int, ident: str, *, hear: str | None = None, version: Version = V311, window: int | None = None,
    expiry_s: int | None = None,
) -> socket.socket:  # fmt: skip
    """Connected, greeted and, with `hear`, subscribed at QoS 1; blocking."""
    line = socket.create_connection(("127.0.0.1", port), timeout=30)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    more = (
        Properties(receive_maximum=window, session_expiry_interval=expiry_s)
        if version == V5
        else Properties()
    )
    line.sendall(encode(Connect(ident, clean_start=not expiry_s, version=version, properties=more), version))
    if line.recv(4_096)[0] != 0x20:
        raise ConnectionError("no CONNACK")
    if hear is not None:
        line.sendall(encode(Subscribe(1, (Subscription(hear, qos=1),)), version))
        if line.recv(4_096)[0] != 0x90:
            raise ConnectionError("no SUBACK")
    return line


def pour(
    lines: Sequence[socket.socket], blobs: Sequence[bytes], replies: Sequence[int], *, piece: int = PIECE,
    limit_s: float = 300.0,
) -> float:  # fmt: skip
    """Write each line its blob, `piece` bytes at a time, all lines in turn, and read that many bytes of
    replies from each. Seconds of CPU that this cost the sender."""
    begun, end = time.process_time(), time.monotonic() + limit_s
    left = {line: memoryview(blob) for line, blob in zip(lines, blobs, strict=True) if blob}
    owed = dict(zip(lines, replies, strict=True))
    scratch = bytearray(1 << 18)
    with selectors.DefaultSelector() as selector:
        for line in lines:
            line.setblocking(False)
            selector.register(line, selectors.EVENT_READ | (selectors.EVENT_WRITE if line in left else 0))
        waiting = {line for line in lines if line in left or owed[line] > 0}
        while waiting:
            for key, events in selector.select(1.0):
                line = key.fileobj
                assert isinstance(line, socket.socket)
                if events & selectors.EVENT_READ:
                    got = line.recv_into(scratch)
                    if not got:
                        raise ConnectionError("the line was closed")
                    owed[line] -= got
                if events & selectors.EVENT_WRITE:
                    sent = line.send(left[line][:piece])
                    left[line] = left[line][sent:]
                    if not left[line]:
                        del left[line]
                        selector.modify(line, selectors.EVENT_READ)
                if line not in left and owed[line] <= 0:
                    waiting.discard(line)
            if time.monotonic() > end:
                raise TimeoutError(f"{len(waiting)} lines are not done, {sum(owed.values())} bytes are owed")
    for line in lines:
        line.settimeout(30)
    return time.process_time() - begun


def say(
    lines: Sequence[socket.socket], blobs: Sequence[bytes], acks: Sequence[int], *, piece: int = PIECE
) -> float:
    """As `pour`: messages, `acks` of them at QoS 1, until each line's server has taken all of them."""
    return pour(
        lines,
        [blob + PINGREQ for blob in blobs],
        [PUBACK_SIZE * count + len(PINGRESP) for count in acks],
        piece=piece,
    )
