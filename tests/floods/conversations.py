"""Packets and noise as Hypothesis draws them, said to the door and to a Mosquitto: who ends the connection?

Three judges. The independent codec `mqtt5` says whether the bytes are MQTT 5 at all: what it cannot read, the
door must not let pass. `reason` says why the door should end a conversation, by the standard or because it is
no broker; it must end exactly those. Where Mosquitto sees it otherwise, the table tells how often and why;
what has no reason fails.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import tempfile
from collections import Counter
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path

import mqtt5
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.floods.stage import Stage
from tests.mqtt.codec.strategies import connects, packets
from tests.support.lines import packets as framed
from tests.support.mosquitto import Mosquitto, find_program
from whosin.mqtt.codec import (
    PINGREQ,
    V5,
    V311,
    Auth,
    Connect,
    Decoder,
    Disconnect,
    PingReq,
    ProtocolError,
    PubComp,
    Publish,
    PubRec,
    Side,
    Subscribe,
    encode,
)

WAIT_S = 0.5  # for a word from somebody who waits for the rest of a packet
DOUBT_S = 5.0  # the same, where two disagree
UP = b"whosin/v1/up/"


@dataclass(frozen=True)
class Talk:
    version: int
    data: bytes


@st.composite
def talks(draw) -> Talk:
    """A CONNECT, mostly an ordinary one, a few packets, and now and then a byte that is wrong."""
    version = draw(st.sampled_from([V311, V5, V5]))
    first = draw(
        st.just(Connect("me", version=version)) | st.just(Connect("me", version=version)) | connects(version)
    )
    rest = draw(st.lists(packets(version, Side.CLIENT), max_size=4))
    said = [bytearray(encode(one, version)) for one in [first, *rest]]
    for place, byte in draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=2)):
        target = said[draw(st.integers(0, len(said) - 1))]
        target[place % len(target)] = byte
    noise = draw(st.just(b"") | st.just(b"") | st.binary(max_size=12))
    return Talk(version, b"".join(said) + noise)


# --- why a conversation should end --------------------------------------------------------------------


def read(talk: Talk) -> tuple[list, str | None]:
    """What was understood up to the first packet that is broken, and what is wrong with that."""
    decoder = Decoder(Side.CLIENT, None, 16 * 1024)
    said, data = [], talk.data + PINGREQ
    while True:
        try:
            found = decoder.feed(data)
        except ProtocolError as error:
            return said + error.before, _plainly(str(error))
        said += found
        decoder.max_packet = 260 * 1024  # without sign-in everybody may send batches, once greeted
        if not found:
            return said, None
        data = b""


def reason(said: list, broken: str | None) -> str | None:
    """Why the door should end it; None if it should not."""
    return _of_packets(said) or broken


def _plainly(problem: str) -> str:
    """Without what was found in this one case."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|0x[0-9a-fA-F]+|\d+", "N", problem)[:90]


def _of_packets(said: list) -> str | None:
    for nth, packet in enumerate(said):
        found = _of_connect(packet) if nth == 0 else _of_packet(packet)
        if found:
            return found
    return None


def _of_connect(packet) -> str | None:
    will = packet.will
    if packet.properties.authentication_method is not None:
        return "enhanced authentication is not offered"
    if len(packet.client_id) > 128:
        return "a client id of more than 128 characters"
    if not packet.client_id and packet.version == V311 and not packet.clean_start:
        return "no client id for a session that is kept (MQTT-3.1.3-8)"
    if will is None:
        return None
    if not will.topic.startswith(UP):
        return "a will to a foreign topic"
    if packet.version == V5 and will.qos > 1:
        return "a will of QoS 2"
    if packet.version == V5 and will.retain:
        return "a retained will"
    return None


def _of_packet(packet) -> str | None:
    if isinstance(packet, Disconnect):
        return "DISCONNECT"
    if isinstance(packet, PubRec | PubComp):
        return "an answer to QoS 2, which is not offered"
    if isinstance(packet, Auth):
        return "AUTH, which is not offered"
    if isinstance(packet, Publish) and packet.qos == 2:
        return "QoS 2, which is not offered"
    if isinstance(packet, Subscribe) and packet.properties.subscription_identifier:
        return "a subscription identifier, which is not offered"
    return None


def readable(talk: Talk) -> bool | None:
    """Whether `mqtt5` can read it all, as far as it goes; None if it is not MQTT 5.

    Asked only about what the door lets pass."""
    if talk.version != V5:
        return None
    for first, body in framed(bytearray(talk.data)):
        whole = bytes([first]) + _length(len(body)) + body
        try:
            packet, _ = mqtt5.read(memoryview(whole))
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - at text that is not UTF-8 it panics, which is no Exception
            return False
        if isinstance(packet, mqtt5.DisconnectPacket):
            return True
    return True


