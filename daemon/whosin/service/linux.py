"""The service under systemd: where its unit, settings and data lie, and how it is put there and taken away.

Owns these places and the conversation with systemctl. Must not know what the unit says (`unit`) or what the
daemon does.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from whosin.errors import Refused
from whosin.service.manager import NAME, Phase, State, Wish
from whosin.service.unit import Unit
from whosin.settings import Settings, load
from whosin.settings.documents import toml

assert sys.platform == "linux"  # for the checker of types: others lack what follows

UNITS: Final = Path("/etc/systemd/system")
BOOTED: Final = Path("/run/systemd/system")  # is there while systemd is the system's first process
WAIT_S: Final = 30.0
LOOK_EVERY_S: Final = 0.1
_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - closed to it, not used
_FILE_KEY: Final = re.compile(r"(.*_)?(file|cert|key|ca|crl)")
_PHASES: Final[dict[str, Phase]] = {
    "active": "running", "reloading": "running", "activating": "starting", "deactivating": "stopping",
    "inactive": "stopped", "failed": "failed",
}  # fmt: skip


class SystemdManager:
    """One service by its name. A `Manager`."""

    def __init__(self, name: str = NAME) -> None:
        self.name = name
        self.config = Path(f"/etc/{name}/whosin.toml")
        self.data = Path(f"/var/lib/{name}")
        self._unit = UNITS / f"{name}.service"

    # --- putting it there -----------------------------------------------------------------------------

    def preview(self, wish: Wish) -> str:
        return self._fitted(wish, self._settings(wish.config or self.config)).text()

    def install(self, wish: Wish) -> list[str]:
        self._must_be_possible()
        program = _program()
        _check_reach(Path(program))
        config = (wish.config or self.config).absolute()
        _check_reach(config, may_lack=True)
        settings = self._settings(config)
        made = _write_first(config) if not config.exists() else False
        if wish.user:
            _make_user(wish.user)
        unit = self._fitted(wish, settings)
        was = self._unit.exists()
        _put(self._unit, unit.text(), 0o644)
        self._systemctl("daemon-reload")
        self._systemctl("enable", self.name)
        lines = [f"{'Renewed' if was else 'Wrote'} {self._unit}; it starts with the system."]
        lines += [f"Wrote {config}: every setting with its default."] if made else [f"Settings: {config}."]
        lines += [f"Data: {self.data}."]
        lines += [
            f"{path} is handed over at each start: when it changes, `whosin service restart`."
            for path in unit.secrets.values()
        ]
        if wish.start:
            state = self.restart()
            if state.phase != "running":
                raise Refused("not_running", "\n".join([*lines, _why_not(state, self.name)]))
            lines += [f"It runs: {state.text or 'ready'}."]
            lines += [
                f"Page: {settings.page_url}",
                "Who may sign in there: `whosin operators add NAME --role administrator` prints a link.",
            ]
        return lines

    def _settings(self, config: Path) -> Settings:
        """As the service will read them. Raises SettingsError."""
        return load(config if config.exists() else None, {"STATE_DIRECTORY": str(self.data)})

    def _fitted(self, wish: Wish, settings: Settings) -> Unit:
        secrets, groups = _files_of(settings, wish.user)
        return Unit(
            name=self.name, program=_program(), config=str((wish.config or self.config).absolute()),
            user=wish.user, local=_is_local(settings), secrets=secrets, groups=groups,
        )  # fmt: skip

    def uninstall(self, *, purge: bool) -> list[str]:
        self._must_be_possible()
        if not self._unit.exists():
            raise Refused("not_installed", f"There is no {self._unit}: nothing is installed by this name.")
        self._systemctl("disable", "--now", self.name)
        self._unit.unlink()
        self._systemctl("daemon-reload")
        self._systemctl("reset-failed", self.name, fails=True)
        lines = [f"Stopped and removed {self._unit}."]
        own = [self.data, Path(f"/var/lib/private/{self.name}"), self.config.parent]
        if not purge:
            return [*lines, f"Kept: data in {self.data}, settings in {self.config.parent}."]
        for path in own:
            _remove(path)
        return [*lines, f"Removed: data in {self.data}, settings in {self.config.parent}."]

    # --- starting and stopping ------------------------------------------------------------------------

    def start(self) -> State:
        self._must_be_installed()
        self._systemctl("start", "--no-block", self.name)
        return self._settled({"running", "failed"})

    def restart(self) -> State:
        self._must_be_installed()
        self._systemctl("restart", "--no-block", self.name)
        return self._settled({"running", "failed"}, not_before=self._entered())

    def stop(self) -> State:
        self._must_be_installed()
        self._systemctl("stop", self.name)
        return self.status()

    def status(self) -> State:
        shown = self._show()
        if shown.get("LoadState") in (None, "not-found"):
            return State("not installed")
        phase = _PHASES.get(shown.get("ActiveState", ""), "stopped")
        text = shown.get("StatusText", "") if phase != "stopped" else ""
        if phase == "failed" or (phase == "starting" and shown.get("SubState") == "auto-restart"):
            ended = f"ended by {shown.get('Result', '')} (status {shown.get('ExecMainStatus', '?')})"
            text = f"{ended}: {text}" if text else ended
        pid = int(shown.get("MainPID", "0")) or None
        return State(
            phase, text, pid, _rfc3339(shown.get("ActiveEnterTimestamp", "")) if phase == "running" else None,
            shown.get("UnitFileState") == "enabled", int(shown.get("NRestarts", "0")),
        )  # fmt: skip

    def _settled(self, wanted: set[Phase], *, not_before: str = "") -> State:
        """How it is once it is one of these, or after a while."""
        end = time.monotonic() + WAIT_S
        while True:
            state = self.status()
            if state.phase in wanted and not (state.phase == "running" and self._entered() == not_before):
                return state
            if time.monotonic() > end:
                return state
            time.sleep(LOOK_EVERY_S)

    def _entered(self) -> str:
        return self._show().get("ActiveEnterTimestampMonotonic", "")

    def _show(self) -> dict[str, str]:
        names = (
            "LoadState,ActiveState,SubState,UnitFileState,StatusText,MainPID,NRestarts,Result,ExecMainStatus,"
            "ActiveEnterTimestamp,ActiveEnterTimestampMonotonic"
        )
        lines = self._systemctl("show", "--timestamp=unix", f"--property={names}", self.name).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    # --- small things ---------------------------------------------------------------------------------

    def _systemctl(self, *arguments: str, fails: bool = False) -> str:
        """Its output. Raises Refused with its words, unless it may fail."""
        _must_be_booted()
        command = shutil.which("systemctl")
        if command is None:
            raise Refused(
                "no_systemd", "There is no systemctl on this machine: Whosin needs systemd to be a service."
            )
        done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode and not fails:
            said = done.stderr.strip() or done.stdout.strip() or f"it ended with {done.returncode}"
            raise Refused("systemctl", f"systemctl {' '.join(arguments)}: {said}")
        return done.stdout

    def _must_be_possible(self) -> None:
        _must_be_booted()
        if os.geteuid() != 0:
            raise Refused("not_root", "Only root can do this: try it with sudo.")

    def _must_be_installed(self) -> None:
        if not self.status().installed:
            raise Refused(
                "not_installed", f"There is no service {self.name}: `whosin service install` makes one."
            )


def _must_be_booted() -> None:
    if not BOOTED.is_dir():
        raise Refused(
            "no_systemd",
            "systemd does not run this machine, so there is nothing to install a service into. "
            "In a container, let it start `whosin run` itself.",
        )


def _why_not(state: State, name: str) -> str:
    said = state.text or "it says nothing"
    return f"It does not run yet: {state.phase}: {said}. See `journalctl -u {name} -e`."


def _program() -> str:
    """The command that the service starts: this one, by its place."""
    beside = Path(sys.executable).parent / "whosin"
    return str(beside) if beside.exists() else str(Path(sys.argv[0]).absolute())


def _check_reach(path: Path, *, may_lack: bool = False) -> None:
    """The service's user must get at it. Raises Refused with what is in the way."""
    real = path.resolve()
    advice = (
        "Install it where everybody can read, such as /opt/whosin, or with `pipx install --global whosin`."
    )
    places = [real] if may_lack else [real, Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve()]
    for place in places:
        for hidden in _HIDDEN:
            if place.is_relative_to(hidden):
                raise Refused(
                    "unreachable", f"{place} lies in {hidden}, which the service cannot see. {advice}"
                )
        for part in [*place.parents, place]:
            if part.exists() and not _others_may_enter(part):
                raise Refused("unreachable", f"{part} cannot be read by other users. {advice}")


