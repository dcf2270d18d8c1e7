"""Resources as paths, and the indexes over them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whosin.rules.paths import MAX_SEGMENTS, Lanes, PathIndex, ancestry, covers, overlap, valid


@pytest.mark.parametrize(
    "path",
    [
        "vat-return",
        "sales-order/SO-1001",
        "a/b/c",
        "*",
        "Größe/№ 7",
        "with space",
        "/".join("x" * MAX_SEGMENTS),
    ],
)
def test_segments_divided_by_slashes_are_a_path_and_so_is_a_star_alone(path):
    assert valid(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "a/*",
        "*/a",
        "a*",
        "**",
        "a\0b",
        "a\nb",
        "\ud800",
        "/".join("x" * (MAX_SEGMENTS + 1)),
    ],
)
def test_anything_else_is_none(path):
    assert not valid(path)


@pytest.mark.parametrize(
    ("upper", "lower"), [("a", "a"), ("a", "a/b"), ("a", "a/b/c"), ("*", "a"), ("*", "*"), ("a/b", "a/b/c")]
)
def test_a_path_covers_itself_and_all_below(upper, lower):
    assert covers(upper, lower)
    assert overlap(upper, lower)
    assert overlap(lower, upper)


@pytest.mark.parametrize(
    ("one", "other"), [("a", "ab"), ("a/b", "a/bc"), ("a", "A"), ("a/b", "a/c"), ("b", "a/b")]
)
def test_a_common_beginning_is_not_a_common_segment_and_case_counts(one, other):
    assert not overlap(one, other)


def test_nothing_but_the_star_covers_the_star():
    assert not covers("a", "*")


def test_ancestry_goes_from_the_star_down_to_the_path_itself():
    assert ancestry("a/b/c") == ["*", "a", "a/b", "a/b/c"]
    assert ancestry("*") == ["*"]


PATHS = st.sampled_from(["*", "a", "ab", "a/b", "a/b/c", "a/d", "e", "e/f"])


@given(st.lists(st.tuples(PATHS, st.booleans(), st.booleans())), PATHS)
def test_the_indexes_find_what_a_scan_finds_each_once(steps, asked):
    index: PathIndex[tuple[int, str]] = PathIndex()
    lanes: Lanes[tuple[int, str]] = Lanes()
    there: dict[tuple[int, str], bool] = {}
    for nth, (path, shared, removes) in enumerate(steps):
        if removes and there:
            thing = next(iter(there))
            index.remove(thing[1], thing)
            lanes.remove(thing[1], thing, shared=there.pop(thing))
        else:
            there[nth, path] = shared
            index.add(path, (nth, path))
            lanes.add(path, (nth, path), shared=shared)
    found = [thing for thing in there if overlap(thing[1], asked)]
    assert sorted(index.overlapping(asked)) == sorted(lanes.overlapping(asked)) == found
    assert list(index.exact(asked)) == [thing for thing in there if thing[1] == asked]
    assert sorted(lanes.exact(asked)) == [thing for thing in there if thing[1] == asked]
    assert len(index) == len(lanes) == len(there)
    assert sorted(index.everything()) == sorted(lanes.everything()) == list(there)
    opposing = sorted(thing for group in lanes.opposing(asked, shared=True) for thing in group)
    assert opposing == [thing for thing in found if not there[thing]]
    for group in index.groups(asked):
        assert list(group) == sorted(group), "a group is in order of adding"


def test_an_index_that_is_empty_again_holds_nothing():
    index: PathIndex[str] = PathIndex()
    index.add("a/b/c", "x")
    index.remove("a/b/c", "x")
    index.remove("a/b/c", "x")
    assert (index._at, index._below) == ({}, {})


def test_what_lies_exactly_at_a_path_is_found_in_both_lanes():
    lanes = Lanes()
    lanes.add("a", "writer", shared=False)
    lanes.add("a", "reader", shared=True)
    lanes.add("a/b", "deeper", shared=True)
    assert lanes.exact("a") == ["writer", "reader"]
    assert lanes.exact("a/b") == ["deeper"]
    assert lanes.exact("*") == []


def test_what_lies_below_a_path_is_found_by_mode_without_what_lies_at_it():
    lanes = Lanes()
    lanes.add("a", "at it", shared=False)
    lanes.add("a/b", "writer", shared=False)
    lanes.add("a/c/d", "reader", shared=True)
    lanes.add("e", "elsewhere", shared=False)
    assert [list(group) for group in lanes.opposing_below("a", shared=True)] == [["writer"]]
    assert [list(group) for group in lanes.opposing_below("a", shared=False)] == [["writer"], ["reader"]]
    assert [list(group) for group in lanes.opposing_below("a/b", shared=False)] == [[], []]
