"""Mutants before their tests: which test kills which.

The tests are collected once. For each mutant that process forks, puts the mutant's code into the functions
that are there already, and runs the tests that reach the line, the best killers first, until one fails. What
runs on import cannot be changed afterwards: such a mutant is imported into a fork that has the libraries, but
nothing of ours yet.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.machinery
import importlib.util
import os
import signal
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from types import CodeType, FunctionType

import pytest

from tests.mutation.forks import KILLED, SURVIVED, Trouble, bounded, crew, fork, lines, tell
from tests.mutation.mutants import Mutant
from tests.mutation.survey import Plugin, Room, Survey, silent_pytest, survey

FACTOR, SPARE_S = 10, 1.0
"""A test may take so many times the CPU time that it took before, and this beside it."""
TOO_LATE, COLD = 77, "must be imported"


@dataclass(frozen=True)
class Verdict:
    """`killer`: a test, "import", "time" or "crash"; None if the mutant survived `tests` of them."""

    mutant: Mutant
    killer: str | None
    tests: int

    @property
    def way(self) -> str | None:
        """How it died."""
        return self.killer if self.killer in ("import", "time", "crash", None) else "tests"


def _killer(code: int, text: str) -> str | None:
    return None if code == SURVIVED else COLD if code == TOO_LATE else text or "crash"


def examine(room: Room, mutants: list[Mutant], jobs: int) -> Iterator[Verdict]:
    """A verdict on each, in whatever order they come."""
    found = survey(room)
    _preload(found.libraries)
    null = _null(room)
    for verdict in chain(_warm(room, found, [null], 1), _cold(room, found, [null], 1)):
        if verdict.killer is not None:
            raise Trouble(f"{verdict.killer} fails in a fork without any mutant")
    late, early = [], []
    for mutant in mutants:
        at_import = found.at_import.get(mutant.file, set())
        imported = mutant.owner is None or not at_import.isdisjoint(mutant.lines)
        (late if imported else early).append(mutant)
    for verdict in _warm(room, found, early, jobs):
        if verdict.killer == COLD:
            late.append(verdict.mutant)
        else:
            yield verdict
    yield from _cold(room, found, late, jobs)


def _null(room: Room) -> Mutant:
    file = room.sources[0]
    source = file.read_text()
    return Mutant(str(file), "", None, range(1, 2), "", "", source)


# --- libraries -------------------------------------------------------------------------------------------

PLUGINS = (
    "pytest_asyncio",
    "pytest_cov",
    "xdist",
    "_hypothesis_pytestplugin",
    "anyio.pytest_plugin",
    "_pytest",
)


def _preload(libraries: list[str]) -> None:
    """What every fork would import again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in libraries:
            if not name.startswith(PLUGINS):
                with contextlib.suppress(Exception):
                    importlib.import_module(name)


# --- order ------------------------------------------------------------------------------------------------


class _Order:
    """Which tests first: what killed neighbours, then what killed in this file, then the quick."""

    def __init__(self, known: Survey) -> None:
        self.known = known
        self.near: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.far: dict[str, Counter[str]] = defaultdict(Counter)

    def of(self, mutant: Mutant, tests: Iterable[str]) -> list[str]:
        near, far = self.near[mutant.file, mutant.function], self.far[mutant.file]
        cost = self.known.seconds
        return sorted(
            tests, key=lambda it: (-near[it] / (cost[it] + 0.02), -far[it] / (cost[it] + 0.02), cost[it])
        )

    def killed(self, mutant: Mutant, killer: str) -> None:
        self.near[mutant.file, mutant.function][killer] += 1
        self.far[mutant.file][killer] += 1


# --- warm: into the functions that are there --------------------------------------------------------------


