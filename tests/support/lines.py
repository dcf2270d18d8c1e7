"""Plain sockets that speak MQTT: what goes out was encoded beforehand, what comes back is counted, or
taken apart as far as is needed.

Owns sending so fast that the sender is not what is measured. Must not know who listens.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Iterator, Sequence

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


Account = tuple[str, str]
"""Name and password."""


def dial(
    port: int,
    ident: str,
    *,
    hear: str | None = None,
    version: Version = V311,
    window: int | None = None,
    expiry_s: int | None = None,
    account: Account | None = None,
    keep_alive: int = 0,
) -> socket.socket:
    """Connected, greeted and, with `hear`, subscribed at QoS 1; blocking."""
    line = socket.create_connection(("127.0.0.1", port), timeout=30)
    try:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        greet(line, hello(ident, version, window, expiry_s, account, keep_alive), 0x20)
        if hear is not None:
            greet(line, encode(Subscribe(1, (Subscription(hear, qos=1),)), version), 0x90)
    except BaseException:
        line.close()
        raise
    return line


def hello(
    ident: str,
    version: Version = V311,
    window: int | None = None,
    expiry_s: int | None = None,
    account: Account | None = None,
    keep_alive: int = 0,
) -> bytes:
    """A CONNECT; a session that outlives the connection is taken up again."""
    name, password = account or (None, "")
    more = Properties()
    if version == V5:
        more = Properties(receive_maximum=window, session_expiry_interval=expiry_s)
    return encode(
        Connect(
            ident, not expiry_s, keep_alive, version, name, password.encode() if name else None, None, more
        ),
        version,
    )


def greet(line: socket.socket, packet: bytes, kind: int) -> None:
    """Send it; the first that comes back is of that kind, and (a CONNACK) welcomes."""
    line.sendall(packet)
    answer = line.recv(4_096)
    if len(answer) < 4 or answer[0] != kind or (kind == 0x20 and answer[3]):
        raise ConnectionError(f"refused: {answer[:20].hex(' ')}")


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


def packets(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take the complete ones out: first byte, and what follows the length."""
    at, end = 0, len(buffer)
    while end - at >= 2:
        length, shift, body = 0, 0, at + 1
        while body < end:
            length |= (buffer[body] & 0x7F) << shift
            shift += 7
            body += 1
            if buffer[body - 1] < 0x80:
                break
        else:
            break
        if body + length > end:
            break
        yield buffer[at], bytes(buffer[body : body + length])
        at = body + length
    del buffer[:at]


def published(body: bytes) -> tuple[bytes, int, bytes]:
    """Topic, packet id and payload of a PUBLISH at QoS 1, MQTT 5."""
    (size,) = struct.unpack_from(">H", body)
    (packet_id,) = struct.unpack_from(">H", body, 2 + size)
    return body[2 : 2 + size], packet_id, body[5 + size + body[4 + size] :]
