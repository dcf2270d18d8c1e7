"""The broker, visited as the daemon would: reached, trusted, let in, heard, and allowed to speak.

Owns one short conversation, by a client id of its own, so that a running daemon keeps its place. Must not
know what clients say. What it publishes is for the site `doctor`, which nobody has.
"""

from __future__ import annotations

import secrets
import socket
import ssl
from typing import TYPE_CHECKING, Final

from whosin import tls
from whosin.doctor import certificates
from whosin.doctor.findings import Finding, problem, warning, well
from whosin.doctor.visit import Closed, Visit
from whosin.errors import CertificateError
from whosin.mqtt.codec import NO_PROPERTIES, ConnAck, ProtocolError, Reason
from whosin.mqtt.link.limits import terms_of, too_small

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whosin.doctor.patient import Patient

PATIENCE_S: Final = 5.0
CHECK: Final = "broker"
UP: Final = "whosin/v1/up/#"
SESSION_EXPIRY_S: Final = 86_400
"""What the link asks for."""
HEARD: Final = f"topic read {UP} for the daemon's user; config/mosquitto/whosin.acl has the whole list."
REFUSED: Final = {
    Reason.BAD_USER_NAME_OR_PASSWORD: "it refuses the user name or the password",
    Reason.NOT_AUTHORIZED: "it refuses the user name, the password, or this client id",
    Reason.UNSUPPORTED_PROTOCOL_VERSION: "it does not speak MQTT 5",
    Reason.CLIENT_ID_NOT_VALID: "it does not take the client id",
    Reason.BANNED: "it has banned this client",
    Reason.SERVER_BUSY: "it is too busy",
    Reason.QUOTA_EXCEEDED: "a quota of it is used up",
}


def check(patient: Patient) -> Iterator[Finding]:
    url = patient.settings.mqtt.url
    if url is None:
        return
    try:
        with socket.create_connection((url.host, url.port), PATIENCE_S) as plain:
            plain.settimeout(PATIENCE_S)
            if not url.tls:
                yield from _converse(patient, plain)
                return
            with _sealed(patient, plain, url.host) as safe:
                ends = certificates.ends_s(safe.getpeercert(binary_form=True) or b"")
                yield certificates.judged(
                    "broker certificate",
                    f"that of {url.host}",
                    ends,
                    patient.now_s(),
                    "Renew it at the broker.",
                )
                yield from _converse(patient, safe)
    except CertificateError as error:
        yield problem(CHECK, str(error), "Mend mqtt.ca_file, mqtt.cert_file or mqtt.key_file.")
    except (OSError, ValueError) as error:
        yield _unreachable(error, str(url))


def _sealed(patient: Patient, plain: socket.socket, host: str) -> ssl.SSLSocket:
    mqtt = patient.settings.mqtt
    context = tls.of_client(mqtt.ca_file, mqtt.cert_file, mqtt.key_file)
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except ConnectionError as error:  # what is no TLS often just hangs up
        raise ssl.SSLError(0, "closed in the handshake") from error


def _unreachable(error: Exception, url: str) -> Finding:
    if isinstance(error, ssl.SSLCertVerificationError):
        return problem(
            CHECK, f"the certificate of {url} is not trusted: {error.verify_message}",
            "Renew it at the broker, name its authority in mqtt.ca_file, or its right name in mqtt.url.",
        )  # fmt: skip
    if isinstance(error, ssl.SSLError):
        return problem(
            CHECK, f"{url} speaks no TLS there, or wants a certificate of ours ({_why(error)})",
            "Use mqtt:// or the broker's TLS port (8883); see mqtt.cert_file and key_file.",
        )  # fmt: skip
    if isinstance(error, socket.gaierror):
        return problem(CHECK, f"the name in {url} is not known here", "Mend mqtt.url, or the DNS.")
    if isinstance(error, ConnectionRefusedError):
        return problem(CHECK, f"nobody listens at {url}", "Start the broker, or mend mqtt.url.")
    if isinstance(error, TimeoutError):
        return problem(
            CHECK, f"{url} does not answer within {PATIENCE_S:.0f} s",
            "Is it up? A firewall in between, or IPAddressAllow in the unit, may keep it away.",
        )  # fmt: skip
    return problem(CHECK, f"{url}: {getattr(error, 'strerror', None) or error}", "See to the network.")


