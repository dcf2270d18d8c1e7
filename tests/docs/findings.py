"""What `whosin doctor` can find, read from its code; `python -m tests.docs.findings` prints the page's table.

Owns how a text is written in which something is filled in: with `…`.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from tests.house import repository


class Finding(NamedTuple):
    check: str
    level: str
    found: str
    advice: str


def findings() -> list[Finding]:
    """Problems and warnings, in the order of the modules; without those that only pass on others' words."""
    found = []
    for path in repository.files("daemon/whosin/doctor/*.py"):
        names = _constants(repository.tree(path))
        for node in ast.walk(repository.tree(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"problem", "warning"}:
                check, told, advice = (_texts(one, names) for one in node.args)
                name = check[0] if check[0] != "…" else path.stem.removesuffix("s")
                found += [
                    Finding(name, ast.unparse(node.func), one, two)
                    for one, two in zip(told, advice, strict=False)
                    if re.search(r"\w{2}", one)
                ]
    return sorted(dict.fromkeys(found), key=lambda one: one.check)


def table() -> str:
    """For the page."""
    rows = [f"| {one.check} | {one.level} | {one.found} | {one.advice} |\n" for one in findings()]
    return "| check | | finding | what to do |\n| --- | --- | --- | --- |\n" + "".join(map(_cell, rows))


def _cell(row: str) -> str:
    """A bar inside of a command is none of the table's."""
    return re.sub(r"(?<=\w) \| (?=tail|sort)", r" \| ", row)


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """What the module calls by a name."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
    return found


def _texts(node: ast.expr, names: dict[str, ast.expr]) -> list[str]:
    """Both of `a if x else b`."""
    if isinstance(node, ast.IfExp):
        return [_text(node.body, names), _text(node.orelse, names)]
    return [_text(node, names)]


def _text(node: ast.expr, names: dict[str, ast.expr]) -> str:
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return re.sub("…+", "…", "".join(_text(value, names) for value in values))
        case ast.BinOp(left=left, right=right):
            return _text(left, names) + _text(right, names)
        case ast.Name(id=name) | ast.FormattedValue(value=ast.Name(id=name)) if name in names:
            return _text(names[name], names)
        case _:
            return "…"


if __name__ == "__main__":
    print(table(), end="")
