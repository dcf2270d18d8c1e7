"""An authority of the tests' own, by openssl: certificates for servers and clients, and what it took back."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="NOT TESTED: openssl is missing")

CONFIG = """
[ca]
default_ca = own
[own]
database = {folder}/index
crlnumber = {folder}/crlnumber
default_md = sha256
default_crl_days = 7
"""


class Pair(NamedTuple):
    cert: Path
    key: Path


class Authority:
    """Certificates of a chain of two; `ca` is what those who trust it are given."""

    def __init__(self, folder: Path, name: str = "Authority of a test") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.ca = folder / "ca.crt"
        self._config = folder / "openssl.cnf"
        self._config.write_text(CONFIG.format(folder=folder))
        (folder / "index").touch()
        (folder / "crlnumber").write_text("01\n")
        openssl("req", "-x509", *KEY, "-days", "2", "-subj", f"/CN={name}", "-keyout", folder / "ca.key",
                "-out", self.ca, "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip

    def issue(
        self, name: str, *, server: bool = False, days: int = 2, into: Path | None = None, hosts: str = ""
    ) -> Pair:
        """For the subject CN=`name`; a server's is for localhost and 127.0.0.1 unless `hosts` says else."""
        at = into or self.folder / name.replace("/", "_")
        pair = Pair(at.with_name(f"{at.name}.crt"), at.with_name(f"{at.name}.key"))
        request, extensions = at.with_name(f"{at.name}.csr"), at.with_name(f"{at.name}.ext")
        usage = "serverAuth" if server else "clientAuth"
        lines = [f"extendedKeyUsage={usage}", "basicConstraints=critical,CA:false"]
        if server:
            lines.append(f"subjectAltName={hosts or 'DNS:localhost,IP:127.0.0.1'}")
        extensions.write_text("\n".join(lines))
        subject = f"/CN={name}" if name else "/O=nameless"
        openssl("req", *KEY, "-subj", subject, "-keyout", pair.key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.folder / "ca.key",
                "-CAcreateserial", "-days", str(days), "-extfile", extensions, "-out", pair.cert)  # fmt: skip
        return pair

    def revocations(self, *revoked: Pair) -> Path:
        """The list of those taken back, these among them, as a file."""
        signed = ("-config", self._config, "-cert", self.ca, "-keyfile", self.folder / "ca.key")
        for pair in revoked:
            openssl("ca", *signed, "-revoke", pair.cert)
        crl = self.folder / "crl.pem"
        openssl("ca", *signed, "-gencrl", "-out", crl)
        return crl

    def trusting(self, pair: Pair | None = None) -> ssl.SSLContext:
        """For a client that trusts this authority, and shows `pair`."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if pair is not None:
            context.load_cert_chain(*pair)
        return context


KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*words: str | Path) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
