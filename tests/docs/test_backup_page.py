"""The commands of docs/backup.md, typed as they stand there."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import ROOT, blocks, shell, shell_env
from tests.support.daemon import Daemon
from tests.support.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "docs/backup.md"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="NOT TESTED: bash is missing")


def between(begin: str) -> str:
    (block,) = blocks(PAGE, f"<!-- {begin} -->", f"<!-- /{begin} -->")
    return block.text


def test_the_commands_of_the_page_make_check_and_restore_a_backup(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, f'listen = "127.0.0.1:{free_port()}"').start()
    env = shell_env(tmp_path, WHOSIN_URL=daemon.url, WHOSIN_TOKEN=daemon.token)
    by_hand, nightly = blocks(PAGE)[0].text, between("nightly")
    try:
        made, kept = shell([by_hand, f"{nightly}\nls whosin-backups"], tmp_path, env)
        assert "and checked it" in made
        assert "is a whole backup" in made
        assert kept.splitlines()[-1].endswith(".db")
        old = tmp_path / "whosin-backups" / "2020-01-01.db"
        old.touch()
        (failed,) = shell([f"touch -d 2020-01-01 {old}\n({nightly}) || ls whosin-backups"], tmp_path, env)
        assert "2020-01-01.db" in failed, "there is one of today already: none is made, none is deleted"
    finally:
        daemon.stop()
    env["WHOSIN_DAEMON__DATA_DIR"] = str(daemon.data)
    (said,) = shell([between("restore")], tmp_path, env)
    assert f"It is now {daemon.data / 'whosin.db'}; start the daemon." in said
    daemon.start()
    daemon.stop()


def test_the_nightly_unit_runs_what_the_command_line_knows() -> None:
    unit = (ROOT / "systemd" / "whosin-backup.service").read_text(encoding="utf-8")
    assert "whosin backup --config /etc/whosin/whosin.toml" in unit
    assert "WHOSIN_DAEMON__DATA_DIR=/var/lib/whosin" in unit
    daemon = (ROOT / "systemd" / "whosin.service").read_text(encoding="utf-8")
    assert "StateDirectory=whosin whosin/backups\n" in daemon
