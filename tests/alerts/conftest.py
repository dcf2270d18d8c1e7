"""Certificates for servers on this machine, and a message to send."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from whosin.alerts.conditions import Group
from whosin.alerts.messages import Message, Told, compose


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture(scope="session")
def server_tls(tmp_path_factory):
    """A context for servers, and the file that a client has to trust."""
    if shutil.which("openssl") is None:
        pytest.skip("NOT PROVEN HERE: openssl is missing")
    cert, key = certificate(tmp_path_factory.mktemp("tls"), "here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


FACT = {
    "session": "anna-1", "user": "anna", "machine": "PC-7", "client": "desktop", "company": "books",
    "since": 1_764_000_000_000, "locks": [{"resource": "sales-order/SO-1001", "activity": "amending"}],
    "blocked": 1,
    "blocks": [
        {"user": "ben", "machine": None, "since": 1_764_000_060_000, "resource": "sales-order/SO-1001"}
    ],
    "guidance": [{"id": "order-lines", "severity": "critical", "before": "Check the order's lines."}],
}  # fmt: skip


def told(kind: str = "blocking", *facts: dict, **more) -> Told:
    group = more.pop("group", Group(kind, "hq", "books"))
    fields = {
        "id": "a1b2", "group": group, "severity": "warning", "raised": 1_764_000_090_000, "cleared": 0,
        "total": len(facts) or 1, "facts": list(facts) or [FACT],
    }  # fmt: skip
    return Told(**{**fields, **more})


@pytest.fixture
def message() -> Message:
    return compose(told(), "a1b2-office-raised", page="https://whosin.example.com", daemon="hq-1")
