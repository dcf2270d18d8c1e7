"""Certificates and their keys: readable, belonging together, and good for a while. Owns a little of DER."""

from __future__ import annotations

import base64
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from whosin import tls
from whosin.doctor.findings import Finding, problem, warning, well
from whosin.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whosin.doctor.patient import Patient

SOON_S: Final = 21 * 86_400
SOON_CRL_S: Final = 86_400  # lists live for days
_SEQUENCE, _UTC_TIME, _VERSION, _INTEGER = 0x30, 0x17, 0xA0, b"\x02"
_TIMES: Final = (0x17, 0x18)


def check(patient: Patient) -> Iterator[Finding]:
    http, mqtt = patient.settings.http, patient.settings.mqtt
    for key, cert, private in (
        ("http.tls_cert", http.tls_cert, http.tls_key),
        ("mqtt.listen_tls_cert", mqtt.listen_tls_cert, mqtt.listen_tls_key),
        ("mqtt.cert_file", mqtt.cert_file, mqtt.key_file),
    ):
        if cert is not None:
            yield _pair(key, cert, private, patient.now_s())

    if mqtt.listen_client_crl is not None:
        yield _revocations(mqtt.listen_client_crl, patient.now_s())


def _revocations(path: Path, now_s: float) -> Finding:
    """An outdated list lets nobody in who comes by a certificate."""
    try:
        ends = crl_ends_s(der_of(path, "X509 CRL"))
    except (OSError, ValueError) as error:
        return problem("certificate", f"{path} cannot be read: {error} (mqtt.listen_client_crl)", "Mend it.")
    what = f"the list of revoked certificates {path} (mqtt.listen_client_crl)"
    return judged("certificate", what, ends, now_s, "Publish a new list, then `whosin reload`.", SOON_CRL_S)


def _pair(key: str, cert: Path, private: Path | None, now_s: float) -> Finding:
    try:
        tls.Served(cert, private)
        ends = ends_s(der_of(cert))
    except CertificateError as error:
        return problem("certificate", f"{error} ({key})", "Put a pair in place that was made together.")
    except (OSError, ValueError) as error:
        return problem("certificate", f"{cert} cannot be read: {error} ({key})", "Put a PEM file in place.")
    return judged("certificate", f"{cert} ({key})", ends, now_s, "Renew it, then `whosin reload`.")


def judged(check: str, what: str, ends: float, now_s: float, advice: str, soon_s: float = SOON_S) -> Finding:
    """By when it ends."""
    if ends == math.inf:
        return well(check, f"{what} has no end")
    day = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%d")
    if ends <= now_s:
        return problem(check, f"{what} expired on {day}", advice)
    if ends <= now_s + soon_s:
        return warning(check, f"{what} expires on {day}, in {(ends - now_s) / 86_400:.0f} days", advice)
    return well(check, f"{what} is good until {day}")


def der_of(path: Path, label: str = "CERTIFICATE") -> bytes:
    """The first certificate in a PEM file, or what else is labelled so. Raises OSError, ValueError."""
    text = path.read_text(encoding="ascii", errors="replace")
    _, begun, rest = text.partition(f"-----BEGIN {label}-----")
    body, ended, _ = rest.partition(f"-----END {label}-----")
    if not begun or not ended:
        raise ValueError(f"there is no {label} in it")
    return base64.b64decode(body)


def ends_s(der: bytes) -> float:
    """When a certificate's validity ends. Raises ValueError for what is none."""
    _, certificate, _ = _read(der)
    _, body, _ = _read(certificate)
    tag, _, rest = _read(body)
    if tag != _VERSION:  # it is the serial number: the version may be left out
        rest = body
    for _ in range(3):  # serial number, algorithm, issuer
        _, _, rest = _read(rest)
    tag, validity, _ = _read(rest)
    if tag != _SEQUENCE:
        raise ValueError("not a certificate")
    _, _, rest = _read(validity)
    return _time(rest)


def crl_ends_s(der: bytes) -> float:
    """By when there has to be a newer list; infinity if it does not say. Raises ValueError."""
    _, signed, _ = _read(der)
    _, rest, _ = _read(signed)
    if rest[:1] == _INTEGER:  # the version
        _, _, rest = _read(rest)
    for _ in range(3):  # algorithm, issuer, when it was made
        _, _, rest = _read(rest)
    return _time(rest) if rest and rest[0] in _TIMES else math.inf


def _time(der: bytes) -> float:
    tag, ends, _ = _read(der)
    text = ends.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year, to be read as 1950 to 2049
        text = ("20" if text < "5" else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _read(der: bytes) -> tuple[int, bytes, bytes]:
    """The first element: tag, content, what comes behind it."""
    if len(der) < 2:
        raise ValueError("not a certificate")
    length, at = der[1], 2
    if length & 0x80:
        at += length & 0x7F
        length = int.from_bytes(der[2:at], "big")
    if at + length > len(der):
        raise ValueError("not a certificate")
    return der[0], der[at : at + length], der[at + length :]
