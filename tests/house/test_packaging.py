"""What the project says that it needs is what it imports, and what the locks hold."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.house import repository

PYPROJECT = tomllib.loads((repository.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {
    name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()
}
# Not imported by any test: run by hand or by .ci/run, or loaded by pytest itself.
TOOLS = {
    "apprise",
    "coverage",
    "hatchling",
    "mypy",
    "pytest-asyncio",
    "pytest-cov",
    "pytest-xdist",
    "ruff",
    "types-pywin32",
}

NEITHER_HERE_NOR_NEEDED = {"uvloop"}  # tried by app, from the extra `fast`
ELSEWHERE = dict.fromkeys(  # modules of a package that only another platform has
    ("pywintypes", "servicemanager", "win32api", "win32com", "win32evtlog", "win32security", "win32service"),
    "pywin32",
)
NOT_NEEDED = {"apprise"}  # tried by alerts, from the extra of that name


def imported(*patterns: str) -> dict[str, str]:
    """Package imported → a place that does, without the standard library and the project's own."""
    found: dict[str, str] = {}
    for path in repository.files(*patterns):
        for module, line in repository.imports(path):
            package = module.partition(".")[0]
            if package not in sys.stdlib_module_names | {"whosin", "tests", "benchmarks"}:
                found.setdefault(package, f"{repository.name(path)}:{line}")
    return found


def distributions(package: str) -> set[str]:
    if package in ELSEWHERE:
        return {ELSEWHERE[package]}
    return {canonicalize_name(name) for name in importlib.metadata.packages_distributions().get(package, [])}


def names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(one.name) for one in requirements}


def locked(file: str) -> dict[str, Version]:
    """Name → version of a lock, each with at least one hash."""
    entries = re.split(r"\n(?=[a-z0-9])", (repository.ROOT / file).read_text(encoding="utf-8").strip())
    found = {}
    for entry in entries:
        match = re.match(r"([a-z0-9-]+)==([^ ;]+)( ;[^\\]+)? \\\n +--hash=sha256:[0-9a-f]{64}", entry)
        assert match, f"{file} has an entry without version or hash: {entry[:80]!r}"
        found[canonicalize_name(match[1])] = Version(match[2])
    return found


def test_what_the_daemon_imports_is_declared():
    for package, where in imported("daemon/*.py").items():
        if package in NOT_NEEDED:
            assert distributions(package) & names(EXTRAS["alerts"])
        elif package not in NEITHER_HERE_NOR_NEEDED:
            assert distributions(package) & names(RUNTIME), f"{where} imports {package}: not in dependencies"


def test_what_is_declared_is_imported():
    used = set().union(*map(distributions, imported("daemon/*.py")))
    assert names(RUNTIME) - used == set()


def test_what_tests_and_benchmarks_import_is_declared():
    allowed = names(RUNTIME) | names(EXTRAS["test"])
    for package, where in imported("tests/*.py", "benchmarks/*.py", "examples/*.py").items():
        if package not in NEITHER_HERE_NOR_NEEDED:
            assert distributions(package) & allowed, f"{where} imports {package}: not in the extra `test`"


def test_what_the_extra_for_tests_declares_is_used():
    used = set().union(*map(distributions, imported("tests/*.py", "benchmarks/*.py")))
    assert names(EXTRAS["test"]) - used - TOOLS == set()


@pytest.mark.parametrize(
    ("file", "requirements"),
    [
        ("requirements.lock", RUNTIME),
        ("requirements-extras.lock", RUNTIME + EXTRAS["alerts"] + EXTRAS["fast"]),
        ("requirements-test.lock", RUNTIME + EXTRAS["test"]),
    ],
)
def test_the_lock_has_what_the_project_asks_for(file, requirements):
    versions = locked(file)
    for one in requirements:
        version = versions.get(canonicalize_name(one.name))
        assert version is not None, f"{file} lacks {one.name}: make it anew with .ci/pin"
        assert one.specifier.contains(version), (
            f"{file} has {one.name} {version}, asked for is {one.specifier}"
        )


@pytest.mark.parametrize("file", ["requirements-extras.lock", "requirements-test.lock"])
def test_the_larger_locks_have_what_the_daemon_alone_has(file):
    assert locked("requirements.lock").items() <= locked(file).items()


def test_all_locks_agree():
    chosen: dict[str, Version] = {}
    for path in repository.files("requirements*.lock"):
        for name, version in locked(path.name).items():
            assert chosen.setdefault(name, version) == version, f"{path.name} has another {name}"


def test_what_builds_the_archives_is_locked():
    needed = [Requirement(line) for line in BUILD["requires"]]
    versions = locked("requirements-build.lock")
    for one in needed:
        assert one.specifier.contains(versions[canonicalize_name(one.name)])
    assert names(needed) <= names(EXTRAS["test"])  # the tests build too


def test_the_changelog_has_this_version():
    changelog = (repository.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = importlib.metadata.version("whosin")
    assert re.search(rf"^## \[{re.escape(version)}\]( - \d{{4}}-\d\d-\d\d)?$", changelog, re.MULTILINE)
