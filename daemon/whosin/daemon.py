"""One daemon without the process around it: its rooms put together, started, kept ticking, taken apart.

Owns the order in which rooms start and stop, the beat of the ticker, and what of new settings takes effect
live. Must not know signals, files of settings, HTTP, logs' destinations, or rules; clock and store are given,
so the same daemon runs in a process (`app`) and under a simulated clock, network and disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from whosin import __version__, tls, wire
from whosin import settings as settings_room
from whosin.alerting import plan_of
from whosin.alerts.office import Office
from whosin.cleanup import Cleanup
from whosin.desk import Desk
from whosin.desk.alerts import AlertsDesk
from whosin.engine.engine import Engine, Pace
from whosin.errors import CertificateError, StoreError
from whosin.model import Event
from whosin.mqtt.door import Door, DoorLimits
from whosin.mqtt.door.observers import earliest, wants
from whosin.mqtt.link import Link
from whosin.rules.guidance import Guidance
from whosin.settings.guidance import NO_RULES, RuleSet

if TYPE_CHECKING:
    import ssl
    from random import Random

    from whosin.clock import SystemClock
    from whosin.observe.counts import Counts
    from whosin.ports import Loaded, ObserverRow, Store, Transport
    from whosin.settings import Settings

PRUNE_EVERY_S = 60.0
PRUNE_STEP = 500
DAY_MS = 86_400_000
STORE_CLOSE_S = 1.0
SIGNED_IN_RATE = 1_000  # messages a second of one connection at the door
UNLIMITED_RATE = 10_000_000  # on loopback without sign-in: programs of one's own

log = structlog.get_logger("whosin.daemon")


class Daemon:
    """`load`, then `begin`, then `close`. `random` is the link's jitter."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: SystemClock,
        store: Store,
        counts: Counts,
        record: Callable[[Sequence[Event]], None],
        bad_input: Callable[[str, bytes, str], None],
        reload: Callable[[str], Awaitable[dict[str, Any]]],
        guidance: RuleSet = NO_RULES,
        random: Random | None = None,
    ) -> None:
        self.settings = settings
        self._started_with = settings
        self.clock = clock
        self.store = store
        self.engine = Engine(
            policy=settings.policy(), store=store, clock=clock, counts=counts, record=record,
            name=settings.daemon.name, pace=_pace(settings), bad_input=bad_input,
        )  # fmt: skip
        cleanup = settings.cleanup
        self.cleanup = Cleanup(
            self.engine, every_ms=_ms(cleanup.every_s), enabled=cleanup.enabled, account=cleanup.account
        )
        self.desk = Desk(
            self.engine, self.cleanup, name=settings.daemon.name, version=__version__,
            sign_in=settings.sign_in, reload=reload,
        )  # fmt: skip
        self.desk.followups.put_in_force(Guidance(guidance.rules), guidance.source, None)
        self._limit_operators()
        self.alerts = Office(self.engine, self.cleanup, counts, plan_of(settings), random=random)
        self.desk.alerts = AlertsDesk(self.engine, self.alerts)
        self.door: Door | None = None
        self.door_tls: tls.Served | None = None
        self.link: Link | None = None
        self._random = random
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def running(self) -> bool:
        """Everything is loaded, and `close` has not been called."""
        return bool(self._tasks)

    # --- life -----------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Open the store and take up what it kept. Raises OSError, StoreError, StoreRefused,
        CertificateError."""
        loaded = await self.store.open()
        self.desk.restore(loaded)
        self.engine.begin(loaded, self._transports())
        self.cleanup.begin(loaded)
        self.desk.operators.restore(loaded)
        self.alerts.begin(loaded)
        self._note_what_was_done(loaded.meta.get("untold"))
        self._note_changed_settings(loaded.meta.get("settings"))
        await self._restore_observers(loaded)

    async def begin(self) -> None:
        """Hear, and let time pass. Raises OSError where the door cannot listen."""
        self.engine.collect()
        await self.engine.durable()
        if self.door is not None:
            await self.door.start(self.engine)
        if self.link is not None:
            await self.link.start(self.engine)
        now = self.clock.now_ms()
        self.note("daemon.started", now, {"version": __version__, "sessions": len(self.engine.roll.sessions)})
        self._tasks = [
            asyncio.create_task(self._tick_for_ever(), name="ticker"),
            asyncio.create_task(self._prune_for_ever(), name="pruning"),
        ]

    async def close(self) -> None:
        """Transports, then what is left to write: within a few seconds in all."""
        started = self.running
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self.desk.stop()
        self.engine.stopping = True
        await self.alerts.close()
        if started:
            self.note("daemon.stopped", self.clock.now_ms(), {})
        stops = (one.stop() for one in (self.door, self.link) if one is not None)
        for result in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("engine.bug", exc_info=result)
        if self.engine.transports:
            await self.engine.close()
        with contextlib.suppress(TimeoutError):  # what is committed is safe; a hanging disk keeps nobody here
            async with asyncio.timeout(STORE_CLOSE_S):
                await self.store.close()

    def note(self, kind: str, at_ms: int, data: Mapping[str, Any], actor: str | None = None) -> None:
        """An event of the daemon itself."""
        self.engine.roll.out.events.append(Event(kind, at_ms, None, None, None, None, dict(data), actor))

    # --- transports -----------------------------------------------------------------------------------

    def _transports(self) -> list[Transport]:
        mqtt, name = self.settings.mqtt, self.settings.daemon.name
        if mqtt.listen is not None:
            self.door = self._make_door()
        if mqtt.url is not None:
            self._link_secrets()  # what is wrong with them is said now, and once
            self.link = Link(
                mqtt.url.host, mqtt.url.port, client_id=mqtt.client_id, name=name, clock=self.clock,
                username=mqtt.username, secrets=self._link_secrets, random=self._random,
            )  # fmt: skip
        found: list[Transport | None] = [self.door, self.link]
        transports = [one for one in found if one is not None]
        if not transports:
            raise OSError("neither mqtt.listen nor mqtt.url is set: there is nothing to hear")
        return transports

    def _link_secrets(self) -> tuple[ssl.SSLContext | None, str | None]:
        """What the files for the broker say now: TLS, and the password. Raises OSError, CertificateError."""
        settings, mqtt = self._started_with, self._started_with.mqtt
        context = None
        if mqtt.url is not None and mqtt.url.tls:
            try:
                context = tls.of_client(mqtt.ca_file, mqtt.cert_file, mqtt.key_file)
            except CertificateError as error:
                raise CertificateError(f"mqtt.ca_file, cert_file, key_file: {error}") from None
        return context, settings.mqtt_password()

    def _door_context(self) -> Callable[[], ssl.SSLContext] | None:
        mqtt = self.settings.mqtt
        if mqtt.listen_tls_cert is None:
            return None
        clients = None
        if mqtt.listen_client_ca is not None:
            required = mqtt.listen_client_cert == "required"
            clients = tls.Clients(mqtt.listen_client_ca, mqtt.listen_client_crl, required)
        try:
            served = tls.Served(mqtt.listen_tls_cert, mqtt.listen_tls_key, clients)
        except CertificateError as error:
            raise CertificateError(f"mqtt.listen_tls_cert: {error}") from None
        self.door_tls = served
        return lambda: served.context

    def _make_door(self) -> Door:
        mqtt, limits = self.settings.mqtt, self.settings.limits
        signed_in = self.settings.sign_in
        rate = limits.messages_per_s or (SIGNED_IN_RATE if signed_in else UNLIMITED_RATE)
        door = Door(
            str(mqtt.listen), clock=self.clock, name=self.settings.daemon.name,
            context=self._door_context(), certified=self.desk.account,
            authenticate=self.desk.sign_in if signed_in else None,
            limits=DoorLimits(
                connections=limits.connections, client_rate=rate, client_burst=2 * rate,
                gateway_rate=max(rate, 5_000), gateway_burst=2 * max(rate, 5_000),
            ),
            store_observer=self._remember_observer,
        )  # fmt: skip
        self.desk.on_removed_account = door.dismiss
        return door

    async def _restore_observers(self, loaded: Loaded) -> None:
        """The door's durable observers get what was published before the restart and not acknowledged."""
        door = self.door
        if door is None:
            return
        changes = self.engine.committer.open.changes
        rows = [row for row in loaded.observers if row.account is None or self.desk.knows(row.account)]
        changes.observers.update({row.client_id: None for row in loaded.observers if row not in rows})
        handed = self.engine.outbox.sinks[door.source].cursor
        door.restore(rows)
        seq = earliest(rows)
        while seq is not None and seq < handed:
            events = await self.store.events_after(seq, 1_000)
            for event in events:
                message = wire.event(event, loaded.store_id, self.settings.daemon.name)
                if message is not None and event.seq <= handed:
                    for row in rows:
                        if wants(row, event.seq, message[0]):
                            door.owe(row, event.seq, *message)
            seq = events[-1].seq if events else None
        door.owed_until(handed)
        self.engine.on_flush.append(lambda changes: changes.observers.update(door.observer_rows()))

    def _remember_observer(self, name: str, row: ObserverRow | None) -> None:
        self.engine.committer.open.changes.observers[name] = row
        self.engine.committer.kick()

    # --- the beat -------------------------------------------------------------------------------------

    async def _tick_for_ever(self) -> None:
        while True:
            try:
                self.engine.tick()
                if stepped_ms := self.clock.look():
                    log.warning("clock.stepped", by_s=stepped_ms / 1000)
            except Exception:
                log.exception("engine.bug")
            await asyncio.sleep(0 if self.engine.more else self.engine.pace.tick_ms / 1000)

    async def _prune_for_ever(self) -> None:
        while True:
            # By the timeline: a wall clock that jumps ahead for a while must not cost the history.
            before = self.clock.now_ms() - self.settings.store.history_days * DAY_MS
            with contextlib.suppress(StoreError):
                while await self.store.prune(before, PRUNE_STEP) >= PRUNE_STEP:  # noqa: ASYNC110 - others commit
                    await asyncio.sleep(0.05)
            await asyncio.sleep(PRUNE_EVERY_S)

    # --- settings -------------------------------------------------------------------------------------

    def _limit_operators(self) -> None:
        its = self.settings.operators
        self.desk.operators.limit(idle_ms=_ms(its.idle_s), lasts_ms=_ms(its.lasts_s), link_ms=_ms(its.link_s))

    async def adopt(self, new: Settings, actor: str, guidance: RuleSet | None = None) -> dict[str, Any]:
        """Take what can change live of new settings, and new rules if there are any; which keys changed, and
        which need a restart."""
        live, _ = settings_room.changed(self.settings, new)
        values = settings_room.differences(settings_room.plain(self.settings), settings_room.plain(new))
        _, restart = settings_room.changed(self._started_with, new)  # named until it has been done
        self.settings = new
        self.engine.roll.set_policy(new.policy())
        self.engine.pace = _pace(new)
        self._limit_operators()
        self.cleanup.account = new.cleanup.account
        self.alerts.adopt(plan_of(new, page=self._started_with.page_url))
        if "cleanup.every_s" in live:
            self.cleanup.set_every(_ms(new.cleanup.every_s))
        if guidance is not None:
            rules = Guidance(guidance.rules)
            if (
                self.desk.followups.put_in_force(rules, guidance.source, actor)
                and "guidance.file" not in live
            ):
                live.append("guidance.file")
        data = {"changed": live, "needs_restart": restart}
        self._remember_settings()
        self.note("settings.reloaded", self.clock.now_ms(), {**data, "values": values}, actor)
        await self.engine.durable()
        return data

    def _note_what_was_done(self, untold: str | None) -> None:
        """To the database, while no daemon ran: an upgrade, a restore."""
        told = json.loads(untold or "[]")
        for one in told:
            data = one["data"]
            if isinstance(data.get("newest"), int):
                data["newest"] = wire.rfc3339(data["newest"])
            self.note(one["type"], self.clock.now_ms(), data)
        if told:
            self.engine.committer.open.changes.meta["untold"] = "[]"

    def _note_changed_settings(self, before: str | None) -> None:
        """What differs from the last run goes into the history, too."""
        now = settings_room.plain(self.settings)
        if before is not None and (values := settings_room.differences(json.loads(before), now)):
            self.note("settings.changed", self.clock.now_ms(), {"values": values})
        self._remember_settings()

    def _remember_settings(self) -> None:
        text = json.dumps(settings_room.plain(self.settings))
        self.engine.committer.open.changes.meta["settings"] = text


def _pace(settings: Settings) -> Pace:
    return Pace(tick_ms=_ms(settings.watch.tick_s), flush_ms=_ms(settings.store.flush_s))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
