"""Tricks with MQTT that single clients may try; each on a connection of its own, with what must come of it.

`closes`: the door ends the connection. `counts`: the reasons under which messages are counted as rejected.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.floods.crowds import alive, message, topic
from tests.floods.stage import SITE, Stage
from tests.support.lines import dial, hello
from whosin.mqtt.codec import (
    V5,
    Connect,
    Properties,
    PubAck,
    Publish,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
    encode,
    encode_publish,
)

ME = "trickster"


@dataclass(frozen=True)
class Trick:
    name: str
    sends: bytes
    closes: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    refuses: bytes = b""  # what the SUBACK or PUBACK must end with


def say(verb: str = "heartbeat", payload: bytes = b"", qos: int = 1, **more: object) -> bytes:
    return encode(Publish(topic(ME, verb), payload, qos, packet_id=qos and 9, **more), V5)


def publish(where: bytes, qos: int = 1) -> bytes:
    return encode_publish(where, b"{}", qos=qos, packet_id=qos and 9, version=V5)


def subscribe(*filters: str, **more: object) -> bytes:
    return encode(Subscribe(9, tuple(Subscription(one, qos=1) for one in filters), **more), V5)


def raw(first: int, body: bytes) -> bytes:
    """A packet whose body is short."""
    return bytes([first, len(body)]) + body


TRICKS = [
    Trick("a retained heartbeat", say(retain=True), counts={"retained": 1}),
    Trick("1,000 retained logins", say("login", b"{}", 0, retain=True) * 1_000, counts={"retained": 1_000}),
    Trick("a topic longer than its packet", raw(0x30, b"\0\x0fwhosin"), closes=True),
    Trick("# as a topic", raw(0x30, b"\0\x01#\0"), closes=True),
    Trick("+ in a topic", raw(0x30, b"\0\x05a/+/b\0"), closes=True),
    Trick("an empty topic", raw(0x30, b"\0\0\0"), closes=True),
    Trick(
        "a publish to the answers",
        publish(f"whosin/v1/down/{SITE}/c1/{ME}/login".encode()),
        counts={"topic": 1},
    ),
    Trick(
        "a publish to the events",
        publish(f"whosin/v1/events/{SITE}/c1/session.removed".encode()),
        counts={"topic": 1},
    ),
    Trick("a publish to $SYS", publish(b"$SYS/broker/load"), counts={"topic": 1}),
    Trick(
        "for another session",
        publish(f"whosin/v1/up/{SITE}/c1/another/logout".encode()),
        counts={"forbidden": 1},
    ),
    Trick("for another site", publish(f"whosin/v1/up/s2/c1/{ME}/login".encode()), counts={"forbidden": 1}),
    Trick(
        "a batch of a client",
        publish(f"whosin/v1/up/{SITE}/c1/@batch/heartbeat".encode()),
        counts={"forbidden": 1},
    ),
    Trick("a shared subscription", subscribe("$share/group/whosin/v1/down/#"), refuses=b"\x9e"),
    Trick("everything there is", subscribe("#")),
    Trick(
        "others' answers",
        subscribe(f"whosin/v1/down/{SITE}/+/another/#"),
        counts={"forbidden": 1},
        refuses=b"\x87",
    ),
    Trick("all events", subscribe("whosin/v1/events/#"), counts={"forbidden": 1}, refuses=b"\x87"),
    Trick(
        "200 subscriptions",
        subscribe(*(f"whosin/v1/down/{SITE}/c{nth}/{ME}/#" for nth in range(200))),
        refuses=b"\x97",
    ),
    Trick(
        "a filter of 8,000 levels", subscribe("/".join("+" * 8_000)), counts={"forbidden": 1}, refuses=b"\x87"
    ),
    Trick(
        "a subscription identifier",
        subscribe("#", properties=Properties(subscription_identifier=(7,))),
        closes=True,
    ),
    Trick("unsubscribing what is not", encode(Unsubscribe(9, ("a/b", "#")), V5)),
    Trick("a topic alias", raw(0x30, b"\0\0\3\x23\0\1"), closes=True),
    Trick("an alias with its topic", say(properties=Properties(topic_alias=1)), closes=True),
    Trick("QoS 2", encode(Publish(topic(ME, "heartbeat"), b"", 2, packet_id=3), V5), closes=True),
    Trick("QoS 3", raw(0x36, b"\0\1a\0\1\0"), closes=True),
    Trick("a packet of 300 KiB", b"\x30\x80\x80\x13" + b"x" * 100_000, closes=True),
    Trick("a packet said to be of 256 MB", b"\x30\xff\xff\xff\x7f", closes=True),
    Trick("a length of five bytes", b"\x30\xff\xff\xff\xff\x7f", closes=True),
    Trick("acknowledgements of nothing", b"".join(encode(PubAck(nth), V5) for nth in range(1, 60_000, 60))),
    Trick("releases of nothing", encode(PubRel(1), V5) * 100),
    Trick(
        "2,000 in flight",
        b"".join(
            message(ME, "login", {"user": "t", "client": "web"}, nth + 1, version=V5) for nth in range(2_000)
        ),
        closes=True,
    ),
    Trick(
        "one packet identifier for all",
        message(ME, "login", {"user": "t", "client": "web"}, 5, version=V5) * 50,
    ),
    Trick("a second CONNECT", hello(ME, V5), closes=True),
    Trick("a CONNACK from a client", b"\x20\x03\0\0\0", closes=True),
    Trick("AUTH out of nowhere", b"\xf0\0", closes=True),
    Trick("not UTF-8", raw(0x30, b"\0\x02\xff\xfe\0"), closes=True),
    Trick("JSON as deep as it goes", say("login", b"[" * 8_000), counts={"schema": 1}),
    Trick("a number without an end", say("login", b'{"conn":' + b"9" * 8_000 + b"}"), counts={"schema": 1}),
    Trick("a payload of NULs", say("login", b"\0" * 8_000), counts={"schema": 1}),
    Trick("an unknown verb", say("destroy"), counts={"unknown_verb": 1}),
]


def tricks(stage: Stage) -> None:
    """Each trick ends or is dropped as it should, and is counted."""
    for trick in TRICKS:
        _try(stage, trick)
    _wills(stage)
    stage.tell(
        f"{len(TRICKS)} tricks; rejected in all: {stage.by('whosin_messages_rejected_total', 'reason')}"
    )


def _try(stage: Stage, trick: Trick) -> None:
    """A message that is dropped is counted by its reason; a connection that is closed by why."""
    before, ended = _counted(stage)
    line = dial(stage.port, ME, version=V5, account=stage.account("client"))
    with contextlib.closing(line):
        heard, closed = _converse(line, trick.sends)
        stage.check(closed == trick.closes, f"{trick.name}: the line was {'closed' if closed else 'kept'}")
        if trick.refuses:
            stage.check(trick.refuses in heard, f"{trick.name}: answered {heard[:40].hex(' ')}")
    rejected, closings = _counted(stage)
    rejected, closings = rejected - before, closings - ended
    if trick.closes:
        stage.check(closings.total() == 1, f"{trick.name}: closings are counted as {dict(closings)}")
    else:
        stage.check(rejected == Counter(trick.counts), f"{trick.name}: counted as {dict(rejected)}")


def _counted(stage: Stage) -> tuple[Counter[str], Counter[str]]:
    done = stage.by("whosin_door_interventions_total", "what")
    closings = {what: count for what, count in done.items() if what.startswith("closed_")}
    return Counter(stage.by("whosin_messages_rejected_total", "reason")), Counter(closings)


def _converse(line: socket.socket, data: bytes) -> tuple[bytes, bool]:
    """What came back, and whether the line was closed. A ping tells that all was taken."""
    line.settimeout(5)
    with contextlib.suppress(OSError):
        line.sendall(data + b"\xc0\0")
    heard = b""
    try:
        while not heard.endswith(b"\xd0\0"):
            data = line.recv(65_536)
            if not data:
                return heard, True
            heard += data
    except ConnectionError:
        return heard, True
    except TimeoutError:
        return heard, False
    return heard, False


def _wills(stage: Stage) -> None:
    """Wills that are not the client's to have: refused at the door."""
    name, password = stage.account("client") or (None, "")
    foreign = Will(f"whosin/v1/up/{SITE}/c1/another/logout".encode(), b"{}", 1)
    kept = Will(topic(ME, "lost"), b"{}", 1, retain=True)
    large = Will(topic(ME, "lost"), b"x" * 9_000, 1)
    for what, will in (("another's", foreign), ("a retained", kept), ("a large", large)):
        with contextlib.closing(socket.create_connection(("127.0.0.1", stage.port))) as line:
            line.settimeout(5)
            line.sendall(encode(Connect(ME, True, 0, V5, name, password.encode(), will), V5))
            answer = line.recv(100)
            stage.check(
                answer[:1] == b"\x20" and answer[3] >= 0x80, f"{what} will was welcome: {answer.hex(' ')}"
            )
            end = time.monotonic() + 5
            while alive(line) and time.monotonic() < end:
                time.sleep(0.01)
