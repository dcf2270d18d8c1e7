"""docs/troubleshooting.md quotes what the program says, and leaves out no code, reason or line of the log."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator

import pytest

from tests.docs import pages
from tests.house import repository
from whosin import cli
from whosin.observe.journal import TABLE, WARNING
from whosin.service.windows import manager, program
from whosin.store.faults import _ADVICE

PAGE = "docs/troubleshooting.md"
TEXT = (pages.ROOT / PAGE).read_text(encoding="utf-8")
CODE = [
    path for path in repository.files("daemon/whosin/*.py") if path.parts[-2] not in {"client", "simulate"}
]
QUOTING = {"it says", "you see", "cause", "REASON"}
"""Heads of the columns in which code is what the program says."""
LEVELS = {"warning", "error", "exception"}


def strings(node: ast.AST) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


@functools.cache
def said() -> str:
    """Every text of the program and of its page, but for what is said to its readers."""
    texts = [text for path in CODE for text in _spoken(repository.tree(path))]
    texts += [path.read_text(encoding="utf-8") for path in repository.files("daemon/whosin/web/page/texts/*")]
    return "\0".join(texts)


def _spoken(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            yield from _spoken(node)


def calls(*suffixes: str, below: str = "") -> Iterator[tuple[str, ast.Call]]:
    """The last word of what is called, for every call of these."""
    for path in CODE:
        if repository.name(path).startswith(f"daemon/whosin/{below}"):
            for node in ast.walk(repository.tree(path)):
                name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
                if name in suffixes:
                    yield name, node


def _in_argument(number: int, found: Iterator[tuple[str, ast.Call]]) -> set[str]:
    return {one for _, call in found if len(call.args) > number for one in strings(call.args[number])}


def first_cells(heading: str) -> set[str]:
    return {span for cells in pages.rows(PAGE, heading) for span in re.findall(r"`([^`]+)`", cells[0])}


def quotes() -> list[str]:
    """What stands in code in the columns that quote."""
    found: list[str] = []
    quoting: list[int] = []
    lines = TEXT.splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if after.startswith("| ---"):
            quoting = [number for number, cell in enumerate(cells) if cell in QUOTING]
        elif line.startswith("| ") and not line.startswith("| ---"):
            found += [span for number in quoting for span in re.findall(r"`([^`]+)`", cells[number])]
    behind = {one.shown for one in pages.blocks(PAGE)}
    texts = [one.text for one in pages.blocks(PAGE) if one.language == "text" and one.text not in behind]
    return found + [line for text in texts for line in text.splitlines()]


# --- what it quotes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("quote", sorted(set(quotes())))
def test_what_it_quotes_is_what_the_program_says(quote):
    assert max(map(len, quote.split("…"))) > 3
    for piece in quote.split("…"):
        assert piece.strip() in said(), piece


def test_it_quotes_much():
    assert len(quotes()) > 40


# --- what it leaves out ---------------------------------------------------------------------------------


def test_every_exit_code_is_told():
    codes = {0, cli.EXIT_FAILED, cli.EXIT_WRONG_USE, cli.EXIT_NOT_REACHABLE}
    assert {int(cells[0]) for cells in pages.rows(PAGE, "It does not start") if cells[0].isdigit()} == codes
    codes = {program.FAILED, program.WRONG_SETTINGS, program.NOT_STOPPED}
    told = {cells[0]: cells[1] for cells in pages.rows(PAGE, "The service of Windows stops")}
    assert {int(code) for code in told if code} == codes == set(manager._WHY)
    assert manager._WHY[program.WRONG_SETTINGS] in told["2"]


def test_every_reason_for_not_being_ready_is_told():
    told = {cells[0] for cells in pages.rows(PAGE, "Not ready")}
    kinds = ", ".join(f"`storage: {kind}: …`" for kind in _ADVICE)
    assert kinds in told
    assert {"`loading`", "`stopping`", "`blind: nothing is received through the door`"} <= told
    (problems,) = [
        node
        for node in ast.walk(repository.tree(repository.DAEMON / "whosin/desk/desk.py"))
        if isinstance(node, ast.FunctionDef) and node.name == "problems"
    ]
    reasons = {one.partition(":")[0] for one in strings(problems) if one.strip(": ")}
    assert reasons == {"blind", "storage", "stopping"}, "a reason that the page does not have"


def test_every_way_to_fail_to_store_is_told():
    assert first_cells("The disk is full, or the database is damaged") == set(_ADVICE)


def test_every_reason_for_dropping_is_told_and_whatever_the_door_gives_up():
    reasons = _in_argument(0, calls("rejected", "BadInput"))
    done = _in_argument(0, calls("count", below="mqtt/door"))
    ends = _in_argument(1, calls("end", below="mqtt/door"))
    counted = {one for one in done if len(one) > 1} - {"closed_"} | {f"closed_{one}" for one in ends}
    assert first_cells("Messages are dropped") == reasons | counted


def test_every_code_of_a_refused_login_or_lock_is_told():
    pairs = [
        node
        for path in repository.files("daemon/whosin/rules/*.py")
        for node in ast.walk(repository.tree(path))
        if isinstance(node, ast.Tuple) and len(node.elts) == 2
    ]
    logins = {"conflict", "forbidden", "limit", "maintenance"}
    found = {
        str(pair.elts[0].value)
        for pair in pairs
        if isinstance(pair.elts[0], ast.Constant) and any(" " in text for text in strings(pair.elts[1]))
    }
    assert {"conflict", "forbidden", "limit", "deadlock"} <= found
    assert first_cells("A login is refused") == logins
    assert found <= logins | first_cells("A lock is refused")


def test_every_line_of_level_warning_or_error_is_told():
    lines = {str(call.args[0].value) for _, call in calls(*LEVELS) if call.args and _named(call.args[0])}
    for _, call in calls("say", "tell", "_say", below="mqtt/link"):
        words = [one.value for one in call.args[:2] if isinstance(one, ast.Constant)]
        lines |= {str(word) for word in words if _is_name(word)} if words[:1] != ["info"] else set()
    lines |= {kind for kind, row in TABLE.items() if row.level == WARNING or callable(row.level)}
    for _, call in calls("log"):
        lines |= {one for one in strings(call) if _is_name(one)}
    assert first_cells("Lines of the log") == lines


def _named(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and _is_name(node.value)


def _is_name(word: object) -> bool:
    return isinstance(word, str) and re.fullmatch(r"[a-z]+\.[a-z_]+", word) is not None


def test_it_leads_to_everything_that_the_doctor_finds():
    assert "(doctor.md#what-it-finds)" in TEXT
