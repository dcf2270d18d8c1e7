"""The fields of each kind of packet, flag by flag and code by code."""

from __future__ import annotations

from itertools import product

import pytest

from tests.mqtt.codec.helpers import BOTH, greeted, refused
from whosin.mqtt.codec import (
    V5,
    V311,
    Auth,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Properties,
    ProtocolError,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Reason,
    Side,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
    encode,
)

C, S = Side.CLIENT, Side.SERVER
PAIR = Properties(user_property=(("k", "v"),))
METHOD = Properties(authentication_method="m", user_property=(("k", "v"),))


def decoded(wire, side, version):
    if wire[0] in (0x10, 0x20):
        return Decoder(side, version if side is S else None).feed(wire)
    return greeted(side, version).feed(wire)


@pytest.mark.parametrize(
    ("packet", "side"),
    [
        (Connect("c", version=V5, properties=PAIR), C),
        (Connect("c", version=V5, will=Will(b"w", b"", properties=PAIR)), C),
        (ConnAck(properties=PAIR), S),
        (Publish(b"t", b"", properties=PAIR), C),
        (Publish(b"t", b"p", 1, packet_id=5, properties=PAIR), S),
        (PubAck(1, properties=PAIR), S),
        (PubRec(1, properties=PAIR), S),
        (PubRel(1, properties=PAIR), C),
        (PubComp(1, properties=PAIR), C),
        (Subscribe(1, (Subscription("a"),), PAIR), C),
        (SubAck(1, (Reason.SUCCESS,), PAIR), S),
        (Unsubscribe(1, ("a",), PAIR), C),
        (UnsubAck(1, (Reason.SUCCESS,), PAIR), S),
        (Disconnect(properties=PAIR), C),
        (Auth(Reason.CONTINUE_AUTHENTICATION, METHOD), S),
    ],
)
def test_each_kind_of_packet_has_properties_in_5(packet, side):
    wire = encode(packet, V5)
    assert bytes.fromhex("26 00016b 000176") in wire
    assert decoded(wire, side, V5) == [packet]


# --- CONNECT ---------------------------------------------------------------------------------------------


@BOTH
def test_each_connect_flag_is_one_bit(version):
    for clean, retain, qos, user, password in product((0, 1), (0, 1), (0, 1, 2), (0, 1), (0, 1)):
        if password and not user and version == V311:
            continue
        packet = Connect(
            "c", bool(clean), 7, version, "u" if user else None, b"p" if password else None,
            Will(b"w", b"x", qos, bool(retain)),
        )  # fmt: skip
        wire = encode(packet, version)
        assert wire[9] == clean << 1 | 1 << 2 | qos << 3 | retain << 5 | password << 6 | user << 7
        assert decoded(wire, C, version) == [packet]


@pytest.mark.parametrize("flags", ["01", "03"])
def test_the_reserved_connect_flag_must_not_be_set(flags):
    error = refused(bytes.fromhex(f"100c00044d515454 04 {flags} 0000 0000"), first=True)
    assert (error.reason, error.packet) == (Reason.MALFORMED_PACKET, "CONNECT")


@pytest.mark.parametrize("flags", ["08", "10", "20", "28", "30"])
def test_will_flags_without_a_will_are_refused(flags):
    error = refused(bytes.fromhex(f"100c00044d515454 04 {flags} 0000 0000"), first=True)
    assert "without a will" in error.found


def test_in_5_a_password_may_come_without_a_user_name():
    packet = Connect("c", version=V5, password=b"p")
    assert decoded(encode(packet, V5), C, V5) == [packet]


@pytest.mark.parametrize("keep_alive", [0, 65_535])
def test_a_keep_alive_has_16_bits(keep_alive):
    packet = Connect("c", keep_alive=keep_alive)
    assert decoded(encode(packet, V311), C, V311) == [packet]
    with pytest.raises(ProtocolError, match="keep alive"):
        encode(Connect("c", keep_alive=-1 if keep_alive == 0 else 65_536), V311)


