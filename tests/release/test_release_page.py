"""docs/release.md: a release made by its commands, and what it says about the check."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from tests.docs.pages import blocks, marked, rows
from tests.house import repository
from tests.release import building, facts, pythons

PAGE = repository.ROOT / "docs/release.md"
MAKING = marked("docs/release.md", "tests/release/test_release_page.py")
NEXT = "9.9.0"
needs_git = pytest.mark.skipif(
    not (repository.ROOT / ".git").exists(), reason="NOT TESTED: this is an unpacked archive, without git"
)


@needs_git
def test_a_release_is_made_by_its_commands(tmp_path):
    """The check itself is .ci/run's and the release's own; here it looks only at git and the changelog."""
    clone = building.clone(repository.ROOT, tmp_path / "whosin")
    for name in (
        "tests/release",
        "daemon/whosin/__init__.py",
        "CHANGELOG.md",
    ):  # as they are, committed or not
        building.run(["cp", "-R", repository.ROOT / name, (clone / name).parent], tmp_path)
    if (
        f"## [{facts.version_of(clone)}]"
        in (clone / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1]
    ):
        text = (clone / "CHANGELOG.md").read_text(encoding="utf-8")
        (clone / "CHANGELOG.md").write_text(
            text.replace("\n## [", "\n## [Unreleased]\n\n## [", 1), encoding="utf-8"
        )
    python = clone / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@" --facts\n')
    python.chmod(0o755)
    commands = "\n".join(block.text for block in MAKING).replace("VERSION=0.2.0", f"VERSION={NEXT}")
    who = {
        f"GIT_{role}_{what}": "somebody@example.com"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    building.run(["git", "add", "--all"], clone)
    building.run(["git", "commit", "--quiet", "--allow-empty", "--message", "As it is"], clone, **who)
    said = building.run(["bash", "-euc", commands], clone, **who)
    assert said.count("all passed") == 2, said
    assert "NOT CHECKED" not in said
    about = facts.read(clone)
    assert (about.version, about.sections[0][0], about.tags_here) == (NEXT, NEXT, [f"v{NEXT}"])


@needs_git
def test_what_is_no_release_is_refused(tmp_path):
    clone = building.clone(repository.ROOT, tmp_path / "whosin")
    building.run(["cp", "-R", repository.ROOT / "tests/release", clone / "tests"], tmp_path)
    (clone / "left.txt").touch()
    done = subprocess.run(
        [sys.executable, "-m", "tests.release", "--facts"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "FAILED       it is a release" in done.stdout
    assert "left.txt" in done.stdout


def test_each_command_to_verify_is_one_that_the_check_runs():
    """It types all blocks of that heading; there are no others."""
    verifying = building.documented()
    assert len(verifying) == 4
    assert len(blocks("docs/release.md")) == len(MAKING) + len(verifying)


def test_the_commands_named_in_its_text_are_options_of_the_check():
    said = building.run([sys.executable, "-m", "tests.release", "--help"], repository.ROOT)
    for option in ("--rehearsal", "--quick", "--facts", "--python"):
        assert option in said
        assert option in PAGE.read_text(encoding="utf-8")


def test_the_pythons_are_those_of_the_classifiers():
    (lowest, *_), highest = pythons.supported(), pythons.supported()[-1]
    page = "".join(cell for row in rows("docs/release.md", "What the check proves") for cell in row)
    assert f"from {lowest[0]}.{lowest[1]} to {highest[0]}.{highest[1]}" in page
    assert (
        f'requires-python = ">={lowest[0]}.{lowest[1]}"' in (repository.ROOT / "pyproject.toml").read_text()
    )


def test_this_python_is_found_and_one_that_does_not_run_is_not(tmp_path, monkeypatch):
    stand_in = tmp_path / "python3.14"
    stand_in.write_text("#!/bin/sh\nexit 127\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/nowhere")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert list(pythons.find()) == [sys.version_info[:2]]
