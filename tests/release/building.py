"""Building wheel and sdist of a commit, again and again, each time in other circumstances.

The second builds are the commands of docs/release.md as they stand there, typed into a shell in another
folder, as somebody would who verifies a release.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.docs.pages import marked

SUMS = "SHA256SUMS"


class CommandFailed(Exception):  # noqa: N818
    """A command that went wrong, with what it said last."""


class Circumstances(NamedTuple):
    """What must make no difference to an archive. `touched_s` is when every file was last changed."""

    umask: int
    zone: str
    language: str
    seed: str
    touched_s: int

    def environ(self) -> dict[str, str]:
        left_out = ("PYTHON", "PYTEST", "COV", "WHOSIN_", "LC_", "SOURCE_DATE", "VIRTUAL_ENV", "GIT_")
        plain = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        ours = {"TZ": self.zone, "LC_ALL": self.language, "LANG": self.language, "PYTHONHASHSEED": self.seed}
        return {**plain, **ours, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


HERE = Circumstances(0o022, "UTC", "C", "0", 978_307_200)
ELSEWHERE = Circumstances(0o077, "Pacific/Kiritimati", "C.UTF-8", "4711", 1_600_000_001)


def documented() -> list[str]:
    """The commands of docs/release.md to verify a release, block by block."""
    return [block.text for block in marked("docs/release.md", "tests/release/building.py")]


def run(
    command: Sequence[str | Path], folder: Path, circumstances: Circumstances = HERE, **environ: str
) -> str:
    """What it prints on both; CommandFailed if it fails."""
    done = subprocess.run(
        [*map(str, command)], cwd=folder, text=True, check=False, umask=circumstances.umask,
        env={**circumstances.environ(), **environ},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-25:])
        raise CommandFailed(f"{' '.join(map(str, command))[:300]} ended with {done.returncode}:\n{said}")
    return done.stdout


def type_in(
    commands: str, folder: Path, python: Path, circumstances: Circumstances = HERE, **environ: str
) -> str:
    """As `run`, in a shell that stops at the first failure and whose `python3` is `python`."""
    programs = folder / ".programs"
    programs.mkdir(exist_ok=True)
    (programs / "python3").write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
    (programs / "python3").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return run(["bash", "-euc", commands], folder, circumstances, **{**environ, "PATH": path})


def clone(root: Path, folder: Path, circumstances: Circumstances = HERE, tag: str = "") -> Path:
    """The last commit alone, whatever lies about in the work tree; with a tag of ours, if wished."""
    run(["git", "clone", "--quiet", "--no-hardlinks", root, folder], folder.parent, circumstances)
    if tag:
        run(["git", "tag", "--force", tag], folder, circumstances)
    return folder


def touch(folder: Path, at_s: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (at_s, at_s), follow_symlinks=False)


def builder(folder: Path, python: Path, lock: Path, circumstances: Circumstances = HERE) -> Path:
    """A Python that has what builds the archives, as locked, and nothing else."""
    run([python, "-m", "venv", folder], folder.parent, circumstances)
    install = ["install", "--quiet", "--no-deps", "--require-hashes", "-r", lock]
    run([folder / "bin/pip", *install], folder.parent, circumstances)
    return folder / "bin" / "python"


def build(
    source: Path, into: Path, python: Path, date_s: int, circumstances: Circumstances = HERE,
    targets: Iterable[str] = ("sdist", "wheel"),
) -> dict[str, bytes]:  # fmt: skip
    """The archives, by their names. `python` has hatchling."""
    touch(source, circumstances.touched_s)
    chosen = [part for target in targets for part in ("-t", target)]
    command = [python, "-m", "hatchling", "build", *chosen, "-d", into]
    run(command, source, circumstances, SOURCE_DATE_EPOCH=str(date_s))
    return archives_in(into)


def archives_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("whosin-*")) if path.is_file()}


def sums(archives: Mapping[str, bytes]) -> str:
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in archives.items())


def write(archives: Mapping[str, bytes], folder: Path) -> None:
    """The archives and their checksums, readable for everybody."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**archives, SUMS: sums(archives).encode()}.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o644)


def let_time_pass(since_s: float) -> None:
    """Until the clock shows something else in a zip file, whose times are even seconds."""
    while time.time() < since_s + 2:
        time.sleep(0.05)


def differences(first: Mapping[str, bytes], second: Mapping[str, bytes], how: str) -> list[str]:
    wrong = [f"{how}: {name} is made once only" for name in first.keys() ^ second.keys()]
    wrong += [
        f"{how}: {name} differs: {_sum(first[name])}, {_sum(second[name])}"
        for name in first.keys() & second.keys()
        if first[name] != second[name]
    ]
    return wrong


def _sum(content: bytes) -> str:
    return f"{len(content)} bytes {hashlib.sha256(content).hexdigest()[:12]}"


def unpacked(sdist: Path, into: Path) -> Path:
    """The folder that the sdist has in it."""
    shutil.unpack_archive(sdist, into, filter="data")
    (folder,) = into.iterdir()
    return folder
