"""The ports: free, ours, or somebody else's, and whose. Must not know what is spoken there."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from whosin.doctor.findings import Finding, problem, warning, well

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whosin.doctor.patient import Patient
    from whosin.settings.kinds import Address

PROC = Path("/proc")
_LISTENS = "0A"


class Listener(NamedTuple):
    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


def check(patient: Patient) -> Iterator[Finding]:
    for key, listen in (
        ("http.listen", patient.settings.http.listen),
        ("mqtt.listen", patient.settings.mqtt.listen),
    ):
        if listen is None:
            continue
        yield _look(patient, f"port {listen.port}", key, listen)


def _look(patient: Patient, check: str, key: str, listen: Address) -> Finding:
    trouble = try_to_listen(listen)
    runs = patient.holder is not None
    if trouble is None and runs:
        return problem(
            check, f"nobody listens at {listen}, though the daemon runs",
            f"It was started with other settings: restart it, or name its --config. ({key})",
        )  # fmt: skip
    if trouble is None:
        return well(check, f"{listen} is free ({key})")
    if trouble == errno.EADDRINUSE:
        return _taken(patient, check, key, listen)
    if trouble == errno.EADDRNOTAVAIL:
        return problem(check, f"{listen.host} is no address of this machine", f"Set {key} to one that is.")
    if trouble in (errno.EACCES, errno.EPERM):
        return problem(
            check, f"this user may not listen at {listen}",
            f"Set {key} to a port above 1023, or give the service CAP_NET_BIND_SERVICE.",
        )  # fmt: skip
    return problem(check, f"{listen}: {os.strerror(trouble)}", f"Set {key} to an address of this machine.")


def _taken(patient: Patient, check: str, key: str, listen: Address) -> Finding:
    who = listener(listen.port)
    holder = patient.holder
    if holder is not None and (who is None or holder.pid is None or who.pid == holder.pid):
        return well(check, f"{listen} is the daemon's ({key})")
    if who is None:
        return problem(
            check, f"{listen} is taken by another program, of another user",
            f"As root, `ss -ltnp 'sport = :{listen.port}'` tells whose. Stop it, or set {key} otherwise.",
        )  # fmt: skip
    if "whosin" in who.name and holder is None:
        return warning(
            check, f"{listen} is taken by another Whosin, {who}",
            f"If both shall run, give this one a {key} and a data folder of its own.",
        )  # fmt: skip
    return problem(check, f"{listen} is taken by {who}", f"Stop that program, or set {key} to another port.")


def try_to_listen(listen: Address) -> int | None:
    """The error number of listening there for a moment; None if it works."""
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            if sys.platform != "win32":  # there it would let two listen
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    except OSError as error:
        return error.errno or errno.EINVAL
    return None


def listener(port: int) -> Listener | None:
    """Who listens on that port, as far as this user may know; on Linux only."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listening(PROC / "net" / table, port)}
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in PROC.iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if any(str(one.readlink()) in wanted for one in (process / "fd").iterdir()):
                    return Listener(int(process.name), _name(process))
    return None


def _listening(table: Path, port: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for line in table.read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == _LISTENS and int(local.rpartition(":")[2], 16) == port:
                yield inode


def _name(process: Path) -> str:
    """Of a script its own name rather than its interpreter's."""
    words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    name = (process / "comm").read_text().strip()
    if name.startswith("python") and len(words) > 1:
        return "whosin" if "whosin" in " ".join(words[1:3]) else Path(words[1]).name or name
    return name
