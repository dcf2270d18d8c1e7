"""The process: the one room that knows everybody. Owns signals, the first line, HTTP, logs and the reading of
settings; the daemon itself is `daemon`'s. Must not know rules: it puts rooms together and takes them apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from whosin import __version__
from whosin import settings as settings_room
from whosin.clock import SystemClock
from whosin.daemon import Daemon
from whosin.errors import CertificateError, Refused, SettingsError, StoreError, StoreRefused
from whosin.model import Status
from whosin.observe.counts import Counts
from whosin.observe.journal import BadInputLog, Journal
from whosin.observe.logs import Logs, configure
from whosin.settings.guidance import rules_of
from whosin.store.sqlite import SqliteStore
from whosin.supervision import Supervision
from whosin.web.server import HttpServer

if TYPE_CHECKING:
    from whosin.observe.metrics import Metrics
    from whosin.ports.supervisor import Supervisor
    from whosin.settings import Settings
    from whosin.tls import Served

FLUSH_LOGS_EVERY_S = 60.0
LOOK_AT_CERTIFICATES_EVERY_S = 60.0
GARBAGE = 10_000, 50, 100
"""When the collector looks for circles: seldom, since what lives long is held without any. By its default it
would walk through all that a wave of disconnects brings forth, again and again, for nothing."""
SWITCH_S = 0.001  # how long the store's thread waits for the interpreter, when it has it for a moment only

log = structlog.get_logger("whosin.app")


def main(settings: Settings, config_path: Path | None, supervisor: Supervisor | None = None) -> int:
    """Run the daemon until it is told to stop; the process's exit code. `supervisor` is told how it fares."""
    gc.set_threshold(*GARBAGE)
    sys.setswitchinterval(SWITCH_S)
    logs = configure(settings.log.level, settings.log.format, settings.log.file, sys.stderr)  # type: ignore[arg-type]
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(App(settings, config_path, logs, supervisor).run())
    except KeyboardInterrupt:
        return 0
    finally:
        logs.close()


