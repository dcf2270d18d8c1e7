"""A machine of its own: a real systemd, booted over a throw-away copy of this one's file system.

Owns mounting, booting, commands in it, the power switch. It needs root, systemd-nspawn, dbus and Debian's own
Python; `missing` says what is not there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.docs import shells
from tests.house import repository

PYTHON = "/usr/bin/python3"
_CLEAN = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
_TARGET = """[Unit]
Description=What a service needs
Requires=basic.target
Wants=systemd-journald.service dbus.socket
After=basic.target systemd-journald.service dbus.socket
AllowIsolate=yes
"""
_BOOT_S = 60


def missing() -> str | None:
    """Why no machine can be booted here, None where one can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "root is needed"
    for program in ("systemd-nspawn", "nsenter", "dbus-daemon"):
        if shutil.which(program, path=_CLEAN["PATH"]) is None:
            return f"{program} is missing"
    if subprocess.run([PYTHON, "-c", "import ensurepip"], capture_output=True, check=False).returncode:
        return f"{PYTHON} with venv is missing"
    return None


class CommandFailed(AssertionError):  # noqa: N818 - a failed expectation
    """A command in the machine that went wrong, with what it said."""


class Machine:
    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._ground = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="whosin-machine-")))
        self.root = self._ground / "root"
        self._console = self._ground / "console"
        self._boss: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self.installed = ""
        """What installing the program printed."""

    # --- its disk

    def mount(self) -> None:
        _run("mount", "-t", "tmpfs", "none", str(self._ground))
        self._stack.callback(_run, "umount", "--lazy", str(self._ground))
        upper, work = self._ground / "upper", self._ground / "work"
        for folder in (upper, work, self.root):
            folder.mkdir()
        options = f"lowerdir=/,upperdir={upper},workdir={work}"
        _run("mount", "-t", "overlay", "overlay", "-o", options, str(self.root))
        self._stack.callback(_run, "umount", "--lazy", str(self.root))
        self.write("/etc/machine-id", "")
        self.write("/etc/systemd/system/ci.target", _TARGET)
        for taken in ("/var/lib/dbus/machine-id", "/etc/systemd/system/multi-user.target.wants"):
            path = self.path(taken)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    # --- power

    def boot(self) -> None:
        with self._console.open("wb") as console:
            self._boss = subprocess.Popen(
                [
                    "systemd-nspawn", "-q", "-D", str(self.root), "--register=no", "--keep-unit",
                    "--private-network", "--console=pipe", "--system-call-filter=bpf",
                    "--capability=CAP_BPF,CAP_PERFMON,CAP_SYS_RESOURCE", "-b", "systemd.unit=ci.target",
                ],
                env={**_CLEAN, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
            )  # fmt: skip
        end = time.monotonic() + _BOOT_S
        while not self._up():
            if self._boss.poll() is not None or time.monotonic() > end:
                raise CommandFailed(f"the machine did not boot: {self._console.read_text()[-2000:]}")
            time.sleep(0.05)

    def _up(self) -> bool:
        assert self._boss is not None
        children = Path(f"/proc/{self._boss.pid}/task/{self._boss.pid}/children").read_text().split()
        if not children:
            return False
        self._leader = int(children[0])
        done = self.run("systemctl", "is-active", "ci.target", check=False)
        return done.stdout.strip() == "active"

    def cut_power(self) -> None:
        """Everything in it ends at once, and nobody is told."""
        if self._boss is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._leader, signal.SIGKILL)
        self._boss.kill()
        self._boss.wait()
        self._boss = None
        _forget_groups()

    def close(self) -> None:
        self.cut_power()
        self._stack.close()

    # --- in it

    def run(
        self, *argv: str, check: bool = True, timeout_s: float = 60, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """A command in it, as root. `more` are variables."""
        done = subprocess.run(
            self._inside(argv), env={**_CLEAN, **more}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=timeout_s,
        )  # fmt: skip
        if check and done.returncode:
            raise CommandFailed(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def type(self, *parts: str, before: str = "") -> list[str]:
        """What each of the parts prints in one shell, which stops at the first failure."""
        done = self.run("bash", "-c", shells.script(parts, before), timeout_s=240)
        return shells.parted(done.stdout)

    def spawn(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._inside(argv), env=_CLEAN, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def _inside(self, argv: Sequence[str]) -> list[str]:
        return ["nsenter", "-t", str(self._leader), "-a", "--", *argv]


def wheels_of(folder: Path, *versions: str) -> list[Path]:
    """The project as pip would build it, and once more with each of these versions, as later releases."""
    _run(PYTHON, "-m", "venv", str(folder / "builder"), env=_CLEAN)
    _pip(folder, "install", "hatchling")
    return [_wheel(folder / (version or "own"), folder, version) for version in (None, *versions)]


def packages_of(folder: Path, into: Path) -> None:
    """Those that the project needs, as the lock names them. After `wheels_of` the same folder."""
    lock = str(repository.ROOT / "requirements.lock")
    _pip(folder, "download", "-q", "--no-deps", "--require-hashes", "-r", lock, "-d", str(into))


def _pip(folder: Path, *arguments: str) -> None:
    _run(str(folder / "builder/bin/pip"), *arguments, env={**_CLEAN, **_registry()})


def _wheel(folder: Path, builder: Path, version: str | None) -> Path:
    source = folder / "source"
    shutil.copytree(
        repository.ROOT,
        source,
        ignore=shutil.ignore_patterns(".venv", ".git", "tests", "*_cache", "__pycache__", "*.db"),
    )
    if version is not None:
        init = source / "daemon/whosin/__init__.py"
        lines = init.read_text().splitlines()
        init.write_text(
            "\n".join(f'__version__ = "{version}"' if "__version__ =" in line else line for line in lines)
            + "\n"
        )
    _pip(builder, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source))
    return next(folder.glob("*.whl"))


def _registry() -> dict[str, str]:
    """Where pip finds packages here."""
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


def _run(*argv: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        argv, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise CommandFailed(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _forget_groups() -> None:
    """systemd-nspawn, killed, leaves its control groups behind: the empty ones go."""
    own = Path("/proc/self/cgroup").read_text().split("::", 1)[-1].strip().lstrip("/")
    base = Path("/sys/fs/cgroup") / own
    for name in ("payload", "supervisor"):
        if (base / name).is_dir():
            for folder, _, _ in os.walk(base / name, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
