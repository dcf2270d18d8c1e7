"""The repository as the tests of the house read it: its files, and the trees of its modules."""

from __future__ import annotations

import ast
import fnmatch
import functools
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
DAEMON = ROOT / "daemon"


@functools.cache
def files(*patterns: str) -> list[Path]:
    """Those that git knows or would take, and that exist. In an unpacked archive: all but what is built."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode == 0:
        found = {ROOT / name for name in done.stdout.decode().split("\0") if name}
    else:
        named = {path: name(path) for path in ROOT.rglob("*")}
        found = {
            path
            for path, said in named.items()
            if not re.search(r"(^|/)(\.|__pycache__/)", said)
            and any(fnmatch.fnmatchcase(said, pattern) for pattern in patterns or ("*",))
        }
    return sorted(path for path in found if path.is_file())


def text(path: Path) -> str | None:
    """None for what is not text: pictures, for instance."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name(path: Path) -> str:
    """As people write it: relative to the repository."""
    return path.relative_to(ROOT).as_posix()


def module(path: Path) -> str:
    """`daemon/whosin/web/app.py` is `whosin.web.app`."""
    parts = path.relative_to(DAEMON).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> list[tuple[str, int]]:
    """Every module that a file imports, anywhere in it, with its line. `from a import b` counts as `a.b`
    where that is a module of the house, for `from whosin import wire` is one of `whosin.wire`."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}:{node.lineno}: imports are written out, never relative"
            source = node.module or ""
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                found.append((inner if _is_module(inner) else source, node.lineno))
    return found


@functools.cache
def _is_module(dotted: str) -> bool:
    place = DAEMON.joinpath(*dotted.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()
