"""SUBSCRIBE and UNSUBSCRIBE.

Owns what is granted and why not, and the retained status that comes at once. Must not know how answers
travel later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whosin.mqtt.codec import Reason, SubAck, UnsubAck
from whosin.mqtt.door.filters import AS_PUBLISHED, QOS, matches
from whosin.mqtt.door.session import queued

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
        patterns = _own(connection, asked.filter)
        reason = _judge(connection, session, asked, patterns)
        if not reason.failed:
            known = all(pattern in session.filters for pattern in patterns)
            options = min(asked.qos, 1) | (AS_PUBLISHED if asked.retain_as_published else 0)
            for pattern in patterns:
                session.filters[pattern] = options
                connection.door.heard_by.add(pattern, session, options)
            if asked.retain_handling == 0 or (asked.retain_handling == 1 and not known):
                retained += [(pattern, options & QOS) for pattern in patterns]
        reasons.append(reason)
    connection.door.note(session)
    connection.reply(SubAck(packet.packet_id, tuple(reasons)))
    for pattern, qos in retained:
        _send_status(connection, session, pattern, qos)


def _own(connection: Connection, pattern: str) -> list[str]:
    """What of it one may hear. A session has its filters narrowed to that: delivery has nothing to check."""
    return [] if connection.rights is None else connection.rights.hears(pattern)


def _judge(connection: Connection, session: Session, asked: Subscription, patterns: list[str]) -> Reason:
    if asked.filter == "$share" or asked.filter.startswith("$share/"):
        return Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
    if not patterns:
        connection.door.rejected("forbidden", asked.filter.encode())
        return Reason.NOT_AUTHORIZED
    new = sum(pattern not in session.filters for pattern in patterns)
    if new and len(session.filters) + new > connection.door.limits.filters:
        return Reason.QUOTA_EXCEEDED
    return Reason.GRANTED_QOS_1 if asked.qos else Reason.SUCCESS


def _send_status(connection: Connection, session: Session, pattern: str, qos: int) -> None:
    """The daemon's status, as if a broker had retained it."""
    topic, payload = connection.door.status_topic, connection.door.status
    if not matches(pattern, topic):
        return
    if not qos:
        connection.send_lossy(topic.encode(), payload, retain=True)
    elif session.hold(queued(topic, payload, retain=True)):
        connection.pump()


def unsubscribe(connection: Connection, session: Session, packet: Unsubscribe) -> None:
    reasons = []
    for asked in packet.filters:
        known = [pattern for pattern in _own(connection, asked) if pattern in session.filters]
        for pattern in known:
            del session.filters[pattern]
            connection.door.heard_by.remove(pattern, session)
        reasons.append(Reason.SUCCESS if known else Reason.NO_SUBSCRIPTION_EXISTED)
    connection.door.note(session)
    connection.reply(UnsubAck(packet.packet_id, tuple(reasons)))
