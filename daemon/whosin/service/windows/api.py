"""What of Windows is used, as it is called: the parts of pywin32, typed, and the values of its constants.

Owns the seam to the system: tests put a fake in its place, which runs on any platform. Must not know what
it is used for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

Handle: TypeAlias = Any

# --- services (winsvc.h) --------------------------------------------------------------------------------

MANAGER_ALL: Final = 0xF003F
MANAGER_CONNECT: Final = 0x0001
SERVICE_ALL: Final = 0xF01FF
SERVICE_READ: Final = 0x0001 | 0x0004  # its configuration and its status
OWN_PROCESS: Final = 0x10
AUTO_START: Final = 2
ERROR_NORMAL: Final = 1
NO_CHANGE: Final = 0xFFFFFFFF

STOPPED, START_PENDING, STOP_PENDING, RUNNING = 1, 2, 3, 4

CONTROL_STOP, CONTROL_INTERROGATE, CONTROL_SHUTDOWN, CONTROL_PARAMCHANGE, CONTROL_PRESHUTDOWN = 1, 4, 5, 6, 15
ACCEPT_STOP, ACCEPT_PARAMCHANGE, ACCEPT_PRESHUTDOWN = 0x1, 0x8, 0x100

DESCRIPTION, FAILURE_ACTIONS, DELAYED_START, FAILURE_FLAG, SID_TYPE, PRESHUTDOWN = 1, 2, 3, 4, 5, 7
ACTION_RESTART: Final = 1
SID_UNRESTRICTED: Final = 1

# --- errors (winerror.h) --------------------------------------------------------------------------------

ACCESS_DENIED: Final = 5
INVALID_LEVEL: Final = 124  # of a system that lacks it
DOES_NOT_EXIST: Final = 1060
CANNOT_ACCEPT: Final = 1061
NOT_ACTIVE: Final = 1062
NOT_STARTED_BY_MANAGER: Final = 1063
SPECIFIC: Final = 1066
MARKED_FOR_DELETE: Final = 1072
NEVER_STARTED: Final = 1077

# --- the event log (winnt.h) ----------------------------------------------------------------------------

EVENT_ERROR, EVENT_INFORMATION = 0x1, 0x4


class Services(Protocol):
    """The module win32service."""

    def OpenSCManager(self, machine: str | None, database: str | None, access: int, /) -> Handle: ...
    def OpenService(self, manager: Handle, name: str, access: Any, /) -> Handle: ...
    def CreateService(
        self, manager: Handle, name: str, display: str, access: int, kind: int, start: int, error: int,
        binary: str, group: str | None, tag: bool, depends: Any, account: str | None, password: str | None, /,
    ) -> Handle: ...  # fmt: skip
    def ChangeServiceConfig(
        self, service: Handle, kind: int, start: int, error: int, binary: str | None, group: str | None,
        tag: bool, depends: Any, account: str | None, password: str | None, display: str | None, /,
    ) -> Any: ...  # fmt: skip
    def ChangeServiceConfig2(self, service: Handle, level: Any, what: Any, /) -> None: ...
    def QueryServiceConfig(self, service: Handle, /) -> Any: ...
    def QueryServiceStatusEx(self, service: Handle, /) -> Any: ...
    def StartService(self, service: Handle, arguments: Any, /) -> None: ...
    def ControlService(self, service: Handle, control: Any, /) -> Any: ...
    def DeleteService(self, service: Handle, /) -> None: ...
    def CloseServiceHandle(self, handle: Handle, /) -> None: ...
    def SetServiceStatus(self, handle: Any, status: tuple[int, int, int, int, int, int, int], /) -> None: ...


class Host(Protocol):
    """The module servicemanager: this process as a service."""

    def Initialize(self, source: str | None = ..., file: str | None = ..., /) -> None: ...
    def PrepareToHostSingle(self, klass: Any = ..., /) -> None: ...
    def StartServiceCtrlDispatcher(self) -> Any: ...
    def RegisterServiceCtrlHandler(self, name: str, callback: Any, extra: bool = ..., /) -> Any: ...


class Events(Protocol):
    """The module win32evtlog."""

    def RegisterEventSource(self, machine: str | None, source: str, /) -> Any: ...
    def ReportEvent(
        self,
        handle: int,
        kind: int,
        category: int,
        number: int,
        sid: Any,
        strings: Any,
        data: bytes | None,
        /,
    ) -> None: ...
    def DeregisterEventSource(self, handle: Any, /) -> None: ...


class System(Protocol):
    """What needs more than one call; `folder` is a known one, by its name in KNOWN."""

    def folder(self, name: str) -> Path: ...
    def owner(self, path: Path) -> str:
        """The SID of its owner."""
        ...

    def me(self) -> str:
        """The SID of who runs this process."""
        ...

    def protect(self, path: Path, sddl: str, owner: str) -> None: ...
    def put_event_source(self, name: str, message_file: str) -> None: ...
    def drop_event_source(self, name: str) -> None: ...
    def no_dialogs(self) -> None:
        """Errors that would open a window fail instead: nobody sees the windows of a service."""
        ...

    def end(self, code: int) -> None:
        """This process, at once."""
        ...


KNOWN: Final = {
    "ProgramData": "{62AB5D82-FDC1-4DC3-A9DD-070D1D495D97}",
    "UserProfiles": "{0762D272-C50A-4BB0-A382-697DCD729B80}",
}
EVENT_SOURCES: Final = r"SYSTEM\CurrentControlSet\Services\EventLog\Application"


@dataclass(frozen=True)
class Api:
    """All of it. `Error` is what the first three raise, with `winerror` and `strerror`."""

    services: Services
    host: Host
    events: Events
    system: System
    Error: type[Exception]


def code_of(error: Exception) -> int:
    found: int = getattr(error, "winerror", 0)
    return found


def words_of(error: Exception) -> str:
    return f"{getattr(error, 'strerror', error)} (error {code_of(error)})"


if sys.platform == "win32":
    import ctypes
    import winreg

    import pywintypes
    import servicemanager
    import win32api
    import win32evtlog
    import win32security
    import win32service
    from win32com.shell import shell

    from whosin.privacy import protect

    class Windows:
        """A `System`."""

        def folder(self, name: str) -> Path:
            return Path(shell.SHGetKnownFolderPath(KNOWN[name], 0, None))

        def owner(self, path: Path) -> str:
            found = win32security.GetNamedSecurityInfo(
                str(path), win32security.SE_FILE_OBJECT, win32security.OWNER_SECURITY_INFORMATION
            )
            return win32security.ConvertSidToStringSid(found.GetSecurityDescriptorOwner())

        def me(self) -> str:
            token = win32security.OpenProcessToken(win32api.GetCurrentProcess(), 0x0008)
            sid, _ = win32security.GetTokenInformation(token, win32security.TokenUser)
            return win32security.ConvertSidToStringSid(sid)

        def protect(self, path: Path, sddl: str, owner: str) -> None:
            protect(path, sddl, owner)

        def put_event_source(self, name: str, message_file: str) -> None:
            with winreg.CreateKey(winreg.HKEY_LOCAL_MACHINE, rf"{EVENT_SOURCES}\{name}") as key:
                winreg.SetValueEx(key, "EventMessageFile", 0, winreg.REG_EXPAND_SZ, message_file)
                winreg.SetValueEx(key, "TypesSupported", 0, winreg.REG_DWORD, 7)

        def drop_event_source(self, name: str) -> None:
            try:
                winreg.DeleteKey(winreg.HKEY_LOCAL_MACHINE, rf"{EVENT_SOURCES}\{name}")
            except FileNotFoundError:
                return

        def no_dialogs(self) -> None:
            ctypes.windll.kernel32.SetErrorMode(0x0001 | 0x0002)

        def end(self, code: int) -> None:
            os._exit(code)

    def real() -> Api:
        return Api(win32service, servicemanager, win32evtlog, Windows(), pywintypes.error)


Make: TypeAlias = Callable[[], Api]