@pytest.mark.parametrize("qos", [-1, 3, 64])
def test_a_will_has_a_qos_of_0_to_2(qos):
    with pytest.raises(ProtocolError, match=f"the will has QoS {qos}") as caught:
        encode(Connect("c", will=Will(b"w", b"", qos)), V311)
    assert caught.value.packet == "CONNECT"


def test_a_will_is_as_long_as_a_field_may_be():
    packet = Connect(
        "c", will=Will(b"w" * 65_535, b"x" * 65_535), username="u" * 65_535, password=b"p" * 65_535
    )
    assert decoded(encode(packet, V311), C, V311) == [packet]
    for long in (Will(b"w" * 65_536, b""), Will(b"w", b"x" * 65_536)):
        with pytest.raises(ProtocolError):
            encode(Connect("c", will=long), V311)


# --- CONNACK ---------------------------------------------------------------------------------------------

RETURN_CODES = {
    0: Reason.SUCCESS,
    1: Reason.UNSUPPORTED_PROTOCOL_VERSION,
    2: Reason.CLIENT_ID_NOT_VALID,
    3: Reason.SERVER_UNAVAILABLE,
    4: Reason.BAD_USER_NAME_OR_PASSWORD,
    5: Reason.NOT_AUTHORIZED,
}


def test_return_codes_of_3_1_1_are_0_to_5():
    for code, reason in RETURN_CODES.items():
        assert decoded(bytes((0x20, 2, 0, code)), S, V311) == [ConnAck(False, reason)]
        assert encode(ConnAck(False, reason), V311) == bytes((0x20, 2, 0, code))
    error = refused(bytes((0x20, 2, 0, 6)), side=S, version=V311, first=True)
    assert (error.reason, error.found) == (Reason.PROTOCOL_ERROR, "return code 6; 0 to 5 are allowed")


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.BANNED, 5),
        (Reason.BAD_AUTHENTICATION_METHOD, 5),
        (Reason.SERVER_BUSY, 3),
        (Reason.UNSPECIFIED_ERROR, 3),
        (Reason.QUOTA_EXCEEDED, 3),
    ],
)
def test_what_3_1_1_has_no_code_for_is_about_who_one_is_or_the_server_is_unavailable(reason, code):
    assert encode(ConnAck(False, reason), V311)[3] == code


@BOTH
def test_a_session_is_present_or_not_and_never_in_a_refusal(version):
    tail = "00" if version == V5 else ""
    head = "2003" if version == V5 else "2002"
    assert decoded(bytes.fromhex(f"{head} 01 00 {tail}"), S, version) == [ConnAck(True)]
    error = refused(bytes.fromhex(f"{head} 02 00 {tail}"), side=S, version=version, first=True)
    assert error.reason is Reason.MALFORMED_PACKET
    code = "87" if version == V5 else "05"
    error = refused(bytes.fromhex(f"{head} 01 {code} {tail}"), side=S, version=version, first=True)
    assert (error.reason, error.found) == (Reason.PROTOCOL_ERROR, "session present in a refusal")


# --- reason codes ----------------------------------------------------------------------------------------

ACK = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
CODES = {  # the tables of sections 3.2 to 3.15; of a DISCONNECT and an AUTH what each side may say
    (S, "CONNACK"): {
        0x00, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
    },
    (S, "PUBACK"): ACK,
    (S, "PUBREC"): ACK,
    (S, "PUBREL"): {0x00, 0x92},
    (S, "PUBCOMP"): {0x00, 0x92},
    (S, "SUBACK"): {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},
    (S, "UNSUBACK"): {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},
    (C, "DISCONNECT"): {
        0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    },
    (S, "DISCONNECT"): {
        0x00, *range(0x80, 0x84), 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, *range(0x93, 0xA3),
    },
    (S, "AUTH"): {0x00, 0x18, 0x19},
}  # fmt: skip
BEFORE = {  # what stands before and behind the reason code
    "CONNACK": ("20 03 00", "00"),
    "PUBACK": ("40 03 0001", ""),
    "PUBREC": ("50 03 0001", ""),
    "PUBREL": ("62 03 0001", ""),
    "PUBCOMP": ("70 03 0001", ""),
    "SUBACK": ("90 04 0001 00", ""),
    "UNSUBACK": ("b0 04 0001 00", ""),
    "DISCONNECT": ("e0 01", ""),
    "AUTH": ("f0 06", "04 15 00016d"),
}


