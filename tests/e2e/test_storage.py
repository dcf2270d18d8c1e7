"""A store that fails for real: full, read-only, locked by somebody (rule 10)."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Site
from tests.support.daemon import WHOSIN, until

root_on_linux = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root on Linux to mount a small file system"
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.decode()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def _degrades(site: Site) -> None:
    """A disconnect falls due: it is known, not announced, not recorded; a login stays unacknowledged."""
    info = site.client().say("LATE", "login", {"user": "lena", "client": "web"}, wait=False)
    until(lambda: site.daemon.get("/readyz", token=None)[0] == 503, what="readiness says so")
    until(lambda: site.daemon.sessions().get("A", {}).get("status") == "disconnected")
    assert site.daemon.metric("whosin_store_ok") == 0
    if site.kind == "door":  # a broker acknowledges by itself, and keeps it for us
        assert not info.is_published()
    assert not site.ear.events("session.disconnected")
    assert "storage" in site.daemon.whosin("status")
    code, problem = site.daemon.ask("POST", "/api/v1/sessions/logoff", {"ids": ["A"]})
    assert code == 503, problem


def _recovers(site: Site) -> None:
    until(lambda: site.daemon.get("/readyz", token=None)[0] == 200, what="it recovers by itself")
    event = site.ear.event("session.disconnected", "A")
    assert event["time"] == site.daemon.sessions()["A"]["disconnected_at"]
    site.ear.event("session.logged_in", "LATE")
    assert site.daemon.metric("whosin_store_ok") == 1
    site.daemon.kill()
    site.daemon.start()
    assert site.daemon.status("A") == "disconnected"
    assert site.daemon.status("LATE") == "active"


@root_on_linux
def test_a_full_disk_keeps_all_in_memory_and_promises_nothing(bare_site: Site, small_disk: Path) -> None:
    site = bare_site.start(data=small_disk / "data")
    site.client().login("A", "anna")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    _degrades(site)
    filler.unlink()
    _recovers(site)


@root_on_linux
def test_a_disk_gone_read_only_is_survived(bare_site: Site, small_disk: Path) -> None:
    site = bare_site.start(data=small_disk / "data")
    site.client().login("A", "anna")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=False, capture_output=True)
    if os.access(small_disk, os.W_OK):
        pytest.skip("the kernel refuses to remount while files are open")
    _degrades(site)
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    _recovers(site)


def test_nobody_else_can_lock_the_database_of_a_running_daemon(site: Site) -> None:
    client = site.client()
    client.login("A", "anna")
    other = sqlite3.connect(site.daemon.data / "whosin.db", isolation_level=None, timeout=0.1)
    with pytest.raises(sqlite3.OperationalError):
        other.execute("BEGIN IMMEDIATE")
    other.close()
    client.login("B", "bert")
    assert site.daemon.status("B") == "active"


def test_a_database_that_somebody_holds_at_the_start_is_named(site: Site) -> None:
    site.daemon.stop()
    other = sqlite3.connect(site.daemon.data / "whosin.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    said = subprocess.run(
        [WHOSIN, "run", "--config", site.daemon.config],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert said.returncode == 1
    assert "whosin.db" in said.stderr
    other.execute("ROLLBACK")
    other.close()
    site.daemon.start()
