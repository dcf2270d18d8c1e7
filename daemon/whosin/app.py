"""The wiring: the one room that knows everybody. Owns start, stop, reload and the beat of the ticker.

Must not know rules: it puts rooms together and takes them apart again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from whosin import __version__, wire
from whosin import settings as settings_room
from whosin.cleanup import Cleanup
from whosin.clock import SystemClock
from whosin.desk import Desk
from whosin.engine.engine import Engine, Pace
from whosin.errors import Refused, SettingsError, StoreError, StoreRefused
from whosin.model import Event
from whosin.mqtt.door import Door, DoorLimits
from whosin.mqtt.door.observers import earliest, wants
from whosin.mqtt.link import Link
from whosin.observe.counts import Counts
from whosin.observe.journal import BadInputLog, Journal
from whosin.observe.logs import Logs, configure
from whosin.observe.metrics import Metrics
from whosin.store.sqlite import SqliteStore
from whosin.web.server import HttpServer

if TYPE_CHECKING:
    from whosin.ports import Loaded, ObserverRow, Transport
    from whosin.settings import Settings

PRUNE_EVERY_S = 60.0
PRUNE_STEP = 500
DAY_MS = 86_400_000
STORE_CLOSE_S = 1.0
SIGNED_IN_RATE = 1_000  # messages a second of one connection at the door
UNLIMITED_RATE = 10_000_000  # on loopback without sign-in: programs of one's own

log = structlog.get_logger("whosin.app")


def main(settings: Settings, config_path: Path | None) -> int:
    """Run the daemon until it is told to stop; the process's exit code."""
    logs = configure(settings.log.level, settings.log.format, settings.log.file, sys.stderr)  # type: ignore[arg-type]
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(App(settings, config_path, logs).run())
    except KeyboardInterrupt:
        return 0
    finally:
        logs.close()


def _loop_factory() -> Any:
    """The one of uvloop or winloop where that is installed (the extra `fast`), else asyncio's own."""
    with contextlib.suppress(ImportError):
        if sys.platform == "win32":
            import winloop as fast  # noqa: PLC0415
        else:
            import uvloop as fast  # noqa: PLC0415
        return fast.new_event_loop
    return None


