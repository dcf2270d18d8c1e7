"""Whom it needs: operators who can sign in, alerts that reach somebody, the cleanup's switch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from whosin.doctor.findings import Finding, warning, well
from whosin.store.looking import Look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whosin.doctor.patient import Patient


def check(patient: Patient) -> Iterator[Finding]:
    yield from _operators(patient)
    yield from _alerts(patient)
    yield from _cleanup(patient)


def _operators(patient: Patient) -> Iterator[Finding]:
    count = None
    if isinstance(patient.look, Look):
        count = patient.look.operators
    elif patient.answers is not None:
        found = patient.ask("operators?limit=1")
        count = found["total"] if isinstance(found, dict) else None  # else this token may not know
    if count == 0:
        yield warning(
            "operators", "nobody can sign in to the page yet",
            "whosin operators add NAME --role administrator; it prints a link to choose a password with.",
        )  # fmt: skip
    elif count:
        yield well("operators", f"{count} can sign in")


def _alerts(patient: Patient) -> Iterator[Finding]:
    channels = [name for name, one in patient.settings.alert_channels.items() if one.kind != "log"]
    if channels:
        yield well("alerts", f"by {', '.join(channels)}; `whosin alerts test` tries them")
    else:
        yield warning(
            "alerts", "they go to the log only: nobody is called when somebody is blocked",
            "Set a channel: [alerts.channels.NAME], see docs/alerts.md.",
        )  # fmt: skip


def _cleanup(patient: Patient) -> Iterator[Finding]:
    enabled: bool | None = None
    if patient.answers is not None:
        enabled = patient.answers["cleanup"]["enabled"]
    elif isinstance(patient.look, Look) and patient.look.cleanup:
        enabled = bool(json.loads(patient.look.cleanup).get("enabled"))
    if enabled is not None:
        yield well(
            "cleanup",
            "on"
            if enabled
            else "off: disconnected logins stay until somebody removes them (whosin cleanup on)",
        )