@pytest.mark.parametrize(("side", "kind"), CODES)
def test_a_packet_carries_its_reason_codes_and_no_others(side, kind):
    before, behind = (bytes.fromhex(part) for part in BEFORE[kind])
    for code in range(256):
        wire = before + bytes((code,)) + behind
        if code not in CODES[side, kind]:
            error = refused(wire, side=side, first=kind == "CONNACK")
            assert (error.reason, error.packet) == (Reason.PROTOCOL_ERROR, kind)
            continue
        (packet,) = decoded(wire, side, V5)
        assert (packet.reasons[0] if hasattr(packet, "reasons") else packet.reason) == code
        assert decoded(encode(packet, V5), side, V5) == [packet]


@pytest.mark.parametrize("kind", BEFORE)
def test_a_reason_that_a_packet_does_not_have_is_not_written(kind):
    reason = Reason.MAXIMUM_CONNECT_TIME if kind not in ("DISCONNECT", "CONNACK") else Reason.GRANTED_QOS_1
    packets = {
        "CONNACK": ConnAck(False, reason), "PUBACK": PubAck(1, reason), "PUBREC": PubRec(1, reason),
        "PUBREL": PubRel(1, reason), "PUBCOMP": PubComp(1, reason), "SUBACK": SubAck(1, (reason,)),
        "UNSUBACK": UnsubAck(1, (reason,)), "DISCONNECT": Disconnect(reason), "AUTH": Auth(reason, METHOD),
    }  # fmt: skip
    with pytest.raises(ProtocolError) as caught:
        encode(packets[kind], V5)
    assert (caught.value.side, caught.value.reason, caught.value.packet) == (
        Side.CALLER, Reason.PROTOCOL_ERROR, kind,
    )  # fmt: skip


@pytest.mark.parametrize("first", [0x40, 0x50, 0x62, 0x70])
def test_acknowledgements_of_3_1_1_have_no_reason(first):
    assert "behind its last field" in refused(bytes((first, 3, 0, 1, 0)), version=V311).found


# --- SUBSCRIBE and its kin -------------------------------------------------------------------------------


def test_each_subscription_option_is_one_bit_or_two():
    for qos, no_local, published, handling in product((0, 1, 2), (0, 1), (0, 1), (0, 1, 2)):
        packet = Subscribe(1, (Subscription("a", qos, bool(no_local), bool(published), handling),))
        wire = encode(packet, V5)
        assert wire[-1] == qos | no_local << 2 | published << 3 | handling << 4
        assert decoded(wire, C, V5) == [packet]


@pytest.mark.parametrize("options", [0x03, 0x40, 0x80, 0xC0])
def test_reserved_subscription_options_are_refused(options):
    assert refused(b"\x82\x07\0\1\0\0\1a" + bytes((options,))).reason is Reason.MALFORMED_PACKET


@pytest.mark.parametrize("options", [0x03, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80])
def test_in_3_1_1_a_subscription_has_a_qos_and_nothing_else(options):
    error = refused(b"\x82\x06\0\1\0\1a" + bytes((options,)), version=V311)
    assert error.reason is Reason.MALFORMED_PACKET
    assert decoded(b"\x82\x06\0\1\0\1a\2", C, V311) == [Subscribe(1, (Subscription("a", 2),))]


