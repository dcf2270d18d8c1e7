"""docs/doctor.md names every check that there is, and shows lines that are really printed."""

from __future__ import annotations

import ast

from tests.docs.findings import table
from tests.docs.pages import ROOT, blocks, rows

CHECKS = (ROOT / "daemon" / "whosin" / "doctor").glob("*.py")


def test_every_check_is_in_the_table_of_the_page() -> None:
    named = " ".join(row[0] for row in rows("docs/doctor.md", "Doctor"))
    found = set()
    for path in CHECKS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"well", "warning", "problem"}:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    found.add(str(first.value))
    assert {"settings", "disk space", "broker rights"} <= found
    for check in found:
        assert all(word in named for word in check.split()[-1:]), check


def test_the_picture_on_the_page_has_the_levels_and_their_sum() -> None:
    (picture,) = [block.text for block in blocks("docs/doctor.md") if block.language == "text"]
    lines = picture.splitlines()
    problems, warnings = (sum(line.startswith(level) for line in lines) for level in ("problem", "warning"))
    assert lines[-1] == f"{problems} problems, {warnings} warnings."


def test_everything_that_it_can_find_is_on_the_page() -> None:
    assert (ROOT / "docs/doctor.md").read_text(encoding="utf-8").endswith(f"\n\n{table()}")
