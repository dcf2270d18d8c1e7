"""The service at Windows' service manager: registered, started, stopped, looked at, taken away.

Owns how it is registered: the account, the start, what is done when it fails. Must not know what it does.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whosin.errors import Refused
from whosin.service.manager import NAME, Phase, State, Wish
from whosin.service.windows import api as win
from whosin.service.windows import events
from whosin.service.windows.places import key_of, make, places
from whosin.settings import load
from whosin.settings.documents import toml

if TYPE_CHECKING:
    from whosin.service.windows.api import Api, Handle

WAIT_S: Final = 30.0
LOOK_EVERY_S: Final = 0.1
PRESHUTDOWN_MS: Final = 20_000
"""So long a machine that is being shut down waits for it; Windows' own 10 s are less than it may need."""

RESTARTS_MS: Final = (5_000, 30_000, 300_000)
"""After which it is started again: after the first failure, the second, and every other one."""
FORGET_S: Final = 86_400  # without a failure, and the next one is the first

DESCRIPTION: Final = "Tells who is in a business system, who fell out of it, and what they still lock."
NO_PASSWORD: Final = ("localsystem", "nt authority\\", "nt service\\")
_PHASES: Final[dict[int, Phase]] = {
    win.STOPPED: "stopped",
    win.START_PENDING: "starting",
    win.STOP_PENDING: "stopping",
    win.RUNNING: "running",
}
_WHY: Final = {1: "it failed", 2: "its settings are wrong", 3: "it did not stop in time"}


