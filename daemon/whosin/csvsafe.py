"""CSV that a spreadsheet shows and never runs: one writer for the page, the API and the command line.

Owns quoting, and the defusing of texts that a spreadsheet would take for a formula. Must not know what is
written.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""Begun with one of these (also full-width), a text is a formula for some spreadsheet."""

MEDIA_TYPE = "text/csv; charset=utf-8"


def rows(values: Iterable[Iterable[object]]) -> str:
    """Lines of RFC 4180, ended by CR LF. None is an empty cell, a list its items with "; " between."""
    out = io.StringIO()
    csv.writer(out).writerows([[_cell(value) for value in row] for row in values])
    return out.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value)
    text = "; ".join(str(one) for one in value) if isinstance(value, list | tuple) else str(value)
    text = text.replace("\0", "")
    return "'" + text if text.lstrip(" ")[:1] in FORMULA and text.strip(" ") else text
