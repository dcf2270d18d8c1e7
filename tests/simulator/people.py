"""People at their programs, and portals that speak for many: they live, beat, lock, fall, come back.

Owns what clients do, dutifully or not, by themselves (beats, coming back, logging in again when told to) and
when the script says so. Tells the witness of every sign of life that only faults of others could stop. Must
not know the daemon, nor what is right.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulator.client import Client
from tests.simulator.network import Socket
from tests.simulator.witness import Trouble
from whosin.mqtt.codec import PINGREQ, Properties, Will

if TYPE_CHECKING:
    from tests.simulator.network import Network
    from tests.simulator.script import Who
    from tests.simulator.witness import Known, Witness
    from tests.simulator.world import World

KNOWN_MS = 1_500  # after all is read the daemon may take so long to be sure
LONG_MS = 2_000


class Portal:
    """A web portal's server: one connection, many sessions, batches of beats."""

    def __init__(self, world: World, network: Network, number: int, site: str, by: str) -> None:
        self.world = world
        self.random = world.random(f"portal {number}")
        self.members: list[Person] = []
        self.client = Client(
            world, network, self.random, f"portal-{number}", by=by, keep_alive_s=20,
            filters=(f"whosin/v1/down/{site}/#",),
        )  # fmt: skip
        self.client.on_message = self._message
        self.client.on_up = lambda present: [one.came_up(present) for one in self.members]  # type: ignore[assignment]
        self.client.on_try = lambda: [one.knock() for one in self.members if one.dutiful]  # type: ignore[assignment]

    def start(self) -> None:
        self.client.connect()

    def _message(self, topic: str, payload: bytes) -> None:
        ident = topic.split("/")[5]
        for one in self.members:
            if one.who.id == ident:
                one.message(topic, payload)

    def beat(self, first: Person) -> None:
        """Its turn: everybody whose next beat is near goes along."""
        company = first.who.company
        now = self.world.now
        along = [
            one for one in self.members
            if one.who.company == company and one.dutiful and one.due_ms - now < one.every_ms // 2
        ]  # fmt: skip
        body = json.dumps({"sessions": [one.who.id for one in along]}).encode()
        self.client.publish(f"whosin/v1/up/{first.who.site}/{company}/@batch/heartbeat", body, 0)
        for one in along:
            one.knock()
            one.plan()


