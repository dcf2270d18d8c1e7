"""What of Windows the service uses, in memory: the service manager, the Event Log, folders and their rights.

It is typed, and checked against `whosin.service.windows.api` (`.ci/run`): what it takes is what pywin32 is
given.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whosin.service.windows import api as win

Status = tuple[int, int, int, int, int, int, int]


class WindowsError(Exception):
    """As pywintypes.error."""

    def __init__(self, winerror: int, strerror: str = "it says why") -> None:
        super().__init__(winerror, "Function", strerror)
        self.winerror = winerror
        self.strerror = strerror


@dataclass
class Service:
    """What the manager knows of one service."""

    name: str
    binary: str
    account: str | None
    start: int
    config2: dict[int, Any] = field(default_factory=dict)
    status: Status = (win.OWN_PROCESS, win.STOPPED, 0, win.NEVER_STARTED, 0, 0, 0)
    pid: int = 0


class FakeServices:
    """The module win32service. `starts` is called by StartService; `unknown` are levels that it lacks;
    `deny` makes whoever asks no administrator."""

    def __init__(self) -> None:
        self.all: dict[str, Service] = {}
        self.starts: Callable[[Service], None] = lambda _service: None
        self.stops: Callable[[Service], None] = _stop_at_once
        self.unknown: set[int] = set()
        self.deny = False
        self.said: list[Status] = []
        self.open = 0

    def OpenSCManager(self, machine: str | None, database: str | None, access: int, /) -> win.Handle:
        if self.deny and access != win.MANAGER_CONNECT:
            raise WindowsError(win.ACCESS_DENIED)
        self.open += 1
        return "manager"

    def OpenService(self, manager: win.Handle, name: str, access: Any, /) -> win.Handle:
        if name not in self.all:
            raise WindowsError(win.DOES_NOT_EXIST)
        if self.deny and access != win.SERVICE_READ:
            raise WindowsError(win.ACCESS_DENIED)
        self.open += 1
        return self.all[name]

    def CreateService(
        self, manager: win.Handle, name: str, display: str, access: int, kind: int, start: int, error: int,
        binary: str, group: str | None, tag: bool, depends: Any, account: str | None, password: str | None, /,
    ) -> win.Handle:  # fmt: skip
        assert (kind, error, password) == (win.OWN_PROCESS, win.ERROR_NORMAL, None)
        self.all[name] = Service(name, binary, account, start)
        self.open += 1
        return self.all[name]

    def ChangeServiceConfig(
        self, service: win.Handle, kind: int, start: int, error: int, binary: str | None, group: str | None,
        tag: bool, depends: Any, account: str | None, password: str | None, display: str | None, /,
    ) -> None:  # fmt: skip
        service.binary, service.account, service.start = binary, account, start

    def ChangeServiceConfig2(self, service: win.Handle, level: Any, what: Any, /) -> None:
        if level in self.unknown:
            raise WindowsError(win.INVALID_LEVEL)
        service.config2[level] = what

    def QueryServiceConfig(self, service: win.Handle, /) -> tuple[Any, ...]:
        return (
            win.OWN_PROCESS, service.start, win.ERROR_NORMAL, service.binary, "", 0, [], service.account,
            service.name,
        )  # fmt: skip

    def QueryServiceStatusEx(self, service: win.Handle, /) -> dict[str, int]:
        names = (
            "ServiceType", "CurrentState", "ControlsAccepted", "Win32ExitCode", "ServiceSpecificExitCode",
            "CheckPoint", "WaitHint",
        )  # fmt: skip
        return {**dict(zip(names, service.status, strict=True)), "ProcessId": service.pid, "ServiceFlags": 0}

    def StartService(self, service: win.Handle, arguments: Any, /) -> None:
        self.starts(service)

    def ControlService(self, service: win.Handle, control: Any, /) -> Status:
        assert control == win.CONTROL_STOP
        self.stops(service)
        status: Status = service.status
        return status

    def DeleteService(self, service: win.Handle, /) -> None:
        del self.all[service.name]

    def CloseServiceHandle(self, handle: win.Handle, /) -> None:
        self.open -= 1

    def SetServiceStatus(self, handle: Any, status: Status, /) -> None:
        assert handle == "handle"
        self.said.append(status)


def running(service: Service, pid: int = 4_711) -> None:
    service.status, service.pid = (win.OWN_PROCESS, win.RUNNING, 0, 0, 0, 0, 0), pid


def ended(service: Service, code: int = 0) -> None:
    error = win.SPECIFIC if code else 0
    service.status, service.pid = (win.OWN_PROCESS, win.STOPPED, 0, error, code, 0, 0), 0


def _stop_at_once(service: Service) -> None:
    ended(service)


class FakeHost:
    """The module servicemanager. `started_by_manager` False: somebody has typed the command."""

    def __init__(self) -> None:
        self.hosted: Any = None
        self.control: Callable[[int], None] | None = None
        self.started_by_manager = True

    def Initialize(self, source: str | None = None, file: str | None = None, /) -> None:
        assert source

    def PrepareToHostSingle(self, klass: Any = None, /) -> None:
        self.hosted = klass

    def StartServiceCtrlDispatcher(self) -> None:
        if not self.started_by_manager:
            raise WindowsError(win.NOT_STARTED_BY_MANAGER)
        self.hosted(["name"]).SvcRun()

    def RegisterServiceCtrlHandler(self, name: str, callback: Any, extra: bool = False, /) -> str:
        assert extra
        self.control = callback
        return "handle"


class FakeEvents:
    """The module win32evtlog. `full`: nothing can be written."""

    def __init__(self) -> None:
        self.written: list[tuple[str, int, int, str]] = []
        self.full = False

    def RegisterEventSource(self, machine: str | None, source: str, /) -> str:
        return source

    def ReportEvent(
        self,
        handle: Any,
        kind: int,
        category: int,
        number: int,
        sid: Any,
        strings: Any,
        data: bytes | None,
        /,
    ) -> None:
        if self.full:
            raise WindowsError(1502, "The event log file is full.")
        (text,) = strings
        self.written.append((handle, kind, number, text))

    def DeregisterEventSource(self, handle: Any, /) -> None: ...


class FakeSystem:
    """Folders are real, below `root`; rights are written down. Whatever is made belongs to `maker`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.owners: dict[Path, str] = {}
        self.rights: dict[Path, tuple[str, str]] = {}
        self.sources: dict[str, str] = {}
        self.dialogs = True
        self.ended: list[int] = []
        for name in win.KNOWN:
            (root / name).mkdir(parents=True)

    def folder(self, name: str) -> Path:
        return self.root / name

    def owner(self, path: Path) -> str:
        return self.owners.get(path, "S-1-5-32-544")

    def me(self) -> str:
        return "S-1-5-21-1-2-3-500"

    def protect(self, path: Path, sddl: str, owner: str) -> None:
        self.rights[path] = (sddl, owner)

    def put_event_source(self, name: str, message_file: str) -> None:
        self.sources[name] = message_file

    def drop_event_source(self, name: str) -> None:
        self.sources.pop(name, None)

    def no_dialogs(self) -> None:
        self.dialogs = False

    def end(self, code: int) -> None:
        self.ended.append(code)


@dataclass
class Fake:
    """All of it, with the parts at hand."""

    services: FakeServices
    host: FakeHost
    events: FakeEvents
    system: FakeSystem

    @property
    def api(self) -> win.Api:
        return win.Api(self.services, self.host, self.events, self.system, WindowsError)


def fake(root: Path) -> Fake:
    return Fake(FakeServices(), FakeHost(), FakeEvents(), FakeSystem(root))


PID = os.getpid()
