"""The service's program: what the system's service manager hears from it, and what it may order.

Owns the states, the exit codes, and the limit for stopping. Must not know what the daemon does: it is
handed over as a function. A `ports.Supervisor`.

RUNNING is said once the daemon sees and stores. STOP and PRESHUTDOWN stop it; PARAMCHANGE reloads its
settings. The daemon runs in the thread that the manager gives it, and orders come in another.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from whosin.errors import Refused, SettingsError
from whosin.service.windows import api as win
from whosin.service.windows import events
from whosin.service.windows.places import Places, key_of, places

if TYPE_CHECKING:
    from whosin.service.windows.api import Api
    from whosin.settings import Settings

STOP_S: Final = 18
"""From the order to the end of the process. What has not stopped by itself is ended: that costs nothing
that was promised, it is as if the machine had lost power."""

FAILED, WRONG_SETTINGS, NOT_STOPPED = 1, 2, 3
"""Service-specific exit codes."""

_HINT_MS: Final = 15_000  # so long the manager waits for the next word of one that starts
_ACCEPTS: Final = win.ACCEPT_STOP | win.ACCEPT_PRESHUTDOWN | win.ACCEPT_PARAMCHANGE
_PHASES: Final = {
    win.START_PENDING: "starting",
    win.RUNNING: "running",
    win.STOP_PENDING: "stopping",
    win.STOPPED: "stopped",
}

Run: TypeAlias = "Callable[[Settings, Path | None, Any], int]"
"""The daemon: settings, their file, whom to tell how it fares; its exit code."""


class Program:
    """One life of the service, from the manager's call to the end of the process."""

    def __init__(self, api: Api, name: str, config: Path, run: Run, where: Places) -> None:
        self._api = api
        self._key = key_of(name)
        self._config = config
        self._run = run
        self._where = where
        self._lock = threading.RLock()
        self._status: Any = None
        self._state = win.START_PENDING
        self._checkpoint = 0
        self._text = ""
        self._since: str | None = None
        self._told: Mapping[str, Any] = {}
        self._last_words = ""
        self._stop: Callable[[], None] | None = None
        self._reload: Callable[[], None] | None = None
        self._wanted = False
        self._limit: threading.Timer | None = None

    def live(self, status: Any, environ: MutableMapping[str, str]) -> None:
        """To the end of the process. `status` is the manager's handle."""
        self._status = status
        self._report(win.START_PENDING)
        code = FAILED
        try:
            from whosin.settings import load  # noqa: PLC0415 - the manager does not wait for long

            environ.setdefault("STATE_DIRECTORY", str(self._where.data))  # where its data lie unless set
            settings = load(self._config, environ)
            if settings.log.file is None:
                environ["WHOSIN_LOG__FILE"] = str(self._where.log)
                settings = load(self._config, environ)
            code = self._run(settings, self._config, self)
        except SettingsError as error:
            self.failed(str(error))
            code = WRONG_SETTINGS
        except BaseException as error:  # noqa: BLE001 - whatever it is, the manager must hear of it
            self.failed(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
        self._end(code)

    # --- ports.Supervisor -----------------------------------------------------------------------------

    alive_every_s: float | None = None

    def attach(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        with self._lock:
            self._stop, self._reload = stop, reload
            wanted = self._wanted
        if wanted:
            stop()

    def starting(self, why: str) -> None:
        self._say(win.START_PENDING, why)

    def ready(self, text: str) -> None:
        first = self._since is None
        if first:
            self._since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        self._say(win.RUNNING, text)
        if first:
            events.report(self._api, self._key, events.STARTED, f"{self._key} is ready: {text}")

    def alive(self, text: str) -> None:
        with self._lock:
            self._text = text
            self._note()

    def reloading(self) -> None:
        """It goes on running."""

    def stopping(self) -> None:
        self._report(win.STOP_PENDING)

    def failed(self, text: str) -> None:
        self._last_words = text
        events.report(self._api, self._key, events.FATAL, f"{self._key} ended: {text}")

    # --- orders ---------------------------------------------------------------------------------------

    def control(self, control: int, _kind: Any = None, _data: Any = None) -> None:
        """From the manager, in its own thread; it wants an answer at once."""
        if control in (win.CONTROL_STOP, win.CONTROL_PRESHUTDOWN, win.CONTROL_SHUTDOWN):
            self._must_stop()
        elif control == win.CONTROL_PARAMCHANGE and self._reload is not None:
            self._reload()
        elif control == win.CONTROL_INTERROGATE:
            self._report(self._state)

    def _must_stop(self) -> None:
        with self._lock:
            if self._wanted:
                return
            self._wanted = True
            self._limit = threading.Timer(STOP_S - 1, self._too_late)
            self._limit.daemon = True
            self._limit.start()
            self._report(win.STOP_PENDING)
            stop = self._stop
        if stop is not None:
            stop()

    def _too_late(self) -> None:
        self.failed(f"it did not stop within {STOP_S} s, so its process was ended")
        self._end(NOT_STOPPED)

    # --- what the manager hears -----------------------------------------------------------------------

    def _say(self, state: int, text: str) -> None:
        with self._lock:
            self._text = text
            if not self._wanted and self._state != win.STOP_PENDING:
                self._report(state)

    def _report(self, state: int, code: int = 0) -> None:
        with self._lock:
            if self._state == win.STOPPED:
                return
            self._checkpoint = self._checkpoint + 1 if state in (win.START_PENDING, win.STOP_PENDING) else 0
            self._state = state
            hint_ms = {win.START_PENDING: _HINT_MS, win.STOP_PENDING: STOP_S * 1000}.get(state, 0)
            accepts = _ACCEPTS if state in (win.START_PENDING, win.RUNNING) else 0
            self._note(code)
            status = (
                win.OWN_PROCESS, state, accepts, win.SPECIFIC if code else 0, code, self._checkpoint, hint_ms,
            )  # fmt: skip
            with contextlib.suppress(self._api.Error):
                self._api.services.SetServiceStatus(self._status, status)

    def _note(self, code: int = 0) -> None:
        """For `whosin service status`: the manager keeps no words."""
        found = {
            "pid": os.getpid(), "phase": _PHASES[self._state], "text": self._last_words or self._text,
            "since": self._since, "code": code,
        }  # fmt: skip
        if found == self._told:
            return
        self._told = found
        fresh = self._where.state.with_suffix(".new")
        with contextlib.suppress(OSError):
            fresh.write_text(json.dumps(found), encoding="utf-8")
            fresh.replace(self._where.state)

    def _end(self, code: int) -> None:
        """Say so, and end before pywin32 can say STOPPED once more, without the code."""
        with self._lock:
            if self._limit is not None:
                self._limit.cancel()
            if not code:
                events.report(self._api, self._key, events.ENDED, f"{self._key} has stopped.")
            self._report(win.STOPPED, code)
            self._api.system.end(code)


def host(api: Api, name: str, config: Path, run: Run, environ: MutableMapping[str, str]) -> None:
    """Hand this process to the service manager, which started it. Raises Refused where somebody else did."""
    api.system.no_dialogs()
    key = key_of(name)
    where = places(name, api.system.folder("ProgramData"))

    class Hosted:
        """As pywin32 wants it: made and run in the thread of the service."""

        def __init__(self, _arguments: Any) -> None:
            self._program = Program(api, name, config, run, where)
            self._status = api.host.RegisterServiceCtrlHandler(key, self._program.control, True)

        def SvcRun(self) -> None:  # noqa: N802 - pywin32's name
            self._program.live(self._status, environ)

    api.host.Initialize(key, None)
    api.host.PrepareToHostSingle(Hosted)
    try:
        api.host.StartServiceCtrlDispatcher()
    except api.Error as error:
        if win.code_of(error) != win.NOT_STARTED_BY_MANAGER:
            raise
        raise Refused(
            "not_a_service",
            "Only the service manager starts this: use `whosin service start`, or `whosin run`.",
        ) from None
