"""Habits that every file keeps."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.house import repository
from whosin.settings import load

DAEMON = repository.files("daemon/*.py")
PYTHON = repository.files("*.py")
MOST_LINES = 500
TO_BE_PARTED = {f"daemon/whosin/{name}" for name in ("engine/engine.py", "rules/locks.py", "rules/roll.py")}

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b|NotImplementedError")
THIS_MACHINE = re.compile("|".join(re.escape(f"{path}/") for path in (repository.ROOT, Path.home())))
REGISTRY = re.compile(r"\b(pypi|pythonhosted|npmjs|yarnpkg)\.(org|com)\b|--(extra-)?index-url\b")


def lines(path: Path, pattern: re.Pattern[str]) -> list[str]:
    content = repository.text(path) or ""
    return [
        f"{repository.name(path)}:{number}: {line.strip()[:100]}"
        for number, line in enumerate(content.splitlines(), 1)
        if pattern.search(line)
    ]


def test_a_module_says_what_it_is():
    assert [repository.name(path) for path in PYTHON if not ast.get_docstring(repository.tree(path))] == []


def test_a_file_of_the_daemon_holds_one_subject():
    long = {repository.name(path): len((repository.text(path) or "").splitlines()) for path in DAEMON}
    long = {name: count for name, count in long.items() if count > MOST_LINES and name not in TO_BE_PARTED}
    assert long == {}


def test_nothing_is_left_unfinished():
    assert [line for path in DAEMON for line in lines(path, UNFINISHED)] == []


def test_no_file_knows_this_machine():
    assert [line for path in repository.files() for line in lines(path, THIS_MACHINE)] == []


def test_no_file_names_where_packages_come_from():
    assert [line for path in repository.files() for line in lines(path, REGISTRY)] == []


def test_no_test_sleeps_but_to_poll():
    """The clock is injected. What other processes do is polled for, in a loop; where real time itself is what
    is tried, the line says so: `# real time: why`."""
    found = []
    for path in repository.files("tests/*.py"):
        content = path.read_text(encoding="utf-8").splitlines()
        found += [
            f"{repository.name(path)}:{call.lineno}"
            for call in _sleeps(repository.tree(path))
            if "# real time: " not in content[call.lineno - 1]
        ]
    assert found == []


def _sleeps(tree: ast.AST) -> list[ast.Call]:
    """Calls that let time pass, but for those in a loop that waits for something."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.While) or (isinstance(node, ast.For) and _ends_early(node)):
            continue
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep", "sleep"}
            and ast.unparse(node.args[0]) != "0"
        ):
            found.append(node)
        found += _sleeps(node)
    return found


def _ends_early(loop: ast.For) -> bool:
    return any(isinstance(node, ast.Return | ast.Break) for node in ast.walk(loop))


# --- documents and settings ---------------------------------------------------------------------------

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def test_the_links_of_documents_lead_somewhere():
    assert [broken for path in repository.files("*.md") for broken in _broken_links(path)] == []


def _broken_links(path: Path) -> list[str]:
    found = []
    prose = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(prose):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            found.append(f"{repository.name(path)}: {link}")
    return found


def _anchors(path: Path) -> set[str]:
    """Those that forges give to headings."""
    headings = re.findall(r"^#+ +(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", repository.files("config/*.toml"), ids=repository.name)
def test_a_configuration_that_ships_is_accepted(path):
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    if path.name.startswith("whosin"):
        assert load(path, {}).file == path
    else:
        assert content


def test_the_tests_are_run_as_the_readme_says():
    """One command, the same for a newcomer and for .ci/run."""
    readme = (repository.ROOT / "README.md").read_text(encoding="utf-8")
    checks = (repository.ROOT / ".ci/run").read_text(encoding="utf-8")
    (command,) = re.findall(r"^.*-m pytest -n.*$", readme, re.MULTILINE)
    assert command in checks
