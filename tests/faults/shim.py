"""The C shim before the daemon: builds it, and steps its clock or spoils its disk while it runs."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
FIELDS = ("step_ns", "sync_ms", "write_ms", "error", "hang")


@cache
def built() -> Path | str:
    """The library; or why there is none."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or os.name == "nt":
        return "needs a C compiler on Linux"
    place = Path(tempfile.gettempdir()) / f"whosin-shim-{os.getuid()}-{SOURCE.stat().st_mtime_ns}.so"
    if not place.exists():
        fresh = place.with_suffix(f".{os.getpid()}")
        done = subprocess.run(
            [compiler, "-O2", "-shared", "-fPIC", "-o", fresh, SOURCE, "-ldl"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            return f"the shim cannot be built: {done.stderr.strip()[-200:]}"
        fresh.replace(place)
    return place


class Shim:
    """One daemon's clock and disk. `environ` is what its process needs."""

    def __init__(self, folder: Path, library: Path) -> None:
        control = folder / "shim"
        control.write_bytes(bytes(8 * len(FIELDS)))
        self.environ = {"LD_PRELOAD": str(library), "SHIM_CONTROL": str(control)}
        with control.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8 * len(FIELDS))

    def _set(self, field: str, value: int) -> None:
        struct.pack_into("q", self._memory, 8 * FIELDS.index(field), value)

    def step_clock(self, to_s: float) -> None:
        """The wall clock is so far ahead of the real one from now on."""
        self._set("step_ns", round(to_s * 1e9))

    def slow_disk(self, sync_ms: int) -> None:
        self._set("sync_ms", sync_ms)

    def failing_disk(self, fails: bool, number: int = errno.EIO) -> None:
        self._set("error", number if fails else 0)

    def hanging_disk(self, hangs: bool) -> None:
        self._set("hang", int(hangs))

    def heal_disk(self) -> None:
        for field in FIELDS[1:]:
            self._set(field, 0)
