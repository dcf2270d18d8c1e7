"""Built twice, the archives are the same; all is in them, and what does not belong there is found."""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from tests.house import repository
from tests.release import archives, building, facts
from tests.release.building import ELSEWHERE, HERE

DATE_S = 1_795_000_001
VERSION = facts.version_of(repository.ROOT)


def copy(folder: Path, circumstances: building.Circumstances) -> Path:
    """The work tree as it is, committed or not, written as somebody else would have it."""
    for path in repository.files():
        target = folder / repository.name(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        target.chmod((0o777 if path.stat().st_mode & 0o100 else 0o666) & ~circumstances.umask)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder of the archives, and of what they were made of."""
    ground = tmp_path_factory.mktemp("release")
    source = copy(ground / "source", HERE)
    building.build(source, ground / "handed", Path(sys.executable), DATE_S)
    return ground / "handed", source


def test_built_in_other_circumstances_they_are_the_same(built, tmp_path):
    handed, _ = built
    made = building.archives_in(handed)
    assert list(made) == [f"whosin-{VERSION}-py3-none-any.whl", f"whosin-{VERSION}.tar.gz"]
    building.let_time_pass(max(path.stat().st_mtime for path in handed.iterdir()))
    source = copy(tmp_path / "some where else" / "deeper", ELSEWHERE)
    again = building.build(source, tmp_path / "again", Path(sys.executable), DATE_S, ELSEWHERE)
    assert building.differences(made, again, "again") == []


def test_the_wheel_built_from_the_sdist_is_the_same(built, tmp_path):
    handed, _ = built
    (sdist,) = handed.glob("*.tar.gz")
    source = building.unpacked(sdist, tmp_path / "unpacked")
    building.build(source, tmp_path / "again", Path(sys.executable), DATE_S, targets=["wheel"])
    (first,), (again,) = handed.glob("*.whl"), (tmp_path / "again").glob("*.whl")
    assert first.read_bytes() == again.read_bytes()


@pytest.fixture(scope="module")
def known(built):
    _, source = built
    return {
        path.relative_to(source).as_posix(): path.read_bytes() for path in source.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def wheel(built):
    return archives.wheel(next(built[0].glob("*.whl")))


@pytest.fixture(scope="module")
def sdist(built):
    return archives.sdist(next(built[0].glob("*.tar.gz")))


@pytest.fixture(scope="module")
def runnable(built, known):
    return [name for name in known if (built[1] / name).stat().st_mode & 0o100]


def test_they_have_all_that_belongs_there_and_nothing_else(wheel, sdist, known, runnable):
    assert archives.wrong_in_wheel(wheel, VERSION, known) == []
    assert archives.wrong_in_sdist(sdist, known, runnable) == []


def test_all_in_them_is_dated_by_the_commit(wheel, sdist):
    assert archives.wrong_dates(wheel, sdist, DATE_S) == []
    assert len(archives.wrong_dates(wheel, sdist, DATE_S + 2)) == 2


def test_nothing_in_them_is_secret_or_knows_this_machine(wheel, sdist):
    for archive in (wheel, sdist):
        assert archives.secrets(archive) == []
        assert archives.traces(archive, [repository.ROOT, Path.home()]) == []


def changed(archive: archives.Archive, **files: bytes | None) -> archives.Archive:
    """The archive with files put in, or with None left out."""
    kept = {name: content for name, content in {**archive.files, **files}.items() if content is not None}
    return archive._replace(files=kept, modes=dict.fromkeys(kept, 0o644))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("whosin/__pycache__/app.cpython-311.pyc", b"", "which does not belong there"),
        ("whosin/settings/guidance.toml", None, "lacks whosin/settings/guidance.toml"),
        ("whosin/py.typed", None, "lacks whosin/py.typed"),
        ("whosin/app.py", b"import evil\n", "has another whosin/app.py than was committed"),
        (f"whosin-{VERSION}.dist-info/licenses/LICENSE", None, "licenses/LICENSE"),
        (f"whosin-{VERSION}.dist-info/WHEEL", b"Root-Is-Purelib: false\n", "expected any"),
        (f"whosin-{VERSION}.dist-info/entry_points.txt", b"", "lacks the command whosin"),
    ],
)
def test_a_wheel_that_is_not_as_committed_is_found(wheel, known, name, content, says):
    found = archives.wrong_in_wheel(changed(wheel, **{name: content}), VERSION, known)
    assert any(says in one for one in found), found


def test_a_wheel_of_another_version_is_found(wheel, known):
    assert archives.wrong_in_wheel(wheel, "9.9.9", known)


@pytest.mark.parametrize(
    ("name", "content"), [("left.txt", b""), ("requirements.lock", None), ("README.md", b"?")]
)
def test_an_sdist_that_is_not_as_committed_is_found(sdist, known, name, content):
    found = archives.wrong_in_sdist(changed(sdist, **{name: content}), known, [])
    assert len(found) == 1
    assert name in found[0]


def test_rights_that_are_not_plain_are_found(sdist, known, runnable):
    open_to_all = sdist._replace(modes={**sdist.modes, "README.md": 0o666})
    found = archives.wrong_in_sdist(open_to_all, known, runnable)
    assert found == [f"{sdist.name}: README.md has the rights 666; expected 644"]


@pytest.mark.parametrize(
    "secret",
    [
        b"-----BEGIN " + b"RSA PRIVATE KEY-----",
        b"token = gh" + b"p_0123456789abcdefghij",
        b"mqtt://anna:" + b"correcthorse9battery@broker",
    ],
)
def test_secrets_are_found(wheel, secret):
    assert len(archives.secrets(changed(wheel, **{"whosin/more.py": b"x = 1\n" + secret}))) == 1


def test_traces_of_this_machine_are_found(wheel, tmp_path):
    more = changed(wheel, **{"whosin/more.py": f"PATH = '{tmp_path}/x'".encode()})
    assert len(archives.traces(more, [tmp_path])) == 1


def test_what_is_read_is_what_is_in_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        info = zipfile.ZipInfo("whosin/a.py", (2026, 11, 27, 8, 0, 2))
        info.external_attr = 0o100755 << 16
        archive.writestr(info, b"1")
    assert archives.wheel(tmp_path / "a.whl") == (
        "a.whl", {"whosin/a.py": b"1"}, {"whosin/a.py": 0o755}, {(2026, 11, 27, 8, 0, 2)},
    )  # fmt: skip
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("whosin-1/b/c.py")
        entry.size, entry.mode, entry.mtime = 1, 0o600, 5
        archive.addfile(entry, io.BytesIO(b"2"))
    assert archives.sdist(tmp_path / "a.tar.gz") == ("a.tar.gz", {"b/c.py": b"2"}, {"b/c.py": 0o600}, {5})


def test_checksums_are_those_that_the_usual_program_checks(built, tmp_path):
    made = building.archives_in(built[0])
    building.write(made, tmp_path)
    said = building.run(["sha256sum", "--check", building.SUMS], tmp_path)
    assert said.count(": OK") == 2
    (tmp_path / f"whosin-{VERSION}.tar.gz").write_bytes(b"something else")
    with pytest.raises(building.CommandFailed, match="FAILED"):
        building.run(["sha256sum", "--check", building.SUMS], tmp_path)


def test_time_passes_as_zip_files_see_it():
    began = time.time()
    building.let_time_pass(began - 1)
    assert time.time() >= began + 1
