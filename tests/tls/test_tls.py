"""Contexts of TLS: which files are taken, and that a renewal is whole or nothing."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from tests.support.certificates import Authority, Pair, needs_openssl, openssl
from whosin import tls
from whosin.errors import CertificateError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_openssl


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def pair(authority: Authority, tmp_path: Path) -> Pair:
    return authority.issue("localhost", server=True, into=tmp_path / "server")


def test_what_is_offered_is_modern(pair: Pair):
    context = tls.Served(*pair).context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.num_tickets == 0
    assert context.verify_mode == ssl.CERT_NONE


def test_certificates_of_clients_are_asked_for_where_somebody_signs_them(authority: Authority, pair: Pair):
    assert tls.Served(*pair, tls.Clients(authority.ca)).context.verify_mode == ssl.CERT_OPTIONAL
    asked = tls.Served(*pair, tls.Clients(authority.ca, authority.revocations(), required=True)).context
    assert asked.verify_mode == ssl.CERT_REQUIRED
    assert asked.verify_flags & ssl.VERIFY_CRL_CHECK_LEAF


def test_files_that_did_not_change_are_left_alone(pair: Pair):
    served = tls.Served(*pair)
    before = served.context
    assert not served.renew_if_changed()
    assert served.context is before


def test_both_files_renewed_are_taken(authority: Authority, pair: Pair, tmp_path: Path):
    served = tls.Served(*pair)
    before = served.context
    authority.issue("localhost", server=True, into=tmp_path / "server")
    assert served.renew_if_changed()
    assert served.context is not before


@pytest.mark.parametrize("first", ["cert", "key"])
def test_half_of_a_pair_is_told_once_and_the_other_half_completes_it(
    authority: Authority, pair: Pair, tmp_path: Path, first: str
):
    served = tls.Served(*pair)
    before = served.context
    new = authority.issue("localhost", server=True, into=tmp_path / "new")
    second = "key" if first == "cert" else "cert"
    getattr(new, first).replace(getattr(pair, first))
    with pytest.raises(CertificateError, match="does not belong"):
        served.renew_if_changed()
    assert not served.renew_if_changed()
    assert served.context is before
    getattr(new, second).replace(getattr(pair, second))
    assert served.renew_if_changed()


def test_what_was_prepared_counts_once_it_is_taken(pair: Pair):
    served = tls.Served(*pair)
    before = served.context
    take = served.prepare()
    assert served.context is before
    take()
    assert served.context is not before


def test_a_list_of_revocations_that_was_renewed_is_taken(authority: Authority, pair: Pair, tmp_path: Path):
    crl = tmp_path / "list"
    crl.write_bytes(authority.revocations().read_bytes())
    served = tls.Served(*pair, tls.Clients(authority.ca, crl))
    assert not served.renew_if_changed()
    crl.write_bytes(authority.revocations(authority.issue("gone")).read_bytes())
    assert served.renew_if_changed()


def ruin(pair: Pair, how: str) -> None:
    if how == "another key":
        openssl("genrsa", "-out", pair.key, "2048")
    elif how == "no key":
        pair.key.unlink()
    elif how == "no certificate":
        pair.cert.unlink()
    elif how == "garbage":
        pair.cert.write_text("hello\n")
    elif how == "an empty file":
        pair.cert.write_bytes(b"")
    elif how == "a file cut short":
        pair.cert.write_bytes(pair.cert.read_bytes()[:200])
    elif how == "exchanged":
        cert = pair.cert.read_bytes()
        pair.cert.write_bytes(pair.key.read_bytes())
        pair.key.write_bytes(cert)
    elif how == "a passphrase":
        openssl("pkcs8", "-topk8", "-in", pair.key, "-out", f"{pair.key}.new", "-passout", "pass:secret")
        pair.key.with_name(f"{pair.key.name}.new").replace(pair.key)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("another key", "the key in {key} does not belong to the certificate in {cert}"),
        ("no key", "No such file"),
        ("no certificate", "No such file"),
        ("garbage", "expected a certificate and its key in PEM"),
        ("an empty file", "expected a certificate and its key in PEM"),
        ("a file cut short", "expected a certificate and its key in PEM"),
        ("exchanged", "expected a certificate and its key in PEM"),
        ("a passphrase", "{key} is protected by a passphrase"),
    ],
)
def test_files_that_cannot_be_used_are_told_and_change_nothing(pair: Pair, how: str, said: str):
    served = tls.Served(*pair)
    before = served.context
    ruin(pair, how)
    with pytest.raises(CertificateError) as told:
        served.renew_if_changed()
    assert said.format(cert=pair.cert, key=pair.key) in str(told.value)
    assert str(pair.cert.parent) in str(told.value)
    assert served.context is before
    with pytest.raises(CertificateError):
        tls.Served(*pair)


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_an_authority_that_cannot_be_used_is_told(pair: Pair, tmp_path: Path, content: bytes | None):
    file = tmp_path / "authorities"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CertificateError, match="authorities"):
        tls.Served(*pair, tls.Clients(file))
    with pytest.raises(CertificateError, match="authorities"):
        tls.of_client(file, None, None)


def test_for_connecting_a_name_must_be_proven(authority: Authority):
    context = tls.of_client(authority.ca, *authority.issue("whosin"))
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert [one["subject"] for one in context.get_ca_certs()] == [((("commonName", "Authority of a test"),),)]
    assert tls.of_client(None, None, None).verify_mode == ssl.CERT_REQUIRED
