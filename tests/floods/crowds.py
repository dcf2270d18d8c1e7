"""Floods by number: connections, reconnections, messages, new sessions, observers who do not read."""

from __future__ import annotations

import contextlib
import errno
import json
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable, Sequence

from tests.floods.stage import SITE, Stage
from tests.support.lines import Account, dial, hello, packets, published, say
from whosin.mqtt.codec import V5, V311, Subscribe, Subscription, encode, encode_puback, encode_publish

WEB = {"user": "crowd", "client": "web", "machine": "pc"}


def topic(session: str, verb: str, company: str = "c2") -> bytes:
    return f"whosin/v1/up/{SITE}/{company}/{session}/{verb}".encode()


def message(
    session: str, verb: str, payload: object = None, packet_id: int = 1, qos: int = 1, version=V311
) -> bytes:
    body = b"" if payload is None else json.dumps(payload).encode()
    return encode_publish(topic(session, verb), body, qos=qos, packet_id=qos and packet_id, version=version)


def close(lines: Iterable[socket.socket]) -> None:
    for line in lines:
        with contextlib.suppress(OSError):
            line.close()


def alive(line: socket.socket) -> bool:
    """Not closed by the other side; what has come is read."""
    line.setblocking(False)
    try:
        while line.recv(1 << 16):
            pass
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


# --- connections ------------------------------------------------------------------------------------