class WindowsManager:
    """One service by its name. A `Manager`."""

    def __init__(self, name: str = NAME, api: Api | None = None) -> None:
        self._api = api or _real()
        self.name = name
        self.key = key_of(name)
        self.places = places(name, self._api.system.folder("ProgramData"))
        self.config = self.places.config
        self.data = self.places.data

    # --- putting it there -----------------------------------------------------------------------------

    def preview(self, wish: Wish) -> str:
        restarts = ", ".join(f"{ms // 1000} s" for ms in RESTARTS_MS)
        lines = [
            f"Service   {self.key}, started with the system (delayed)",
            f"Program   {self._program(wish)}",
            f"Account   {self._account(wish)}",
            f"Failures  started again after {restarts}",
            f"Settings  {wish.config or self.config}",
            f"Data      {self.data}",
            f"Log       {self.places.log}",
        ]
        return "\n".join(lines) + "\n"

    def install(self, wish: Wish) -> list[str]:
        config = (wish.config or self.config).absolute()
        self._check_reach([Path(sys.base_prefix), Path(sys.prefix), Path(__file__), config])
        account = self._account(wish)
        if config.exists():
            load(config, {"STATE_DIRECTORY": str(self.data)})  # raises SettingsError with what is wrong
        elif wish.config is not None:
            raise Refused(
                "no_config", f"There is no {config}; without --config one with every default is made."
            )
        with self._manager(win.MANAGER_ALL) as manager:
            make(self._api.system, self.name, self.places)
            made = not config.exists()
            if made:
                config.write_text(self._first_settings(), encoding="utf-8")
            renewed, missing = self._register(manager, self._program(wish), account)
        self._api.system.put_event_source(self.key, events.MESSAGE_FILE)
        lines = [
            f"{'Renewed' if renewed else 'Registered'} the service {self.key}; it starts with the system."
        ]
        lines += [f"This system does not know: {', '.join(missing)}."] if missing else []
        lines += [f"Wrote {config}: every setting with its default."] if made else [f"Settings: {config}."]
        lines += [f"Data: {self.data}. Log: {self.places.log}."]
        if wish.start:
            state = self.restart()
            if state.phase != "running":
                raise Refused("not_running", "\n".join([*lines, _why_not(state)]))
            lines += [f"It runs: {state.text or 'ready'}."]
        return lines

    def _register(self, manager: Handle, program: str, account: str) -> tuple[bool, list[str]]:
        """Whether it was there; what this system does not know."""
        services = self._api.services
        renewed = True
        try:
            service = services.OpenService(manager, self.key, win.SERVICE_ALL)
        except self._api.Error as error:
            if win.code_of(error) != win.DOES_NOT_EXIST:
                raise self._refused(error) from error
            renewed = False
            service = self._create(manager, program, account)
        try:
            if renewed:
                services.ChangeServiceConfig(
                    service, win.OWN_PROCESS, win.AUTO_START, win.ERROR_NORMAL, program, None, False, None,
                    account, "" if account != "LocalSystem" else None, self.key,
                )  # fmt: skip
            return renewed, self._describe(service)
        except self._api.Error as error:
            raise self._refused(error) from error
        finally:
            services.CloseServiceHandle(service)

    def _create(self, manager: Handle, program: str, account: str) -> Handle:
        try:
            return self._api.services.CreateService(
                manager, self.key, self.key, win.SERVICE_ALL, win.OWN_PROCESS, win.AUTO_START,
                win.ERROR_NORMAL, program, None, False, None, account, None,
            )  # fmt: skip
        except self._api.Error as error:
            raise self._refused(error) from error

    def _describe(self, service: Handle) -> list[str]:
        """Everything beside the program and the account; what this system does not know is returned."""
        recovery = {
            "ResetPeriod": FORGET_S,
            "RebootMsg": "",
            "Command": "",
            "Actions": [(win.ACTION_RESTART, ms) for ms in RESTARTS_MS],
        }
        wanted: dict[str, tuple[int, Any]] = {
            "description": (win.DESCRIPTION, DESCRIPTION),
            "recovery": (win.FAILURE_ACTIONS, recovery),
            "recovery after an exit code": (win.FAILURE_FLAG, True),
            "delayed start": (win.DELAYED_START, True),
            "SID": (win.SID_TYPE, win.SID_UNRESTRICTED),
            "time at shutdown": (win.PRESHUTDOWN, PRESHUTDOWN_MS),
        }  # fmt: skip
        missing = []
        for what, (level, value) in wanted.items():
            try:
                self._api.services.ChangeServiceConfig2(service, level, value)
            except self._api.Error as error:
                if win.code_of(error) != win.INVALID_LEVEL:
                    raise
                missing.append(what)
        return missing

    def _program(self, wish: Wish) -> str:
        """The command line of the service: see `host`. -I: nobody's environment or folder is looked at."""
        package = Path(__file__).parent
        python = Path(sys.base_exec_prefix) / "python.exe"
        config = (wish.config or self.config).absolute()
        parts = [
            str(python), "-I", "-B", "-X", "utf8", str(package / "host.py"), sysconfig.get_path("purelib"),
            "service", "run", "--name", self.name, "--config", str(config),
        ]  # fmt: skip
        return " ".join(_quoted(part) for part in parts)

    def _account(self, wish: Wish) -> str:
        account = wish.user or f"NT SERVICE\\{self.key}"
        if not (account.lower().startswith(NO_PASSWORD) or account.endswith("$")):
            raise Refused(
                "account",
                f"{account} needs a password, which is not asked for here: install without --user, and set "
                "the account in services.msc. These need none: LocalSystem, NT AUTHORITY\\LocalService, a "
                "managed account (DOMAIN\\name$).",
            )
        return account

    def _check_reach(self, files: list[Path]) -> None:
        users = self._api.system.folder("UserProfiles")
        for one in files:
            if one.is_relative_to(users) or "WindowsApps" in one.parts:
                raise Refused(
                    "unreachable",
                    f"{one} lies where the service's account cannot read. Install Python for all users, "
                    r"Whosin in a virtual environment such as C:\Program Files\Whosin, and keep its settings "
                    "outside of your profile.",
                )

    def _first_settings(self) -> str:
        """Every key with its default, and the two that differ for a service."""
        text = toml()
        for section, line in (
            ("daemon", f"data_dir = '{self.places.data}'"),
            ("log", f"file = '{self.places.log}'"),
        ):
            text = text.replace(f"\n[{section}]\n", f"\n[{section}]\n{line}\n", 1)
        return text

    def uninstall(self, *, purge: bool) -> list[str]:
        with self._opened(win.SERVICE_ALL) as service:
            state = self._stopped(service)
            if state.phase not in ("stopped", "failed"):
                raise Refused("not_stopped", f"{self.key} does not stop: {state.phase}. It stays installed.")
            self._api.services.DeleteService(service)
        self._api.system.drop_event_source(self.key)
        lines = [f"Stopped and removed the service {self.key}."]
        if not purge:
            return [*lines, f"Kept: settings, data and logs in {self.places.root}."]
        _remove(self.places.root)
        return [*lines, f"Removed: settings, data and logs in {self.places.root}."]

    # --- starting and stopping ------------------------------------------------------------------------

    def start(self) -> State:
        with self._opened(win.SERVICE_ALL) as service:
            return self._started(service)

    def stop(self) -> State:
        with self._opened(win.SERVICE_ALL) as service:
            return self._stopped(service)

    def restart(self) -> State:
        with self._opened(win.SERVICE_ALL) as service:
            state = self._stopped(service)
            return self._started(service) if state.phase in ("stopped", "failed") else state

    def status(self) -> State:
        try:
            with self._opened(win.SERVICE_READ, win.MANAGER_CONNECT) as service:
                return self._look(service)
        except Refused as refused:
            if refused.code != "not_installed":
                raise
            return State("not installed")

    def _started(self, service: Handle) -> State:
        if self._look(service).phase not in ("running", "starting"):
            try:
                self._api.services.StartService(service, None)
            except self._api.Error as error:
                raise self._refused(error) from error
        return self._settled(service, lambda phase: phase not in ("starting", "stopping"))

    def _stopped(self, service: Handle) -> State:
        if self._look(service).phase not in ("stopped", "failed"):
            try:
                self._api.services.ControlService(service, win.CONTROL_STOP)
            except self._api.Error as error:
                if win.code_of(error) != win.NOT_ACTIVE:
                    raise self._refused(error) from error
        return self._settled(service, lambda phase: phase in ("stopped", "failed"))

    def _settled(self, service: Handle, done: Callable[[Phase], bool]) -> State:
        """How it is once that is so, or after a while."""
        end = time.monotonic() + WAIT_S
        while not done((state := self._look(service)).phase) and time.monotonic() < end:
            time.sleep(LOOK_EVERY_S)
        return state

    def _look(self, service: Handle) -> State:
        status = self._api.services.QueryServiceStatusEx(service)
        phase = _PHASES.get(status["CurrentState"], "stopped")
        registered = self._api.services.QueryServiceConfig(service)
        at_boot = registered[1] == win.AUTO_START
        if its := registered[3].rpartition(" --config ")[2].strip('"'):
            self.config = Path(its)
        told = self._told()
        code = status["ServiceSpecificExitCode"] if status["Win32ExitCode"] == win.SPECIFIC else 0
        if phase == "running" and not status["ProcessId"]:
            return State("failed", "its process is gone", at_boot=at_boot)
        if phase == "stopped":
            if status["Win32ExitCode"] in (0, win.NEVER_STARTED):
                return State("stopped", at_boot=at_boot)
            why = _WHY.get(code, f"error {code or status['Win32ExitCode']}")
            words = str(told.get("text", "")) if told.get("code") == code and code else ""
            return State("failed", f"{why}: {words}" if words else why, at_boot=at_boot)
        pid = status["ProcessId"] or None
        if told.get("pid") != pid:
            told = {}
        since = told.get("since") if phase == "running" else None
        return State(phase, str(told.get("text", "")), pid, since, at_boot)

    def _told(self) -> dict[str, Any]:
        """What it said of itself last, if anything can be read."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self.places.state.read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return found
        return {}

    # --- the manager ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _manager(self, access: int) -> Iterator[Handle]:
        try:
            manager = self._api.services.OpenSCManager(None, None, access)
        except self._api.Error as error:
            raise self._refused(error) from error
        try:
            yield manager
        finally:
            self._api.services.CloseServiceHandle(manager)

    @contextlib.contextmanager
    def _opened(self, access: int, manager_access: int = win.MANAGER_CONNECT) -> Iterator[Handle]:
        with self._manager(manager_access) as manager:
            try:
                service = self._api.services.OpenService(manager, self.key, access)
            except self._api.Error as error:
                raise self._refused(error) from error
            try:
                yield service
            finally:
                self._api.services.CloseServiceHandle(service)

    def _refused(self, error: Exception) -> Refused:
        code = win.code_of(error)
        if code == win.ACCESS_DENIED:
            return Refused(
                "not_admin",
                'Only an administrator can do this: open the terminal with "Run as administrator".',
            )
        if code == win.DOES_NOT_EXIST:
            return Refused(
                "not_installed", f"There is no service {self.key}: `whosin service install` makes one."
            )
        if code == win.CANNOT_ACCEPT:
            return Refused(
                "busy", f"{self.key} takes no orders at the moment: it starts or stops. Try again."
            )
        if code == win.MARKED_FOR_DELETE:
            return Refused(
                "being_removed",
                f"{self.key} is being removed; that ends when nobody looks at it any more. Close "
                "services.msc and the task manager, and try again.",
            )
        return Refused("windows", f"{self.key}: {win.words_of(error)}")


def _why_not(state: State) -> str:
    said = state.text or "it says nothing"
    return f"It does not run yet: {state.phase}: {said}. See the Event Log (Application) and the log file."


def _quoted(part: str) -> str:
    return f'"{part}"' if " " in part or "\\" in part else part


def _remove(root: Path) -> None:
    """A process that has just ended may hold its files for a moment."""
    end = time.monotonic() + 10
    while root.exists():
        shutil.rmtree(root, ignore_errors=time.monotonic() < end)
        time.sleep(LOOK_EVERY_S)


def _real() -> Api:
    if sys.platform != "win32":
        raise Refused("no_service", "This is not Windows.")
    return win.real()
