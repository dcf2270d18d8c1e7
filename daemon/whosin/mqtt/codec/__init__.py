"""MQTT 3.1.1 and 5 between bytes and packets, for both ends of a connection; no I/O.

Owns: the wire format, strictly. Must not know: sockets, time, sessions, what a topic means.

    decoder = Decoder(Side.SERVER, version=5)   # we are a client: what comes is from a server
    for packet in decoder.feed(data): ...       # raises ProtocolError; its `before` has what was still valid
    data = encode(Subscribe(1, (Subscription("whosin/v1/up/#", qos=1),)), version=5)
    data = encode_publish(b"a/b", b"{}", qos=1, packet_id=7, version=5)
"""

from whosin.mqtt.codec.decoder import Decoder
from whosin.mqtt.codec.encoder import PINGREQ, PINGRESP, encode, encode_puback, encode_publish
from whosin.mqtt.codec.packets import (
    NO_PROPERTIES,
    V5,
    V311,
    Auth,
    Bare,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    Properties,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Version,
    Will,
)
from whosin.mqtt.codec.reasons import ProtocolError, Reason, Side
from whosin.mqtt.codec.text import filter_problem, topic_problem

__all__ = [
    "NO_PROPERTIES",
    "PINGREQ",
    "PINGRESP",
    "V5",
    "V311",
    "Auth",
    "Bare",
    "ConnAck",
    "Connect",
    "Decoder",
    "Disconnect",
    "Packet",
    "PingReq",
    "PingResp",
    "Properties",
    "ProtocolError",
    "PubAck",
    "PubComp",
    "PubRec",
    "PubRel",
    "Publish",
    "Reason",
    "Side",
    "SubAck",
    "Subscribe",
    "Subscription",
    "UnsubAck",
    "Unsubscribe",
    "Version",
    "Will",
    "encode",
    "encode_puback",
    "encode_publish",
    "filter_problem",
    "topic_problem",
]