@pytest.mark.parametrize(
    "asked",
    [
        Subscription("a", 3), Subscription("a", -1), Subscription("a", retain_handling=3),
        Subscription("a", retain_handling=-1), Subscription("$share/g/a", no_local=True),
    ],
)  # fmt: skip
def test_what_a_subscription_cannot_ask_for_is_not_written(asked):
    with pytest.raises(ProtocolError) as caught:
        encode(Subscribe(1, (asked,)), V5)
    assert (caught.value.side, caught.value.packet) == (Side.CALLER, "SUBSCRIBE")


@pytest.mark.parametrize(
    "asked",
    [
        Subscription("a", no_local=True),
        Subscription("a", retain_as_published=True),
        Subscription("a", retain_handling=1),
    ],
)
def test_options_of_5_are_not_written_in_3_1_1(asked):
    assert encode(Subscribe(1, (asked,)), V5)
    with pytest.raises(ProtocolError, match=r"3\.1\.1"):
        encode(Subscribe(1, (asked,)), V311)


SHARED = ["$share", "$share/g", "$share//a", "$share/g+/a"]


@pytest.mark.parametrize("pattern", SHARED)
def test_in_5_a_shared_filter_has_its_form_and_in_3_1_1_there_is_none(pattern):
    raw = len(pattern).to_bytes(2, "big") + pattern.encode()
    for first, behind in ((0x82, b"\0"), (0xA2, b"")):
        body = b"\0\1\0" + raw + behind
        error = refused(bytes((first, len(body))) + body)
        assert error.reason is Reason.TOPIC_FILTER_INVALID
    for packet in (Subscribe(1, (Subscription(pattern),)), Unsubscribe(1, (pattern,))):
        with pytest.raises(ProtocolError) as caught:
            encode(packet, V5)
        assert caught.value.reason is Reason.TOPIC_FILTER_INVALID
        if "+" not in pattern:
            assert decoded(encode(packet, V311), C, V311) == [packet]


@BOTH
@pytest.mark.parametrize("pattern", ["$shared/g", "$share+", "a/$share", "x$share/"])
def test_what_only_looks_shared_is_a_filter_like_any(version, pattern):
    packets = Subscribe(1, (Subscription(pattern),)), Unsubscribe(1, (pattern,))
    for packet in packets:
        if "+" in pattern:
            with pytest.raises(ProtocolError, match="beside other"):
                encode(packet, version)
        else:
            assert decoded(encode(packet, version), C, version) == [packet]


@BOTH
def test_a_broken_filter_is_refused(version):
    zero = b"\0" if version == V5 else b""
    for first, behind in ((0x82, b"\0"), (0xA2, b"")):
        body = b"\0\1" + zero + b"\0\2a+" + behind
        error = refused(bytes((first, len(body))) + body, version=version)
        assert error.reason is Reason.MALFORMED_PACKET


@BOTH
def test_several_filters_are_several(version):
    asked = Subscribe(2, (Subscription("a", 1), Subscription("b/#"), Subscription("+", 2)))
    gone = Unsubscribe(3, ("a", "b/#"))
    answers = SubAck(2, (Reason.GRANTED_QOS_1, Reason.UNSPECIFIED_ERROR, Reason.SUCCESS))
    assert decoded(encode(asked, version) + encode(gone, version), C, version) == [asked, gone]
    assert decoded(encode(answers, version), S, version) == [answers]


@pytest.mark.parametrize(
    "packet", [Subscribe(0, (Subscription("a"),)), Subscribe(65_536, (Subscription("a"),))]
)
def test_a_packet_identifier_out_of_bounds_is_not_written(packet):
    with pytest.raises(ProtocolError, match=f"packet identifier {packet.packet_id}"):
        encode(packet, V5)


@pytest.mark.parametrize("wire", ["9002 0001", "8202 0001", "a202 0001"])
def test_in_3_1_1_lists_are_not_empty(wire):
    raw = bytes.fromhex(wire)
    error = refused(raw, side=S if raw[0] == 0x90 else C, version=V311)
    assert error.reason is Reason.PROTOCOL_ERROR


