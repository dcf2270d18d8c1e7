"""What the system gives the daemon: open files, and its place as a service. Owns how it is asked."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whosin.doctor.findings import Finding, problem, warning, well

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whosin.doctor.patient import Patient

BESIDES: Final = 200
"""Open files besides the connections at the door."""
ASK_S: Final = 10.0
SYSTEMD: Final = Path("/run/systemd/system")


def check(patient: Patient) -> Iterator[Finding]:
    yield from _open_files(patient)
    yield from _systemd() if sys.platform == "linux" else _windows()


def _open_files(patient: Patient) -> Iterator[Finding]:
    limit = _limit(patient.holder.pid if patient.holder else None)
    if limit is None or patient.settings.mqtt.listen is None:
        return
    wanted = patient.settings.limits.connections + BESIDES
    if limit < wanted:
        yield warning(
            "open files", f"at most {limit:,}; limits.connections allows {wanted - BESIDES:,} at the door",
            f"LimitNOFILE={wanted} in the unit, ulimit -n {wanted} by hand; or lower limits.connections.",
        )  # fmt: skip
    else:
        yield well("open files", f"up to {limit:,}")


def _limit(pid: int | None) -> int | None:
    """Of the daemon, or of a process started here."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - only where there is one

    try:
        lines = Path(f"/proc/{pid or 'self'}/limits").read_text().splitlines()
        soft = next(line for line in lines if line.startswith("Max open files")).split()[3]
        return sys.maxsize if soft == "unlimited" else int(soft)
    except (OSError, StopIteration, ValueError):
        soft_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return sys.maxsize if soft_limit == resource.RLIM_INFINITY else soft_limit


def _systemd() -> Iterator[Finding]:
    program = shutil.which("systemctl")
    if program is None or not SYSTEMD.is_dir():
        return
    said = _said(program, "show", "whosin", "--property=LoadState,ActiveState,UnitFileState")
    state = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if state.get("LoadState") != "loaded":
        yield well("service", "not installed as one; it runs by hand")
    elif state.get("ActiveState") == "failed":
        yield problem(
            "service", "it failed, and systemd does not start it again",
            "journalctl -u whosin -n 50 tells why; then systemctl restart whosin",
        )  # fmt: skip
    elif state.get("UnitFileState") not in {"enabled", "static", "generated"}:
        yield warning("service", "it does not start when the machine does", "systemctl enable whosin")
    else:
        yield well("service", f"installed and {state.get('ActiveState')}")


def _windows() -> Iterator[Finding]:
    program = shutil.which("sc")
    if program is None or sys.platform != "win32":
        return
    said = _said(program, "query", "Whosin")
    if "STATE" not in said:
        yield well("service", "not installed as one; it runs by hand")
    elif "RUNNING" not in said:
        yield warning("service", "it is installed and does not run", "whosin service start")
    else:
        yield well("service", "installed and running")


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
