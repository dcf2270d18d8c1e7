"""The daemon's machine: one real daemon on simulated clock, network and disk; started, killed, frozen.

Owns the process's life, and the places where it is listened to from outside: what transports hand to the
engine (`heard`), what became durable (`told`), what it logs. Must not know what is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from tests.simulator.disk import Disk
from tests.simulator.loop import SimLoop
from tests.simulator.network import Network
from tests.simulator.world import FOR_EVER, World
from whosin import clock as clock_room
from whosin.clock import SystemClock
from whosin.daemon import Daemon
from whosin.engine import committer as committer_room
from whosin.engine.engine import Engine
from whosin.errors import StoreError, StoreRefused
from whosin.mqtt.codec import Publish
from whosin.observe.counts import Counts
from whosin.settings import Settings
from whosin.store.sqlite import SqliteStore

SUPERVISED_MS = 1_000  # after a start that failed it is tried again
FREE_LOGS = ("info", "debug")


class SimClock(SystemClock):
    """The real clock's arithmetic on the world's clocks."""

    world: World

    def suspended_ms(self) -> int:
        return self.world.slept_ms()


class Life:
    """One process."""

    def __init__(self, number: int, loop: SimLoop, clock: SimClock) -> None:
        self.number = number
        self.loop = loop
        self.clock = clock
        self.daemon: Daemon | None = None
        self.settings: Settings | None = None  # as it read them
        self.up = False
        self.stopping = False


class Machine:
    def __init__(self, world: World, network: Network, disk: Disk, settings: Settings) -> None:
        self.world = world
        self.network = network
        self.disk = disk
        self.settings = settings
        self.life: Life | None = None
        self.lives = 0
        self.frozen: object | None = None  # what froze it
        self.wanted = False
        self.heard: list[Callable[[Life, str, int, Sequence[Any]], None]] = []
        self.told: list[Callable[[Life, Sequence[Any]], None]] = []
        self.numbered: list[Callable[[Life, Any], None]] = []  # each of them again, as its row
        self.began: list[Callable[[Life], None]] = []
        self.ended: list[Callable[[Life, str], None]] = []
        self._die_after: tuple[int, bool, bool] | None = None
        self._random = world.random("machine")
        world.process = self
        disk.install()
        SimClock.world = world
        clock_room._monotonic_ms = world.mono_ms
        clock_room._wall_ms = world.wall_ms
        committer_room.perf_counter = lambda: world.mono_ms() / 1000  # type: ignore[attr-defined]
        structlog.configure(processors=[self._logged], cache_logger_on_first_use=False)

    def _logged(self, _logger: Any, level: str, line: dict[str, Any]) -> Any:
        event = line.get("event")
        if event == "engine.bug" or level in ("critical", "fatal"):
            error = line.get("exc_info")
            found = error if isinstance(error, BaseException) else __import__("sys").exc_info()[1]
            self.world.wrong(f"the daemon has a bug: {line} {found!r}")
        elif level not in FREE_LOGS:
            fields = {key: value for key, value in line.items() if key != "event"}
            self.world.tell("daemon", f"{event} {fields}")
        raise structlog.DropEvent

    # --- the process's turns --------------------------------------------------------------------------

    def busy(self) -> bool:
        return self.life is not None and not self.frozen and self.life.loop.busy()

    def next_ms(self) -> int:
        if self.life is None or self.frozen:
            return FOR_EVER
        due = self.life.loop.next_ms()
        return due if due == FOR_EVER else max(self.world.now, self.world.of_mono(due))

    def turn(self) -> None:
        life = self.life
        assert life is not None
        if self._die_after is None:
            life.loop.turn()
            return
        (most, power, inside), self._die_after = self._die_after, None
        life.loop.turn(most)
        self._dead(power=power, inside=inside)

    # --- starting and ending --------------------------------------------------------------------------

    def start(self) -> None:
        self.wanted = True
        self.network.machine_on = True
        if self.life is not None:
            return
        self.lives += 1
        loop = SimLoop(self.world, self.network, self._failed)
        life = self.life = Life(self.lives, loop, SimClock())
        loop.create_task(self._run(life), name="main")
        self.world.tell("machine", f"daemon {life.number} starts")

    def _failed(self, what: str) -> None:
        self.world.wrong(f"something in the daemon failed and nobody took note: {what}")

    def _tap(self, life: Life, engine: Engine) -> None:
        """See what is delivered, before the engine does."""
        deliver, deliver_bare = engine.deliver, engine.deliver_bare

        def tapped(source: str, at_ms: int, peer: Any, messages: Sequence[Any]) -> None:
            for call in self.heard:
                call(life, source, at_ms, messages)
            deliver(source, at_ms, peer, messages)

        def tapped_bare(source: str, at_ms: int, peer: Any, topics: Sequence[str]) -> None:
            for call in self.heard:
                call(life, source, at_ms, [Publish(topic.encode(), b"") for topic in topics])
            deliver_bare(source, at_ms, peer, topics)

        engine.deliver = tapped  # type: ignore[method-assign]
        engine.deliver_bare = tapped_bare  # type: ignore[method-assign]

    async def _run(self, life: Life) -> None:
        random = self.world.random(f"link {life.number}")
        life.settings = self.settings
        daemon = life.daemon = Daemon(
            life.settings, clock=life.clock, store=SqliteStore(self.disk.path), counts=Counts(),
            record=lambda events: self._told(life, events), bad_input=lambda _reason, _sample, _why: None,
            reload=self._no_reload, random=random,
        )  # fmt: skip
        daemon.engine.listeners.append(lambda row: [call(life, row) for call in self.numbered])
        self._tap(life, daemon.engine)
        try:
            await daemon.load()
            await daemon.begin()
        except (OSError, StoreError, StoreRefused) as error:
            self.world.tell("daemon", f"cannot start: {type(error).__name__} {error}")
            if isinstance(error, StoreRefused) or getattr(error, "kind", "") == "corrupt":
                self.world.wrong(f"the daemon does not start again: {error}")
            await daemon.close()
            life.loop.call_soon(lambda: self.world.after(0, self._ended, life, "failed"))
            return
        life.up = True
        for call in self.began:
            call(life)
        self.world.tell("machine", f"daemon {life.number} is up")

    async def _no_reload(self, _actor: str) -> dict[str, Any]:
        return {}

    def _told(self, life: Life, events: Sequence[Any]) -> None:
        for call in self.told:
            call(life, events)

    def _ended(self, life: Life, how: str) -> None:
        """The process has ended by itself."""
        if self.life is not life:
            return
        self.network.process_gone(power=False)
        guard = life.daemon.store._guard if life.daemon is not None else None  # type: ignore[attr-defined]
        life.loop.die()
        if guard is not None:
            guard.release()
        self.disk.stopped()
        self.life = None
        for call in self.ended:
            call(life, how)
        self.world.tell("machine", f"daemon {life.number} has ended ({how})")
        if self.wanted:
            self.world.after(SUPERVISED_MS, self._again)

    def _again(self) -> None:
        if self.wanted:
            self.start()

    def stop(self) -> None:
        """SIGTERM."""
        self.wanted = False
        life = self.life
        if life is None or life.daemon is None or life.stopping or self.frozen:
            return
        life.stopping = True
        if not life.up:
            self.kill(0, power=False, inside=False)
            return
        life.loop.create_task(self._stop(life), name="stop")

    async def _stop(self, life: Life) -> None:
        assert life.daemon is not None
        await life.daemon.close()
        self.world.after(0, self._ended, life, "stopped")

    def kill(self, callbacks: int, *, power: bool, inside: bool) -> None:
        """kill -9, or the power goes. It dies within its next turn, behind so many callbacks of it."""
        self.wanted = False
        if self.life is None:
            self.network.machine_on = self.network.machine_on and not power
        elif self.frozen or not callbacks:
            self._dead(power=power, inside=inside)
        else:
            self._die_after = callbacks, power, inside
            self.life.loop.call_soon(lambda: None)

    def _dead(self, *, power: bool, inside: bool) -> None:
        life = self.life
        assert life is not None
        self._die_after = None
        self.life = None
        if power:
            self.network.machine_on = False
        self.network.process_gone(power=power)
        told = self.disk.crash(power=power, inside=inside)
        guard = life.daemon.store._guard if life.daemon is not None else None  # type: ignore[attr-defined]
        life.loop.die()
        if guard is not None:
            guard.release()
        self.frozen = None
        for call in self.ended:
            call(life, "power" if power else "killed")
        self.world.tell(
            "machine", f"daemon {life.number} is dead ({'power' if power else 'kill -9'}, {told})"
        )

    # --- ordering -------------------------------------------------------------------------------------

    def order(self, work: Callable[[Daemon], Coroutine[Any, Any, Any]], done: Callable[[Any], None]) -> bool:
        """An operator's call; `done` gets its result or exception. False: nobody is there to ask."""
        life = self.life
        if life is None or not life.up or life.daemon is None or life.stopping:
            return False
        daemon = life.daemon

        async def call() -> None:
            try:
                result: Any = await work(daemon)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - judged by whoever asked
                result = error
            done(result)

        life.loop.create_task(call(), name="operator")
        return True
