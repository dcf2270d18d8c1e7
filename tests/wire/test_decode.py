"""What strangers may send: a message comes of it, or BadInput with one of six reasons (rule 11)."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whosin import wire
from whosin.errors import BadInput
from whosin.messages import Batch, Heartbeat, LockRequest, Login, Logout, Lost, Unlock

REASONS = {"topic", "size", "encoding", "schema", "retained", "unknown_verb"}
TOPIC = b"whosin/v1/up/s/A/s1/"
BATCH = b"whosin/v1/up/s/A/@batch/heartbeat"


def decode(verb: str, payload: bytes | dict, *, retain: bool = False) -> wire.Heard:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return wire.decode(TOPIC + verb.encode(), data, retain=retain)


def reason(topic: bytes, payload: bytes = b"", *, retain: bool = False) -> str:
    with pytest.raises(BadInput) as caught:
        wire.decode(topic, payload, retain=retain)
    assert caught.value.reason in REASONS
    str(caught.value).encode()  # it can be logged
    return caught.value.reason


# --- what is understood ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "payload", "message"),
    [
        ("login", {"user": "anna", "client": "web"}, Login("anna", "web")),
        (
            "login",
            {"user": "a", "client": "b", "os_session": 7, "conn": 0},
            Login("a", "b", os_session=7, conn=0),
        ),
        ("heartbeat", {"idle_s": 1.5, "activity": ""}, Heartbeat("", 1.5)),
        ("logout", {"reason": "lunch", "at": "now"}, Logout("lunch", "now")),
        ("lost", {"conn": 2**53}, Lost(2**53)),
        (
            "lock",
            {"resource": "*", "mode": "shared", "wait_s": 86_400},
            LockRequest("*", "shared", wait_s=86_400.0),
        ),
        ("unlock", {"resource": "a/b", "token": 3}, Unlock("a/b", 3)),
    ],
)
def test_every_verb_has_its_message(verb, payload, message):
    heard = decode(verb, payload)
    assert heard == wire.Heard("s", "A", "s1", verb, message)


@pytest.mark.parametrize("verb", ["heartbeat", "logout", "lost"])
def test_an_empty_payload_counts_as_an_empty_object(verb):
    assert decode(verb, b"") == decode(verb, b"{}") == decode(verb, b" {} \n")


def test_null_is_the_same_as_absent_and_unknown_fields_are_ignored():
    assert decode("heartbeat", {"idle_s": None, "colour": {"deep": [1, {"er": None}]}}).message == Heartbeat()


def test_of_a_repeated_key_the_last_counts():
    assert decode("login", b'{"user": "ben", "client": "web", "user": "anna"}').message.user == "anna"  # type: ignore[union-attr]


@pytest.mark.parametrize("ident", ["a", "A.b_c~d:e-9", "x" * 64])
def test_ids_are_up_to_64_of_their_characters(ident):
    assert wire.decode(f"whosin/v1/up/s/A/{ident}/heartbeat".encode(), b"", retain=False).session == ident


def test_a_gateway_speaks_for_many():
    heard = wire.decode(BATCH, b'{"sessions": ["a", "b", "a"]}', retain=False)
    assert heard == wire.Heard("s", "A", "@batch", "batch", Batch(["a", "b", "a"]))


# --- what is not -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "topic",
    [
        b"",
        b"/",
        b"whosin/v1/up",
        b"whosin/v1/up/s/A/s1",
        b"whosin/v1/up/s/A/s1/heartbeat/",
        b"/whosin/v1/up/s/A/s1/heartbeat",
        b"whosin/v1/down/s/A/s1/login",
        b"whosin/v2/up/s/A/s1/login",
        b"Whosin/v1/up/s/A/s1/login",
        b"whosin/v1/up//A/s1/login",
        b"whosin/v1/up/s//s1/login",
        b"whosin/v1/up/s/A//login",
        b"whosin/v1/up/s/A/" + b"x" * 65 + b"/login",
        b"whosin/v1/up/s p/A/s1/login",
        b"whosin/v1/up/s/A/s1\n/login",
        b"whosin/v1/up/+/A/s1/login",
        b"whosin/v1/up/s/A/#",
        b"whosin/v1/up/@batch/A/s1/heartbeat",
        b"whosin/v1/up/s/@batch/s1/heartbeat",
        "whosin/v1/up/s/Ä/s1/login".encode(),
        b"whosin/v1/up/s/A/\xff/login",
        b"whosin/v1/up/s/A/s\0/login",
    ],
)
def test_a_topic_that_is_none_of_ours(topic):
    assert reason(topic) == "topic"


@pytest.mark.parametrize("verb", [b"", b"logon", b"LOGIN", b"batch", b"login ", b"heartbeat\n"])
def test_a_verb_nobody_knows(verb):
    assert reason(TOPIC + verb) == "unknown_verb"


@pytest.mark.parametrize("verb", [b"login", b"lock", b"logout"])
def test_a_batch_is_a_heartbeat_and_nothing_else(verb):
    assert reason(b"whosin/v1/up/s/A/@batch/" + verb) == "unknown_verb"


@pytest.mark.parametrize("topic", [TOPIC + b"heartbeat", b"anything"])
def test_what_is_retained_is_dropped_whatever_it_is(topic):
    assert reason(topic, b"{}", retain=True) == "retained"


def filled(size: int) -> bytes:
    return b'{"x":"' + b"y" * (size - 8) + b'"}'


def test_eight_kib_and_not_a_byte_more():
    assert decode("heartbeat", filled(8 * 1024))
    assert reason(TOPIC + b"heartbeat", filled(8 * 1024 + 1)) == "size"


def test_a_batch_may_have_256_kib_and_not_a_byte_more():
    def batch(size: int) -> bytes:
        head = b'{"sessions": ["a"], "x": "'
        return head + b"y" * (size - len(head) - 2) + b'"}'

    assert wire.decode(BATCH, batch(256 * 1024), retain=False)
    assert reason(BATCH, batch(256 * 1024 + 1)) == "size"


@pytest.mark.parametrize(
    "ids", [["a b"], ["a\n"], [""], ["x" * 65], ["Ä"], [7], [None], "a", None, [["a"]], ["a"] * 10_001]
)
def test_a_batch_with_one_bad_id_is_none(ids):
    assert reason(BATCH, json.dumps({"sessions": ids}).encode()) == "schema"


@pytest.mark.parametrize(
    "payload", [b"\xff", b"\xed\xa0\x80", b'{"activity":"\xc3("}', b"\x00\x80", b"\xf8\x88\x80\x80\x80"]
)
def test_what_is_not_utf_8(payload):
    assert reason(TOPIC + b"heartbeat", payload) == "encoding"


@pytest.mark.parametrize(
    "payload",
    [
        b"null",
        b"[]",
        b"1",
        b'"x"',
        b"{",
        b"{}{}",
        b"{} x",
        b"\xef\xbb\xbf{}",
        b"{'a':1}",
        b"\0",
        b"[" * 8_000,
        b'{"x":' * 1_600,
        b'{"activity":"\\ud800"}',
        b'{"activity":"\\udc00 "}',
        b'{"activity":"\\ud800\\ud800"}',
        b'{"activity":"a\\u0000b"}',
        b'{"activity":"a\nb"}',
        b'{"idle_s":NaN}',
        b'{"idle_s":Infinity}',
        b'{"idle_s":1e400}',
        b'{"idle_s":-1}',
        b'{"idle_s":true}',
        b'{"idle_s":"1"}',
        b'{"idle_s":1000000001}',
        b'{"conn":1.0}',
        b'{"conn":true}',
        b'{"conn":-1}',
        b'{"conn":9007199254740993}',
        b'{"conn":' + b"9" * 5_000 + b"}",
        b'{"idle_s":' + b"9" * 5_000 + b"}",
        b'{"user":""}',
        b'{"os_session":' + b"9" * 4_000 + b"}",
        b'{"os_session":true}',
        b'{"os_session":1.5}',
    ],
)
def test_what_is_no_heartbeat(payload):
    assert reason(TOPIC + b"heartbeat", payload) == "schema"


@pytest.mark.parametrize(("session", "deep"), [(b"s1", 100), (b"s1", 4_000), (b"@batch", 100_000)])
def test_an_unknown_field_of_any_depth_is_ignored_or_the_payload_refused(session, deep):
    """How deep Python follows differs from version to version; it never gives up otherwise."""
    payload = b'{"sessions":["a"],"x":' + b"[" * deep + b"]" * deep + b"}"
    try:
        heard = wire.decode(b"whosin/v1/up/s/A/" + session + b"/heartbeat", payload, retain=False)
    except BadInput as error:
        assert error.reason == "schema"  # noqa: PT017 - either is right
        assert deep > 100
    else:
        assert heard.message in (Heartbeat(), Batch(["a"]))


@pytest.mark.parametrize(
    ("verb", "payload"),
    [
        ("login", {}),
        ("login", {"user": "anna"}),
        ("login", {"client": "web"}),
        ("login", {"user": None, "client": "web"}),
        ("login", {"user": "x" * 257, "client": "web"}),
        ("login", {"user": "a\0", "client": "web"}),
        ("login", {"user": "anna", "client": "x" * 65}),
        ("lock", {}),
        ("lock", {"resource": ""}),
        ("lock", {"resource": "x" * 513}),
        ("lock", {"resource": "a", "mode": "both"}),
        ("lock", {"resource": "a", "wait_s": 86_401}),
        ("lock", {"resource": "a", "wait_s": -0.1}),
        ("lock", {"resource": "a", "sticky": 1}),
        ("unlock", {"resource": "a", "token": 1.0}),
        ("lost", {"conn": "1"}),
        ("logout", {"reason": "x" * 1_025}),
    ],
)
def test_what_breaks_the_bounds_of_its_verb(verb, payload):
    assert reason(TOPIC + verb.encode(), json.dumps(payload).encode()) == "schema"


def complaint(topic: bytes, payload: bytes = b"") -> str:
    with pytest.raises(BadInput) as caught:
        wire.decode(topic, payload, retain=False)
    return str(caught.value)


@pytest.mark.parametrize(
    ("topic", "level"),
    [
        (b"whosin/v1/up/s p/A/s1/login", "site"),
        (b"whosin/v1/up/s/A p/s1/login", "company"),
        (b"whosin/v1/up/s/A/s 1/login", "session"),
    ],
)
def test_whoever_reads_the_log_learns_which_level_of_the_topic_is_wrong(topic, level):
    assert f"the {level} '" in complaint(topic)


def test_whoever_reads_the_log_learns_which_field_is_wrong():
    assert "`user`" in complaint(TOPIC + b"login", b'{"client": "web"}')
    assert "$.idle_s" in complaint(TOPIC + b"heartbeat", b'{"idle_s": "long"}')


# --- anything at all ---------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted({name for kind in (*wire._TYPES.values(), Batch) for name in kind.__struct_fields__})
objects = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), json_values, max_size=8)
payloads = st.one_of(
    st.binary(max_size=300),
    json_values.map(lambda value: json.dumps(value).encode()),
    objects.map(lambda value: json.dumps(value).encode()),
    objects.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.tuples(objects, st.binary(max_size=3), st.integers(0, 100)).map(
        lambda t: json.dumps(t[0]).encode()[: t[2]] + t[1] + json.dumps(t[0]).encode()[t[2] :]
    ),
)
levels = (
    st.sampled_from(["whosin", "v1", "up", "down", "s", "A", "s1", "@batch", "", "+", "#", "x" * 65, "é"])
    | st.text()
)
topics = st.one_of(
    st.binary(max_size=80),
    st.lists(levels, max_size=9).map(lambda parts: "/".join(parts).encode("utf-8", "surrogatepass")),
    st.tuples(levels, levels, levels, st.sampled_from([*wire._TYPES, "x"])).map(
        lambda parts: "/".join(("whosin/v1/up", *parts)).encode("utf-8", "surrogatepass")
    ),
    st.sampled_from([TOPIC + verb.encode() for verb in wire._TYPES] + [BATCH]),
)


@given(topics, payloads, st.booleans())
@example(TOPIC + b"login", b'{"user":"\\ud83d\\ude00","client":"web"}', False)
def test_anything_at_all_is_a_message_or_bad_input_with_one_of_six_reasons(topic, payload, retain):
    try:
        heard = wire.decode(topic, payload, retain=retain)
    except BadInput as bad:
        refused = bad
    else:
        refused = None
    if refused is not None:
        assert refused.reason in REASONS
        str(refused).encode()
    else:
        assert not retain
        assert heard.verb in (*wire._TYPES, "batch")
        for ident in (heard.site, heard.company, heard.session):
            assert wire.IDENT.match(ident) or ident == wire.BATCH_ID
        again = msgspec.json.encode(heard.message)
        assert msgspec.json.decode(again, type=type(heard.message)) == heard.message


@given(objects, st.sampled_from(sorted(wire._TYPES)))
def test_whatever_is_accepted_is_within_its_bounds(value, verb):
    try:
        message = decode(verb, value).message
    except BadInput:
        return
    for name in message.__struct_fields__:
        field = getattr(message, name)
        assert field is None or isinstance(field, str | int | float | bool)
        if isinstance(field, str):
            assert len(field) <= 1_024
        elif not isinstance(field, bool) and field is not None:
            assert abs(field) <= 2**63