def _others_may_enter(path: Path) -> bool:
    wanted = stat.S_IXOTH if path.is_dir() else stat.S_IROTH
    return bool(path.stat().st_mode & wanted)


def _files_of(settings: Settings, user: str | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Of the files that the settings name and not everybody may read: those to be handed over, by the
    variable of their setting, and the groups through which the others can be read."""
    secrets: dict[str, str] = {}
    groups: set[str] = set()
    for variable, path in _named_files(settings):
        found = path.stat()
        if found.st_mode & stat.S_IROTH or (user and pwd.getpwuid(found.st_uid).pw_name == user):
            continue
        if found.st_mode & stat.S_IRGRP and found.st_gid:
            groups.add(grp.getgrgid(found.st_gid).gr_name)
        else:
            secrets[variable] = str(path)
    return secrets, tuple(sorted(groups))


def _named_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    for key, value, _ in settings.describe():
        if value and _FILE_KEY.fullmatch(key.rpartition(".")[2]) and Path(str(value)).is_file():
            yield "WHOSIN_" + key.upper().replace(".", "__"), Path(str(value))


def _is_local(settings: Settings) -> bool:
    """Whether nobody outside of this machine is to be reached or heard."""
    listens = [one for one in (settings.mqtt.listen, settings.http.listen) if one is not None]
    calls = settings.mqtt.url is not None or any(
        one.kind != "log" for one in settings.alert_channels.values()
    )
    return not calls and all(one.loopback for one in listens)


def _write_first(config: Path) -> bool:
    config.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _put(config, toml(), 0o644)
    return True


def _put(path: Path, text: str, mode: int) -> None:
    """All of it or nothing."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
    fresh.replace(path)


def _make_user(user: str) -> None:
    try:
        pwd.getpwnam(user)
    except KeyError:
        command = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin") or "useradd"
        arguments = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", user]
        done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise Refused("user", f"The user {user} could not be made: {done.stderr.strip()}") from None


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _rfc3339(unix: str) -> str | None:
    """From systemd's `@1700000000`."""
    digits = unix.removeprefix("@")
    if not digits.isdecimal():
        return None
    return datetime.fromtimestamp(int(digits), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
