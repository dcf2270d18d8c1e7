"""Each kind of value takes what it says, on both sides of its bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from whosin.settings.kinds import (
    Address,
    Broker,
    BrokerUrl,
    Listen,
    Location,
    StoreUrl,
    Wrong,
    choice,
    seconds,
    seconds_between,
    shown,
    whole,
)

HERE = Path("/here")


@pytest.mark.parametrize("value", [0.0001, 1, 1.5, 100_000_000])
def test_a_duration_is_more_than_nothing(value):
    assert seconds().read(value, HERE) == value


@pytest.mark.parametrize(
    "value", [0, -0.0, -1, 100_000_001, float("nan"), float("inf"), True, "1", [1], None, 10**400]
)
def test_what_is_not_a_duration_is_refused(value):
    with pytest.raises(Wrong):
        seconds().read(value, HERE)


@pytest.mark.parametrize(("value", "fits"), [(0.0099, False), (0.01, True), (1, True), (1.0001, False)])
def test_bounds_are_inclusive(value, fits):
    if fits:
        assert seconds_between(0.01, 1).read(value, HERE) == value
    else:
        with pytest.raises(Wrong, match=r"expected 0\.01 to 1$"):
            seconds_between(0.01, 1).read(value, HERE)


def test_whole_numbers_have_no_fraction():
    assert whole(1, 3).read(3, HERE) == 3
    for value in (3.0, 0, 4, False):
        with pytest.raises(Wrong):
            whole(1, 3).read(value, HERE)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:1883", Address("127.0.0.1", 1883)),
        ("[::1]:0", Address("::1", 0)),
        ("localhost:65535", Address("localhost", 65535)),
        ("off", None),
        ("", None),
    ],
)
def test_addresses_are_read(text, address):
    assert Listen().read(text, HERE) == address


@pytest.mark.parametrize(
    "value",
    [
        "1883",
        ":1883",
        "host",
        "host:",
        "host:65536",
        "::1:1883",
        "[zz]:1",
        "[1.2.3.4]:1",
        "a b:1",
        1883,
        None,
    ],
)
def test_what_is_no_address_is_refused(value):
    with pytest.raises(Wrong):
        Listen().read(value, HERE)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("localhost.example", False)],
)  # fmt: skip
def test_only_this_machines_own_addresses_are_loopback(host, loopback):
    assert Address(host, 1).loopback is loopback


def test_addresses_are_shown_as_they_are_read():
    for text in ("127.0.0.1:1883", "[::1]:80"):
        assert str(Listen().read(text, HERE)) == text
    assert str(BrokerUrl().read("mqtts://[::1]:88", HERE)) == "mqtts://[::1]:88"


@pytest.mark.parametrize(
    ("text", "broker"),
    [("mqtt://b", Broker("b", 1883, tls=False)), ("mqtts://b/", Broker("b", 8883, tls=True)),
     ("mqtt://b:1", Broker("b", 1, tls=False)), ("", None)],
)  # fmt: skip
def test_broker_urls_are_read(text, broker):
    assert BrokerUrl().read(text, HERE) == broker


@pytest.mark.parametrize(
    "value",
    ["b", "http://b", "mqtt://", "mqtt://b/x", "mqtt://b?x", "mqtt://b#x", "mqtt://b:0", "mqtt://b:99999", "mqtt://[b",
     "mqtt://u@b", "mqtt://b\n", 5],
)  # fmt: skip
def test_what_is_no_broker_url_is_refused(value):
    with pytest.raises(Wrong):
        BrokerUrl().read(value, HERE)


@pytest.mark.parametrize(
    "value",
    ["sqlite:///", "sqlite://x", "whosin.db", "sqlite:///a/", "sqlite:///a?mode=ro", "sqlite:///\0", 5],
)
def test_what_is_no_store_url_is_refused(value):
    with pytest.raises(Wrong):
        StoreUrl().read(value, HERE)


def test_a_location_need_not_exist_unless_it_is_to_be_read(tmp_path):
    assert Location("a path").read("no", tmp_path) == tmp_path / "no"
    with pytest.raises(Wrong, match="none is at"):
        Location("a file", exists=True).read("no", tmp_path)
    with pytest.raises(Wrong, match="none is at"):
        Location("a file", exists=True).read(".", tmp_path)
    (tmp_path / "yes").touch()
    assert Location("a file", exists=True).read("yes", tmp_path) == tmp_path / "yes"


@pytest.mark.parametrize("value", ["a\0b", 5, "~nobody-of-this-name/x", "x" * 5000])
def test_what_is_no_location_is_refused(tmp_path, value):
    with pytest.raises(Wrong):
        Location("a path", exists=True).read(value, tmp_path)


def test_allowed_names_are_listed_in_words():
    assert choice("a").allowed == '"a"'
    assert choice("a", "b").allowed == '"a" or "b"'
    assert choice("a", "b", "c").allowed == '"a", "b" or "c"'


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), ("a\nb", '"a\\nb"'), ({}, "a table"), ([1, "x"], '[1, "x"]'), (5, "5"),
     (10**200, "a number of many digits"),
     ("\x1b[31m\u202e", '"\\u001b[31m\\u202e"'), ("mqtt://u:p@h", '"mqtt://***@h"')],
)  # fmt: skip
def test_wrong_values_are_shown_on_one_printable_line(value, text):
    assert shown(value) == text


def test_long_values_are_cut():
    assert len(shown("x" * 10_000)) == 80
    assert len(shown(list(range(10_000)))) <= 80
