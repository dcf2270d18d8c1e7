"""What many say alike is kept once, and strangers cannot fill the memory with what they say."""

from __future__ import annotations

from whosin.rules.words import Words


def text(content):
    return "".join(content)  # a new object each time


def test_an_equal_text_is_the_one_that_was_said_first():
    words, first = Words(), text("desktop")
    assert words.same(first) is first
    assert words.same(text("desktop")) is first


def test_beyond_the_bound_texts_are_as_good_and_not_kept():
    words = Words(most=2)
    kept = [words.same(text("one")), words.same(text("two"))]
    third = text("three")
    assert words.same(third) is third
    assert words.same(text("three")) == "three"
    assert words.same(text("three")) is not third
    assert [words.same(text("one")), words.same(text("two"))] == kept
    assert words.same(text("one")) is kept[0]