@pytest.mark.parametrize("wire", ["9003 0001 00", "b003 0001 00"])
def test_an_answer_has_a_reason_for_each_filter(wire):
    assert refused(bytes.fromhex(wire), side=S).reason is Reason.PROTOCOL_ERROR


@pytest.mark.parametrize("codes", ["03", "87", "00 87", "87 00", "81"])
def test_a_suback_of_3_1_1_has_its_four_codes(codes):
    raw = bytes.fromhex(codes)
    error = refused(bytes((0x90, 2 + len(raw), 0, 1)) + raw, side=S, version=V311)
    assert error.reason is Reason.PROTOCOL_ERROR
    every = SubAck(1, (Reason(0), Reason(1), Reason(2), Reason(0x80)))
    assert decoded(bytes.fromhex("9006 0001 00010280"), S, V311) == [every]


def test_a_refusal_is_0x80_in_3_1_1_whatever_its_reason():
    assert encode(SubAck(1, (Reason.NOT_AUTHORIZED, Reason.GRANTED_QOS_2)), V311)[-2:] == b"\x80\2"


# --- DISCONNECT and AUTH ---------------------------------------------------------------------------------


def test_an_auth_without_a_body_means_success_and_any_other_names_its_method():
    assert decoded(b"\xf0\0", S, V5) == [Auth()]
    assert encode(Auth(), V5) == b"\xf0\0"
    for wire in ("f001 00", "f002 1800"):
        error = refused(bytes.fromhex(wire), side=S)
        assert (error.reason, error.found) == (Reason.PROTOCOL_ERROR, "no authentication method")
    assert refused(b"\xf0\0", side=S, version=V311).reason is Reason.MALFORMED_PACKET


def test_only_a_client_says_goodbye_in_3_1_1_and_only_that():
    assert decoded(b"\xe0\0", C, V311) == [Disconnect()]
    assert refused(b"\xe0\0", side=S, version=V311).reason is Reason.PROTOCOL_ERROR
    assert "behind its last field" in refused(b"\xe0\1\0", version=V311).found
    assert encode(Disconnect(Reason.SERVER_BUSY), V311) == b"\xe0\0"


def test_a_reason_of_0x80_or_more_is_a_failure():
    assert {reason for reason in Reason if not reason.failed} == {
        Reason.SUCCESS, Reason.GRANTED_QOS_1, Reason.GRANTED_QOS_2, Reason.DISCONNECT_WITH_WILL,
        Reason.NO_MATCHING_SUBSCRIBERS, Reason.NO_SUBSCRIPTION_EXISTED, Reason.CONTINUE_AUTHENTICATION,
        Reason.RE_AUTHENTICATE,
    }  # fmt: skip
    assert Reason.UNSPECIFIED_ERROR.failed


@pytest.mark.parametrize(
    ("wire", "side", "kind"),
    [
        ("2000", S, "CONNACK"), ("400100", S, "PUBACK"), ("500100", C, "PUBREC"), ("620100", C, "PUBREL"),
        ("700100", S, "PUBCOMP"), ("820100", C, "SUBSCRIBE"), ("900100", S, "SUBACK"),
        ("a20100", C, "UNSUBSCRIBE"), ("b00100", S, "UNSUBACK"), ("c00100", C, "PINGREQ"),
        ("d00100", S, "PINGRESP"), ("e0020001", C, "DISCONNECT"), ("f0020001", C, "AUTH"),
    ],
)  # fmt: skip
def test_a_packet_that_is_broken_is_named(wire, side, kind):
    error = refused(bytes.fromhex(wire), side=side, first=kind == "CONNACK")
    assert (error.packet, error.reason) == (kind, Reason.MALFORMED_PACKET)
    assert f"{side} sent {kind}: " in str(error)
