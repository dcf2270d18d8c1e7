"""Tables take the room there is, and no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from whosin.cli.table import GAP, Column, fit, lay_out

wants = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 30), st.integers(0, 9)), min_size=1, max_size=12
)


def taken(widths):
    return sum(widths.values()) + GAP * (len(widths) - 1)


@given(wants, st.integers(1, 300))
def test_a_table_is_wider_than_its_room_only_when_nothing_more_may_be_dropped(columns, room):
    widths = fit(columns, room)
    assert taken(widths) <= room or all(columns[index][2] == 0 for index in widths) or len(widths) == 1


@given(wants, st.integers(1, 300))
def test_no_column_is_narrower_than_its_least_or_wider_than_it_needs(columns, room):
    for index, width in fit(columns, room).items():
        natural, least, _ = columns[index]
        assert min(natural, least) <= width <= natural


@given(wants)
def test_without_bounds_every_column_has_what_it_needs(columns):
    assert fit(columns, None) == {index: natural for index, (natural, _, _) in enumerate(columns)}


@given(wants, st.integers(1, 300))
def test_what_is_dropped_matters_less_than_what_stays(columns, room):
    stay = fit(columns, room)
    gone = [columns[index][2] for index in range(len(columns)) if index not in stay]
    assert all(columns[index][2] <= min(gone) for index in stay if gone)


def rendered(columns, rows, room):
    screen = Console(width=room, file=None, record=True, quiet=False, force_terminal=False)
    with screen.capture() as capture:
        screen.print(lay_out(columns, rows, room))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_column_without_a_value_is_left_out_and_markup_is_only_text():
    columns = [Column("NAME", lambda row: row["name"]), Column("APP", lambda row: row["app"])]
    assert rendered(columns, [{"name": "[red]x[/red]", "app": None}], 40) == ["NAME", "[red]x[/red]"]


def test_a_value_that_is_too_long_ends_in_an_ellipsis():
    columns = [Column("NAME", lambda row: row, least=6)]
    assert rendered(columns, ["abcdefghijkl"], 8) == ["NAME", "abcdefg…"]


def test_a_sentence_that_people_are_to_follow_takes_more_lines_instead():
    columns = [Column("ID", str, least=2), Column("TO DO", lambda _: "Open the order: check it.", wraps=True)]
    assert rendered(columns, [17], 20) == ["ID  TO DO", "17  Open the order:", "    check it."]
