"""One MQTT connection over paho on the asyncio loop: comes back by itself, repeats what is not acknowledged.

paho keeps every QoS 1 message until its PUBACK and sends it again on the next connection; it acknowledges
what it hears after it was handed on. Owns the connection; must not know sessions.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from random import Random
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.faults.record import Said

CONNACK_S = 3.0
KEEP_ALIVE_S = 10


class Line:
    """`up` while connected and subscribed. `heard` gets topic and body."""

    def __init__(
        self,
        address: tuple[str, int],
        ident: str,
        heard: Callable[[str, dict[str, Any]], None],
        *,
        hear: str | None,
        dice: Random,
        will: Callable[[], tuple[str, bytes]] | None = None,
        away_s: tuple[float, float] = (0.03, 0.25),
    ) -> None:
        self.up = asyncio.Event()
        self.connections = 0
        self._address = address
        self._heard = heard
        self._hear = hear
        self._dice = dice
        self._will = will
        self._away_s = away_s  # after a connection that broke, or could not be made
        self._down = asyncio.Event()
        self._unacked: dict[int, Said] = {}
        self._early: dict[int, tuple[float, int]] = {}  # acknowledged before `publish` returned
        self._task: asyncio.Task[None] | None = None
        self.mqtt = paho.Client(CallbackAPIVersion.VERSION2, ident, protocol=paho.MQTTv5)
        self.mqtt.max_inflight_messages_set(0)
        self.mqtt.on_connect = self._connected
        self.mqtt.on_subscribe = self._subscribed
        self.mqtt.on_message = self._message
        self.mqtt.on_publish = self._published
        self.mqtt.on_disconnect = lambda *_: self._lost()
        self.mqtt.on_socket_open = lambda _c, _u, sock: loop.add_reader(sock, self.mqtt.loop_read)
        self.mqtt.on_socket_close = lambda _c, _u, sock: (loop.remove_reader(sock), loop.remove_writer(sock))
        self.mqtt.on_socket_register_write = lambda _c, _u, sock: loop.add_writer(sock, self.mqtt.loop_write)
        self.mqtt.on_socket_unregister_write = lambda _c, _u, sock: loop.remove_writer(sock)
        loop = asyncio.get_running_loop()

    async def open(self) -> Line:
        self._task = asyncio.create_task(self._stay_up())
        async with asyncio.timeout(60):
            await self.up.wait()
        return self

    async def close(self) -> None:
        """With a goodbye, so that no will goes out."""
        await self._end()
        if self.mqtt.disconnect() == paho.MQTT_ERR_SUCCESS:
            self.mqtt.loop_write()
        self._close_socket()

    async def drop(self) -> None:
        """The cable is pulled: no goodbye, and no return."""
        await self._end()
        self._close_socket()

    def break_off(self) -> None:
        """The connection breaks; the line comes back by itself."""
        self._lost()

    def say(self, topic: str, payload: bytes, said: Said) -> None:
        """QoS 1: repeated on every connection until it is acknowledged, which is then noted in `said`."""
        mid = self.mqtt.publish(topic, payload, qos=1).mid
        assert mid is not None
        if mid in self._early:
            said.acked, said.reason = self._early.pop(mid)
        else:
            self._unacked[mid] = said

    def beat(self, topic: str, payload: bytes) -> bool:
        """QoS 0. False: there is no connection now."""
        if not self.up.is_set():
            return False
        return self.mqtt.publish(topic, payload, qos=0).rc == paho.MQTT_ERR_SUCCESS

    # --- inside --------------------------------------------------------------------------------------

    async def _stay_up(self) -> None:
        while True:
            self._down.clear()
            try:
                self._connect()
                async with asyncio.timeout(CONNACK_S):
                    await self.up.wait()
                await self._until_down()
            except (OSError, TimeoutError):
                pass
            self.up.clear()
            self._close_socket()
            await asyncio.sleep(self._dice.uniform(*self._away_s))

    def _connect(self) -> None:
        self.connections += 1
        if self._will is not None:
            self.mqtt.will_set(*self._will(), qos=1)
        options = Properties(PacketTypes.CONNECT)
        options.SessionExpiryInterval = 600
        host, port = self._address
        self.mqtt.connect(host, port, keepalive=KEEP_ALIVE_S, clean_start=False, properties=options)

    async def _until_down(self) -> None:
        while not self._down.is_set():
            self.mqtt.loop_misc()
            try:
                async with asyncio.timeout(0.5):
                    await self._down.wait()
            except TimeoutError:
                pass

    async def _end(self) -> None:
        self.mqtt.on_disconnect = None
        self.up.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _close_socket(self) -> None:
        self.mqtt._sock_close()

    def _lost(self) -> None:
        self.up.clear()
        self._down.set()

    def _connected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._lost()
        elif self._hear:
            self.mqtt.subscribe(self._hear, qos=1)
        else:
            self.up.set()

    def _subscribed(self, *_: Any) -> None:
        self.up.set()

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload) if message.payload.startswith(b"{") else {}
        self._heard(message.topic, body)

    def _published(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        now, value = time.monotonic(), reason.value
        said = self._unacked.pop(mid, None)
        if said is None:
            self._early[mid] = (now, value)
        else:
            said.acked, said.reason = now, value
