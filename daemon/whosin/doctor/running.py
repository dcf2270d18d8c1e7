"""The daemon's own word: does it answer, is it ready, is it this program. Must not know rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whosin import __version__
from whosin.apiclient import ApiRefused, Unreachable
from whosin.doctor.findings import Finding, problem, warning, well

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whosin.doctor.patient import Patient


def check(patient: Patient) -> Iterator[Finding]:
    stats, holder = patient.stats, patient.holder
    if patient.api is None:
        yield warning(
            "daemon", "http.listen is off, so it cannot be asked", "Switch it on to see and operate it."
        )
    elif isinstance(stats, dict):
        yield from _well(stats)
    elif isinstance(stats, Unreachable) and holder is None:
        yield warning("daemon", "it does not run", "Start it: whosin run, or systemctl start whosin")
    elif isinstance(stats, Unreachable):
        yield problem(
            "daemon",
            f"process {holder.pid if holder else '?'} has the database open, but {stats}",
            "If that lasts, look at its log (journalctl -u whosin -n 50), then restart it.",
        )
    elif isinstance(stats, ApiRefused) and stats.status == 401:
        yield warning(
            "daemon",
            f"{patient.api.url} answers, but does not know this user: {stats.detail or stats.title}",
            "Set WHOSIN_TOKEN, or ask as the user that the daemon runs as: its admin-token is read then.",
        )
    else:
        yield problem("daemon", f"{stats}", "Look at its log.")


def _well(stats: dict[str, object]) -> Iterator[Finding]:
    if stats["version"] != __version__:
        yield problem(
            "daemon",
            f"it is Whosin {stats['version']}, and this program is {__version__}",
            "An upgrade takes effect with a restart: systemctl restart whosin",
        )
    if stats["ready"]:
        yield well("daemon", f"Whosin {stats['version']} is ready")
        return
    problems = stats["problems"]
    assert isinstance(problems, list)
    for one in problems:
        yield problem("daemon", f"not ready: {one}", "See what the next lines say; it recovers by itself.")
