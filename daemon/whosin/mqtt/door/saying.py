"""Whether a connection may say what it says.

Owns remembering that of topics, and what becomes of a message that it may not say. Must not know what a topic
means; who may say what is `access`'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whosin.mqtt.codec import Publish, Reason
from whosin.mqtt.door.access import NOWHERE, UP

if TYPE_CHECKING:
    from whosin.mqtt.door.connection import Connection


def sayable(connection: Connection, topics: list[str]) -> list[str]:
    """Those of bare messages that it may say. The hot path: what a gateway may say begins alike."""
    below = NOWHERE if connection.rights is None else connection.rights.below
    return [topic for topic in topics if topic.startswith(below) or _bare(connection, topic.encode())]


def _bare(connection: Connection, topic: bytes) -> bool:
    return topic in connection.allowed or may_say(connection, Publish(topic, b""))


def may_say(connection: Connection, packet: Publish) -> bool:
    """Of a topic that is not known to be allowed. What may not be said is counted, and refused at QoS 1."""
    topic = packet.topic
    if connection.rights is not None and connection.rights.may_say(topic):
        if len(connection.allowed) >= connection.decoder.topics_kept:
            connection.allowed.clear()
        connection.allowed.add(topic)
        return True
    foreign = not topic.startswith(UP)
    connection.door.rejected("topic" if foreign else "forbidden", topic)
    if packet.qos:
        reason = Reason.TOPIC_NAME_INVALID if foreign else Reason.NOT_AUTHORIZED
        connection.refuse_message(packet.packet_id, reason)
    return False
