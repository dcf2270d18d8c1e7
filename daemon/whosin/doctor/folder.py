"""The data folder: is it there, is it the daemon's, has it room. Must not know what lies in it."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

from whosin.doctor.findings import Finding, problem, warning, well

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whosin.doctor.patient import Patient

LEAST: Final = 16_000_000
"""Bytes. Below, the next burst may not be stored."""
OLD_S: Final = 3_600.0
SPARE: Final = 64_000_000
"""Bytes for the log, besides the room that a backup or an upgrade takes."""


def check(patient: Patient) -> Iterator[Finding]:
    """That of the settings, and that of the database where it is another."""
    settings = patient.settings
    for folder in dict.fromkeys((settings.daemon.data_dir.expanduser().resolve(), patient.database.parent)):
        yield from _one(folder, patient.now_s())
    log = settings.log.file
    if log is not None:
        there = log if log.exists() else log.parent
        if not os.access(there, os.W_OK):
            yield problem(
                "log file", f"{log} may not be written, or its folder is not there (log.file)",
                f"Make the folder for the daemon's user: install -d -o USER {log.parent}",
            )  # fmt: skip


def _one(folder: Path, now_s: float) -> Iterator[Finding]:
    if not folder.exists():
        above = next(one for one in folder.parents if one.exists())
        if os.access(above, os.W_OK | os.X_OK):
            yield well("data folder", f"{folder} is not there yet; the first start makes it")
        else:
            yield problem(
                "data folder",
                f"{folder} is not there, and this user may not make it in {above}",
                f"Make it for the user that the daemon runs as: install -d -m 0700 -o USER {folder}",
            )
        return
    if not folder.is_dir():
        yield problem("data folder", f"{folder} is not a folder", "Move it away, or set daemon.data_dir.")
        return
    found = [*_rights(folder), *_left_over(folder, now_s)]
    yield from found or [well("data folder", f"{folder}, writable{_owner(folder)}")]


def _rights(folder: Path) -> Iterator[Finding]:
    if not os.access(folder, os.W_OK | os.X_OK):
        read_only = os.access(folder, os.X_OK) and _mounted_read_only(folder)
        yield problem(
            "data folder",
            f"{folder} is on a file system that is mounted read-only" if read_only
            else f"{folder} may not be written by this user{_owner(folder)}",
            "See why (dmesg | tail), mend the disk, and mount it for writing." if read_only
            else "Ask as the user that the daemon runs as; or let that user own it: chown -R USER "
            f"{folder}",
        )  # fmt: skip
        return
    if sys.platform == "win32":
        return
    mode = folder.stat().st_mode & 0o777
    if mode & 0o077:
        yield warning(
            "data folder",
            f"{folder} has mode {mode:04o}: others on this machine can look into it",
            f"chmod 0700 {folder}",
        )
    strangers = [one.name for one in folder.iterdir() if one.lstat().st_uid != folder.stat().st_uid]
    if strangers and folder.stat().st_uid:
        yield problem(
            "data folder",
            f"{', '.join(sorted(strangers)[:3])} in {folder} belong to another user than the folder",
            f"Give them to the daemon: chown -R --reference={folder} {folder}",
        )
    closed = [
        one for one in folder.glob("whosin.db*") if one.is_file() and not os.access(one, os.R_OK | os.W_OK)
    ]
    if closed:
        yield problem("data folder", f"{closed[0]} may not be written", f"chmod 0600 {closed[0]}")


def _left_over(folder: Path, now_s: float) -> Iterator[Finding]:
    """By a backup, an upgrade or a restore that the power cut off; one that runs writes to its own."""
    try:
        names = [one for one in folder.glob(".*.part") if one.stat().st_mtime < now_s - OLD_S]
    except OSError:
        return
    if names:
        yield warning(
            "data folder",
            f"{names[0].name} is left over from a copy that was cut off" + _more(names),
            f"Nobody needs it: rm {folder}/.*.part",
        )


def _more(names: list[Path]) -> str:
    return f", and {len(names) - 1} more" if names[1:] else ""


def _mounted_read_only(folder: Path) -> bool:
    return bool(sys.platform != "win32" and os.statvfs(folder).f_flag & os.ST_RDONLY)


def _owner(folder: Path) -> str:
    if sys.platform == "win32":
        return ""
    import pwd  # noqa: PLC0415 - only where there is one

    number = folder.stat().st_uid
    try:
        return f", of user {pwd.getpwuid(number).pw_name}"
    except KeyError:  # systemd's dynamic users have no entry while they do not run
        return f", of user {number}"


def space(patient: Patient) -> Iterator[Finding]:
    folder = next(one for one in (patient.database.parent, *patient.database.parents) if one.is_dir())
    try:
        usage = shutil.disk_usage(folder)
        size = patient.database.stat().st_size if patient.database.exists() else 0
    except OSError as error:
        yield problem("disk space", f"{folder}: {error.strerror}", "See to the disk.")
        return
    wanted = 2 * size + SPARE
    told = f"{megabytes(usage.free)} free of {megabytes(usage.total)}"
    advice = f"Free some: du -xh {folder} | sort -h | tail. Old backups and set-aside databases may go."
    if usage.free < LEAST:
        yield problem("disk space", f"{told} where the data lie; soon nothing can be stored", advice)
    elif usage.free < wanted:
        yield warning(
            "disk space",
            f"{told}; a backup or an upgrade of the database may take {megabytes(wanted)}",
            advice,
        )
    elif (left := _names_left(folder)) is not None and left < 100:
        yield problem("disk space", f"{told}, but room for {left} more files only (inodes)", advice)
    else:
        yield well("disk space", f"{told}, the database has {megabytes(size)}")


def _names_left(folder: Path) -> int | None:
    """None where the file system does not count them."""
    if sys.platform == "win32":
        return None
    found = os.statvfs(folder)
    return found.f_favail if found.f_files else None


def megabytes(number: int) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.1f} MB"
