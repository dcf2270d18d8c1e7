"""Who may know whom: imports point one way, from the outside in, and one table says so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.house import repository

# Every room of the daemon, from the innermost to the outermost, and the rooms that it may import. A module
# belongs to the longest name that fits it. A typing-only import counts: who names another's types knows it.
ROOMS: dict[str, set[str]] = {
    "whosin": set(),  # the version
    "errors": set(),
    "csvsafe": set(),
    "model": set(),
    "messages": set(),
    "rules.guidance": {"model"},
    "rules": {"model", "messages", "rules.guidance"},
    "ports": {"model"},
    "wire": {"errors", "model", "messages", "ports"},
    "operations": {"ports"},
    "observe.counts": set(),
    "engine": {"errors", "model", "messages", "rules", "ports", "wire", "operations", "observe.counts"},
    "cleanup": {"errors", "model", "ports", "wire", "engine"},
    "desk": {
        "errors", "model", "rules", "rules.guidance", "ports", "wire", "operations", "engine", "cleanup",
    },
    "alerts": {"whosin", "errors", "wire"},
    "alerts.watch": {"alerts", "engine", "rules", "model", "cleanup"},
    "alerts.office": {
        "alerts", "alerts.watch", "wire", "model", "ports", "engine", "cleanup", "observe.counts",
    },
    "desk.alerts": {
        "alerts", "alerts.office", "errors", "model", "ports", "wire", "operations", "engine",
    },
    "clock": set(),
    "listening": set(),
    "privacy": set(),
    "tls": {"errors"},
    "mqtt": set(),
    "mqtt.codec": {"errors"},
    "mqtt.door": {"errors", "model", "ports", "mqtt.codec", "listening"},
    "mqtt.link": {"errors", "model", "ports", "mqtt.codec"},
    "store": {"whosin", "errors", "model", "ports", "privacy"},
    "observe": {"whosin", "model", "observe.counts", "privacy"},
    "settings": {"errors", "model", "rules.guidance"},
    "alerting": {"alerts", "alerts.watch", "alerts.office", "settings"},
    "web": {"whosin", "errors", "csvsafe", "ports", "operations", "listening", "tls"},
    "client": {"errors"},
    "simulate": {"client"},
    "supervision": {"ports"},
    "daemon": {
        "whosin", "errors", "model", "ports", "wire", "observe.counts", "engine", "cleanup", "desk",
        "desk.alerts", "alerts.office", "alerting", "clock", "tls", "mqtt.door", "mqtt.link",
        "rules.guidance", "settings",
    },
    "app": {
        "whosin", "errors", "model", "ports", "observe.counts", "clock", "store", "observe", "settings",
        "tls", "web", "daemon", "supervision",
    },
    "service": {"whosin", "errors", "ports", "settings", "privacy"},
    "apiclient": {"errors"},
    "doctor": {"whosin", "errors", "tls", "mqtt.codec", "mqtt.link", "store", "settings", "apiclient"},
    "cli": {
        "whosin", "errors", "ports", "rules.guidance", "csvsafe", "store", "settings", "apiclient",
        "doctor", "app", "service", "simulate",
    },
    "simulate.__main__": {"cli"},
    "__main__": {"cli"},
}  # fmt: skip

# Rooms that compute and do nothing else: the whole of what they may have from outside. No clock, no input or
# output, no log, and where it says so no JSON.
PURE = {
    "csvsafe": {"csv", "io"},
    "model": {"dataclasses", "enum", "msgspec"},  # for its structs
    "messages": {"msgspec"},
    "rules": {
        "bisect",
        "dataclasses",
        "enum",
        "functools",
        "heapq",
        "itertools",
        "math",
        "msgspec",
        "operator",
        "re",
    },
    "rules.guidance": {"dataclasses", "fnmatch", "re"},
    "ports": {"dataclasses", "enum"},
    "operations": {"dataclasses", "enum"},
    "mqtt.codec": {"dataclasses", "enum", "functools", "struct"},
}
EVERYWHERE = {"__future__", "collections", "typing"}

# A library that has one master: the only rooms that may import it.
MASTERS = {
    "aiosqlite": {"store"},
    "argon2": {"desk"},
    "sqlite3": {"store"},
    "fastapi": {"web"},
    "h11": {"web"},
    "pydantic": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "prometheus_client": {"observe"},
    "aiomqtt": {"client"},
    "paho": {"client"},
    "click": {"cli"},
    "rich": {"cli", "simulate"},
    "apprise": {"alerts"},
    "smtplib": {"alerts"},
    "uvloop": {"app"},
    "pywintypes": {"privacy", "service"},
    "win32security": {"privacy", "service"},
    "servicemanager": {"service"},
    "win32api": {"service"},
    "win32com": {"service"},
    "win32evtlog": {"service"},
    "win32service": {"service"},
}

MODULES = repository.files("daemon/*.py")


def room(module: str) -> str | None:
    """The room of a module of the daemon, None for a module from outside."""
    if module == "whosin" or not module.startswith("whosin."):
        return "whosin" if module == "whosin" else None
    name = module.removeprefix("whosin.")
    while name not in ROOMS and "." in name:
        name = name.rpartition(".")[0]
    return name


def package(module: str) -> str:
    return module.partition(".")[0]


# Every import of the daemon: the room of the file, the module, the place.
IMPORTS = [
    (room(repository.module(path)) or "", module, f"{repository.name(path)}:{line}")
    for path in MODULES
    for module, line in repository.imports(path)
]


def test_the_table_points_one_way():
    order = list(ROOMS)
    for name, allowed in ROOMS.items():
        outer = [other for other in allowed if order.index(other) > order.index(name)]
        assert not outer, f"{name} stands inside of {outer} in the table and may not import them"


def test_every_module_has_a_room():
    """A new room is a line of the table: what may it import?"""
    assert {repository.name(path) for path in MODULES if room(repository.module(path)) not in ROOMS} == set()


def test_a_module_imports_only_the_rooms_that_its_own_may_know():
    found = [
        f"{where} imports {module}; {mine} may import {sorted(ROOMS[mine]) or 'no other room'}"
        for mine, module, where in IMPORTS
        if (other := room(module)) is not None and other != mine and other not in ROOMS[mine]
    ]
    assert found == []


def test_rooms_that_compute_have_nothing_to_do_anything_else_with():
    found = [
        f"{where} imports {module}"
        for mine, module, where in IMPORTS
        if mine in PURE and room(module) is None and package(module) not in PURE[mine] | EVERYWHERE
    ]
    assert found == []


def test_a_library_with_a_master_is_imported_by_nobody_else():
    found = [
        f"{where} imports {module}; only {MASTERS[package(module)]} may"
        for mine, module, where in IMPORTS
        if mine not in MASTERS.get(package(module), {mine})
    ]
    assert found == []


def test_a_start_without_such_a_channel_loads_no_library_for_mail():
    code = "import sys, whosin.app\nprint({'smtplib', 'apprise', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("args", ["--version", "--help", "sessions --json"])
def test_a_quick_command_loads_nothing_heavy(args):
    """Each of these libraries costs a tenth of a second and more, which a script pays at every call."""
    heavy = {*MASTERS, "asyncio", "msgspec", "structlog"} - {"click"}
    code = (
        "import sys\nbefore = set(sys.modules)\nfrom whosin.cli import main\n"
        f"try: main({args.split()})\nexcept SystemExit: pass\n"
        f"print('loaded:', *sorted({heavy} & (set(sys.modules) - before)))"
    )
    environ = {**os.environ, "WHOSIN_URL": "http://127.0.0.1:9", "WHOSIN_TOKEN": "x"}  # nobody is there
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True
    )
    assert done.stdout.splitlines()[-1] == "loaded:"
