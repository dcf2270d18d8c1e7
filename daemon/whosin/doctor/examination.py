"""All checks in order: what the next one needs comes first. Owns the order only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from whosin.doctor import broker, certificates, clocks, database, folder, people, ports, running, system
from whosin.doctor.findings import Finding, problem, warning, well
from whosin.doctor.patient import Patient
from whosin.errors import SettingsError
from whosin.settings import load
from whosin.settings.guidance import rules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from whosin.apiclient import ApiClient
    from whosin.settings import Settings

CHECKS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (
    folder.check, folder.space, database.check, ports.check, running.check, clocks.check, broker.check,
    certificates.check, people.check, system.check,
)  # fmt: skip


def examine(
    config: Path | None, api: Callable[[Settings], ApiClient | None], environ: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    """What each check found, as soon as it has. `api` makes the way to ask the daemon of these settings."""
    environ = os.environ if environ is None else environ
    try:
        settings = load(config, environ)
        rules_of(settings)
    except SettingsError as error:
        for one in error.problems:
            yield problem("settings", one, "Mend it; `whosin check-config` shows what is in force.")
        return
    yield from _settings(settings, config)
    patient = Patient(settings, api(settings), environ)
    for check in CHECKS:
        yield from check(patient)


def _settings(settings: Settings, config: Path | None) -> Iterator[Finding]:
    found = settings.warnings()
    for one in found:
        yield warning("settings", one, "Is that meant? `whosin check-config` shows what is in force.")
    if not found:
        changed = len(settings.origins)
        where = str(config) if config is not None else "no file"
        yield well("settings", f"{where}: {changed} set, the rest as usual")
