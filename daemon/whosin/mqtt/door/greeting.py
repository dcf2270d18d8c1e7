"""The CONNECT and its answer.

Owns who may come in, with which client id and which will, and what the door announces of itself. Must not
know what happens afterwards.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from whosin.model import line_of
from whosin.mqtt.codec import NO_PROPERTIES, V5, V311, ConnAck, Properties, Reason
from whosin.mqtt.codec.reasons import ALLOWED
from whosin.mqtt.door.access import Rights
from whosin.mqtt.door.session import Session

if TYPE_CHECKING:
    from whosin.model import Account
    from whosin.mqtt.codec import Connect
    from whosin.mqtt.door.connection import Connection

_NEVER_EXPIRES: Final = 0xFFFF_FFFF


def welcome(connection: Connection, packet: Connect) -> None:
    """Let the client in, or close with the reason."""
    door = connection.door
    if packet.properties.authentication_method is not None:
        refuse(connection, Reason.BAD_AUTHENTICATION_METHOD)
        return
    account, known = _sign_in(connection, packet)
    if not known:
        door.rejected("sign_in", packet.client_id.encode())
        refuse(connection, Reason.BAD_USER_NAME_OR_PASSWORD)
        return
    client_id = packet.client_id or f"auto-{secrets.token_hex(12)}"
    rights = Rights(account, client_id)
    reason = _objection(connection, packet, rights)
    if reason is not None:
        refuse(connection, reason)
        return
    session, present = _session(connection, packet, rights, client_id)
    door.backlog.known(connection, line_of(None if account is None else account.site, client_id))
    connection.settle(rights, packet.will)
    connection.session = session
    session.connection = connection
    _take_pace(connection, packet, rights)
    assigned = None if packet.client_id else client_id
    connection.reply(ConnAck(present, Reason.SUCCESS, _announcement(connection, packet, session, assigned)))
    connection.pump()


def refuse(connection: Connection, reason: Reason) -> None:
    """Close with a CONNACK where the client's version has one for it, else without a word."""
    level = connection.decoder.level
    sayable = reason if reason in ALLOWED["CONNACK"] else Reason.UNSPECIFIED_ERROR
    broken = reason in (Reason.MALFORMED_PACKET, Reason.PROTOCOL_ERROR, Reason.TOPIC_NAME_INVALID)
    if level is None or (level < V5 and broken):
        connection.end(reason, "protocol", willing=False)
    else:
        connection.refuse(sayable, level)


def _sign_in(connection: Connection, packet: Connect) -> tuple[Account | None, bool]:
    """The account, and whether this client may come in at all."""
    authenticate = connection.door.authenticate
    if authenticate is None:
        return None, True
    shown = None if connection.sealed is None else connection.sealed.certified
    if shown is not None:
        return _by_certificate(connection, packet, shown)
    if packet.username is None or packet.password is None:
        return None, False
    account = authenticate(packet.username, packet.password)
    return account, account is not None


def _by_certificate(connection: Connection, packet: Connect, name: str) -> tuple[Account | None, bool]:
    """A certificate stands for the password of the account that it names; what is said besides must fit."""
    if packet.username not in (None, "", name):
        return None, False
    account = connection.door.certified(name)
    authenticate = connection.door.authenticate
    if account is not None and packet.password and authenticate is not None:
        account = authenticate(name, packet.password)
    return account, account is not None


def _objection(connection: Connection, packet: Connect, rights: Rights) -> Reason | None:
    limits = connection.door.limits
    if len(packet.client_id) > limits.client_id or not rights.sound:
        return Reason.CLIENT_ID_NOT_VALID
    if not packet.client_id and packet.version == V311 and not packet.clean_start:  # MQTT-3.1.3-8
        return Reason.CLIENT_ID_NOT_VALID
    will = packet.will
    if will is None:
        return None
    if not rights.may_say(will.topic):
        connection.door.rejected("forbidden", will.topic)
        return Reason.NOT_AUTHORIZED
    if len(will.payload) > limits.will:
        return Reason.PACKET_TOO_LARGE
    if will.qos > 1:  # MQTT-3.2.2-12; 3.1.1 has no word for it, and the will is as good at QoS 1
        return Reason.QOS_NOT_SUPPORTED if packet.version == V5 else None
    if will.retain and packet.version == V5:  # MQTT-3.2.2-13
        return Reason.RETAIN_NOT_SUPPORTED
    return None


def _session(connection: Connection, packet: Connect, rights: Rights, client_id: str) -> tuple[Session, bool]:
    """The client's session, new or taken up again, and which of both."""
    door = connection.door
    key = (None if rights.account is None else rights.account.name, client_id)
    session = door.take_over(key, forget=packet.clean_start)
    present = session is not None
    if session is None:
        limits = door.limits
        large = rights.observes
        session = Session(
            key,
            limits.observer_queue if large else limits.queue,
            limits.observer_queue_bytes if large else limits.queue_bytes,
            door.room,
        )
        door.remember(session)
    session.rewind()
    expiry_s = packet.properties.session_expiry_interval or 0
    if packet.version == V311:
        expiry_s = 0 if packet.clean_start else _NEVER_EXPIRES
    session.expiry_ms = min(expiry_s * 1000, door.limits.session_expiry_ms)
    door.note(session)
    return session, present


def _take_pace(connection: Connection, packet: Connect, rights: Rights) -> None:
    """Keep-alive (one and a half times what the client said, MQTT-3.1.2-22) and the client's own limits."""
    door = connection.door
    connection.keep_alive_ms = packet.keep_alive * 1500
    door.wheel.cancel(connection.timer)
    if connection.keep_alive_ms:
        door.wheel.arm(connection.timer, connection.heard_ms + connection.keep_alive_ms)
    most = door.limits.observer_in_flight if rights.observes else door.limits.in_flight
    connection.window = min(packet.properties.receive_maximum or 0xFFFF, most)
    connection.largest_out = packet.properties.maximum_packet_size or 0


def _announcement(
    connection: Connection, packet: Connect, session: Session, assigned: str | None
) -> Properties:
    if packet.version != V5:
        return NO_PROPERTIES
    asked_s = packet.properties.session_expiry_interval or 0
    granted_s = session.expiry_ms // 1000
    return Properties(
        session_expiry_interval=granted_s if granted_s != asked_s else None,
        assigned_client_identifier=assigned,
        receive_maximum=connection.door.limits.receive_maximum,
        maximum_qos=1,
        retain_available=0,
        maximum_packet_size=connection.decoder.max_packet,
        subscription_identifier_available=0,
        shared_subscription_available=0,
    )