class App:
    """One daemon."""

    def __init__(self, settings: Settings, config_path: Path | None, logs: Logs) -> None:
        self.settings = settings
        self._config_path = config_path
        self._logs = logs
        self._started_with = settings
        self._reload_wanted = False
        self._stop = asyncio.Event()
        self.clock = SystemClock()
        self.counts = Counts()
        self._journal = Journal(
            self.counts, structlog.get_logger("whosin"), types=settings.client_types, flood=logs.flood,
            wall_ms=self.clock.wall_ms,
        )  # fmt: skip
        self._bad_input = BadInputLog(structlog.get_logger("whosin"))
        self.store = SqliteStore(settings.database)
        self.engine = Engine(
            policy=settings.policy(), store=self.store, clock=self.clock, counts=self.counts,
            record=self._journal.record, name=settings.daemon.name, pace=_pace(settings),
            bad_input=self._bad_input,
        )  # fmt: skip
        cleanup = settings.cleanup
        self.cleanup = Cleanup(
            self.engine, every_ms=_ms(cleanup.every_s), enabled=cleanup.enabled, account=cleanup.account
        )
        self.desk = Desk(
            self.engine, self.cleanup, name=settings.daemon.name, version=__version__,
            sign_in=settings.sign_in, reload=self.reload,
        )  # fmt: skip
        self._metrics = Metrics(self.counts, _Gauges(self), list(settings.client_types))
        self._link: Link | None = None
        self._door: Door | None = None
        self._http: HttpServer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # --- life -----------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Start, say where to click, serve until told to stop, stop. 1 if it could not start."""
        try:
            await self._start()
        except (OSError, StoreError, StoreRefused) as error:
            await self._close()
            print(f"whosin: cannot start: {_in_words(error)}", file=sys.stderr)  # noqa: T201
            return 1
        try:
            await self._stop.wait()
        finally:
            await self._close()
        return 0

    async def _start(self) -> None:
        self._on_signals()
        loaded = await self.store.open()
        self.desk.restore(loaded)
        self.engine.begin(loaded, self._transports())
        self.cleanup.begin(loaded)
        await self._restore_observers(loaded)
        self._admin_token()
        self.engine.collect()
        await self.engine.durable()
        await self._serve_http()
        if self._door is not None:
            try:
                await self._door.start(self.engine)
            except OSError as error:
                raise OSError(
                    error.errno, f"mqtt.listen {self.settings.mqtt.listen}: {_in_words(error)}"
                ) from error
        self._say_where()
        if self._link is not None:
            await self._link.start(self.engine)
        for problem in self.settings.warnings():
            log.warning("settings.warning", problem=problem)
        now = self.clock.now_ms()
        self._note(
            "daemon.started", now, {"version": __version__, "sessions": len(self.engine.roll.sessions)}
        )
        self._tasks = [
            asyncio.create_task(self._tick_for_ever(), name="ticker"),
            asyncio.create_task(self._keep_house(), name="housekeeping"),
        ]
        if self._reload_wanted:
            self._reload_on_signal()

    def _transports(self) -> list[Transport]:
        mqtt, name = self.settings.mqtt, self.settings.daemon.name
        if mqtt.listen is not None:
            self._door = self._make_door()
        if mqtt.url is not None:
            self._link = Link(
                mqtt.url.host, mqtt.url.port, client_id=mqtt.client_id, name=name, clock=self.clock,
                tls=_client_tls(self.settings) if mqtt.url.tls else None, username=mqtt.username,
                password=self.settings.mqtt_password(),
            )  # fmt: skip
        found: list[Transport | None] = [self._door, self._link]
        transports = [one for one in found if one is not None]
        if not transports:
            raise OSError("neither mqtt.listen nor mqtt.url is set: there is nothing to hear")
        return transports

    def _make_door(self) -> Door:
        mqtt, limits = self.settings.mqtt, self.settings.limits
        tls = None
        if mqtt.listen_tls_cert is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(mqtt.listen_tls_cert, mqtt.listen_tls_key)
        signed_in = self.settings.sign_in
        rate = limits.messages_per_s or (SIGNED_IN_RATE if signed_in else UNLIMITED_RATE)
        door = Door(
            str(mqtt.listen), clock=self.clock, name=self.settings.daemon.name, tls=tls,
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
        door = self._door
        if door is None:
            return
        changes = self.engine.committer.open.changes
        rows = [row for row in loaded.observers if row.account is None or self.desk.knows(row.account)]
        changes.observers.update({row.client_id: None for row in loaded.observers if row not in rows})
        handed = self.engine.outbox.sinks[door.source].cursor
        door.restore(rows, handed)
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
        self.engine.on_flush.append(lambda changes: changes.observers.update(door.observer_rows()))

    def _remember_observer(self, name: str, row: ObserverRow | None) -> None:
        self.engine.committer.open.changes.observers[name] = row
        self.engine.committer.kick()

    async def _serve_http(self) -> None:
        http = self.settings.http
        if http.listen is None:
            return
        self._http = HttpServer(
            self.desk, self._render_metrics, http.listen.host, http.listen.port,
            loopback=http.listen.loopback and not http.behind_proxy,
            allowed_hosts=http.allowed_hosts, tls_cert=_text(http.tls_cert), tls_key=_text(http.tls_key),
        )  # fmt: skip
        try:
            await self._http.start()
        except OSError as error:
            self._http = None
            raise OSError(error.errno, f"http.listen {http.listen}: {error.strerror or error}") from error

    def _say_where(self) -> None:
        """The first line, for whoever started it on a terminal."""
        page = self._http.url if self._http is not None else "page and API are off"
        heard = [f"door on mqtt://{self.settings.mqtt.listen}"] if self._door is not None else []
        heard += [f"broker {self.settings.mqtt.url}"] if self._link is not None else []
        data = self.settings.daemon.data_dir
        print(f"Whosin {__version__} is at {page}  ({', '.join(heard)}; data in {data})", flush=True)  # noqa: T201

    async def _close(self) -> None:
        """Streams, then transports, then what is left to write: within a few seconds in all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.desk.stop()
        self.engine.stopping = True
        if self._tasks:
            self._note("daemon.stopped", self.clock.now_ms(), {})
        stops = (one.stop() for one in (self._http, self._door, self._link) if one is not None)
        for result in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("engine.bug", exc_info=result)
        if self.engine.transports:
            await self.engine.close()
        with contextlib.suppress(TimeoutError):  # what is committed is safe; a hanging disk keeps nobody here
            async with asyncio.timeout(STORE_CLOSE_S):
                await self.store.close()

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        if sys.platform == "win32":
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK):
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._stop.set))
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_on_signal)

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

    async def _keep_house(self) -> None:
        while True:
            self._logs.flush()
            self._bad_input.flush()
            # By the timeline: a wall clock that jumps ahead for a while must not cost the history.
            before = self.clock.now_ms() - self.settings.store.history_days * DAY_MS
            with contextlib.suppress(StoreError):
                while await self.store.prune(before, PRUNE_STEP) >= PRUNE_STEP:  # noqa: ASYNC110 - others commit
                    await asyncio.sleep(0.05)
            await asyncio.sleep(PRUNE_EVERY_S)

    # --- reload ---------------------------------------------------------------------------------------

    def _reload_on_signal(self) -> None:
        if not self._tasks:  # nothing is loaded yet to which the change could be added
            self._reload_wanted = True
            return
        task = asyncio.get_running_loop().create_task(self._reload_quietly(), name="reload")
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def _reload_quietly(self) -> None:
        try:
            await self.reload("SIGHUP")
        except Refused as error:
            log.error("settings.refused", problems=str(error))  # noqa: TRY400 - the text says it all
        except StoreError as error:
            log.warning("settings.not_recorded", problem=str(error))

    async def reload(self, actor: str) -> dict[str, Any]:
        """Read the settings again and take what can change live. Refused `settings` with the problems."""
        try:
            new = settings_room.load(self._config_path, os.environ)
        except SettingsError as error:
            raise Refused("settings", "; ".join(error.problems)) from None
        if self._http is not None:
            try:
                self._http.reload_certificate()
            except OSError as error:
                raise Refused("settings", f"http.tls_cert cannot be used: {_in_words(error)}") from None
        live, _ = settings_room.changed(self.settings, new)
        _, restart = settings_room.changed(self._started_with, new)  # named until it has been done
        self.settings = new
        self.engine.roll.set_policy(new.policy())
        self.engine.pace = _pace(new)
        self.cleanup.account = new.cleanup.account
        if "cleanup.every_s" in live:
            self.cleanup.set_every(_ms(new.cleanup.every_s))
        self._journal.types = self._metrics.types = list(new.client_types)
        self._logs.set_level(new.log.level)
        data = {"changed": live, "needs_restart": restart}
        self._note("settings.reloaded", self.clock.now_ms(), data, actor)
        await self.engine.durable()
        return data

    # --- small things ---------------------------------------------------------------------------------

    def _note(self, kind: str, at_ms: int, data: Mapping[str, Any], actor: str | None = None) -> None:
        self.engine.roll.out.events.append(Event(kind, at_ms, None, None, None, None, dict(data), actor))

    def _admin_token(self) -> None:
        """The administrator's token on first start, in a file that only the owner can read."""
        path = self.settings.daemon.data_dir / "admin-token"
        if path.exists():
            known = path.read_text(encoding="ascii", errors="replace").strip()
            if self.desk.authenticate(known) is not None:
                return
        secret = self.desk.put_token("admin", "administrator", None)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(
            os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii"
        ) as file:
            file.write(secret + "\n")
        fresh.replace(path)

    async def _render_metrics(self, accept: str) -> tuple[bytes, str]:
        return self._metrics.render(accept)


class _Gauges:
    """What is now, for the metrics."""

    def __init__(self, app: App) -> None:
        self._app = app

    def sessions(self) -> Mapping[tuple[str, str], int]:
        return {
            (status.value, client): count for (status, client), count in self._app.engine.roll.tally.items()
        }

    def locks(self) -> int:
        return self._app.engine.roll.locks.count

    def inbox_depth(self) -> int:
        return self._app.engine.depth

    def store_ok(self) -> bool:
        return self._app.engine.committer.trouble is None

    def tasks(self) -> int:
        return len(asyncio.all_tasks())

    def broker_connected(self) -> bool | None:
        if "link" not in self._app.engine.transports:
            return None
        return not self._app.engine.roll.watches["link"].sight.blind

    def blind_s(self) -> float:
        now = self._app.clock.now_ms()
        since = [watch.sight.blind_since_ms for watch in self._app.engine.roll.watches.values()]
        return sum(max(0, now - one) for one in since if one is not None) / 1000

    def seats_used(self) -> Mapping[tuple[str, str], int]:
        return {}


def _pace(settings: Settings) -> Pace:
    return Pace(tick_ms=_ms(settings.watch.tick_s), flush_ms=_ms(settings.store.flush_s))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _text(path: Path | None) -> str | None:
    return str(path) if path is not None else None


def _client_tls(settings: Settings) -> ssl.SSLContext:
    """For the link: the broker must prove who it is; we do where a certificate is given."""
    mqtt = settings.mqtt
    context = ssl.create_default_context(cafile=_text(mqtt.ca_file))
    if mqtt.cert_file is not None:
        context.load_cert_chain(mqtt.cert_file, mqtt.key_file)
    return context


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)