def _length(size: int) -> bytes:
    found = bytearray()
    while size > 0x7F:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*found, size])


# --- who ends it --------------------------------------------------------------------------------------


def ends(port: int, talk: Talk, pings: int | None, wait_s: float) -> bool:
    """Whether the other side ends the conversation. It has `pings` in all, the last one at its end; None
    where that one is never read, being behind what is broken or part of a packet that goes on."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as line:
        try:
            line.sendall(talk.data + PINGREQ)
            buffer, answered = bytearray(), 0
            while select.select([line], [], [], wait_s)[0]:
                data = line.recv(65_536)
                if not data:
                    return True
                buffer += data
                answered += sum(first == 0xD0 for first, _ in framed(buffer))
                if pings is not None and answered >= pings:
                    return False
        except ConnectionError:
            return True
    return False


CONTROL = re.compile("[\x01-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")


def only_theirs(said: list, data: bytes) -> str | None:
    """Why Mosquitto may end what is right by the standard, or what the door need not mind."""
    if any(CONTROL.search(text) or any(ord(one) & 0xFFFE == 0xFFFE for one in text) for text in _texts(said)):
        return "control characters, which one may refuse (MQTT 5, 1.5.4)"
    if said and (said[0].properties.maximum_packet_size or 100) < 100:
        return "a maximum packet size below that of its CONNACK"
    if b"$" in data:
        return "a topic that begins with $"
    return None


def _texts(thing: object) -> list[str]:
    if isinstance(thing, str):
        return [thing]
    if isinstance(thing, bytes):
        return [thing.decode(errors="ignore")]
    if isinstance(thing, list | tuple):
        return [text for one in thing for text in _texts(one)]
    if is_dataclass(thing):
        return [text for field in fields(thing) for text in _texts(getattr(thing, field.name))]
    return []


def malformed(stage: Stage) -> None:
    """The same conversations with the door and with Mosquitto."""
    with contextlib.ExitStack() as stack:
        broker = None
        if find_program("mosquitto") is not None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            broker = Mosquitto(folder).start()
            stack.callback(broker.stop)
        table: Counter[str] = Counter()
        numbers = iter(range(1 << 30))

        @seed(stage.seed)
        @settings(
            max_examples=stage.many(200), database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(talks())
        def compare(talk: Talk) -> None:
            talk = replace(
                talk, data=talk.data.replace(b"\0\2me", b"\0\2" + b"%02x" % (next(numbers) % 256), 1)
            )
            _compare(stage, talk, None if broker is None else broker.port, table)

        compare()
    for what, count in sorted(table.items(), key=lambda item: -item[1]):
        stage.tell(f"{count:5} {what}")


def _compare(stage: Stage, talk: Talk, broker: int | None, table: Counter[str]) -> None:
    said, broken = read(talk)
    why = reason(said, broken)
    whole = broken is None and bool(said) and isinstance(said[-1], PingReq)
    pings = sum(isinstance(one, PingReq) for one in said) if whole else None
    door = ends(stage.port, talk, pings, WAIT_S)
    if door != (why is not None):
        door = ends(stage.port, talk, pings, DOUBT_S)
    shown = talk.data[:200].hex(" ")
    stage.check(door == (why is not None), f"the door {_said(door)}, expected because of: {why}; {shown}")
    if not door and readable(talk) is False:
        stage.check(_auth_of_no_length(talk), f"mqtt5 cannot read this, and the door kept on: {shown}")
    if broker is None:
        table[f"the door {_said(door)}"] += 1
        return
    theirs = ends(broker, talk, pings, WAIT_S)
    if theirs != door:
        theirs = ends(broker, talk, pings, DOUBT_S)
    if theirs == door:
        table[f"both {_said(door)}"] += 1
    elif door:
        table[f"only the door ended it: {why}"] += 1
    else:
        found = only_theirs(said, talk.data)
        stage.check(found is not None, f"Mosquitto alone ended this, and nobody knows why: {shown}")
        table[f"only Mosquitto ended it: {found}"] += 1


def _said(ended: bool) -> str:
    return "ended it" if ended else "kept on"


def _auth_of_no_length(talk: Talk) -> bool:
    """Means success (MQTT 5, 3.15.2.1), which mqtt5 does not know."""
    return b"\xf0\0" in talk.data
