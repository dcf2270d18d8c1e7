"""What the tests do when nothing is wrong: how long each takes, and which lines it reaches."""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests.mutation.forks import Trouble, fork, lines, tell

EXAMPLES = 5
"""Of each property; always the same ones, so that what is killed today is killed tomorrow."""


@dataclass(frozen=True)
class Room:
    """`sources` are examined by all tests in `tests` but those whose ids hold one of `without`.

    `root` is where the sources' modules are imported from.
    """

    name: str
    root: Path
    sources: tuple[Path, ...]
    tests: tuple[Path, ...]
    without: tuple[str, ...] = ()

    def module(self, file: Path) -> str:
        return ".".join(file.relative_to(self.root).with_suffix("").parts)


@dataclass
class Survey:
    """What the tests do when nothing is wrong: how long each takes and which lines it reaches."""

    seconds: dict[str, float] = field(default_factory=dict)
    reached: dict[str, dict[str, set[int]]] = field(default_factory=lambda: defaultdict(dict))  # file, test
    at_import: dict[str, set[int]] = field(default_factory=dict)
    libraries: list[str] = field(default_factory=list)


# --- pytest, told what to do ------------------------------------------------------------------------------


class Plugin:
    def __init__(self, room: Room, order: Callable[[list[pytest.Item]], list[pytest.Item]] = list) -> None:
        self.room = room
        self.order = order
        self.failed: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept = [it for it in items if not any(part in it.nodeid for part in self.room.without)]
        for item in kept:
            _calm(item)
        items[:] = self.order(kept)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.append("import")


def _calm(item: pytest.Item) -> None:
    """Few examples, always the same, no time spent on making a failing one smaller."""

    def calm(old: settings) -> settings:
        return settings(
            old, max_examples=min(EXAMPLES, old.max_examples), derandomize=True, database=None,
            print_blob=False, phases=(Phase.explicit, Phase.generate),
        )  # fmt: skip

    function = getattr(item.obj, "__func__", item.obj)
    if (old := getattr(function, "_hypothesis_internal_use_settings", None)) is not None:
        function._hypothesis_internal_use_settings = calm(old)
    kind = getattr(item, "cls", None)
    if kind is not None and isinstance(getattr(kind, "settings", None), settings):
        kind.settings = calm(kind.settings)


def silent_pytest(room: Room, plugin: object) -> int:
    """In a fork that will not come back: it is silent."""
    os.environ.pop("PYTEST_ADDOPTS", None)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    arguments = [
        "-p", "no:cacheprovider", "-s", "-x", "-W", "ignore::pytest.PytestAssertRewriteWarning",
        "-o", "addopts=--import-mode=importlib",
        "--tb=native", "--assert=plain",  # nobody reads why a test fails, and telling it nicely takes longest
    ]  # fmt: skip
    return pytest.main([*arguments, *map(str, room.tests)], plugins=[plugin])


# --- the survey -------------------------------------------------------------------------------------------


class _Surveyor(Plugin):
    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.files = {str(file) for file in room.sources}
        self.survey = Survey()
        self.hits: dict[str, set[int]] = {}
        self.before = set(sys.modules)

    def trace(self, frame, event, arg):
        return self.local if frame.f_code.co_filename in self.files else None

    def local(self, frame, event, arg):
        if event == "line":
            self.hits.setdefault(frame.f_code.co_filename, set()).add(frame.f_lineno)
        return self.local

    def pytest_collection_finish(self) -> None:
        self.survey.at_import, self.hits = self.hits, {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.hits = {}
        start = time.process_time()
        result = yield
        self.survey.seconds[item.nodeid] = time.process_time() - start
        for file, hits in self.hits.items():
            self.survey.reached[file][item.nodeid] = hits
        return result


def survey(room: Room) -> Survey:
    def work(writes: int) -> int:
        plugin = _Surveyor(room)
        sys.settrace(plugin.trace)
        code = silent_pytest(room, plugin)
        sys.settrace(None)
        found = plugin.survey
        reached = {file: _listed(tests) for file, tests in found.reached.items()}
        here = str(Path.cwd())
        libraries = [
            name for name, module in sys.modules.items()
            if name not in plugin.before and (path := getattr(module, "__file__", None))
            and (not path.startswith((here, str(room.root))) or "site-packages" in path)
        ]  # fmt: skip
        tell(
            writes, code=int(code), failed=plugin.failed, seconds=found.seconds, libraries=libraries,
            reached=reached, at_import=_listed(found.at_import),
        )  # fmt: skip
        return 0

    told = next(lines(*fork(work)))
    if told["code"] or told["failed"]:
        raise Trouble(f"pytest ends with {told['code']} before anything is changed; failed: {told['failed']}")
    reached = {
        file: {test: set(its) for test, its in tests.items()} for file, tests in told["reached"].items()
    }
    at_import = {file: set(its) for file, its in told["at_import"].items()}
    return Survey(told["seconds"], reached, at_import, told["libraries"])


def _listed(found: dict[str, set[int]]) -> dict[str, list[int]]:
    return {name: sorted(its) for name, its in found.items()}
