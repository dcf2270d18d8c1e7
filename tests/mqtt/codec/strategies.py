"""Valid packets of both versions and both sides, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from whosin.mqtt.codec import (
    NO_PROPERTIES,
    V5,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    Properties,
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
)
from whosin.mqtt.codec.properties import _TABLE, WILL
from whosin.mqtt.codec.reasons import ALLOWED, CONNACK_311, SERVER_ONLY_DISCONNECT

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
blobs = st.binary(max_size=40)
topics = st.text(
    st.characters(codec="utf-8", exclude_characters="\0+#"), min_size=1, max_size=30
) | st.sampled_from(["a/b", "whosin/v1/up/s/c/x/heartbeat", "/", "é/ü"])
packet_ids = st.integers(1, 0xFFFF)
levels = st.text(st.characters(codec="utf-8", exclude_characters="\0+#/"), max_size=6) | st.just("+")


@st.composite
def filters(draw):
    parts = draw(st.lists(levels, min_size=1, max_size=4).filter(lambda found: found != [""]))
    if draw(st.booleans()):
        parts.append("#")
    pattern = "/".join(parts)
    return "x" + pattern[1:] if pattern.startswith("$share") else pattern


def _value(kind):
    if kind.type == "pair":
        return st.lists(st.tuples(texts, texts), max_size=3).map(tuple)
    if kind.name == "response_topic":
        return topics
    if kind.number == 11:
        return st.lists(st.integers(kind.low, kind.high), max_size=1).map(tuple)
    return {"text": texts, "binary": blobs}.get(kind.type, st.integers(kind.low, kind.high))


@st.composite
def properties(draw, place, version, side=None):
    if version != V5:
        return NO_PROPERTIES
    kinds = [kind for kind in _TABLE if place in kind.places and kind.name != "topic_alias"]
    chosen = draw(st.lists(st.sampled_from(kinds), unique=True, max_size=5))
    values = {kind.name: draw(_value(kind)) for kind in chosen}
    if "authentication_data" in values or place == "AUTH":
        values.setdefault("authentication_method", "SCRAM")
    if side is Side.CLIENT and place == "PUBLISH":
        values.pop("subscription_identifier", None)
    if place == "DISCONNECT":
        values.pop("server_reference" if side is Side.CLIENT else "session_expiry_interval", None)
    return Properties(**values)


@st.composite
def connects(draw, version):
    will = None
    if draw(st.booleans()):
        will = Will(
            draw(topics).encode(), draw(blobs), draw(st.integers(0, 2)), draw(st.booleans()),
            draw(properties(WILL, version)),
        )  # fmt: skip
    username = draw(st.none() | texts)
    password = draw(st.none() | blobs) if version == V5 or username is not None else None
    return Connect(
        draw(texts), draw(st.booleans()), draw(st.integers(0, 0xFFFF)), version, username, password, will,
        draw(properties("CONNECT", version)),
    )  # fmt: skip


@st.composite
def publishes(draw, version, side):
    qos = draw(st.integers(0, 2))
    found = draw(properties("PUBLISH", version, side))
    return Publish(
        draw(topics).encode(), draw(st.binary(max_size=300)), qos, draw(st.booleans()),
        draw(st.booleans()) if qos else False, draw(packet_ids) if qos else 0,
        None if found == NO_PROPERTIES else found,
    )  # fmt: skip


def _reasons(name, version, side=None):
    allowed = list(ALLOWED[name].values())
    if name == "DISCONNECT":
        foreign = SERVER_ONLY_DISCONNECT if side is Side.CLIENT else {Reason.DISCONNECT_WITH_WILL}
        allowed = [reason for reason in allowed if reason not in foreign]
    if version != V5:
        granted = [Reason(0), Reason(1), Reason(2), Reason(0x80)]
        allowed = {"CONNACK": list(CONNACK_311.values()), "SUBACK": granted}.get(name, [Reason.SUCCESS])
    return st.sampled_from(allowed)


def _connack(reason, present, found):
    return ConnAck(present and not reason, reason, found)


def packets(version, side):
    """Everything that `side` may send in `version` after its first packet."""
    acks = [
        st.builds(kind, packet_ids, _reasons(name, version), properties(name, version))
        for kind, name in ((PubAck, "PUBACK"), (PubRec, "PUBREC"), (PubRel, "PUBREL"), (PubComp, "PUBCOMP"))
    ]
    mine = [publishes(version, side), *acks]
    if version == V5:
        mine.append(st.builds(Auth, _reasons("AUTH", version), properties("AUTH", version)))
    if side is Side.CLIENT or version == V5:
        mine.append(
            st.builds(
                Disconnect, _reasons("DISCONNECT", version, side), properties("DISCONNECT", version, side)
            )
        )
    if side is Side.CLIENT:
        flags = st.booleans() if version == V5 else st.just(False)
        handling = st.integers(0, 2) if version == V5 else st.just(0)
        asked = st.builds(Subscription, filters(), st.integers(0, 2), flags, flags, handling)
        mine += [
            st.builds(
                Subscribe,
                packet_ids,
                st.lists(asked, min_size=1, max_size=4).map(tuple),
                properties("SUBSCRIBE", version),
            ),
            st.builds(
                Unsubscribe,
                packet_ids,
                st.lists(filters(), min_size=1, max_size=4).map(tuple),
                properties("UNSUBSCRIBE", version),
            ),
            st.just(PingReq()),
        ]
    else:
        several = {"min_size": 1, "max_size": 4}
        given = st.lists(_reasons("SUBACK", version), **several).map(tuple)
        gone = st.lists(_reasons("UNSUBACK", version), **several).map(tuple) if version == V5 else st.just(())
        mine += [
            st.builds(SubAck, packet_ids, given, properties("SUBACK", version)),
            st.builds(UnsubAck, packet_ids, gone, properties("UNSUBACK", version)),
            st.just(PingResp()),
        ]
    return st.one_of(mine)


def first_packets(version, side):
    if side is Side.CLIENT:
        return connects(version)
    return st.builds(_connack, _reasons("CONNACK", version), st.booleans(), properties("CONNACK", version))