def _why(error: ssl.SSLError) -> str:
    return str(getattr(error, "reason", None) or error.strerror).lower().replace("_", " ")


def _converse(patient: Patient, connection: socket.socket) -> Iterator[Finding]:
    mqtt = patient.settings.mqtt
    visit = Visit(connection)
    try:
        password = patient.settings.mqtt_password()
        greeting = visit.greet(f"{mqtt.client_id}-doctor", mqtt.username, password)
        if greeting.reason.failed:
            yield _turned_away(greeting, mqtt.username)
            return
        yield well(CHECK, f"{mqtt.url} lets us in{f' as {mqtt.username}' if mqtt.username else ''}")
        yield from _limits(greeting)
        yield from _hears(visit)
        yield from _speaks(visit, patient.settings.daemon.name)
        visit.leave()
    except (Closed, ProtocolError) as error:
        yield problem(CHECK, f"{mqtt.url} ended the conversation: {error}", "Its log tells why.")
    except OSError as error:
        if isinstance(error, TimeoutError):
            yield problem(CHECK, f"{mqtt.url} fell silent in the conversation", "Its log may tell why.")
        else:
            yield problem(CHECK, f"{mqtt.url}: {error.strerror or error}", "Its log may tell why.")


def _turned_away(greeting: ConnAck, username: str | None) -> Finding:
    why = REFUSED.get(greeting.reason, f"it refuses us: {greeting.reason.name.lower().replace('_', ' ')}")
    said = (greeting.properties or NO_PROPERTIES).reason_string
    who = f"as {username}" if username else "without a user name"
    return problem(
        CHECK, f"{why} ({who}{f'; it says: {said[:100]}' if said else ''})",
        "Compare mqtt.username and mqtt.password_file with the broker's accounts (mosquitto_passwd).",
    )  # fmt: skip


def _limits(greeting: ConnAck) -> Iterator[Finding]:
    said = greeting.properties
    for one in too_small(said, terms_of(said, 0, SESSION_EXPIRY_S), SESSION_EXPIRY_S):
        yield warning(
            "broker limits", f"{one.name.replace('_', ' ')} is {one.found:,}, wanted are {one.wanted:,}",
            "Raise it at the broker; config/mosquitto/whosin.conf has each with its reason.",
        )  # fmt: skip


def _hears(visit: Visit) -> Iterator[Finding]:
    """Some brokers grant every subscription and deliver nothing. Where we may also say something there, it
    has to come back; where we may not, as it should be, nothing can be proven."""
    reason = visit.subscribe(UP)
    if reason.failed:
        yield problem(
            "broker rights", f"the daemon may not hear clients: {UP} is refused ({_plain(reason)})",
            f"In its access list: {HEARD}",
        )  # fmt: skip
        return
    session = f"doctor-{secrets.token_hex(4)}"
    topic = f"whosin/v1/up/doctor/doctor/{session}/heartbeat"
    if visit.publish(topic, b"").failed:
        yield well("broker rights", f"{UP} is granted; if no client is ever seen: {HEARD}")
    elif visit.hears(topic):
        yield well("broker rights", f"what clients say to {UP} is heard")
    else:
        yield problem(
            "broker rights", f"{UP} is granted, but nothing said there is delivered",
            f"In its access list: {HEARD}",
        )  # fmt: skip


def _speaks(visit: Visit, name: str) -> Iterator[Finding]:
    refused = []
    for topic, below in (
        ("whosin/v1/down/doctor/doctor/doctor/message", "whosin/v1/down/#"),
        ("whosin/v1/events/doctor/doctor/doctor.probe", "whosin/v1/events/#"),
        (f"whosin/v1/daemon/{name}/doctor", "whosin/v1/daemon/#"),
    ):
        if (reason := visit.publish(topic, b"{}")).failed:
            refused.append(f"{below} ({_plain(reason)})")
    if refused:
        wanted = "; ".join(f"topic write {one.partition(' ')[0]}" for one in refused)
        yield problem(
            "broker rights", f"the daemon may not answer: {', '.join(refused)}",
            f"In its access list, for the daemon's user: {wanted}",
        )  # fmt: skip
    else:
        yield well("broker rights", "answers, events and the daemon's state may be published")


def _plain(reason: Reason) -> str:
    return reason.name.lower().replace("_", " ")
