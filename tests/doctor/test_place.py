"""The data folder, its disk, and the database in it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections import namedtuple

import pytest

from tests.store.fixtures import kept
from tests.store.powercut.recording import content
from whosin.doctor import database, folder
from whosin.doctor.findings import Level
from whosin.store import SqliteStore

root_on_linux = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="NOT PROVEN HERE: needs root on Linux"
)
posix = pytest.mark.skipif(os.name == "nt", reason="file modes are POSIX")


def test_a_folder_that_the_first_start_makes_is_well(patient, look, tmp_path):
    one = patient()
    (tmp_path / "data").rmdir()
    ((level, said, _),) = look(folder.check(one)).of("data folder")
    assert (level, said.endswith("the first start makes it")) == ("ok", True)
    assert look(database.check(one)).levels("database") == [Level.OK]
    assert look(folder.space(one)).levels("disk space") == [Level.OK]
    assert not (tmp_path / "data").exists()


@posix
def test_a_folder_open_to_others_is_a_warning_with_the_command(patient, look, tmp_path):
    one = patient()
    (tmp_path / "data").chmod(0o755)
    ((level, said, advice),) = look(folder.check(one)).of("data folder")
    assert (level, advice) == ("warning", f"chmod 0700 {tmp_path / 'data'}")
    assert "mode 0755" in said


def test_what_a_copy_left_that_was_cut_off_may_go(patient, look, tmp_path):
    one = patient()
    (tmp_path / "data" / ".whosin.db.0a1b2c3d.part").touch()
    assert look(folder.check(one)).levels("data folder") == [Level.OK], "it may be on its way"
    one.now_s = lambda: time.time() + 7_200
    ((level, said, advice),) = look(folder.check(one)).of("data folder")
    assert (level, said.startswith(".whosin.db.0a1b2c3d.part is left over")) == ("warning", True)
    assert advice.endswith(f"rm {tmp_path / 'data'}/.*.part")


def test_a_database_elsewhere_has_its_folder_looked_at_too(patient, look, tmp_path):
    url = (tmp_path / "apart" / "w.db").as_posix()
    data, apart = look(folder.check(patient(f'[store]\nurl = "sqlite:///{url}"\n')))
    assert str(tmp_path / "data") in data.found
    assert str(tmp_path / "apart") in apart.found


def test_a_log_file_whose_folder_is_not_there_is_a_problem(patient, look, tmp_path):
    ((level, said, _),) = look(
        folder.check(patient(f'[log]\nfile = "{(tmp_path / "logs" / "w.log").as_posix()}"\n'))
    ).of("log file")
    assert (level, said.endswith("(log.file)")) == ("problem", True)


@root_on_linux
def test_files_of_another_user_in_the_daemons_folder_are_a_problem(patient, look, tmp_path):
    one = patient()
    os.chown(tmp_path / "data", 4321, 4321)
    (tmp_path / "data" / "whosin.db").touch()
    ((level, said, advice),) = look(folder.check(one)).of("data folder")
    assert level == "problem"
    assert said.startswith("whosin.db in ")
    assert advice.endswith(f"chown -R --reference={tmp_path / 'data'} {tmp_path / 'data'}")


@root_on_linux
def test_a_folder_that_another_user_may_not_write_is_a_problem_for_that_user(patient, tmp_path):
    one = patient()
    for above in (tmp_path, *tmp_path.parents):
        if above.is_relative_to("/tmp") and above != above.__class__("/tmp"):
            above.chmod(0o755)
    (tmp_path / "data").chmod(0o755)
    code = (
        "import os, pwd, sys\nfrom pathlib import Path\nfrom whosin.doctor import folder\nos.setuid(4321)\n"
        "print(list(folder._rights(Path(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, one.database.parent], capture_output=True, text=True, check=False
    )
    assert "may not be written by this user, of user root" in done.stdout, done.stderr


@root_on_linux
def test_a_disk_mounted_read_only_is_named_as_such(patient, look, tmp_path):
    one = patient()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", tmp_path / "data"], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("NOT PROVEN HERE: mounting is forbidden")
    try:
        ((level, said, _),) = look(folder.check(one)).of("data folder")
    finally:
        subprocess.run(["umount", tmp_path / "data"], check=True)
    assert (level, "mounted read-only" in said) == ("problem", True)


# --- disk space ----------------------------------------------------------------------------------------


@root_on_linux
def test_a_disk_nearly_full_is_a_problem_with_what_is_free(patient, look, tmp_path):
    one = patient()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", tmp_path / "data"],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("NOT PROVEN HERE: mounting is forbidden")
    try:
        ((level, said, advice),) = look(folder.space(one)).of("disk space")
    finally:
        subprocess.run(["umount", tmp_path / "data"], check=True)
    assert level == "problem"
    assert said.startswith("4.2 MB free of 4.2 MB")
    assert advice.startswith("Free some: du -xh ")


def test_a_disk_without_room_for_a_backup_is_a_warning(patient, look, monkeypatch):
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as the library's
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 50_000_000, 50_000_000))
    ((level, said, _),) = look(folder.space(patient())).of("disk space")
    assert level == "warning"
    assert said == "50.0 MB free of 1.0 GB; a backup or an upgrade of the database may take 64.0 MB"


# --- the database --------------------------------------------------------------------------------------


def test_a_database_that_is_whole_is_well_and_untouched(patient, look, tmp_path):
    one = patient()
    kept.build(kept.versions()[-1], one.database)
    before = content(one.database.parent)
    ((level, said, _),) = look(database.check(one)).of("database")
    assert (level, "is whole, schema version" in said) == ("ok", True)
    assert content(one.database.parent) == before


def test_an_older_database_is_well_and_it_says_that_it_will_be_upgraded(patient, look):
    one = patient()
    kept.build(1, one.database)
    ((level, said, _),) = look(database.check(one)).of("database")
    assert level == "ok"
    assert "schema version 1; the next start brings it to" in said


def damage(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(bytes(8192))


def make_newer(path):
    content = bytearray(path.read_bytes())
    content[60:64] = (99).to_bytes(4, "big")  # user_version
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "words", "advice"),
    [
        (damage, "is damaged", "whosin restore FILE"),
        (make_newer, "has schema version 99, written by", "Run the newer Whosin again"),
        (lambda path: path.write_text("text" * 5000), "not a database", "whosin restore FILE"),
    ],
    ids=["damaged", "newer", "text"],
)
def test_a_database_that_cannot_be_used_is_a_problem_with_the_way_back(patient, look, spoil, words, advice):
    one = patient()
    kept.build(kept.versions()[-1], one.database)
    spoil(one.database)
    ((level, said, what),) = look(database.check(one)).of("database")
    assert level == "problem"
    assert words in said
    assert advice in what


async def test_one_that_a_daemon_has_open_is_left_alone_and_said_whose_it_is(patient, look):
    one = patient()
    store = SqliteStore(one.database)
    await store.open()
    ((level, said, _),) = look(database.check(one)).of("database")
    await store.close()
    assert (level, said) == ("ok", f"{one.database} is open in process {os.getpid()}")


@posix
def test_looking_makes_no_lock_file(patient, look):
    one = patient()
    kept.build(1, one.database)
    one.database.chmod(0o600)
    look(database.check(one))
    assert [path.name for path in one.database.parent.iterdir()] == ["whosin.db"]
    assert stat.S_IMODE(one.database.stat().st_mode) == 0o600