@contextlib.contextmanager
def _no_collecting() -> Iterator[None]:
    """While all that was stored is taken up: it stays, so there is nothing to find, now or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _loop_factory() -> Any:
    """Uvloop where that is installed (the extra `fast`), else asyncio's own: on Windows the Proactor's."""
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415

        return uvloop.new_event_loop
    return None


class App:
    """One daemon as a process. Raises SettingsError where the guidance file cannot be used."""

    def __init__(
        self, settings: Settings, config_path: Path | None, logs: Logs, supervisor: Supervisor | None = None
    ) -> None:
        self.settings = settings
        self._config_path = config_path
        self._logs = logs
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
        self.daemon = Daemon(
            settings, clock=self.clock, store=self.store, counts=self.counts, record=self._journal.record,
            bad_input=self._bad_input, reload=self.reload, guidance=rules_of(settings),
        )  # fmt: skip
        self.engine, self.cleanup, self.desk = self.daemon.engine, self.daemon.cleanup, self.daemon.desk
        self._supervision = Supervision(supervisor, self._problems, self._in_a_line)
        self._http: HttpServer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # --- life -----------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Start, say where to click, serve until told to stop, stop. 1 if it could not start."""
        self._supervision.begin(self._stop.set, self._reload_on_signal)
        try:
            await self._start()
        except (OSError, StoreError, StoreRefused, CertificateError) as error:
            await self._close()
            problem = f"cannot start: {_in_words(error)}"
            self._supervision.failed(problem)
            print(f"whosin: {problem}", file=sys.stderr)  # noqa: T201
            return 1
        try:
            await self._stop.wait()
        finally:
            await self._close()
        return 0

    async def _start(self) -> None:
        self._on_signals()
        with _no_collecting():
            await self.daemon.load()
        self._admin_token()
        self.engine.collect()
        await self.engine.durable()
        await self._serve_http()
        try:
            await self.daemon.begin()
        except OSError as error:
            raise OSError(
                error.errno, f"mqtt.listen {self.settings.mqtt.listen}: {_in_words(error)}"
            ) from error
        self._say_where()
        for problem in self.settings.warnings():
            log.warning("settings.warning", problem=problem)
        self._tasks = [
            asyncio.create_task(self._flush_logs(), name="logs"),
            asyncio.create_task(self._watch_certificates(), name="certificates"),
        ]
        if self._reload_wanted:
            self._reload_on_signal()

    async def _serve_http(self) -> None:
        http = self.settings.http
        if http.listen is None:
            return
        self._http = HttpServer(
            self.desk, self._render_metrics, http.listen.host, http.listen.port,
            loopback=http.listen.loopback and not http.behind_proxy,
            behind_proxy=http.behind_proxy, allowed_hosts=http.allowed_hosts,
            tls_cert=_text(http.tls_cert), tls_key=_text(http.tls_key),
            requests_per_s=lambda: self.settings.limits.requests_per_s,
        )  # fmt: skip
        try:
            await self._http.start()
        except CertificateError as error:
            self._http = None
            raise CertificateError(f"http.tls_cert: {error}") from None
        except OSError as error:
            self._http = None
            raise OSError(error.errno, f"http.listen {http.listen}: {error.strerror or error}") from error

    def _say_where(self) -> None:
        """The first line, for whoever started it on a terminal."""
        page = self._http.url if self._http is not None else "page and API are off"
        heard = [f"door on mqtt://{self.settings.mqtt.listen}"] if self.daemon.door is not None else []
        heard += [f"broker {self.settings.mqtt.url}"] if self.daemon.link is not None else []
        data = self.settings.daemon.data_dir
        print(f"Whosin {__version__} is at {page}  ({', '.join(heard)}; data in {data})", flush=True)  # noqa: T201
        terminal = next((one for one in (sys.stdout, sys.stderr) if one is not None and one.isatty()), None)
        if self._http is None or terminal is None:
            return
        code = self.desk.operators.first_link()  # whoever has it rules: for eyes only, never in a log or pipe
        if code is not None:
            minutes = round(self.settings.operators.link_s / 60)
            words = f"Nobody can sign in yet. This link makes the administrator (once, in {minutes} min):"
            print(f"{words}\n  {page}/sign-in/link?code={code}", file=terminal, flush=True)

    async def _close(self) -> None:
        """Streams and the page, then the daemon."""
        self._supervision.stopping()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.desk.stop()
        self.engine.stopping = True
        if self._http is not None:
            try:
                await self._http.stop()
            except Exception:
                log.exception("engine.bug")
        await self.daemon.close()

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        if threading.current_thread() is not threading.main_thread():
            return  # a service of Windows: its manager gives the orders; signals reach the main thread only
        if sys.platform == "win32":
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK):
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._stop.set))
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_on_signal)

    async def _flush_logs(self) -> None:
        while True:
            self._logs.flush()
            self._bad_input.flush()
            await asyncio.sleep(FLUSH_LOGS_EVERY_S)

    # --- reload ---------------------------------------------------------------------------------------

    def _reload_on_signal(self) -> None:
        if not self.daemon.running:  # nothing is loaded yet to which the change could be added
            self._reload_wanted = True
            return
        task = asyncio.get_running_loop().create_task(self._reload_quietly(), name="reload")
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def _reload_quietly(self) -> None:
        try:
            with self._supervision.reloading():
                await self.reload("SIGHUP")
        except Refused as error:
            log.error("settings.refused", problems=str(error))  # noqa: TRY400 - the text says it all
        except StoreError as error:
            log.warning("settings.not_recorded", problem=str(error))

    async def reload(self, actor: str) -> dict[str, Any]:
        """Read the settings again and take what can change live. Refused `settings` with the problems."""
        try:
            new = settings_room.load(self._config_path, os.environ)
            guidance = rules_of(new)
        except SettingsError as error:
            raise Refused("settings", "; ".join(error.problems)) from None
        self._renew_certificates()
        self.settings = new
        self._journal.types = self._metrics.types = list(new.client_types)
        self._logs.set_level(new.log.level)
        return await self.daemon.adopt(new, actor, guidance)

    def _served(self) -> dict[str, Served]:
        """The certificates that are shown, by the setting that names them."""
        found = {
            "mqtt.listen_tls_cert": self.daemon.door_tls,
            "http.tls_cert": None if self._http is None else self._http.served,
        }
        return {name: served for name, served in found.items() if served is not None}

    def _renew_certificates(self) -> None:
        """Take the files as they are now: all of them, or none. Refused `settings` with what is wrong."""
        taken = []
        for name, served in self._served().items():
            try:
                taken.append(served.prepare())
            except CertificateError as error:
                raise Refused("settings", f"{name}: {error}; the certificate in use stays") from None
        for take in taken:
            take()

    async def _watch_certificates(self) -> None:
        """Whoever renews them need not tell us."""
        while True:
            await asyncio.sleep(LOOK_AT_CERTIFICATES_EVERY_S)
            self.look_at_certificates()

    def look_at_certificates(self) -> None:
        for name, served in self._served().items():
            try:
                if served.renew_if_changed():
                    log.info("certificate.renewed", setting=name)
            except CertificateError as error:
                log.warning("certificate.not_renewed", setting=name, problem=str(error))

    # --- for the supervisor ---------------------------------------------------------------------------

    def _problems(self) -> list[str]:
        """Why it is not ready; the same as `/readyz` says."""
        return self.desk.problems() if self.daemon.running else ["loading"]

    def _in_a_line(self) -> str:
        tally = self.engine.roll.tally
        found = [
            f"{sum(n for (status, _), n in tally.items() if status is wanted):,} {wanted}"
            for wanted in (Status.ACTIVE, Status.DISCONNECTED)
        ]
        return ", ".join(found)

    # --- small things ---------------------------------------------------------------------------------

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

    @cached_property
    def _metrics(self) -> Metrics:
        """Made for the first who asks: the library behind it is nothing to wait for at the start."""
        from whosin.observe.metrics import Metrics  # noqa: PLC0415 - see above

        return Metrics(self.counts, _Gauges(self), list(self.settings.client_types))

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

    def followups(self) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        for (_, severity), count in self._app.engine.followups.items():
            counts[severity] += count
        return counts

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

    def door(self) -> tuple[int, Mapping[str, int]] | None:
        door = self._app.daemon.door
        return None if door is None else (door.connections, door.counts)

    def blind_s(self) -> float:
        now = self._app.clock.now_ms()
        since = [watch.sight.blind_since_ms for watch in self._app.engine.roll.watches.values()]
        return sum(max(0, now - one) for one in since if one is not None) / 1000

    def cleanup_every_s(self) -> float:
        cleanup = self._app.cleanup
        return cleanup.every_ms / 1000 if cleanup.enabled else 0.0

    def alerts(self) -> Mapping[str, int]:
        return self._app.daemon.alerts.open_by_kind()

    def undelivered(self) -> int:
        return self._app.daemon.alerts.outbox.pending

    def channels(self) -> Collection[str]:
        return [one.name for one in self._app.daemon.alerts.channels]

    def seats_used(self) -> Mapping[tuple[str, str], int]:
        return {}


def _text(path: Path | None) -> str | None:
    return str(path) if path is not None else None


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)
