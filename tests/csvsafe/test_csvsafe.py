"""CSV is what a spreadsheet reads back, and no text of strangers is a formula in it."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whosin import csvsafe


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_rows_end_as_the_rfc_says_and_nothing_is_an_empty_cell() -> None:
    assert csvsafe.rows([["a", None, 3, True], [["x", "y"], 1.5, False, ""]]) == (
        "a,,3,yes\r\nx; y,1.5,no,\r\n"
    )


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =cmd|'/c calc'!A0", "\uff1d1"]
)
def test_what_a_spreadsheet_would_run_is_shown_as_text(text: str) -> None:
    assert read(csvsafe.rows([[text]])) == [["'" + text]]


def test_a_negative_number_stays_a_number() -> None:
    assert csvsafe.rows([[-3, -0.5]]) == "-3,-0.5\r\n"


@given(
    st.lists(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
)
def test_every_text_comes_back_but_for_the_mark_before_a_formula(table: list[list[str]]) -> None:
    found = read(csvsafe.rows(table))
    for row, back in zip(table, found, strict=True):
        for text, cell in zip(row, back, strict=True):
            assert cell in (text, "'" + text)
            assert cell.lstrip(" ")[:1] not in csvsafe.FORMULA or not cell.strip(" ")
