"""Clients for tests, over paho: one that says and hears, and a heart that beats for many."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import uuid
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.support.daemon import until


class Client:
    """A client of the wire over paho: says, and keeps all that it hears. Reconnects by itself."""

    def __init__(
        self,
        port: int,
        ident: str | None = None,
        *,
        hear: str | None = None,
        version: int = 5,
        will: str | None = None,
        expiry_s: int = 600,
        clean: bool = False,
        username: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.ident = ident or f"test-{uuid.uuid4()}"
        self.heard: list[tuple[str, Any]] = []
        self._hear = hear
        self._up = threading.Event()
        self._subscribed = threading.Event()
        protocol = paho.MQTTv5 if version == 5 else paho.MQTTv311
        extra = {} if version == 5 else {"clean_session": clean}
        self.mqtt = paho.Client(CallbackAPIVersion.VERSION2, self.ident, protocol=protocol, **extra)
        self.mqtt.on_connect = self._connected
        self.mqtt.on_message = self._message
        self.mqtt.on_subscribe = lambda *_: self._subscribed.set()
        self.mqtt.on_disconnect = lambda *_: self._up.clear()
        self.mqtt.reconnect_delay_set(0.1, 0.5)
        if username:
            self.mqtt.username_pw_set(username, password)
        if tls is not None:
            self.mqtt.tls_set_context(tls)
        if will:
            self.mqtt.will_set(will, b"{}", qos=1)
        options: dict[str, Any] = {}
        if version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry_s
            options = {"clean_start": clean, "properties": properties}
        self.mqtt.connect("127.0.0.1", port, keepalive=30, **options)
        self.mqtt.loop_start()
        assert self._up.wait(10), "no CONNACK"
        if hear:
            assert self._subscribed.wait(10), "no SUBACK"

    def _connected(self, *_: Any) -> None:
        if self._hear:
            self.mqtt.subscribe(self._hear, qos=1)
        self._up.set()

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            payload: Any = json.loads(message.payload)
        except ValueError:
            payload = message.payload
        self.heard.append((message.topic, payload))

    def say(
        self,
        session: str,
        verb: str,
        payload: Any = None,
        *,
        qos: int = 1,
        site: str = "s1",
        company: str = "c1",
        wait: bool = True,
    ) -> paho.MQTTMessageInfo:
        """Publish; at QoS 1 this returns once it is acknowledged, which is once it is durable."""
        body = b"" if payload is None else json.dumps(payload).encode()
        until(self.mqtt.is_connected, what=f"{self.ident} is connected")
        info = self.mqtt.publish(f"whosin/v1/up/{site}/{company}/{session}/{verb}", body, qos=qos)
        if qos and wait:
            info.wait_for_publish(15)
            assert info.is_published(), f"{verb} of {session} was not acknowledged"
        return info

    def login(self, session: str, user: str, client: str = "desktop", **more: Any) -> None:
        place = {key: more.pop(key) for key in ("site", "company") if key in more}
        self.say(session, "login", {"user": user, "client": client, **more}, **place)

    def answer(self, session: str, kind: str, nth: int = 0) -> Any:
        """The nth answer of a kind to a session, waiting for it."""

        def found() -> list[Any]:
            ending = f"/{session}/{kind}"
            return [body for topic, body in list(self.heard) if "/down/" in topic and topic.endswith(ending)]

        until(lambda: len(found()) > nth, what=f"answer {kind} to {session}")
        return found()[nth]

    def events(self, kind: str | None = None) -> list[Any]:
        return [
            body
            for topic, body in list(self.heard)
            if "/events/" in topic and (kind is None or body["type"] == kind)
        ]

    def event(self, kind: str, session: str) -> Any:
        return until(
            lambda: next((one for one in self.events(kind) if one.get("subject") == session), None),
            what=f"event {kind} of {session}",
        )

    def drop(self) -> None:
        """The cable is pulled: the connection ends without a goodbye."""
        self.mqtt.on_disconnect = None
        transport = self.mqtt.socket()
        self.mqtt.loop_stop_event = True  # type: ignore[attr-defined]
        assert transport is not None
        transport.shutdown(socket.SHUT_RDWR)
        self.mqtt._thread_terminate = True

    def close(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


class Heart:
    """Beats for sessions in the background, as client programs do. Stop one and it falls silent."""

    def __init__(self, client: Client, every_s: float = 0.5) -> None:
        self._client = client
        self._every_s = every_s
        self._sessions: dict[str, tuple[str, str]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, session: str, site: str = "s1", company: str = "c1") -> None:
        self._sessions[session] = (site, company)

    def remove(self, session: str) -> None:
        self._sessions.pop(session, None)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            for session, (site, company) in list(self._sessions.items()):
                self._client.say(session, "heartbeat", qos=0, site=site, company=company)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
