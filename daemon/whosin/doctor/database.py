"""The database: does it open, is it whole, is it of this program's time. Must not know SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whosin.doctor.findings import Finding, problem, well
from whosin.errors import StoreError, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whosin.doctor.patient import Patient

BACK = "Stop the daemon and put the newest backup back: whosin restore FILE"


def check(patient: Patient) -> Iterator[Finding]:
    """While a daemon has it, it alone can tell."""
    path = patient.database
    if patient.holder is not None:
        yield from _by_the_daemon(patient)
        return
    if not path.exists():
        yield well("database", f"{path} is not there yet; the first start makes it")
        return
    look = patient.look
    if isinstance(look, StoreRefused):
        said, _, advice = str(look).partition(". It was left as it is. ")
        yield problem("database", said, advice or "Set store.url to a file of its own.")
    elif isinstance(look, StoreError):
        if look.kind == "corrupt":
            yield problem("database", f"{path} is damaged: {look}", BACK)
        else:
            yield problem(
                "database", f"{path} cannot be read: {look}", "See to the disk, and to who may read the file."
            )
    elif look is not None and look.damage:
        yield problem("database", f"{path} is damaged: {look.damage}", BACK)
    elif look is not None and look.version < look.known:
        upgrade = f"schema version {look.version}; the next start brings it to {look.known} and keeps a copy"
        yield well("database", f"{path} is whole, {upgrade}")
    elif look is not None:
        yield well("database", f"{path} is whole, schema version {look.version}")


def _by_the_daemon(patient: Patient) -> Iterator[Finding]:
    pid = patient.holder.pid if patient.holder else None
    who = f"process {pid}" if pid else "a daemon"
    stats = patient.answers
    if stats is None:
        yield well("database", f"{patient.database} is open in {who}")
    elif stats["storage"]["ok"]:
        yield well("database", f"{patient.database} is open in {who}, which stores well")
    else:
        yield problem(
            "database",
            f"{stats['storage']['problem']}",
            "It says itself what to do; nothing is lost meanwhile.",
        )
