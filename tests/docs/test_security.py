"""docs/security.md: its commands are run as they stand, and the tests that it names are there."""

from __future__ import annotations

import re
import shutil
import signal
import ssl
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import ROOT, marked
from tests.docs.shells import shell, shell_env
from tests.support.daemon import until
from tests.support.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "docs/security.md"


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[\w/.]+)`", (ROOT / PAGE).read_text()))))
def test_a_test_that_it_names_is_there(name: str):
    assert (ROOT / name).exists()


@pytest.mark.skipif(
    None in map(shutil.which, ("bash", "openssl", "mosquitto_pub")),
    reason="NOT TESTED: bash, openssl or mosquitto_pub is missing",
)
def test_the_five_minutes_of_tls_lead_to_a_login_by_certificate_and_to_a_renewed_one(tmp_path: Path):
    certificates, daemon, client, renewal = (it.text for it in marked(PAGE, "tests/docs/test_security.py"))
    port, http_port = free_port(), free_port()
    env = shell_env(tmp_path)
    shell([certificates], tmp_path, env)
    ours = daemon.replace("0.0.0.0:8883", f"127.0.0.1:{port}").replace(
        "0.0.0.0:8787", f"127.0.0.1:{http_port}"
    )
    process = subprocess.Popen(
        ["bash", "-c", ours.replace("whosin run", "exec whosin run")], cwd=tmp_path, env=env,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))

    def ready() -> bool:
        try:
            with urllib.request.urlopen(
                f"https://localhost:{http_port}/readyz", context=trust, timeout=5
            ) as it:
                return bool(it.status == 200)
        except OSError:
            return False

    def shown() -> str:
        return ssl.get_server_certificate(("127.0.0.1", port))

    try:
        until(ready)
        before = shown()
        commands = client.replace("-p 8883", f"-p {port}").replace("localhost:8787", f"localhost:{http_port}")
        *_, sessions = shell([commands, "whosin sessions --json"], tmp_path, env)
        assert '"id": "anna-friday"' in sessions
        shell([client.split("whosin clients")[0].replace(":8787", f":{http_port}") + renewal], tmp_path, env)
        assert shown() == (tmp_path / "server.crt").read_text() != before
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    assert "can be read by everybody" not in said