class Person:
    """One session, from login to end. `dutiful`: it beats as it should, and nothing of its own fails."""

    def __init__(
        self, world: World, network: Network, witness: Witness, who: Who, portal: Portal | None
    ) -> None:
        self.world = world
        self.witness = witness
        self.who = who
        self.known: Known = witness.knows(who)
        self.random: Random = world.random(f"person {who.id}")
        self.portal = portal
        self.every_ms = who.every_ms
        self.due_ms = 0
        self.conn_number = 0
        self.alive = False
        self.hushed_until = 0
        self.over = False
        self.idle_s: int | None = None
        self.tokens: dict[str, int] = {}
        self.said: list[tuple[str, bytes, int]] = []  # what can be said again
        if portal is not None:
            self.client = portal.client
            portal.members.append(self)
        else:
            self.client = Client(
                world, network, self.random, who.id, by=who.by, keep_alive_s=who.keep_alive_s,
                filters=(f"whosin/v1/down/{who.site}/{who.company}/{who.id}/#",),
                expiry_s=who.expiry_s, clean=who.expiry_s == 0,
            )  # fmt: skip
            self.client.on_message = self.message
            self.client.on_up = self.came_up
            self.client.on_try = self._tried
            self.client.will = self._will

    # --- by themselves --------------------------------------------------------------------------------

    @property
    def dutiful(self) -> bool:
        return self.alive and self.world.now >= self.hushed_until

    def _will(self) -> Will | None:
        self.conn_number += 1
        if not self.who.wills:
            return None
        body = json.dumps({"conn": self.conn_number}).encode() if self.who.numbered else b""
        return Will(
            self._topic("lost").encode(), body, qos=1,
            properties=Properties(will_delay_interval=self.who.will_delay_s or None),
        )  # fmt: skip

    def _tried(self) -> None:
        if self.dutiful:
            self.knock()

    def knock(self) -> None:
        """A sign of life leaves that only somebody else's fault can stop."""
        if self.client.path_ok and (self.client.conn is None or not self.client.conn.sick):
            self.known.knocks.append(self.world.now)

    def came_up(self, _present: bool) -> None:
        if not self.dutiful:
            return
        if not self.known.accepted or self.who.logs_in_again:
            self.login()
        else:
            self.beat(quiet=True)

    def plan(self) -> None:
        self.due_ms = self.world.now + int(self.every_ms * (0.75 + 0.25 * self.random.random()))

    def _clock(self) -> None:
        """The program's timer."""
        if not self.alive:
            return
        if self.world.now >= self.due_ms:
            if not self.dutiful:
                self.plan()
            elif self.portal is not None and self.client.up:
                self.portal.beat(self)
            else:
                self.beat(quiet=False)
        self.world.at(self.due_ms, self._clock)

    def beat(self, *, quiet: bool) -> None:
        body: dict[str, Any] = {}
        random = self.random
        if self.idle_s is not None:
            body["idle_s"] = self.idle_s
        if random.random() < 0.15:
            body["activity"] = random.choice(("amending", "posting", ""))
        if random.random() < 0.05:
            body["at"] = random.choice(("1999-01-01T00:00:00.000Z", "2040-01-01T00:00:00.000Z", "whenever"))
        if self.who.numbered:
            body["conn"] = self.conn_number
        if self.who.logs_in_by_beat or (not self.known.accepted and random.random() < 0.5):
            body.update(self._identity())
        payload = json.dumps(body).encode() if body else b""
        self.say("heartbeat", payload, self.random.choice((0, 0, 0, 1)))
        self.knock()
        if not quiet:
            self.plan()

    def _identity(self) -> dict[str, Any]:
        who = self.who
        found: dict[str, Any] = {"user": who.user, "client": who.client}
        if who.machine is not None:
            found["machine"] = who.machine
        if who.os_session is not None:
            found["os_session"] = who.os_session
        return found

    def _topic(self, verb: str) -> str:
        return f"whosin/v1/up/{self.who.site}/{self.who.company}/{self.who.id}/{verb}"

    def say(self, verb: str, payload: bytes, qos: int, *, retain: bool = False, tag: object = None) -> None:
        topic = self._topic(verb)
        if qos and not retain and verb != "logout":
            self.said.append((topic, payload, qos))
        self.client.publish(topic, payload, qos, retain=retain, tag=tag)

    # --- what is heard --------------------------------------------------------------------------------

    def message(self, topic: str, payload: bytes) -> None:
        kind = topic.split("/")[6]
        body = json.loads(payload)
        self.witness.answered(self.known, kind, body)
        if kind == "unknown" and self.dutiful and not self.over:
            self.login()
        elif kind == "ended":
            self.over = True
            self.alive = False
        elif kind == "lock" and body.get("granted"):
            self.tokens[body["resource"]] = body["token"]

    # --- what the script says -------------------------------------------------------------------------

    def arrive(self) -> None:
        self.alive = True
        self.known.arrived_ms = self.world.now
        self.plan()
        self.world.at(self.due_ms, self._clock)
        if self.portal is None:
            self.client.connect()
        elif self.client.up:
            self.login()

    def login(self) -> None:
        if self.who.logs_in_by_beat:
            self.beat(quiet=True)
            return
        body = self._identity()
        if self.who.numbered:
            body["conn"] = self.conn_number
        self.say("login", json.dumps(body).encode(), 1)
        self.knock()

    def logout(self) -> None:
        if not self.alive:
            return
        self.alive = False
        self.known.left_ms = self.world.now
        self.say("logout", b'{"reason": "done"}', 1, tag=("logout", self.who.id))

    def go(self) -> None:
        """After the logout has been acknowledged, or not: the program ends."""
        self.alive = False
        if self.known.died_ms is None:
            self.known.died_ms = self.world.now
        if self.portal is None:
            self.client.leave()

    def crash(self, how: str) -> None:
        if not self.alive:
            return
        self.alive = False
        self.known.died_ms = self.world.now
        if self.portal is None:
            self.client.die(how)

    def hush(self, for_ms: int) -> None:
        """The program lives and says nothing."""
        self.hushed_until = max(self.hushed_until, self.world.now + for_ms)

    def brink(self, timeout_ms: int, by_ms: int) -> None:
        """The next sign of life comes just before or just after the deadline."""
        if not self.dutiful or not self.known.knocks:
            return
        at = self.known.knocks[-1] + timeout_ms + by_ms
        self.hush(at - self.world.now)
        self.world.at(at, self._at_the_brink)

    def _at_the_brink(self) -> None:
        if self.dutiful and self.client.up:
            self.beat(quiet=False)

    def path(self, how: str, for_ms: int) -> None:
        """Its own network fails."""
        client = self.client
        if self.portal is not None:
            return
        if how == "cut":
            if client.conn is not None:
                client.conn.cut()
            return
        if how == "moved":
            client.move()
            return
        if how == "slow":
            if client.conn is not None:
                client.conn.hold(self.world.now + for_ms)
                self.known.slow.append((self.world.now, self.world.now + for_ms + 500))
            return
        if how == "half-open":
            if client.conn is not None:
                client.conn.vanish()
            client.path_ok = False
            self.known.slow.append((self.world.now, self.world.now + for_ms))
            self.world.after(for_ms, self._healed)

    def flood(self, pings: int, after_ms: int) -> None:
        """So much at once that the door reads no further for a while. It is no fault of what it, or those it
        speaks for, say behind that. `after_ms`: the grace they have afterwards, where it lasted or breaks."""
        conn = self.client.conn
        if conn is None or not self.client.up or not isinstance(conn.ends[1], Socket):
            return
        conn.send(0, PINGREQ * pings)
        those = self.portal.members if self.portal is not None else [self]
        trouble = Trouble("door", self.world.now)
        for one in those:
            one.known.unread.append(trouble)
        self._watch(conn.ends[1], trouble, after_ms)

    def _watch(self, socket: Socket, trouble: Trouble, after_ms: int) -> None:
        if socket.over:
            trouble.ended_ms = self.world.now + (0 if socket.heard_out else after_ms) + KNOWN_MS
        elif socket.unread:
            self.world.after(50, self._watch, socket, trouble, after_ms)
        else:
            long = (
                self.world.now - trouble.began_ms >= LONG_MS - 100
            )  # blindness of seconds has a grace (rule 8)
            trouble.ended_ms = self.world.now + (after_ms if long else 0) + KNOWN_MS

    def _healed(self) -> None:
        self.client.path_ok = True

    def lock(self, resource: str, mode: str, wait_s: float, sticky: bool) -> None:
        if not self.dutiful:
            return
        body: dict[str, Any] = {"resource": resource}
        if mode == "shared":
            body["mode"] = mode
        if wait_s:
            body["wait_s"] = wait_s
        if sticky:
            body["sticky"] = True
        self.say("lock", json.dumps(body).encode(), 1)
        self.knock()

    def unlock(self, resource: str, token: str) -> None:
        if not self.dutiful:
            return
        body: dict[str, Any] = {"resource": resource}
        known = self.tokens.get(resource)
        if known is not None and token != "none":
            body["token"] = known if token == "right" else max(0, known - 1)
        self.say("unlock", json.dumps(body).encode(), 1)
        self.knock()

    def idle(self, idle_s: int | None) -> None:
        self.idle_s = idle_s
        if self.dutiful and self.client.up:
            self.beat(quiet=True)

    def late_will(self) -> None:
        """It loses its connection and has a new one when the will of the old one comes; then it is quiet."""
        if self.client.conn is not None and self.who.wills and self.who.numbered and self.dutiful:
            body = json.dumps({"conn": self.conn_number}).encode()
            self.client.conn.cut()
            self.world.after(4_000, self.witness.ghost, self.who.by, self._topic("lost"), body, 1)
            self.world.after(4_100, self.hush, 15_000)

    def again(self) -> None:
        """Something said before comes once more, late."""
        if self.said:
            topic, payload, qos = self.random.choice(self.said)
            self.witness.ghost(self.who.by, topic, payload, qos)

    def retained(self) -> None:
        """Somebody publishes a beat of it as retained."""
        if not self.known.accepted:
            return
        body = json.dumps(self._identity()).encode()
        self.witness.ghost(self.who.by, self._topic("heartbeat"), body, 1, retain=True)

    def garbage(self) -> None:
        """Something under its name that means nothing, or must not (rule 11)."""
        random = self.random
        who = f"whosin/v1/up/{self.who.site}/{self.who.company}/{self.who.id}"
        topic, payload = random.choice((
            (f"{who}/heartbeat", b'{"idle_s": "long"'),
            (f"{who}/heartbeat", b"\xff\xfe"),
            (f"{who}/lock", b'{"resource": 7}'),
            (f"{who}/lock", b"[]"),
            (f"{who}/heartbeat", b'{"activity": "' + b"x" * 9_000 + b'"}'),
            (f"{who}/dance", b""),
            (f"{who}/heartbeat/now", b""),
            (f"whosin/v1/up/{self.who.site}/{self.who.company}/@batch/login", b""),
            (f"whosin/v1/up/{self.who.site}/{self.who.company}/@batch/heartbeat", b'{"sessions": 3}'),
            (f"whosin/v1/up/{self.who.site}/{self.who.company}/a b/heartbeat", b""),
        ))  # fmt: skip
        self.witness.ghost(self.who.by, topic, payload, random.choice((0, 1)))

    def impostor(self) -> None:
        """Another person's login under its id."""
        if not self.known.accepted:
            return
        body = json.dumps({**self._identity(), "user": "mallory"}).encode()
        self.witness.ghost(self.who.by, self._topic("login"), body, 1)

    def elsewhere(self) -> None:
        """Its id in another company."""
        if not self.known.accepted:
            return
        topic = f"whosin/v1/up/{self.who.site}/other/{self.who.id}/login"
        self.witness.ghost(self.who.by, topic, json.dumps(self._identity()).encode(), 1)