class _Warm(Plugin):
    """Holds the collected tests, and forks for each mutant in place of running them."""

    def __init__(self, room: Room, known: Survey, mutants: list[Mutant], jobs: int, writes: int) -> None:
        super().__init__(room)
        self.known = known
        self.mutants = mutants
        self.jobs = jobs
        self.writes = writes
        self.items: dict[str, pytest.Item] = {}
        self.live: dict[tuple[str, str, int], list[FunctionType]] = defaultdict(list)
        self.ranking = _Order(known)
        self.codes: dict[str, CodeType] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        files = {str(file) for file in self.room.sources}
        for thing in gc.get_objects():
            if type(thing) is FunctionType and thing.__code__.co_filename in files:
                code = thing.__code__
                self.live[code.co_filename, code.co_qualname, code.co_firstlineno].append(thing)
        self.codes = {
            file: compile(Path(file).read_text(), file, "exec", dont_inherit=True) for file in files
        }
        gc.collect()
        gc.freeze()
        index = {id(it): n for n, it in enumerate(self.mutants)}
        for mutant, code, text in crew(self.mutants, self.jobs, self.start):
            if text in self.items:
                self.ranking.killed(mutant, text)
            tell(self.writes, mutant=index[id(mutant)], code=code, text=text, tests=len(self.tests(mutant)))
        return True

    def tests(self, mutant: Mutant) -> list[str]:
        reached = self.known.reached.get(mutant.file, {})
        return [
            it
            for it in self.items
            if mutant.owner is None or not reached.get(it, set()).isdisjoint(mutant.lines)
        ]

    def start(self, mutant: Mutant) -> tuple[int, int]:
        tests = self.ranking.of(mutant, self.tests(mutant))
        return fork(lambda writes: self.attempt(mutant, tests, writes))

    def attempt(self, mutant: Mutant, tests: list[str], writes: int) -> int:
        if mutant.owner is not None and not self.install(mutant):
            return TOO_LATE
        bounded()
        items = [self.items[it] for it in tests]
        for item, following in zip_longest(items, items[1:]):
            signal.setitimer(signal.ITIMER_PROF, SPARE_S + FACTOR * self.known.seconds[item.nodeid])
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                os.write(writes, item.nodeid.encode())
                return KILLED
        return SURVIVED

    def install(self, mutant: Mutant) -> bool:
        """False if it cannot be done by exchanging the code of functions."""
        try:
            new = compile(mutant.source, mutant.file, "exec", dont_inherit=True)
        except SyntaxError:
            return False
        was, becomes = _within(self.codes[mutant.file], mutant.owner), _within(new, mutant.owner)
        if [it.co_qualname for it in was] != [it.co_qualname for it in becomes]:
            return False
        for old, code in zip(was, becomes, strict=True):
            for function in self.live.get((mutant.file, old.co_qualname, old.co_firstlineno), ()):
                try:
                    function.__code__ = code
                except ValueError:  # it closes over something else now
                    return False
        return True


def _within(code: CodeType, owner: str | None) -> list[CodeType]:
    """The code of this function and of all that lie in it."""
    found = [code] if code.co_qualname == owner or code.co_qualname.startswith(f"{owner}.<locals>") else []
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found += _within(inner, owner)
    return found


def _warm(room: Room, known: Survey, mutants: list[Mutant], jobs: int) -> Iterator[Verdict]:
    def work(writes: int) -> int:
        plugin = _Warm(room, known, mutants, jobs, writes)
        code = silent_pytest(room, plugin)
        return 0 if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else 3

    if mutants:
        for told in lines(*fork(work)):
            yield Verdict(mutants[told["mutant"]], _killer(told["code"], told["text"]), told["tests"])


# --- cold: imported ---------------------------------------------------------------------------------------


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec", dont_inherit=True)


class _Finder:
    """Gives the mutant where its module is asked for."""

    def __init__(self, room: Room, mutant: Mutant) -> None:
        name = room.module(Path(mutant.file))
        self.name = name
        self.loader = _Loader(name, mutant.file, mutant.source)

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.loader.path, loader=self.loader)


class _Cold(Plugin):
    def __init__(self, room: Room, known: Survey, ranked: list[str]) -> None:
        super().__init__(room, lambda items: sorted(items, key=lambda it: rank.get(it.nodeid, 0)))
        rank = {test: n for n, test in enumerate(ranked)}
        self.known = known

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        signal.setitimer(signal.ITIMER_PROF, SPARE_S + FACTOR * self.known.seconds[item.nodeid])


def _cold(room: Room, known: Survey, mutants: list[Mutant], jobs: int) -> Iterator[Verdict]:
    ranking = _Order(known)

    def start(mutant: Mutant) -> tuple[int, int]:
        ranked = ranking.of(mutant, known.seconds)

        def work(writes: int) -> int:
            assert room.module(Path(mutant.file)) not in sys.modules
            sys.meta_path.insert(0, _Finder(room, mutant))
            bounded()
            signal.setitimer(signal.ITIMER_PROF, 20)
            plugin = _Cold(room, known, ranked)
            code = silent_pytest(room, plugin)
            if code == pytest.ExitCode.OK:
                return SURVIVED
            os.write(writes, plugin.failed[0].encode() if plugin.failed else b"import")
            return KILLED

        return fork(work)

    for mutant, code, text in crew(mutants, jobs, start):
        if text in known.seconds:
            ranking.killed(mutant, text)
        yield Verdict(mutant, _killer(code, text), len(known.seconds))
