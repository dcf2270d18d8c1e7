"""The commands of docs/backup.md, typed as they stand there."""

from __future__ import annotations

import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import ROOT, marked
from tests.docs.shells import shell, shell_env
from tests.support.daemon import WHOSIN, Daemon
from tests.support.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

BY_HAND, NIGHTLY, RESTORE = (it.text for it in marked("docs/backup.md", "tests/docs/test_backup_page.py"))

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="NOT TESTED: bash is missing")


def test_the_commands_of_the_page_make_check_and_restore_a_backup(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, f'listen = "127.0.0.1:{free_port()}"').start()
    env = shell_env(tmp_path, WHOSIN_URL=daemon.url, WHOSIN_TOKEN=daemon.token)
    try:
        made, kept = shell([BY_HAND, f"{NIGHTLY}\nls whosin-backups"], tmp_path, env)
        assert "and checked it" in made
        assert "is a whole backup" in made
        assert kept.splitlines()[-1].endswith(".db")
        old = tmp_path / "whosin-backups" / "2020-01-01.db"
        old.touch()
        (failed,) = shell([f"touch -d 2020-01-01 {old}\n({NIGHTLY}) || ls whosin-backups"], tmp_path, env)
        assert "2020-01-01.db" in failed, "there is one of today already: none is made, none is deleted"
    finally:
        daemon.stop()
    env["WHOSIN_DAEMON__DATA_DIR"] = str(daemon.data)
    (said,) = shell([RESTORE], tmp_path, env)
    assert f"It is now {daemon.data / 'whosin.db'}; start the daemon." in said
    daemon.start()
    daemon.stop()


def test_the_nightly_unit_keeps_a_checked_backup_and_deletes_old_ones(tmp_path: Path) -> None:
    """Its line, as systemd would hand it to the shell, in another place."""
    unit = (ROOT / "systemd" / "whosin-backup.service").read_text(encoding="utf-8").replace("\\\n", "")
    line = next(one for one in unit.splitlines() if one.startswith("ExecStart=")).partition("=")[2]
    daemon = Daemon(tmp_path, f'listen = "127.0.0.1:{free_port()}"').start()
    backups = tmp_path / "backups"
    for there, here in (
        ("$$", "$"), ("%%", "%"), ("/var/lib/whosin", str(daemon.data)),
        ("/var/backups/whosin", str(backups)),
        ("/opt/whosin/bin/whosin", WHOSIN), ("/etc/whosin/whosin.toml", str(daemon.config)),
    ):  # fmt: skip
        assert there in line
        line = line.replace(there, here)
    env = shell_env(tmp_path)
    try:
        backups.mkdir()
        old = backups / "2020-01-01.db"
        old.touch()
        (said,) = shell([f"touch -d 2020-01-01 {old}; {line}"], tmp_path, env)
        assert "is a whole backup" in said
        (made,) = backups.iterdir()
        assert stat.S_IMODE(made.stat().st_mode) == 0o600
        shell([line], tmp_path, env)  # again on the same day
        assert not (daemon.data / "nightly.db").exists()
    finally:
        daemon.stop()
    old.touch()
    (said,) = shell([f"touch -d 2020-01-01 {old}; {line} || ls {backups}"], tmp_path, env)
    assert "2020-01-01.db" in said, "no backup could be made: nothing is deleted"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="NOT TESTED: systemd-analyze is missing")
def test_systemd_knows_every_key_of_the_nightly_units() -> None:
    units = [str(ROOT / "systemd" / f"whosin-backup.{kind}") for kind in ("service", "timer")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "whosin-backup" in line]
    assert [line for line in ours if "is not executable" not in line and "not found" not in line] == []
