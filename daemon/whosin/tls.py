"""TLS contexts made from files, and made anew when the files change.

Owns what of TLS is offered and asked for, and that a renewed certificate is taken whole or not at all: half
of a new pair never replaces what works. Must not know sockets or settings.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from whosin.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

File: TypeAlias = str | os.PathLike[str]
Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]

_NOT_A_PAIR: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


class Clients(NamedTuple):
    """Whose certificates a listener takes: `ca` signed them, `crl` lists those that were taken back (its end
    comes with its own date: an outdated one lets nobody in), `required`: nobody comes without."""

    ca: File
    crl: File | None = None
    required: bool = False


class Served:
    """What a listener shows of itself. Raises CertificateError if the files cannot be used."""

    def __init__(self, cert: File, key: File | None, clients: Clients | None = None) -> None:
        self._cert, self._key, self._clients = cert, key, clients
        files = [cert, key, *(clients[:2] if clients is not None else ())]
        self._files = [file for file in files if file is not None]
        self._seen = _stamp(self._files)
        self.context = self._made()

    def prepare(self) -> Callable[[], None]:
        """Look at the files as they are; what is returned takes them for connections from now on. Raises
        CertificateError, and nothing has changed."""
        self._seen = _stamp(self._files)
        context = self._made()

        def take() -> None:
            self.context = context

        return take

    def renew_if_changed(self) -> bool:
        """Take the files if they are not those of before; whether they were. Those that cannot be used are
        told by CertificateError once, and not again before they change again."""
        if _stamp(self._files) == self._seen:
            return False
        self.prepare()()
        return True

    def _made(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _modern(context)
        context.num_tickets = (
            0  # clients stay for hours, and a ticket would pass by a newer list of revocations
        )
        _load_pair(context, self._cert, self._key)
        if self._clients is not None:
            _load_authorities(context, self._clients.ca)
            context.verify_mode = ssl.CERT_REQUIRED if self._clients.required else ssl.CERT_OPTIONAL
            if self._clients.crl is not None:
                _load_authorities(context, self._clients.crl)
                context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        return context


def of_client(ca: File | None, cert: File | None, key: File | None) -> ssl.SSLContext:
    """For connecting: the other side has to prove its name; we do where a certificate is given. Raises
    CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.load_default_certs()
    else:
        _load_authorities(context, ca)
    _modern(context)
    if cert is not None:
        _load_pair(context, cert, key)
    return context


def _modern(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION


def _load_pair(context: ssl.SSLContext, cert: File, key: File | None) -> None:
    def no_passphrase() -> str:
        raise CertificateError(f"{key or cert} is protected by a passphrase; expected a key without one")

    try:
        context.load_cert_chain(cert, key, password=no_passphrase)
    except ssl.SSLError as error:
        if error.reason in _NOT_A_PAIR:
            problem = f"the key in {key} does not belong to the certificate in {cert}"
            raise CertificateError(f"{problem}; expected both of one pair") from None
        if error.reason is not None:
            raise CertificateError(f"{cert} and {key}: {error.reason.lower().replace('_', ' ')}") from None
        raise CertificateError(f"{cert} and {key}: expected a certificate and its key in PEM") from None
    except OSError as error:
        raise _unreadable(error, f"{cert} or {key}") from None


def _load_authorities(context: ssl.SSLContext, file: File) -> None:
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError:
        raise CertificateError(f"{file}: expected certificates or revocations in PEM") from None
    except OSError as error:
        raise _unreadable(error, str(file)) from None


def _unreadable(error: OSError, files: str) -> CertificateError:
    return CertificateError(f"{error.filename or files}: {error.strerror or error}")


def _stamp(files: Iterable[File]) -> Stamp:
    """What differs once a file was written or replaced."""
    return tuple(map(_stamp_of, files))


def _stamp_of(file: File) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - of whatever path it is given
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
