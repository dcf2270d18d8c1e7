"""The Pythons of this machine that Whosin is meant for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
Number = tuple[int, int]


def supported() -> list[Number]:
    """Those that the classifiers name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = re.findall(
        r"^Programming Language :: Python :: (\d+)\.(\d+)$", "\n".join(project["classifiers"]), re.MULTILINE
    )
    return [(int(major), int(minor)) for major, minor in found]


def find(named: Sequence[Path] = ()) -> dict[Number, Path]:
    """One for each number: those named first, then this one, those on the path, pyenv's."""
    found: dict[Number, Path] = {}
    for path in [*named, Path(sys.executable), *_candidates()]:
        number = _number(path)
        if number in supported():
            found.setdefault(number, path)
        else:
            assert path not in named, (
                f"{path} is no Python that Whosin is meant for: {number or 'does not run'}"
            )
    return dict(sorted(found.items()))


def _candidates() -> Iterator[Path]:
    for major, minor in supported():
        name = f"python{major}.{minor}"
        if path := shutil.which(name):
            yield Path(path)
        versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        yield from sorted(versions.glob(f"*/bin/{name}"), reverse=True)


def _number(path: Path) -> Number | None:
    """None for one that does not run: not for this machine, or a stand-in of pyenv's that has none chosen."""
    code = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        major, minor = done.stdout.split()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return int(major), int(minor)
