"""The stage: everything of one run put together, and the acts of its script performed.

Owns who is there, and how faults come and go. Must not know what is right: the oracle's rooms judge.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulator import closing
from tests.simulator.broker import Broker
from tests.simulator.client import Client
from tests.simulator.disk import Disk
from tests.simulator.machine import Life, Machine
from tests.simulator.network import Network
from tests.simulator.oracle import Oracle
from tests.simulator.people import Person, Portal
from tests.simulator.witness import Sign, Trouble, Witness
from tests.simulator.world import EPOCH_MS, FOR_EVER, World
from whosin import settings as settings_room
from whosin.errors import Refused, StoreError
from whosin.operations import Caller

if TYPE_CHECKING:
    from tests.simulator.script import Act, Script
    from whosin.daemon import Daemon
    from whosin.settings import Settings

BEFORE_MS = 6_000  # so much earlier a fault of the link may have begun to count: the last ping's reply
AFTER_MS = 8_000  # so much later it is surely connected again: the longest back-off, and a handshake
REST_MS = 3_000


class Stage:
    def __init__(self, script: Script, folder: Path) -> None:
        self.script = script
        self.epoch_ms = EPOCH_MS
        self.world = world = World(script.seed)
        world.folder = str(folder)
        self.network = Network(world)
        self.witness = Witness(world)
        self.oracle = Oracle(world, self.witness, script)
        self.disk = Disk(world, folder)
        self.settings_seen = [dict(script.settings)]
        self.machine = Machine(world, self.network, self.disk, self._settings(script.kinds, script.settings))
        self._versions: list[tuple[Settings, Any]] = [(self.machine.settings, script.kinds)]
        self.broker = Broker(world, "whosin-sim", self._broker_heard)
        self.network.broker = self.broker
        self.observed_from: int | None = None
        self._observer: Sign | None = None  # its newest subscription
        self._down: list[Trouble] = []
        self._kinds = copy.deepcopy(script.kinds)
        self._now_set = dict(script.settings)
        self.people: dict[str, Person] = {}
        self.portals: dict[int, Portal] = {}
        self.machine.heard.append(self.witness.heard)
        self.machine.told.append(self.oracle.told)
        self.machine.numbered.append(self.oracle.numbered)
        self.machine.began.append(self._began)
        self.machine.ended.append(self._ended)
        self.last_seq = 0
        self.at_end: dict[str, str] = {}
        self.living: set[str] = set()
        self._cast()

    def _settings(self, kinds: Any, given: dict[str, Any]) -> Settings:
        environ = {
            "WHOSIN_DAEMON__NAME": "sim", "WHOSIN_DAEMON__DATA_DIR": str(self.disk.folder),
            "WHOSIN_HTTP__LISTEN": "off",
            "WHOSIN_STORE__FLUSH_S": str(given["flush_s"]), "WHOSIN_WATCH__TICK_S": str(given["tick_s"]),
            "WHOSIN_WATCH__REGAIN_GRACE_S": str(given["regain_grace_s"]),
            "WHOSIN_CLEANUP__EVERY_S": str(given["every_s"]),
            "WHOSIN_CLEANUP__ENABLED": "true" if given["enabled"] else "false",
            "WHOSIN_CLEANUP__BLOCKING_AFTER_S": str(given["blocking_after_s"]),
            "WHOSIN_LOCKS__LOCK_DELAY_S": str(given["lock_delay_s"]),
            "WHOSIN_MASS_SILENCE__MIN": str(given["min"]), "WHOSIN_MASS_SILENCE__SHARE": str(given["share"]),
            "WHOSIN_MASS_SILENCE__WINDOW_S": str(given["window_s"]),
            "WHOSIN_MASS_SILENCE__HOLD_S": str(given["hold_s"]),
        }  # fmt: skip
        if "messages_per_s" in given:
            environ["WHOSIN_LIMITS__MESSAGES_PER_S"] = str(given["messages_per_s"])
        if self.script.broker:
            environ["WHOSIN_MQTT__URL"] = "mqtt://broker:1883"
        if self.script.door:
            environ["WHOSIN_MQTT__LISTEN"] = "127.0.0.1:1883"
        for name, kind in kinds.items():
            prefix = f"WHOSIN_CLIENT_TYPES__{name.upper()}__"
            for key in ("timeout_s", "heartbeat_every_s", "lost_grace_s", "idle_limit_s", "idle_action"):
                environ[prefix + key.upper()] = str(getattr(kind, key))
        return settings_room.load(None, environ)

    def _cast(self) -> None:
        world, network = self.world, self.network
        for number, (site, by) in self.script.portals.items():
            self.portals[number] = Portal(world, network, number, site, by)
        for who in self.script.people.values():
            portal = self.portals[who.portal] if who.portal else None
            person = Person(world, network, self.witness, who, portal)
            person.client.on_ack = self.witness.acknowledged
            self.people[who.id] = person
        self._ghosts = {}
        for by, there in (("door", self.script.door), ("broker", self.script.broker)):
            if there:
                self._ghosts[by] = Client(
                    world,
                    network,
                    world.random(f"ghost {by}"),
                    f"ghost-{by}",
                    by=by,
                    keep_alive_s=20,
                    filters=(),
                )
        self.witness.ghost = self._ghost
        self.observer = Client(
            world, network, world.random("observer"), "observer", by="door", keep_alive_s=20,
            filters=("whosin/v1/events/#",), expiry_s=1_800, clean=False,
        )  # fmt: skip
        self.observer.on_message = lambda topic, payload: self.witness.announced("door", topic, payload)
        self.observer.on_up = self._observer_up

    def _ghost(self, by: str, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        self._ghosts[by].publish(topic, payload, qos, retain=retain)

    def _observer_up(self, present: bool) -> None:
        if not present:  # it listens anew: what comes from now on it must get
            seqs = [int(one.rsplit("-", 1)[1]) for one in self.witness.published["door"]]
            life = self.machine.life
            behind = life.daemon.engine.seq if life is not None and life.daemon is not None else 0
            number = life.number if life is not None else 0
            if self._observer is not None and not self.witness.forgettable(self._observer, number):
                self.world.wrong(f"the observer's session of {self._observer.at_ms} was forgotten")
            self._observer = Sign(self.world.now, "subscribe", {}, number, 0)
            self.observed_from = max([behind + 1, *seqs])

    def _broker_heard(self, topic: bytes, payload: bytes) -> None:
        self.witness.announced("broker", topic.decode(), payload)

    # --- the run --------------------------------------------------------------------------------------

    def run(self) -> None:
        world, script = self.world, self.script
        self._ended(None, "before")
        world.at(0, self.machine.start)
        for client in self._ghosts.values():
            world.at(60, client.connect)
        if script.door:
            world.at(50, self.observer.connect)
        for portal in self.portals.values():
            world.at(100, portal.start)
        for act in script.acts:
            world.at(act.at_ms, self._perform, act)
        world.at(script.calm_ms, self._calm)
        world.run_until(script.end_ms)
        self._look()
        self._rest()
        if self.machine.life is None or not self.machine.life.up:
            world.wrong("the daemon is not up when all faults are over")
            return
        closing.judge_end(self, self.oracle)

    def close(self) -> None:
        life = self.machine.life
        if life is not None:
            guard = life.daemon.store._guard if life.daemon is not None else None  # type: ignore[attr-defined]
            life.loop.die()
            if guard is not None:
                guard.release()
        self.disk._forget_process()

    def _perform(self, act: Act) -> None:
        actor: Any = self
        if act.who is not None:
            actor = self.people.get(act.who)
            if actor is None:
                return
        self.world.tell(act.who or "stage", f"{act.what}{act.args}")
        getattr(actor, act.what)(*act.args)

    def _calm(self) -> None:
        """No fault from now on; whatever still holds ends."""
        self.world.tell("stage", "calm")
        self.disk.on_write = None
        self.disk.fault, self.disk.unreadable, self.disk.slow_ms = None, False, 0
        if self.disk.hung:
            self.disk.hang(on=False)
        self.machine.wanted = True
        self.machine.start()
        self.network.link_gone = False
        self.broker.slow_ms = 0
        if self.broker.hung:
            self.broker.hang(on=False)
        if not self.broker.reachable:
            self.broker.start()
        for person in self.people.values():
            person.client.path_ok = True
        for trouble in self.witness.troubles:
            trouble.ended_ms = min(trouble.ended_ms, self.world.now + AFTER_MS + 2_000)

    def _look(self) -> None:
        """How everybody is while they still beat."""
        life = self.machine.life
        if life is None or life.daemon is None:
            return
        engine = life.daemon.engine
        self.last_seq = engine.seq
        self.at_end = {ident: it.status.value for ident, it in engine.roll.sessions.items()}
        self.living = {ident for ident, person in self.people.items() if person.dutiful}

    def _rest(self) -> None:
        """What is only in memory is written, and what is on its way arrives."""
        life = self.machine.life
        if life is not None and life.up and life.daemon is not None:
            engine = life.daemon.engine
            for client in (*self._ghosts.values(), *(person.client for person in self.people.values())):
                client.wanted = False
                if client.conn is not None:
                    client.conn.vanish()
            self.world.run_until(self.world.now + 1_000)

            async def flush(daemon: Daemon) -> None:
                engine.flush(daemon.clock.now_ms())
                await engine.durable()

            self.machine.order(flush, lambda _result: None)
        self.world.run_until(self.world.now + REST_MS)
        for _ in range(500):  # the next flush may just be under way
            if life is None or life.daemon is None or not life.daemon.engine.committer.busy:
                break
            self.world.run_until(self.world.now + 2)
        if life is not None and life.daemon is not None and life is self.machine.life:
            self.machine.frozen = self

    # --- the daemon's machine -------------------------------------------------------------------------

    def _began(self, life: Life) -> None:
        self.witness.starts.append(self.world.now)
        if life.number > 1 and len(self.settings_seen) > 1:
            kinds = next(kinds for settings, kinds in self._versions if settings is life.settings)
            self.oracle.kinds_since.append((self.world.now, kinds))
        down, self._down = self._down, []
        for trouble in down:
            trouble.ended_ms = self.world.now + (AFTER_MS if trouble.source == "link" else 1_500)
        if life.number > 1:
            closing.judge_start(self, life)

    def _ended(self, life: Life | None, _how: str) -> None:
        if life is not None:
            self.witness.ends[life.number] = self.world.now
        if not self._down:
            self._down = [self.witness.trouble(name, self._stored_ms()) for name in ("door", "link")]

    def _stored_ms(self) -> int:
        """Up to when what was seen is surely stored: a disk in trouble keeps nothing."""
        behind = round(self._now_set["flush_s"] * 1000) + 3_000
        stored = self.world.now - behind
        for trouble in reversed(self.witness.disk_troubles):
            if trouble.ended_ms > stored:
                stored = min(stored, trouble.began_ms - behind)
        return stored

    def kill(self, callbacks: int, power: bool, when: str, commits: int, down_ms: int) -> None:
        """Now, or before, in or behind a commit that is to come."""
        if self.machine.life is None:
            return
        if not commits:
            self.machine.kill(callbacks, power=power, inside=when == "inside")
            self.world.after(down_ms, self.machine.start)
            return
        random, left = self.world.random(f"kill {self.world.now}"), commits

        def at_commit(takes_ms: int) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.disk.on_write = None
                delay = takes_ms + 1 if when == "after" else random.randrange(takes_ms)
                self.world.after(delay, self._kill_there, power, when == "inside", down_ms)

        self.disk.on_write = at_commit

    def _kill_there(self, power: bool, inside: bool, down_ms: int) -> None:
        if self.machine.life is not None and self.world.now < self.script.calm_ms:
            self.machine.kill(0, power=power, inside=inside)
            self.world.after(min(down_ms, max(10, self.script.calm_ms - self.world.now)), self.machine.start)

    def stop(self, down_ms: int) -> None:
        if self.machine.life is None or self.machine.life.stopping or self.machine.frozen:
            return
        if not self._down:
            self._down = [self.witness.trouble(name, self._stored_ms()) for name in ("door", "link")]
        self.machine.stop()
        self.world.after(4_000 + down_ms, self.machine.start)

    def stall(self, for_ms: int) -> None:
        """The process is stopped; the machine goes on."""
        self._freeze(for_ms, slept_ms=0)

    def suspend(self, for_ms: int) -> None:
        """The machine sleeps, its monotonic clock too."""
        self._freeze(for_ms, slept_ms=for_ms)

    def _freeze(self, for_ms: int, *, slept_ms: int) -> None:
        if self.machine.frozen is not None or self.machine.life is None:
            return
        trouble = self.machine.frozen = self.witness.trouble(None, self.world.now - 2_000)
        self.world.after(for_ms, self._thaw, trouble, slept_ms)

    def _thaw(self, trouble: Trouble, slept_ms: int) -> None:
        trouble.ended_ms = min(trouble.ended_ms, self.world.now + AFTER_MS)
        if self.machine.frozen is trouble:  # else that process is dead
            self.machine.frozen = None
            self.world.slept(slept_ms)

    def wall_step(self, by_ms: int) -> None:
        self.world.step_wall(by_ms)

    # --- the disk -------------------------------------------------------------------------------------

    def disk_fails(self, kind: str, unreadable: bool, after_all: float, for_ms: int) -> None:
        self.disk.fault, self.disk.unreadable, self.disk.after_all = kind, unreadable, after_all
        self.witness.disk_trouble(self.world.now + for_ms + 2_500)
        self.world.after(for_ms, self._disk_well)

    def _disk_well(self) -> None:
        self.disk.fault, self.disk.unreadable = None, False

    def disk_hangs(self, for_ms: int) -> None:
        self.disk.hang(on=True)
        self.witness.disk_trouble(self.world.now + for_ms + 2_500)
        self.world.after(for_ms, lambda: self.disk.hang(on=False))

    def disk_slow(self, by_ms: int, for_ms: int) -> None:
        self.disk.slow_ms = by_ms
        self.witness.disk_trouble(self.world.now + for_ms + 3 * by_ms + 1_000)
        self.world.after(for_ms, self._disk_fast)

    def _disk_fast(self) -> None:
        self.disk.slow_ms = 0

    # --- the network and the broker -------------------------------------------------------------------

    def cut_all(self) -> None:
        """A switch dies: every connection to the door breaks."""
        for conn, side in list(self.network._conns):
            if side == 1:
                conn.cut()

    def _link_trouble(self) -> Trouble:
        return self.witness.trouble("link", self.world.now - BEFORE_MS)

    def broker_dies(self, forget: bool, for_ms: int) -> None:
        if not self.broker.reachable:
            return
        trouble = self._link_trouble()
        self.broker.stop(forget=forget)
        self.world.after(for_ms, self._broker_back, trouble)

    def _broker_back(self, trouble: Trouble) -> None:
        trouble.ended_ms = self.world.now + AFTER_MS
        if not self.broker.reachable:
            self.broker.start()

    def broker_hangs(self, for_ms: int) -> None:
        if not self.broker.reachable or self.broker.hung:
            return
        trouble = self._link_trouble()
        self.broker.hang(on=True)
        self.world.after(for_ms, self._broker_wakes, trouble)

    def _broker_wakes(self, trouble: Trouble) -> None:
        trouble.ended_ms = self.world.now + AFTER_MS
        if self.broker.hung:
            self.broker.hang(on=False)

    def broker_slow(self, by_ms: int, for_ms: int) -> None:
        trouble = self._link_trouble()
        self.broker.slow_ms = by_ms

        def over() -> None:
            self.broker.slow_ms = 0
            trouble.ended_ms = self.world.now + AFTER_MS + 2 * by_ms

        self.world.after(for_ms, over)

    def link_cut(self) -> None:
        if self.network.link is not None:
            self._link_trouble().ended_ms = self.world.now + AFTER_MS
            self.network.link.cut()

    def link_gone(self, for_ms: int) -> None:
        """Nothing passes between daemon and broker, and nobody is told."""
        trouble = self._link_trouble()
        self.network.link_gone = True
        if self.network.link is not None:
            self.network.link.vanish()
        self.world.after(for_ms, self._link_back, trouble)

    def _link_back(self, trouble: Trouble) -> None:
        trouble.ended_ms = self.world.now + AFTER_MS + 12_000  # dialling may have to run out first
        self.network.link_gone = False

    def link_held(self, for_ms: int) -> None:
        """What is on its way is held up, and then comes."""
        if self.network.link is not None:
            self._link_trouble().ended_ms = self.world.now + for_ms + AFTER_MS
            self.network.link.hold(self.world.now + for_ms)

    # --- operators ------------------------------------------------------------------------------------

    def _order(self, what: str, args: tuple[Any, ...], work: Any) -> None:
        def done(result: Any) -> None:
            if isinstance(result, Exception) and not isinstance(result, Refused | StoreError):
                self.world.wrong(f"{what}{args} raised {result!r}")
            self.witness.orders.append((self.world.now, what, args, result))
            self.world.tell(args[0], f"is told {what}: {result!r}")

        if not self.machine.order(work, done):
            self.world.tell(args[0], "finds nobody to ask")

    def logoff(self, by: str, ids: tuple[str, ...], force: bool, dry_run: bool) -> None:
        caller = Caller(by, "operator")
        self._order(
            "logoff", (by, ids, force, dry_run),
            lambda daemon: daemon.desk.logoff(
                list(ids), caller, force=force, reason="asked", dry_run=dry_run
            ),
        )  # fmt: skip

    def look(self, by: str, ids: tuple[str, ...]) -> None:
        """What is shown must be so, whatever happens next (rule 10), unless readiness warned of it."""
        caller = Caller(by, "viewer")

        async def look(daemon: Daemon) -> str:
            for ident in ids:
                item = await daemon.desk.session(ident, caller)
                if item is not None and not daemon.desk.problems():
                    self.witness.shown.append((self.world.now, by, item))
            return "what there is"

        self._order("look", (by, ids), look)

    def free_lock(self, by: str, site: str, company: str, resource: str) -> None:
        caller = Caller(by, "administrator")
        self._order(
            "free_lock", (by, site, company, resource),
            lambda daemon: daemon.desk.free_lock(site, company, resource, caller, "asked"),
        )  # fmt: skip

    def switch(self, by: str, enabled: bool) -> None:
        self._order(
            "switch", (by, enabled),
            lambda daemon: daemon.desk.switch_cleanup(enabled, Caller(by, "operator")),
        )  # fmt: skip

    def clean(self, by: str, dry_run: bool) -> None:
        self._order(
            "clean", (by, dry_run),
            lambda daemon: daemon.desk.run_cleanup(Caller(by, "operator"), dry_run=dry_run),
        )  # fmt: skip

    def confirm(self, by: str, site: str, company: str | None, client: str | None) -> None:
        self._order(
            "confirm", (by, site, company, client),
            lambda daemon: daemon.desk.confirm(site, company, client, Caller(by, "operator")),
        )  # fmt: skip

    def reload(self, by: str, key: str, factor: float) -> None:
        """The settings' file is changed, and taken live."""
        if key == "timeout_s":
            for kind in self._kinds.values():
                kind.timeout_s = max(round(kind.timeout_s * factor, 3), 2.5 * kind.heartbeat_every_s)
        else:
            self._now_set[key] = (
                min(1, self._now_set[key] * factor) if key == "tick_s" else self._now_set[key] * factor
            )
        new = self._settings(self._kinds, self._now_set)
        kinds = copy.deepcopy(self._kinds)

        async def adopt(daemon: Daemon) -> Any:
            self.oracle.kinds_since.append((self.world.now, kinds))
            return await daemon.adopt(new, by)

        self.machine.settings = new
        self._versions.append((new, kinds))
        self.settings_seen.append(dict(self._now_set))
        self._order("reload", (by, key, factor), adopt)


__all__ = ["FOR_EVER", "Stage"]