def connections(stage: Stage) -> None:
    """2,000: 250 say nothing at all, 250 ask and never read, 1,500 behave."""
    silent = [socket.create_connection(("127.0.0.1", stage.port)) for _ in range(stage.many(250))]
    slow = [_slow_reader(stage, f"slow-{nth}") for nth in range(stage.many(250))]
    good = [
        dial(stage.port, f"good-{nth}", account=stage.account("client")) for nth in range(stage.many(1_500))
    ]
    say(good, [message(f"good-{nth}", "login", WEB) for nth in range(len(good))], [1] * len(good))
    asked = 0
    greedy = slow[: len(slow) // 5]
    for turn in range(48):  # those ask for more than is kept for them, the others for as much
        for nth, line in enumerate(greedy if turn >= 4 else slow):
            login = message(f"slow-{nth}", "login", WEB, version=V5)
            asked += _push(line, login * 25)
        time.sleep(0.03)  # real time: within the rate that an account may have
    rounds = 8
    for _ in range(rounds):
        say(good, [message(f"good-{nth}", "heartbeat", qos=0) for nth in range(len(good))], [0] * len(good))
    beats = stage.counted("whosin_messages_total", verb="heartbeat")
    least = rounds * len(good)
    stage.check(beats >= least, f"{least} heartbeats were sent and {beats} taken")
    lost = sum(not alive(line) for line in good)
    stage.check(not lost, f"{lost} who behaved were cut off")
    stage.check(
        stage.settled(lambda: not any(alive(line) for line in silent), 15), "some who said nothing stay"
    )
    stage.tell(
        f"{len(silent)} silent, {len(slow)} who do not read ({asked / MB:.0f} MB of questions), "
        f"{len(good)} good; "
        f"at the door: {stage.by('whosin_door_interventions_total', 'what')}"
    )
    close([*silent, *slow, *good])


MB = 1024 * 1024


def _slow_reader(stage: Stage, ident: str) -> socket.socket:
    """Hears what it is answered, with the smallest buffer, and never reads."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    line.settimeout(30)
    line.connect(("127.0.0.1", stage.port))
    hear = Subscribe(1, (Subscription(f"whosin/v1/down/{SITE}/+/{ident}/#", qos=1),))
    line.sendall(hello(ident, V5, account=stage.account("client")) + encode(hear, V5))
    return line


def _push(line: socket.socket, data: bytes) -> int:
    """As much as the other side takes now."""
    line.setblocking(False)
    try:
        return line.send(data)
    except OSError:
        return 0


# --- storms -----------------------------------------------------------------------------------------


def storm(stage: Stage) -> None:
    """2,000 who are logged in lose their connections at once, and all come back at once, three times."""
    count = stage.many(2_000)
    lines = _rush(stage, count)
    for nth in range(3):
        for line in lines:  # as when a router dies: without a goodbye
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.close()
        lines = _rush(stage, count)
        stage.check(len(lines) == count, f"only {len(lines)} of {count} came back in round {nth + 1}")
    there = stage.counted("whosin_sessions", status="active", client="web")
    stage.check(there == count, f"{count} logged in and {there} are known")
    took = stage.counted("whosin_messages_total", verb="login") - stage.counted(
        "whosin_sessions_logged_in_total", client="desktop"
    )
    stage.tell(
        f"{took} logins in four rushes; at the door: {stage.by('whosin_door_interventions_total', 'what')}"
    )
    close(lines)


def _rush(stage: Stage, count: int) -> list[socket.socket]:
    """All dial in the same moment; who is turned away tries again at once."""
    begun = time.monotonic()
    first = {
        nth: hello(f"s-{nth}", account=stage.account("client"))
        + encode(Subscribe(1, (Subscription(f"whosin/v1/down/{SITE}/+/s-{nth}/#", qos=1),)), V311)
        + message(f"s-{nth}", "login", WEB)
        for nth in range(count)
    }
    done: list[socket.socket] = []
    again = 0
    with selectors.DefaultSelector() as selector:

        def call(nth: int) -> None:
            line = socket.socket()
            line.setblocking(False)
            if line.connect_ex(("127.0.0.1", stage.port)) not in (0, errno.EINPROGRESS):
                raise ConnectionError("cannot dial")
            selector.register(line, selectors.EVENT_WRITE, (nth, bytearray()))

        for nth in range(count):
            call(nth)
        while len(done) < count and time.monotonic() - begun < 60:
            for key, events in selector.select(1.0):
                line, (nth, heard) = key.fileobj, key.data
                try:
                    if events & selectors.EVENT_WRITE:
                        line.sendall(first[nth])
                        selector.modify(line, selectors.EVENT_READ, key.data)
                        continue
                    data = line.recv(4_096)
                    if not data:
                        raise ConnectionResetError
                except OSError:
                    again += 1
                    selector.unregister(line)
                    line.close()
                    call(nth)
                    continue
                heard += data
                if b"\x40\x02\x00\x01" in heard:  # the login is stored
                    selector.unregister(line)
                    done.append(line)
    took = time.monotonic() - begun
    stage.tell(f"a rush of {count}: all in after {took:.1f} s, {again} had to dial again")
    stage.check(not again, f"{again} were turned away in a rush of {count}")
    return done


# --- messages ---------------------------------------------------------------------------------------


def torrent(stage: Stage) -> None:
    """One client without a limit: 300,000 heartbeats at QoS 0, then 100,000 at QoS 1, as fast as they go."""
    idents = [f"t-{nth}" for nth in range(stage.many(1_000))]
    with contextlib.closing(dial(stage.port, "torrent", account=stage.account("gateway"))) as line:
        logins = [message(ident, "login", WEB, nth + 1) for nth, ident in enumerate(idents)]
        say([line], [b"".join(logins)], [len(logins)])
        rounds = [(stage.many(300_000), 0), (stage.many(100_000), 1)]
        sent = 0
        for count, qos in rounds:
            blob = b"".join(
                message(idents[nth % len(idents)], "heartbeat", None, nth % 60_000 + 1, qos)
                for nth in range(count)
            )
            begun = time.monotonic()
            say([line], [blob], [count * qos])
            sent += count
            stage.tell(
                f"{count:,} at QoS {qos}: {count / (time.monotonic() - begun):,.0f}/s, all acknowledged" * qos
                or f"{count:,} at QoS 0: {count / (time.monotonic() - begun):,.0f}/s"
            )
    _beats_are_exact(stage, sent)


def _beats_are_exact(stage: Stage, sent: int) -> None:
    """The neighbours beat too, so a moment without them is not to be had: theirs are few and bounded."""
    took = stage.counted("whosin_messages_total", verb="heartbeat")
    rejected = stage.by("whosin_messages_rejected_total", "reason")
    theirs = took + sum(rejected.values()) - sent
    stage.check(0 <= theirs <= 20 * 120, f"{sent} were sent, {took} taken, rejected {rejected}")
    stage.tell(
        f"sent {sent:,} = taken {took - theirs:,} + rejected {sum(rejected.values())} "
        f"({theirs} are neighbours')"
    )


def limited(stage: Stage) -> None:
    """One client of a site with sign-in sends as fast as it can for five seconds: it is read at its rate."""
    seconds = 5
    with contextlib.closing(dial(stage.port, "fast", account=stage.account("client"))) as line:
        say([line], [message("fast", "login", WEB)], [1])
        blob = message("fast", "heartbeat", qos=0) * 2_000
        line.setblocking(False)
        begun, pushed = time.monotonic(), 0
        while (now := time.monotonic() - begun) < seconds:
            try:
                pushed += line.send(blob)
            except BlockingIOError:
                time.sleep(0.001)
        took = stage.counted("whosin_messages_total", verb="heartbeat")
    chunk = 256 * 1024 // (len(blob) // 2_000)
    most = (
        1_000 * (now + 1) + 2_000 + chunk + 20 * 60
    )  # the rate, the burst, what one read brings, neighbours
    stage.check(took <= most, f"{took} were taken in {now:.1f} s")
    stage.check(took >= 1_000 * seconds * 0.5, f"only {took} were taken in {now:.1f} s")
    stage.tell(
        f"pushed {pushed / MB:.1f} MB in {now:.1f} s; {took:,} taken, the rest waits in the sender's buffers"
    )


# --- new ids ----------------------------------------------------------------------------------------


def strangers(stage: Stage) -> None:
    """8 KiB logins with new ids, more than there is room for; then 9 KiB ones, then unknown ids by the ten
    thousand."""
    room = 3_000
    count = stage.many(10_000)
    junk = "x" * 7_700
    logins = [
        message(f"n-{nth}", "login", {**WEB, "app": "y" * 250, "more": junk}, nth % 60_000 + 1)
        for nth in range(count)
    ]
    _spread(stage, logins, 1)
    taken = stage.counted("whosin_sessions_logged_in_total", client="web")
    refused = stage.by("whosin_sessions_refused_total", "code")
    stage.check(taken + refused.get("limit", 0) == count, f"{count} logins: {taken} taken, refused {refused}")
    stage.check(taken <= room, f"{taken} are in, and there is room for {room}")
    large = [
        message(f"l-{nth}", "login", {**WEB, "more": "x" * 9_000}, nth + 1)
        for nth in range(stage.many(1_000))
    ]
    _spread(stage, large, 1)
    rejected = stage.by("whosin_messages_rejected_total", "reason")
    stage.check(rejected == {"size": len(large)}, f"{len(large)} were too large, rejected {rejected}")
    ghosts = [message(f"g-{nth}", "heartbeat", qos=0) for nth in range(stage.many(30_000))]
    _spread(stage, ghosts, 0)
    answered = stage.counted("whosin_answers_suppressed_total")
    stage.tell(
        f"{count:,} logins of 8 KiB = {taken:,} taken + {refused.get('limit', 0):,} refused (room {room:,}); "
        f"{len(large):,} of 9 KiB = {rejected}; {len(ghosts):,} unknown ids, {answered:,} unanswered"
    )


def _spread(stage: Stage, messages: Sequence[bytes], qos: int) -> None:
    lines = [dial(stage.port, f"spread-{nth}", account=stage.account("gateway")) for nth in range(10)]
    hands = [messages[nth :: len(lines)] for nth in range(len(lines))]
    say(lines, [b"".join(hand) for hand in hands], [len(hand) * qos for hand in hands])
    close(lines)


# --- observers --------------------------------------------------------------------------------------


def observers(stage: Stage) -> None:
    """500 observers follow all events and do not read, while 20,000 events come; one reads."""
    count, events = stage.many(500), stage.many(10_000)
    deaf = [_deaf_observer(stage, f"deaf-{nth}", stage.account("observer")) for nth in range(count)]
    reader = _Reader(stage)
    reader.start()
    with contextlib.closing(dial(stage.port, "source", account=stage.account("gateway"))) as line:
        for start in range(0, events, 500):
            part = range(start, min(start + 500, events))
            logins = [message(f"e-{nth}", "login", WEB, nth % 60_000 + 1) for nth in part]
            logouts = [message(f"e-{nth}", "logout", None, nth % 60_000 + 1) for nth in part]
            say([line], [b"".join([*logins, *logouts])], [2 * len(part)])
    made = stage.counted("whosin_sessions_logged_in_total", client="web")
    stage.check(made == events, f"{events} logged in, {made} were counted")
    stage.tell(
        f"{2 * events:,} events to {count} who do not read; at the door: "
        f"{stage.by('whosin_door_interventions_total', 'what')}"
    )
    heard = stage.settled(lambda: reader.heard >= 2 * events, 30)
    stage.check(heard and not reader.lost, f"the one who reads heard {reader.heard} of {2 * events} events")
    reader.over = True
    reader.join(5)
    close(deaf)


class _Reader(threading.Thread):
    """Follows everything, and acknowledges it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(daemon=True)
        account = stage.account("observer")
        self._line = dial(
            stage.port, "reader", hear="whosin/v1/events/#", version=V5, window=65_535, account=account
        )
        self.heard = 0
        self.lost = self.over = False

    def run(self) -> None:
        self._line.settimeout(0.5)
        buffer = bytearray()
        while not self.over:
            try:
                data = self._line.recv(1 << 18)
            except TimeoutError:
                continue
            if not data:
                self.lost = True
                return
            buffer += data
            acks = b""
            for first, body in packets(buffer):
                if first >> 4 == 3:
                    where, packet_id, _ = published(body)
                    acks += encode_puback(packet_id, version=V5)
                    self.heard += b"/c2/" in where  # not the neighbours' events
            self._line.sendall(acks)
        self._line.close()


def _deaf_observer(stage: Stage, ident: str, account: Account | None) -> socket.socket:
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    line.settimeout(30)
    line.connect(("127.0.0.1", stage.port))
    hear = Subscribe(1, (Subscription("whosin/v1/events/#", qos=1),))
    line.sendall(hello(ident, V5, account=account) + encode(hear, V5))
    return line
