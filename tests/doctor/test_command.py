"""`whosin doctor` as it is typed: before the first start, beside a running daemon, and in a narrow window."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.shim import Shim, built
from tests.support.daemon import WHOSIN, Daemon
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, f'listen = "127.0.0.1:{free_port()}"')
    yield made
    made.stop()


def doctor(
    config: Path, *more: str, columns: int | None = None, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("WHOSIN_", "COLUMNS"))}
    environ = {**ours, **(environ or {})}
    if columns:
        environ["COLUMNS"] = str(columns)
    return subprocess.run(
        [WHOSIN, "doctor", "--config", config, *more],
        capture_output=True, text=True, timeout=60, check=False, env=environ,
    )  # fmt: skip


def findings(config: Path, code: int = 0) -> dict[str, list[dict[str, Any]]]:
    done = doctor(config, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] == (code == 0)
    found: dict[str, list[dict[str, Any]]] = {}
    for one in told["findings"]:
        found.setdefault(one["check"], []).append(one)
    return found


def test_before_the_first_start_it_finds_no_problem_and_makes_nothing(daemon: Daemon) -> None:
    found = findings(daemon.config)
    assert found["daemon"][0]["found"] == "it does not run"
    assert found["database"][0]["level"] == "ok"
    assert not daemon.data.exists()


def test_beside_a_running_daemon_it_knows_what_is_its_own(daemon: Daemon) -> None:
    daemon.start()
    found = findings(daemon.config)
    assert found["daemon"][0]["found"].endswith("is ready")
    assert found["database"][0]["found"].endswith(f"is open in process {daemon.pid}, which stores well")
    for check in [name for name in found if name.startswith("port ")]:
        assert "is the daemon's" in found[check][0]["found"]
    assert found["operators"][0]["advice"].startswith("whosin operators add")
    assert found["cleanup"][0]["found"].startswith("off")


def test_a_daemon_that_hangs_is_told_from_one_that_does_not_run(daemon: Daemon) -> None:
    daemon.start()
    port, other = daemon.http_port, free_port()
    daemon.config.write_text(daemon.config.read_text().replace(str(port), str(other)))
    found = findings(daemon.config, code=1)
    assert f"process {daemon.pid} has the database open, but" in found["daemon"][0]["found"]
    assert "nobody listens" in found[f"port {other}"][0]["found"]


def test_a_clock_set_back_is_found_by_what_the_history_says(daemon: Daemon, tmp_path: Path) -> None:
    library = built()
    if isinstance(library, str):
        pytest.skip(f"NOT PROVEN HERE: {library}")
    daemon.start()
    daemon.stop()
    shim = Shim(tmp_path, library)
    shim.step_clock(-7_200)
    done = doctor(daemon.config, "--json", environ=shim.environ)
    assert done.returncode == 1
    (clock,) = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "clock"]
    assert clock["level"] == "problem"
    assert "but the newest event happened at" in clock["found"]


def test_a_problem_is_exit_1_and_settings_that_are_wrong_are_all_named(daemon: Daemon) -> None:
    daemon.config.write_text('[htp]\n[http]\nlisten = "nowhere"\n')
    found = findings(daemon.config, code=1)
    assert len(found["settings"]) == 2
    assert {one["level"] for one in found["settings"]} == {"problem"}


@pytest.mark.parametrize("columns", [40, 58, 80, 120])
def test_it_fits_the_terminal_and_loses_no_word(daemon: Daemon, columns: int) -> None:
    done = doctor(daemon.config, columns=columns)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert "…" not in done.stdout
    words = " ".join(done.stdout.split())
    assert "→ Start it: whosin run, or systemctl start whosin" in words
    assert lines[-1].endswith("warnings.")


def test_read_by_a_program_a_finding_and_its_advice_are_a_line_each(daemon: Daemon) -> None:
    lines = doctor(daemon.config).stdout.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("warning  daemon")]
    assert lines[at].split(maxsplit=2) == ["warning", "daemon", "it does not run"]
    assert lines[at + 1].strip() == "→ Start it: whosin run, or systemctl start whosin"
