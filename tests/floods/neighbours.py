"""Twenty who behave well while a flood rages: they log in, beat, lock, unlock, log out and come again.

They run in a process of their own, each on its own connection, and take the time of every answer. One more
asks the API. Owns what a neighbour notices; must not know the flood.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import multiprocessing
import select
import threading
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event

from tests.support.lines import Account, dial, packets, published
from whosin.mqtt.codec import V5, Disconnect, encode, encode_puback, encode_publish

COUNT = 20
STAY_S = 4.0  # from a login to the next
PAUSE_S = 0.2
BEAT_S = 1.0
ANSWER_S = 20.0  # who gets no answer for so long is lost


@dataclass
class Heard:
    """What they noticed: seconds until each answer, by what was asked; and who lost the connection."""

    took_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    lost: list[str] = field(default_factory=list)
    slowness: float = 1.0
    """How many times longer than alone a little work took: others use this machine too."""

    @property
    def p99_s(self) -> float:
        """The worst of the kinds of questions."""
        return max((quantile(found, 0.99) for found in self.took_s.values()), default=ANSWER_S)

    def lines(self) -> list[str]:
        told = [
            f"{what} {len(found)}: {quantile(found, 0.5) * 1000:.0f} / {quantile(found, 0.99) * 1000:.0f} / "
            f"{max(found) * 1000:.0f}"
            for what, found in sorted(self.took_s.items())
        ]
        found = f"neighbours' answers, ms p50/p99/max: {', '.join(told)}; cut off: {len(self.lost)}"
        return [found, f"the machine was {self.slowness:.1f} times slower than alone"]


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


class Neighbours:
    def __init__(
        self, port: int, http_port: int, token: str, account: Account | None, newcomers: bool = True
    ) -> None:
        context = multiprocessing.get_context("fork")
        self._ours, theirs = context.Pipe()
        self._over = context.Event()
        self._process = context.Process(
            target=_live, args=(port, http_port, token, account, newcomers, self._over, theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        self._heard: Heard | None = None

    def settle_in(self) -> None:
        """All have logged in."""
        self._ours.recv()

    def end(self) -> Heard:
        """What they noticed since they had settled in. They stay a moment after the flood."""
        if self._heard is None:
            self._over.set()
            self._heard = self._ours.recv()
            self._process.join(30)
        return self._heard


def _live(port, http_port, token, account, newcomers, over: Event, pipe) -> None:
    heard = Heard()
    ready = threading.Barrier(COUNT + 2)
    threads = [
        threading.Thread(target=_stay, args=(port, account, newcomers, heard, ready, over))
        for _ in range(COUNT)
    ]
    threads.append(threading.Thread(target=_ask, args=(http_port, token, heard, ready, over)))
    for thread in threads:
        thread.start()
    ready.wait()
    pipe.send("settled")
    slow = [_work() for _ in iter(lambda: over.wait(PAUSE_S), True)]
    for thread in threads:
        thread.join()
    pipe.send(Heard(dict(heard.took_s), heard.lost, max(1.0, sum(slow) / max(1, len(slow)))))


def _work() -> float:
    """Some milliseconds of work; how many times longer it took than it should."""
    wall, begun = time.perf_counter(), time.thread_time()
    while time.thread_time() - begun < 0.005:
        pass
    return (time.perf_counter() - wall) / 0.005


def _stay(
    port: int, account: Account | None, newcomers: bool, heard: Heard, ready: threading.Barrier, over: Event
) -> None:
    settled = False
    while not over.is_set():
        try:
            one = Neighbour(port, account, heard)
            if not settled:
                settled = True
                heard.took_s.clear()  # the first login was before the flood
                ready.wait()
            one.stay(over, STAY_S if newcomers else float("inf"))
            one.leave()
        except (OSError, TimeoutError) as error:
            heard.lost.append(repr(error))
            if not settled:
                raise


class Neighbour:
    """One login, from its connection to its goodbye."""

    def __init__(self, port: int, account: Account | None, heard: Heard) -> None:
        self._heard = heard
        self._ident = str(uuid.uuid4())
        self._buffer = bytearray()
        self._packet_id = 0
        begun = time.perf_counter()
        hear = f"whosin/v1/down/s1/+/{self._ident}/#"
        self._line = dial(port, self._ident, hear=hear, version=V5, account=account)
        self._line.settimeout(ANSWER_S)
        self._ask("login", "login", {"user": "n", "client": "desktop", "machine": "pc"}, since=begun)

    def stay(self, over: Event, seconds: float) -> None:
        end = time.monotonic() + seconds
        turn = 0
        while time.monotonic() < end and not over.is_set():
            turn += 1
            verb = "lock" if turn % 2 else "unlock"
            self._ask(verb, verb, {"resource": f"own/{self._ident}"})
            if turn % 5 == 0:
                self._say("heartbeat", b"", qos=0)
            over.wait(PAUSE_S)

    def leave(self) -> None:
        self._say("logout", b"{}")
        self._until(lambda kind, _: kind >> 4 == 4)  # its PUBACK
        with contextlib.suppress(OSError):
            self._line.sendall(encode(Disconnect(), V5))
        self._line.close()

    def _say(self, verb: str, payload: bytes, qos: int = 1) -> None:
        self._packet_id = self._packet_id % 65_535 + 1
        topic = f"whosin/v1/up/s1/c1/{self._ident}/{verb}".encode()
        self._line.sendall(
            encode_publish(topic, payload, qos=qos, packet_id=qos and self._packet_id, version=V5)
        )

    def _ask(self, verb: str, kind: str, asked: dict[str, object], since: float = 0.0) -> None:
        begun = since or time.perf_counter()
        self._say(verb, json.dumps(asked).encode())
        end = f"/{kind}".encode()
        self._until(lambda first, body: first >> 4 == 3 and published(body)[0].endswith(end))
        self._heard.took_s[kind].append(time.perf_counter() - begun)

    def _until(self, wanted) -> None:
        while True:
            found = False
            acks = b""
            for first, body in packets(self._buffer):
                if first >> 4 == 3:
                    acks += encode_puback(published(body)[1], version=V5)
                elif first >> 4 == 14:
                    raise ConnectionError(f"told to go: {body[:1].hex()}")
                found = found or wanted(first, body)
            if acks:
                self._line.sendall(acks)
            if found:
                return
            self._hear()

    def _hear(self) -> None:
        """What comes next; meanwhile it goes on beating, as programs do that wait for an answer."""
        end = time.monotonic() + ANSWER_S
        while not select.select([self._line], [], [], BEAT_S)[0]:
            if time.monotonic() > end:
                raise TimeoutError(f"no answer for {ANSWER_S:.0f} s")
            self._say("heartbeat", b"", qos=0)
        data = self._line.recv(65_536)
        if not data:
            raise ConnectionError("the line was closed")
        self._buffer += data


def _ask(port: int, token: str, heard: Heard, ready: threading.Barrier, over: Event) -> None:
    ready.wait()
    while not over.is_set():
        for path in ("/healthz", "/api/v1/sessions?limit=1"):
            begun = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
            try:
                connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
                status = connection.getresponse().status
                if path == "/healthz" and status != 200:
                    heard.lost.append(f"{path}: {status}")
                heard.took_s["http"].append(time.perf_counter() - begun)
            except (OSError, http.client.HTTPException) as error:
                heard.lost.append(f"{path}: {error!r}")
            finally:
                connection.close()
        over.wait(0.25)
