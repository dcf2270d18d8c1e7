"""What is in the wheel and in the sdist: all that belongs there, and nothing else.

Both are compared with the files that git knows: the sdist is the source as it is, the wheel is the package
with its data. Nothing in them may be a secret or know the machine that they were made on.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import socket
import stat
import tarfile
import time
import zipfile
from collections.abc import Iterable, Mapping
from email.parser import HeaderParser
from pathlib import Path
from typing import NamedTuple

PACKAGE = "daemon/whosin/"
# Without these it would start and fail later; that they are known to git is not left to chance.
NEEDED = (
    "whosin/py.typed", "whosin/settings/guidance.toml", "whosin/store/migrations/0001_first.sql",
    "whosin/web/page/templates/base.html", "whosin/web/page/assets/page.css",
)  # fmt: skip
_INFO = ("METADATA", "WHEEL", "RECORD", "entry_points.txt")
_SECRET = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    rb"|\b(?:gh[opsu]_|github_pat_|glpat-|xox[abprs]-|sk_live_|AKIA|pypi-AgE)[A-Za-z0-9_-]{16,}"
    rb"|://[^/\s:@{}<>\"']+:(?!password|secret|pw\b)[A-Za-z0-9]{12,}@"
)


class Archive(NamedTuple):
    """`files` are by name, without the sdist's outermost folder; `modes` are their rights."""

    name: str
    files: Mapping[str, bytes]
    modes: Mapping[str, int]
    dates: frozenset[object]


def wheel(path: Path) -> Archive:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        return Archive(
            path.name,
            {it.filename: archive.read(it) for it in entries},
            {it.filename: stat.S_IMODE(it.external_attr >> 16) for it in entries},
            frozenset(it.date_time for it in entries),
        )


def sdist(path: Path) -> Archive:
    files, modes, dates = {}, {}, set()
    with tarfile.open(path) as archive:
        for entry in archive:
            name = entry.name.partition("/")[2]
            content = archive.extractfile(entry)
            assert content is not None, f"{path.name} has {entry.name}, which is no file"
            files[name] = content.read()
            modes[name] = entry.mode
            dates.add(entry.mtime)
    return Archive(path.name, files, modes, frozenset(dates))


def wrong_in_wheel(archive: Archive, version: str, known: Mapping[str, bytes]) -> list[str]:
    """`known` are the files that git knows, with their content."""
    info = f"whosin-{version}.dist-info/"
    expected = {name.removeprefix("daemon/"): content for name, content in known.items()
                if name.startswith(PACKAGE)}  # fmt: skip
    licences = {f"{info}licenses/{name}": known[name] for name in _licence_files(known)}
    made = {f"{info}{name}": None for name in _INFO}
    wrong = _compared(archive, {**expected, **licences, **made})
    wrong += [f"{archive.name} lacks {name}, which it needs" for name in NEEDED if name not in archive.files]
    if not wrong:
        wrong += _wrong_in_metadata(archive, info, version) + _wrong_in_record(archive, info)
    return wrong + _wrong_rights(archive, {})


def _licence_files(known: Iterable[str]) -> list[str]:
    return [name for name in known if name == "LICENSE" or name.endswith(".LICENSE")]


def wrong_in_sdist(archive: Archive, known: Mapping[str, bytes], runnable: Iterable[str]) -> list[str]:
    """`runnable` are the files that git has as executable."""
    wrong = _compared(archive, {**known, "PKG-INFO": None})
    return wrong + _wrong_rights(archive, dict.fromkeys(runnable, 0o755))


def _compared(archive: Archive, expected: Mapping[str, bytes | None]) -> list[str]:
    wrong = [f"{archive.name} lacks {name}" for name in expected if name not in archive.files]
    wrong += [f"{archive.name} has {name}, which does not belong there" for name in archive.files
              if name not in expected]  # fmt: skip
    wrong += [f"{archive.name} has another {name} than was committed" for name, content in expected.items()
              if content is not None and archive.files.get(name, content) != content]  # fmt: skip
    return wrong


def _wrong_rights(archive: Archive, special: Mapping[str, int]) -> list[str]:
    return [
        f"{archive.name}: {name} has the rights {mode:o}; expected {special.get(name, 0o644):o}"
        for name, mode in archive.modes.items()
        if mode != special.get(name, 0o644)
    ]


def _wrong_in_metadata(archive: Archive, info: str, version: str) -> list[str]:
    said = HeaderParser().parsestr(archive.files[f"{info}METADATA"].decode())
    expected = {"Name": "whosin", "Version": version, "License-Expression": "MIT"}
    wrong = [f"METADATA says {key}: {said[key]}; expected {value}" for key, value in expected.items()
             if said[key] != value]  # fmt: skip
    if "Root-Is-Purelib: true" not in archive.files[f"{info}WHEEL"].decode():
        wrong.append("WHEEL says that it is for one platform; expected any")
    if "whosin = whosin.cli:main" not in archive.files[f"{info}entry_points.txt"].decode():
        wrong.append("entry_points.txt lacks the command whosin")
    return wrong


def _wrong_in_record(archive: Archive, info: str) -> list[str]:
    record = f"{info}RECORD"
    rows = {row[0]: row[1] for row in csv.reader(io.StringIO(archive.files[record].decode()))}
    wrong = [f"RECORD lacks {name}" for name in archive.files if name not in rows]
    for name, content in archive.files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        if name != record and rows.get(name) != f"sha256={digest}":
            wrong.append(f"RECORD has another hash for {name}")
    return wrong


def secrets(archive: Archive) -> list[str]:
    return _found(archive, _SECRET, "looks like a secret")


def traces(archive: Archive, places: Iterable[Path]) -> list[str]:
    """Names of this machine and its folders."""
    names = [f"{place}/" for place in places if len(place.parts) > 1]
    host = socket.gethostname()
    if len(host) > 5 and host not in {"localhost", "debian", "ubuntu"}:
        names.append(host)
    pattern = re.compile(b"|".join(re.escape(name.encode()) for name in names))
    return _found(archive, pattern, "knows this machine")


def _found(archive: Archive, pattern: re.Pattern[bytes], what: str) -> list[str]:
    return [
        f"{archive.name}: {name} {what}: {found[0][:12].decode(errors='replace')}…"
        for name, content in archive.files.items()
        if (found := pattern.search(content))
    ]


def wrong_dates(wheel: Archive, sdist: Archive, committed_s: int) -> list[str]:
    """Zip files know even seconds only, tar files all."""
    even = time.gmtime(committed_s - committed_s % 2)[:6]
    return [
        f"{archive.name} has files of {sorted(map(str, archive.dates))[:3]}; expected {expected}"
        for archive, expected in ((wheel, even), (sdist, committed_s))
        if archive.dates != {expected}
    ]
