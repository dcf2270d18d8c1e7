"""A simulated day against the real daemon: what the clients say they did is what the daemon saw."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.client.scripted_daemon import until
from tests.support.daemon import Daemon
from tests.support.mosquitto import wait_for
from tests.support.ports import free_port
from whosin.simulate import EXIT_NOT_REACHABLE, Options, run, spawn
from whosin.simulate.day import Day

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


API = """
[client_types.api]
timeout_s = 3
heartbeat_every_s = 1
lost_grace_s = 1.2
"""


class Place:
    def __init__(self, daemon: Daemon, port: int) -> None:
        self.daemon = daemon
        self.url = f"mqtt://127.0.0.1:{port}"

    def statuses(self, idents: list[str] | object) -> set[str | None]:
        return {self.daemon.status(ident) for ident in idents}  # type: ignore[attr-defined]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    port = free_port()
    daemon = Daemon(tmp_path, f'listen = "127.0.0.1:{port}"', more=API)
    try:
        yield Place(daemon.start(), port)
    finally:
        daemon.stop()


def busy(place: Place, **more: object) -> Options:
    """Half an hour of the users' time in ten seconds, with much going wrong."""
    given = {"clients": 40, "companies": 2, "sites": 2, "speed": 200.0, "minutes": 10 / 60, "seed": 7}
    return Options.of(url=place.url, **{**given, "crash": 0.4, "outage": 0.3, "morning": 2.0, **more})


async def test_what_the_clients_did_is_what_the_daemon_saw(place: Place) -> None:
    summary = await run(busy(place))
    assert summary.defects == 0
    assert not summary.login_refusals
    assert summary.logins >= 40
    assert summary.crashed
    assert summary.locks > 50
    assert summary.beats > 0
    assert summary.holders.total() >= summary.lock_refusals["held"] > 0
    logged_in = place.daemon.history(type="session.logged_in")
    let_in = {each["session"] for each in logged_in} - set(summary.gave_up)
    assert let_in == {*summary.logged_out, *summary.crashed, *summary.forgotten, *summary.ended}
    assert len(let_in) == summary.logins
    await until(lambda: not place.daemon.sessions(status="active"), limit_s=30)
    assert place.statuses(summary.logged_out) == {"logged_off"}
    assert place.statuses(summary.crashed) <= {"disconnected", "removed"}
    granted = place.daemon.metric("whosin_locks")
    held = {each for each in place.daemon.sessions() if place.daemon.status(each) == "disconnected"}
    assert bool(granted) <= bool(held)  # only who crashed still holds something
    assert len(asyncio.all_tasks()) == 1


async def test_a_day_that_is_cancelled_leaves_nothing_running_and_says_no_goodbye(place: Place) -> None:
    day = Day(busy(place, minutes=None, crash=0.0, forget=0.0, clients=12))
    running = asyncio.create_task(day.run())
    await until(lambda: day.now()["in"] >= 8)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert place.daemon.sessions()


async def test_who_is_thrown_out_by_an_operator_comes_in_again(place: Place) -> None:
    day = Day(busy(place, minutes=None, crash=0.0, forget=0.0, outage=0.0, api=0.0, clients=6))
    running = asyncio.create_task(day.run())
    await until(lambda: day.now()["in"] == 6)
    order = {"ids": list(place.daemon.sessions()), "force": True, "reason": "month end"}
    place.daemon.api("POST", "sessions/logoff", order)
    await until(lambda: len(day.summary.ended) == 6)
    await until(lambda: day.now()["in"] == 6)
    assert day.summary.logins >= 12
    await day.close()
    await running
    assert day.summary.logged_out


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "whosin", "simulate", *words]


def test_the_command_ends_with_a_line_of_json(place: Place) -> None:
    done = subprocess.run(
        command("--url", place.url, "--clients", "5", "--speed", "300", "--minutes", "0.05",
                "--json", "--seed", "4"),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["seed"] == 4
    let_in = {each["session"] for each in place.daemon.history(type="session.logged_in")}
    assert summary["logins"] == len(let_in - set(summary["gave_up"]))
    assert "The users live 300 times faster" in done.stderr


def _as_a_background_job() -> None:
    """A script's shell starts those with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_sends_everybody_home(place: Place, how: signal.Signals) -> None:
    with subprocess.Popen(
        command("--url", place.url, "--clients", "8", "--speed", "60", "--json", "--crash", "0"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=_as_a_background_job,  # noqa: PLW1509 - no thread of ours holds a lock here
    ) as process:  # fmt: skip
        try:
            wait_for(lambda: len(place.daemon.sessions()) >= 4, 20)
            process.send_signal(how)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    summary = json.loads(out)
    assert summary["logins"] == len(summary["logged_out"]) > 0
    assert not place.daemon.sessions()


def test_a_spawned_day_ends_with_whoever_started_it(place: Place) -> None:
    options = Options(url=place.url, clients=4, speed=60, seed=1)
    process = spawn(options, more=["--quiet"], stdout=subprocess.PIPE)
    wait_for(place.daemon.sessions, 20)
    out, _ = process.communicate(timeout=30)  # closes its stdin
    assert process.returncode == 0
    assert b"logins" in out
    assert not place.daemon.sessions()


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        command("--url", f"mqtt://127.0.0.1:{free_port()}", "--clients", "2", "--minutes", "0.02",
                "--speed", "600"),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == EXIT_NOT_REACHABLE, done.stdout
    assert "is the daemon running?" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_it_shows_a_bar_with_who_is_in(place: Place) -> None:
    import pty  # noqa: PLC0415 - Windows has none

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("--url", place.url, "--clients", "5", "--speed", "60", "--minutes", "0.08"),
        stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "160"},
    ) as process:  # fmt: skip
        os.close(theirs)
        seen = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:
                break
            if not chunk:
                break
            seen += chunk
        process.wait(30)
    os.close(ours)
    assert process.returncode == 0
    assert re.search(rb"\d in, \d waiting", seen), seen[-500:]
    assert b"logged out" in seen
