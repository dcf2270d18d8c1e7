"""The built wheel on one Python: installed as docs/release.md says, started, asked, stopped, and tested."""

from __future__ import annotations

import importlib.metadata
import json
import re
import signal
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.release.building import CommandFailed, documented, run, type_in
from tests.support.daemon import Daemon, until
from tests.support.ports import free_port

TEST_TOOLS = ("hypothesis", "mqtt5", "packaging", "pytest", "pytest-asyncio")
# Quick ones that need no other program and no installed command.
TESTS = ("tests/rules", "tests/engine", "tests/wire", "tests/mqtt/codec", "tests/settings", "tests/csvsafe")
_HEARTBEAT = """
import sys
import paho.mqtt.publish as mqtt
mqtt.single("whosin/v1/up/head-office/books/check-1/heartbeat", '{"user": "anna", "client": "desktop"}',
            qos=1, hostname="127.0.0.1", port=int(sys.argv[1]))
"""
# Its own timeouts: however slow the machine, the session is still active when it is looked at.
_SETTINGS = """
[daemon]
data_dir = "{data}"

[mqtt]
{mqtt}

[http]
listen = "127.0.0.1:{http_port}"
{more}
"""
_LIMIT_S = 60  # for what takes one second
_WARNS = re.compile(r"^.*whosin\S*:\d+: \w*Warning.*$", re.MULTILINE)


def install(folder: Path, python: Path) -> Path:
    """`folder` has the three files of a release; the environment that the documented commands make."""
    sums, installed, *_ = documented()
    type_in(f"{sums}\n{installed}", folder, python)
    return folder / "env"


def wrong(environment: Path, version: str, root: Path) -> list[str]:
    """What is wrong with an installed release, short of its tests."""
    try:
        return [
            *_another_version(environment, version),
            *_not_as_locked(environment, root / "requirements.lock"),
            *_warns_when_compiled(environment),
            *_does_not_run(environment),
        ]
    except (AssertionError, CommandFailed, OSError) as error:
        return [str(error)]


def _another_version(environment: Path, version: str) -> list[str]:
    said = run([environment / "bin/whosin", "--version"], environment).strip()
    return (
        [] if said == f"whosin {version}" else [f"whosin --version says {said!r}; expected whosin {version}"]
    )


def _not_as_locked(environment: Path, lock: Path) -> list[str]:
    """Nothing more than the lock names, so that nothing else was needed."""
    listed = json.loads(run([environment / "bin/pip", "list", "--format=json"], environment))
    here = {canonicalize_name(one["name"]): one["version"] for one in listed}
    named = dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
    more = here.keys() - named.keys() - {"whosin", "pip", "setuptools", "wheel"}
    return [f"{name} is installed and not in {lock.name}" for name in sorted(more)] + [
        f"{name} is installed as {here[name]}; {lock.name} says {named[name]}"
        for name in sorted(here.keys() & named.keys())
        if here[name] != named[name]
    ]


def _warns_when_compiled(environment: Path) -> list[str]:
    """A newer Python's warnings of code that it will refuse one day."""
    (package,) = environment.glob("lib/python*/site-packages/whosin")
    try:
        run([environment / "bin/python", "-W", "error", "-m", "compileall", "-q", "-f", package], environment)
    except CommandFailed as failed:
        return [str(failed)]
    return []


def _does_not_run(environment: Path, name: str = "running") -> list[str]:
    """From its start to its end: ready, a heartbeat at the door, shown, SIGTERM."""
    port, folder = free_port(), environment.parent / name
    folder.mkdir()
    # What is deprecated is told, wherever it is; only what is ours counts.
    daemon = Daemon(
        folder, f'listen = "127.0.0.1:{port}"', settings=_SETTINGS, program=environment / "bin/whosin",
        environ={"PYTHONWARNINGS": "always"},
    )  # fmt: skip
    try:
        daemon.start(limit_s=_LIMIT_S)
        run([environment / "bin/python", "-c", _HEARTBEAT, str(port)], folder)
        until(lambda: daemon.status("check-1") == "active", _LIMIT_S, "the session is active")
        shown = run([environment / "bin/whosin", "sessions", "--json"], folder,
                    WHOSIN_URL=daemon.url, WHOSIN_TOKEN=daemon.token)  # fmt: skip
        assert "check-1" in shown, f"whosin sessions does not show the session: {shown}"
        ended = daemon.end(signal.SIGTERM)
    finally:
        daemon.kill()
    said = _WARNS.findall(daemon.log.read_text(encoding="utf-8"))
    return [f"at SIGTERM it ended with {ended}; expected 0"] * (ended != 0) + [
        f"it warns: {one}" for one in said
    ]


def tests_fail(environment: Path, source: Path, lock: Path) -> str:
    """The tests of the unpacked sdist against what is installed: why they fail, "" if they pass."""
    tools = environment.parent / "tools.lock"
    tools.write_text(only(lock, needed_by(TEST_TOOLS)), encoding="utf-8")
    pip = [environment / "bin/pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", tools]
    try:
        run(pip, environment)
        run([environment / "bin/pip", "check"], environment)
        origin = run(
            [environment / "bin/python", "-c", "import whosin; print(whosin.__file__)"], source
        ).strip()
        assert origin.startswith(str(environment)), f"the tests would see another whosin: {origin}"
        command = [
            "-m",
            "pytest",
            "-q",
            "--durations=0",
            "--durations-min=30",
            "-p",
            "no:cacheprovider",
            *TESTS,
        ]
        said = run([environment / "bin/python", *command], source, CI="true")
    except (AssertionError, CommandFailed) as error:
        return str(error)
    assert re.search(r"\d+ passed", said), said[-500:]
    return ""


def wrong_with_extras(environment: Path, lock: Path) -> list[str]:
    """What the extras bring, as locked, beside what is installed: it fits, and the daemon runs with it."""
    try:
        pip = [environment / "bin/pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", lock]
        run(pip, environment)
        run([environment / "bin/pip", "check"], environment)
        run([environment / "bin/python", "-c", "import apprise, uvloop"], environment)
        return _does_not_run(environment, "running-with-extras")
    except (AssertionError, CommandFailed, OSError) as error:
        return [str(error)]


def needed_by(names: Iterable[str]) -> set[str]:
    """They, and what they need, as this Python's installed packages tell; the lowest Python needs most."""
    found: set[str] = set()
    left = {canonicalize_name(name) for name in names}
    while left:
        name = left.pop()
        found.add(name)
        for line in importlib.metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                left |= {canonicalize_name(requirement.name)} - found
    return found


def only(lock: Path, names: set[str]) -> str:
    """The entries of a lock that have such names, as they stand."""
    entries = re.split(r"^(?=[a-z0-9-]+==)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return "".join(entry for entry in entries if entry.partition("==")[0] in names)
