"""A daemon in miniature on a real broker: answers on the down topics as the wire's contract says.

Runs in a thread of paho's, so that it serves asyncio and plain programs alike. Tests read `heard` and
the other attributes, and script it: `refuse`, `mute`, `say`, `forget`, `end`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho

if TYPE_CHECKING:
    from collections.abc import Callable


async def until(condition: Callable[[], Any], limit_s: float = 10.0) -> Any:
    """Poll until it is true; its value."""
    end = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {limit_s} s"
        await asyncio.sleep(0.005)
    return value


@dataclass
class Heard:
    session: str
    verb: str
    payload: dict[str, Any]
    company: str
    qos: int
    size: int


@dataclass
class Held:
    session: str
    token: int
    shared: bool = False


@dataclass
class ScriptedDaemon:
    port: int
    heartbeat_every_s: float = 60.0
    mute: bool = False
    heard: list[Heard] = field(default_factory=list)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    over: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuse: dict[str, tuple[str, str]] = field(default_factory=dict)  # user -> code, message
    held: dict[str, list[Held]] = field(default_factory=dict)
    queue: dict[str, list[tuple[str, dict[str, Any]]]] = field(default_factory=dict)
    token: int = 0

    def start(self) -> ScriptedDaemon:
        ready = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="whosin-scripted")
        self._client.on_connect = lambda client, *_: client.subscribe("whosin/v1/up/#", 1)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(0.05, 0.1)
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()
        assert ready.wait(10)
        return self

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client._reset_sockets()

    # --- for tests -----------------------------------------------------------------------------------

    def of(self, verb: str, session: str | None = None) -> list[Heard]:
        return [each for each in self.heard if each.verb == verb and session in {None, each.session}]

    def say(self, session: str, kind: str, **payload: Any) -> None:
        known = self.sessions.get(session) or self.over[session]
        topic = f"whosin/v1/down/{known['site']}/{known['company']}/{session}/{kind}"
        self._client.publish(topic, json.dumps(payload), qos=1)

    def forget(self, session: str) -> None:
        """As a daemon that lost its store: the next message gets `unknown`, the locks are gone."""
        self._known_places = {session: self.sessions.pop(session)}
        self.over.update(self._known_places)
        self._release_all(session)

    def end(self, session: str, **about: Any) -> None:
        self.over[session] = {**self.sessions.pop(session), "ended": about}
        self._release_all(session)
        self.say(session, "ended", **about)

    # --- the wire ------------------------------------------------------------------------------------

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        _, _, _, site, company, session, verb = message.topic.split("/")
        payload = json.loads(message.payload or b"{}")
        self.heard.append(Heard(session, verb, payload, company, message.qos, len(message.payload)))
        if self.mute or session == "@batch":
            return
        gone = self.over.get(session)
        if gone is not None and "ended" in gone:
            self.say(session, "ended", **gone["ended"])
        elif verb == "login":
            self._login(site, company, session, payload)
        elif session not in self.sessions:
            self._client.publish(f"whosin/v1/down/{site}/{company}/{session}/unknown", b"", qos=1)
        elif verb in {"lock", "unlock", "logout"}:
            getattr(self, f"_{verb}")(session, payload)

    def _login(self, site: str, company: str, session: str, payload: dict[str, Any]) -> None:
        place = {"site": site, "company": company, **payload}
        if refusal := self.refuse.get(payload["user"]):
            self.over[session] = place
            self.say(session, "login", accepted=False, code=refusal[0], message=refusal[1])
            return
        self.sessions[session] = place
        self.say(
            session,
            "login",
            accepted=True,
            status="active",
            heartbeat_every_s=self.heartbeat_every_s,
            timeout_s=300,
            some_new_field=1,
        )

    def _logout(self, session: str, payload: dict[str, Any]) -> None:
        self.over[session] = {**self.sessions.pop(session), "ended": {"status": "logged_off"}}
        self._release_all(session)

    def _lock(self, session: str, payload: dict[str, Any]) -> None:
        resource, shared = payload["resource"], payload.get("mode") == "shared"
        holders = self.held.setdefault(resource, [])
        mine = next((each for each in holders if each.session == session), None)
        if mine is None and (not holders or (shared and all(each.shared for each in holders))):
            self.token += 1
            mine = Held(session, self.token, shared)
            holders.append(mine)
        if mine is not None:
            self.say(session, "lock", resource=resource, granted=True, token=mine.token)
            return
        waiting = payload.get("wait_s", 0) > 0
        if waiting and not any(each[0] == session for each in self.queue.setdefault(resource, [])):
            self.queue[resource].append((session, payload))
        self.say(
            session,
            "lock",
            resource=resource,
            granted=False,
            waiting=waiting,
            holder=self._holder(holders[0]),
        )

    def _holder(self, held: Held) -> dict[str, Any]:
        login = self.sessions[held.session]
        return {
            "user": login["user"],
            "machine": login.get("machine"),
            "client": login["client"],
            "status": "active",
            "since": "2026-01-05T08:00:00.000Z",
            "activity": None,
        }

    def _unlock(self, session: str, payload: dict[str, Any]) -> None:
        resource = payload["resource"]
        self.queue[resource] = [each for each in self.queue.get(resource, []) if each[0] != session]
        before = self.held.get(resource, [])
        self.held[resource] = [each for each in before if each.session != session]
        released = len(self.held[resource]) < len(before)
        self.say(session, "unlock", resource=resource, released=released)
        self._next(resource)

    def _release_all(self, session: str) -> None:
        for resource in list(self.held):
            self.held[resource] = [each for each in self.held[resource] if each.session != session]
            self._next(resource)

    def _next(self, resource: str) -> None:
        waiting = self.queue.get(resource, [])
        if not self.held.get(resource) and waiting:
            session, payload = waiting.pop(0)
            if session in self.sessions:
                self._lock(session, payload)
