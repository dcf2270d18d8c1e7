"""From a module's source to its mutants: the same text with one small thing wrong in it.

Owns what is changed and what is left out. Must not know tests, processes or files.

Left out as classes, since nothing hangs on them that a program or a person relies on: annotations, imports,
docstrings, decorators, `assert`, `__all__`, `__slots__`, `TypeVar`, what only runs as a script; and texts:
strings and f-strings with a space in them, and what the calls in TEXTS are given to word a message with.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

TEXTS = frozenset(
    {
        "fail", "_fail", "u8", "u16", "u32", "varint", "binary", "text", "take", "write_text", "write_binary",
        "TypeVar", "isinstance", "cast",
    }
)  # fmt: skip
"""Calls whose string arguments word a message, or are no behaviour."""

COMPARE = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"), ast.NotIn: (r"not\s+in", "in"),
}  # fmt: skip
BINARY = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "//"), ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"), ast.Mod: ("%", "*"), ast.Pow: ("**", "*"), ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"), ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"), ast.BitXor: ("^", "&"),
}  # fmt: skip
TRIED_OTHERWISE = (ast.Constant, ast.JoinedStr, ast.Starred, ast.GeneratorExp, ast.Lambda)
TAKE_ANYTHING_BUT_NONE = frozenset({"isinstance", "cast", "len", "bytes", "bool", "reversed"})
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
METHODS = {"startswith": "endswith", "endswith": "startswith"}


@dataclass(frozen=True)
class Mutant:
    """`owner` is the outermost function it lies in; None for what runs on import.

    `lines` are its statement's. `before` and `after` are the changed lines, spaces squeezed: with `function`
    they tell a mutant from others even after the code around it has moved.
    """

    file: str
    function: str
    owner: str | None
    lines: range
    before: str
    after: str
    source: str


def mutants_of(source: str, file: str) -> list[Mutant]:
    """All of them, in order of the text, each text once."""
    found: dict[str, Mutant] = {}
    for mutant in _Walk(source, file).all():
        found.setdefault(mutant.source, mutant)
    found.pop(source, None)
    return list(found.values())


@dataclass(frozen=True)
class _Edit:
    start: int
    end: int
    text: str


class _Walk:
    def __init__(self, source: str, file: str) -> None:
        self.file = file
        self.raw = source.encode()
        self.tree = ast.parse(source)
        self.starts = [0]
        for line in self.raw.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def all(self) -> Iterator[Mutant]:
        yield from self._body(self.tree.body, (), None)

    # --- places in the text ---------------------------------------------------------------------------

    def _start(self, node: ast.AST) -> int:
        return self.starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.AST) -> int:
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.AST) -> str:
        return self.raw[self._start(node) : self._end(node)].decode()

    def _instead(self, node: ast.AST, text: str) -> _Edit:
        return _Edit(self._start(node), self._end(node), text)

    def _operator(self, left: ast.AST, right: ast.AST, pattern: str, text: str) -> _Edit:
        """What stands between two nodes; brackets may stand there too."""
        start = self._end(left)
        between = self.raw[start : self._start(right)].decode()
        found = re.search(pattern if pattern[0].isalpha() else re.escape(pattern), between)
        assert found is not None, (pattern, between)
        return _Edit(start + found.start(), start + found.end(), text)

    def _mutant(self, edit: _Edit, statement: ast.stmt, path: tuple[str, ...], owner: str | None) -> Mutant:
        source = self.raw[: edit.start] + edit.text.encode() + self.raw[edit.end :]
        first = max(n for n, start in enumerate(self.starts) if start <= edit.start)
        last = max(n for n, start in enumerate(self.starts) if start <= max(edit.start, edit.end - 1))
        begin, stop = self.starts[first], self.starts[last + 1]
        after = source[begin : stop + len(edit.text.encode()) - (edit.end - edit.start)]
        lines = range(statement.lineno, _head_end(statement) + 1)
        return Mutant(
            self.file, ".".join(path) or "<module>", owner, lines,
            _squeeze(self.raw[begin:stop]), _squeeze(after), source.decode(),
        )  # fmt: skip

    # --- statements -----------------------------------------------------------------------------------

    def _body(self, body: list[ast.stmt], path: tuple[str, ...], owner: str | None) -> Iterator[Mutant]:
        for statement in body:
            yield from self._statement(statement, path, owner)

    def _statement(self, node: ast.stmt, path: tuple[str, ...], owner: str | None) -> Iterator[Mutant]:
        if _left_out(node):
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for default in (*node.args.defaults, *(it for it in node.args.kw_defaults if it is not None)):
                yield from self._wrap(self._expression(default), default, (*path, node.name), owner)
            inner = owner or ".".join((*path, node.name))
            yield from self._body(node.body, (*path, node.name), inner)
            return
        if isinstance(node, ast.ClassDef):
            yield from self._body(node.body, (*path, node.name), owner)
            return
        yield from self._wrap(self._changes(node, inside=owner is not None), node, path, owner)
        for block in ("body", "orelse", "finalbody"):
            yield from self._body(getattr(node, block, []), path, owner)
        for handler in getattr(node, "handlers", []):
            yield from self._body(handler.body, path, owner)
        for case in getattr(node, "cases", []):
            yield from self._body(case.body, path, owner)

    def _wrap(
        self, edits: Iterator[_Edit], node: ast.AST, path: tuple[str, ...], owner: str | None
    ) -> Iterator[Mutant]:
        for edit in edits:
            yield self._mutant(edit, node, path, owner)  # type: ignore[arg-type]

    def _changes(self, node: ast.stmt, *, inside: bool) -> Iterator[_Edit]:
        match node:
            case ast.Expr(value=ast.Call()) | ast.Delete() | ast.Raise():
                yield self._instead(node, "pass")
            case ast.Return(value=None):
                yield self._instead(node, "pass")
            case ast.Continue():
                yield self._instead(node, "break")
            case ast.Break():
                yield self._instead(node, "continue")
            case ast.Return(value=value) if not _boolean(value):
                yield self._instead(value, "None")
            case ast.Assign(targets=[target], value=value) if inside:
                yield from self._assignment(node, target, value)
            case ast.AnnAssign(target=target, value=value) if inside and value is not None:
                yield from self._assignment(node, target, value)
            case ast.AugAssign(target=target, op=op, value=value):
                old, new = BINARY[type(op)]
                yield self._operator(target, value, old + "=", new + "=")
                yield self._operator(target, value, old + "=", "=")
            case ast.If(test=test) | ast.While(test=test):
                yield from self._truth(test)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "targets", "target") and not isinstance(node, ast.For | ast.Delete):
                continue
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, ast.expr):
                    yield from self._expression(part)
                elif isinstance(part, ast.withitem):
                    yield from self._expression(part.context_expr)
                elif isinstance(part, ast.match_case) and part.guard is not None:
                    yield from self._truth(part.guard)
                    yield from self._expression(part.guard)

    def _assignment(self, node: ast.stmt, target: ast.expr, value: ast.expr) -> Iterator[_Edit]:
        if isinstance(target, ast.Attribute | ast.Subscript):
            yield self._instead(node, "pass")
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for part in value.elts:
                if not isinstance(part, ast.Constant):
                    yield self._instead(part, "None")
        elif isinstance(target, ast.Name) and not isinstance(value, ast.Constant):
            yield self._instead(value, "None")

    # --- expressions ----------------------------------------------------------------------------------

    def _truth(self, test: ast.expr) -> Iterator[_Edit]:
        """A condition that no other change turns round."""
        if not _boolean(test) and not isinstance(test, ast.Constant | ast.NamedExpr):
            yield self._instead(test, f"(not ({self._text(test)}))")
        elif isinstance(test, ast.NamedExpr):
            yield self._instead(test, f"not ({self._text(test)})")

    def _expression(self, node: ast.expr, *, text: bool = False) -> Iterator[_Edit]:
        match node:
            case ast.JoinedStr(values=parts):
                if not text and not any(isinstance(it, ast.Constant) and " " in it.value for it in parts):
                    yield self._instead(node, '""')
                return
            case ast.Constant(value=value):
                yield from self._constant(node, value, text=text)
            case ast.Compare(left=left, ops=ops, comparators=others):
                for one, op, other in zip([left, *others[:-1]], ops, others, strict=True):
                    yield self._operator(one, other, *COMPARE[type(op)])
            case ast.BoolOp(op=op, values=values):
                old, new = ("and", "or") if isinstance(op, ast.And) else ("or", "and")
                for one, other in pairwise(values):
                    yield self._operator(one, other, old, new)
                for value in values:
                    yield from self._truth(value)
            case ast.UnaryOp(op=op):
                new = {ast.Not: "", ast.USub: "+", ast.UAdd: "-", ast.Invert: ""}[type(op)]
                width = 3 if isinstance(op, ast.Not) else 1
                yield _Edit(self._start(node), self._start(node) + width, new)
            case ast.BinOp(left=left, op=op, right=right):
                yield self._operator(left, right, *BINARY[type(op)])
                if isinstance(op, ast.BitAnd | ast.BitOr):
                    for side in (left, right):
                        yield from self._mask(side)
                    return
            case ast.IfExp(test=test):
                yield from self._truth(test)
            case ast.Lambda(body=body) if not isinstance(body, ast.Constant):
                yield self._instead(body, "None")
            case ast.Yield(value=value) if value is not None:
                yield self._instead(value, "None")
            case ast.YieldFrom(value=value):
                yield self._instead(value, "()")
            case ast.Dict(values=values):
                for value in values:
                    if not isinstance(value, ast.Constant | ast.JoinedStr):
                        yield self._instead(value, "None")
            case ast.Call():
                yield from self._call(node)
                return
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            for loop in node.generators:
                for test in loop.ifs:
                    yield from self._truth(test)
                    yield from self._expression(test)
                yield from self._expression(loop.iter)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from self._expression(child, text=text)

    def _call(self, node: ast.Call) -> Iterator[_Edit]:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        other = METHODS.get(name) if isinstance(node.func, ast.Attribute) else NAMES.get(name)
        if other is not None:
            yield _Edit(self._end(node.func) - len(name), self._end(node.func), other)
        yield from self._expression(node.func)
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        for value in values:
            if not isinstance(value, TRIED_OTHERWISE) and name not in TAKE_ANYTHING_BUT_NONE:
                yield self._instead(value, "None")
            yield from self._expression(value, text=name in TEXTS)

    def _mask(self, node: ast.expr) -> Iterator[_Edit]:
        """One more would often touch a bit that is known; the next bits are others."""
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value:
            yield self._instead(node, hex(node.value << 1))
        else:
            yield from self._expression(node)

    def _constant(self, node: ast.Constant, value: object, *, text: bool) -> Iterator[_Edit]:
        match value:
            case bool():
                yield self._instead(node, str(not value))
            case int():
                yield self._instead(node, hex(value + 1) if "0x" in self._text(node) else str(value + 1))
            case float():
                yield self._instead(node, str(value + 1))
            case str() if not text and " " not in value:
                yield self._instead(node, repr(value + "XX"))
            case bytes():
                yield self._instead(node, repr(value + b"XX"))


def _boolean(node: ast.expr | None) -> bool:
    """Its truth is turned round by a change inside of it."""
    if isinstance(node, ast.Constant):
        return node.value is None or isinstance(node.value, bool)
    negated = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    return negated or isinstance(node, ast.Compare | ast.BoolOp)


def _left_out(node: ast.stmt) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.Pass() | ast.Global() | ast.Nonlocal():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case (
            ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.If(test=ast.Compare(left=ast.Name(id="__name__")))
        ):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")]):
            return True
        case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar"))):
            return True
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
    return False


def _head_end(node: ast.AST) -> int:
    """Where a statement's own lines end: those of its blocks are not its."""
    body = getattr(node, "body", None)
    if isinstance(body, list) and body:
        return max(node.lineno, body[0].lineno - 1)  # type: ignore[attr-defined]
    return node.end_lineno  # type: ignore[attr-defined]


def _squeeze(raw: bytes) -> str:
    return " ".join(raw.decode().split())
