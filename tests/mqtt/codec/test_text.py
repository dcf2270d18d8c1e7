"""Which topics and filters are valid (section 4.7), both sides of each boundary."""

from __future__ import annotations

import pytest

from whosin.mqtt.codec.text import filter_problem, shared_filter_problem, topic_problem


@pytest.mark.parametrize("topic", [b"a", b"/", b"a//b", b"$SYS/a", "é/ü".encode(), b" ", b"x" * 65_535])
def test_a_topic_is_any_text_without_wildcards(topic):
    assert topic_problem(topic) is None


@pytest.mark.parametrize(
    ("topic", "problem"),
    [
        (b"", "empty"),
        (b"a\xffb", "not UTF-8"),
        (b"\xed\xa0\x80", "not UTF-8"),
        (b"a\0b", "NUL"),
        ("é\0".encode(), "NUL"),
        (b"a/+/b", "wildcard"),
        (b"a+", "wildcard"),
        (b"a/#", "wildcard"),
        (b"x" * 65_536, "65536 bytes"),
    ],
)
def test_a_topic_that_is_none_is_told_why(topic, problem):
    assert problem in topic_problem(topic)


@pytest.mark.parametrize(
    "pattern", ["a", "+", "#", "/", "a/+/b", "+/+", "a/#", "+/#", "/+", "a//#", "$SYS/#"]
)
def test_wildcards_stand_alone_in_their_level_and_the_last_only_at_the_end(pattern):
    assert filter_problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("", "empty"),
        ("a\0b", "NUL"),
        ("a+", "'+' beside"),
        ("+a/b", "'+' beside"),
        ("a/b+/c", "'+' beside"),
        ("++", "'+' beside"),
        ("a#", "'#' elsewhere"),
        ("a/b#", "'#' elsewhere"),
        ("#a", "'#' elsewhere"),
        ("##", "'#' elsewhere"),
        ("#/a", "'#' elsewhere"),
        ("a/#/b", "'#' elsewhere"),
        ("#/", "'#' elsewhere"),
    ],
)
def test_a_filter_that_is_none_is_told_why(pattern, problem):
    assert problem in filter_problem(pattern)


@pytest.mark.parametrize(
    "pattern", ["$share/g/a", "$share/g/a/b/c", "$share/g/+/b/#", "$share/g/#", "$share/g//"]
)
def test_a_shared_filter_is_any_filter_behind_a_name(pattern):
    assert shared_filter_problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("$share", "not $share/<name>/<filter>"),
        ("$share/g", "not $share/<name>/<filter>"),
        ("$share//a", "not $share/<name>/<filter>"),
        ("$share/+/a", "not $share/<name>/<filter>"),
        ("$share/g+/a", "not $share/<name>/<filter>"),
        ("$share/#/a", "not $share/<name>/<filter>"),
        ("$share/g#/a", "not $share/<name>/<filter>"),
        ("$share/g/", "empty"),
        ("$share/g/a+", "'+' beside"),
        ("$share/g/#/a", "'#' elsewhere"),
    ],
)
def test_a_shared_filter_that_is_none_is_told_why(pattern, problem):
    assert problem in shared_filter_problem(pattern)
