"""Runs a story under the recorder and plays back what it did, state by state."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.store.powercut.disk import Disk, Image, read
from tests.store.powercut.stories import SAID

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


class Cut(NamedTuple):
    """The power went behind step `number`; by then `said` had been acknowledged."""

    number: int
    said: list[str]
    image: Image


@cache
def recorder() -> Path | str:
    """The library; or why there is none."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return "NOT PROVEN HERE: recording writes needs a C compiler on Linux"
    source = HERE / "recorder.c"
    place = Path(tempfile.gettempdir()) / f"whosin-recorder-{os.getuid()}-{source.stat().st_mtime_ns}.so"
    if not place.exists():
        fresh = place.with_suffix(f".{os.getpid()}")
        subprocess.run(
            [compiler, "-O2", "-shared", "-fPIC", "-o", fresh, source, "-ldl", "-lpthread"], check=True
        )
        fresh.replace(place)
    return place


def record(library: Path, folder: Path, log: Path, *story: str | Path) -> None:
    env = {
        **os.environ, "LD_PRELOAD": str(library), "RECORD_FOLDER": str(folder), "RECORD_LOG": str(log),
        "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(ROOT)]),
    }  # fmt: skip
    name, *more = map(str, story)
    subprocess.run(
        [sys.executable, "-m", "tests.store.powercut.stories", name, str(folder), *more], env=env, check=True
    )


def content(folder: Path) -> Image:
    return {one.name: one.read_bytes() for one in folder.iterdir()}


def cuts(before: Image, log: Path, folder: Path, *, seed: int = 1, every: int = 1) -> Iterator[Cut]:
    """Each state that the disk may be left in, once. `every`: only behind each so-manieth step."""
    chance = random.Random(seed)
    disk = Disk(before)
    said: list[str] = []
    seen: set[bytes] = set()
    last = None
    for number, step in enumerate(read(log, folder)):
        if step.name == SAID:
            said += step.data.decode().split()
            seen.clear()  # more is asked of the same state
        else:
            disk.take(step)
            last = step
        if last is None or (number % every and step.name != SAID):
            continue
        for image in disk.images(None if step.name == SAID else step, chance):
            digest = hashlib.blake2b(digest_size=16)
            for name in sorted(image):
                digest.update(f"{name}\0{len(image[name])}\0".encode() + image[name])
            if digest.digest() not in seen:
                seen.add(digest.digest())
                yield Cut(number, list(said), image)


def lay(image: Image, folder: Path) -> None:
    """The folder as the image says, and nothing else in it."""
    for one in folder.iterdir():
        one.unlink()
    for name, data in image.items():
        (folder / name).write_bytes(data)
