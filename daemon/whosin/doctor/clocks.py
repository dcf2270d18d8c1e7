"""The clock on the wall: is it kept in step, and is it plausible. Owns how the system is asked for that."""

from __future__ import annotations

import ctypes
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whosin.doctor.findings import Finding, problem, warning, well
from whosin.store.looking import Look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whosin.doctor.patient import Patient

SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")
TIME_ERROR: Final = 5  # what adjtimex returns while nobody keeps the clock
BORN_S: Final = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
"""Before this program was written it cannot be."""
BEHIND_S: Final = 60.0
SET_IT: Final = "Set the clock and have it kept: timedatectl set-ntp true, or install chrony."


def check(patient: Patient) -> Iterator[Finding]:
    now = patient.now_s()
    shown = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    newest = newest_s(patient)
    if now < BORN_S:
        yield problem("clock", f"it is {shown} here, before this program was written", SET_IT)
    elif newest is not None and newest > now + BEHIND_S:
        last = datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        yield problem(
            "clock", f"it is {shown} here, but the newest event happened at {last}",
            f"{SET_IT} Nobody is disconnected wrongly by that, but times that people see are wrong.",
        )  # fmt: skip
    elif kept_in_step() is False:
        yield warning("clock", f"it is {shown}, and nobody keeps the clock of this machine in step", SET_IT)
    else:
        yield well("clock", f"{shown}{', kept in step' if kept_in_step() else ''}")


def newest_s(patient: Patient) -> float | None:
    """When the last event in the history was, by the wall clock of that time."""
    if isinstance(patient.look, Look):
        return None if patient.look.newest is None else patient.look.newest / 1000
    if patient.answers is not None:
        found = patient.ask("history?limit=1")
        if isinstance(found, dict) and found["items"]:
            return datetime.fromisoformat(found["items"][0]["at"]).timestamp()
    return None


def kept_in_step() -> bool | None:
    """Whether some program synchronises the system's clock; None where that cannot be told."""
    if sys.platform != "linux":
        return None
    if SYNCHRONISED.exists():
        return True
    try:
        call = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    state: int = call(ctypes.create_string_buffer(512))  # a struct timex of zeros only asks
    return None if state < 0 else state != TIME_ERROR
