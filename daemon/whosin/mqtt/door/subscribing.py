"""SUBSCRIBE and UNSUBSCRIBE.

Owns what is granted and why not, and the retained status that comes at once. Must not know how answers
travel later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whosin.mqtt.codec import Reason, SubAck, UnsubAck
from whosin.mqtt.door.filters import AS_PUBLISHED, QOS, matches
from whosin.mqtt.door.session import Queued

if TYPE_CHECKING:
    from whosin.mqtt.codec import Subscribe, Subscription, Unsubscribe
    from whosin.mqtt.door.connection import Connection
    from whosin.mqtt.door.session import Session


def subscribe(connection: Connection, session: Session, packet: Subscribe) -> None:
    if packet.properties.subscription_identifier:  # not offered in the CONNACK
        connection.end(Reason.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, "protocol")
        return
    reasons = []
    retained = []
    for asked in packet.subscriptions:
        reason = _judge(connection, session, asked)
        if not reason.failed:
            known = asked.filter in session.filters
            options = min(asked.qos, 1) | (AS_PUBLISHED if asked.retain_as_published else 0)
            session.filters[asked.filter] = options
            connection.door.heard_by.add(asked.filter, session, options)
            if asked.retain_handling == 0 or (asked.retain_handling == 1 and not known):
                retained.append((asked.filter, options & QOS))
        reasons.append(reason)
    connection.door.note(session)
    connection.reply(SubAck(packet.packet_id, tuple(reasons)))
    for pattern, qos in retained:
        _send_status(connection, session, pattern, qos)


def _judge(connection: Connection, session: Session, asked: Subscription) -> Reason:
    if asked.filter == "$share" or asked.filter.startswith("$share/"):
        return Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
    if connection.rights is None or not connection.rights.may_hear(asked.filter):
        connection.door.rejected("forbidden", asked.filter.encode())
        return Reason.NOT_AUTHORIZED
    if asked.filter not in session.filters and len(session.filters) >= connection.door.limits.filters:
        return Reason.QUOTA_EXCEEDED
    return Reason.GRANTED_QOS_1 if asked.qos else Reason.SUCCESS


def _send_status(connection: Connection, session: Session, pattern: str, qos: int) -> None:
    """The daemon's status, as if a broker had retained it."""
    topic, payload = connection.door.status_topic, connection.door.status
    if not matches(pattern, topic):
        return
    if not qos:
        connection.send_lossy(topic.encode(), payload, retain=True)
    elif session.hold(Queued(topic.encode(), payload, True, 0)):
        connection.pump()


def unsubscribe(connection: Connection, session: Session, packet: Unsubscribe) -> None:
    reasons = []
    for pattern in packet.filters:
        if session.filters.pop(pattern, None) is None:
            reasons.append(Reason.NO_SUBSCRIPTION_EXISTED)
        else:
            connection.door.heard_by.remove(pattern, session)
            reasons.append(Reason.SUCCESS)
    connection.door.note(session)
    connection.reply(UnsubAck(packet.packet_id, tuple(reasons)))
