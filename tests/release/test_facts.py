"""Version, changelog, tag and work tree: what makes a commit a release, and what contradicts it."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.house import repository
from tests.release import facts
from tests.release.test_release_page import needs_git

CHANGELOG = "# Changelog\n\n## [0.2.0] - 2026-11-27\n\n- More.\n\n## [0.1.0] - 2026-11-22\n\n- All.\n"


class Place:
    """A small repository with one commit."""

    def __init__(self, root):
        self.root = root
        self.git("init", "--quiet", "--initial-branch", "main")
        self.write(facts.VERSION_FILE, '"""A package."""\n\n__version__ = "0.2.0"\n')
        self.write(facts.CHANGELOG, CHANGELOG)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def git(self, *args):
        who = [
            "-c",
            "user.name=Somebody",
            "-c",
            "user.email=somebody@example.com",
            "-c",
            "commit.gpgsign=false",
        ]
        subprocess.run(["git", *who, *args], cwd=self.root, check=True, capture_output=True)

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "A commit")
        return self.read()

    def read(self):
        return facts.read(self.root)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_release_has_nothing_to_complain_of(place):
    about = place.commit()
    assert (about.version, about.tag, about.tagged) == ("0.2.0", "v0.2.0", None)
    assert facts.contradictions(about) == facts.missing_for_a_release(about) == []


@pytest.mark.parametrize("args", [("v0.2.0",), ("--annotate", "v0.2.0", "--message", "Whosin 0.2.0")])
def test_a_tag_that_fits_is_fine(place, args):
    place.commit()
    place.git("tag", *args)
    about = place.read()
    assert about.tagged == about.commit
    assert facts.contradictions(about) == facts.missing_for_a_release(about) == []


def test_a_tag_of_another_version_contradicts(place):
    place.commit()
    place.git("tag", "v0.3.0")
    assert facts.contradictions(place.read()) == ["the commit is tagged v0.3.0, its version is 0.2.0"]


def test_a_version_that_was_tagged_elsewhere_is_no_release(place):
    place.commit()
    place.git("tag", "v0.2.0")
    place.write("more.py", "")
    (missing,) = facts.missing_for_a_release(place.commit())
    assert re.fullmatch(r"v0\.2\.0 is the tag of another commit, [0-9a-f]{12}: raise the version", missing)


def test_what_is_not_committed_is_named(place):
    place.commit()
    place.write("left.txt", "")
    assert facts.missing_for_a_release(place.read()) == [
        "the work tree is not clean (1: left.txt): commit or remove them"
    ]


def test_an_unreleased_section_is_no_release_but_no_contradiction(place):
    place.write(facts.CHANGELOG, CHANGELOG.replace("# Changelog", "# Changelog\n\n## [Unreleased]"))
    about = place.commit()
    assert facts.contradictions(about) == []
    assert facts.missing_for_a_release(about) == [
        "the newest section of CHANGELOG.md is [Unreleased]; expected [0.2.0], dated"
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[0.2.0] - 2026-11-27", "[0.2.0]", "CHANGELOG.md: [0.2.0] is dated not at all; expected YYYY-MM-DD"),
        ("2026-11-27", "2026-13-27", "CHANGELOG.md: [0.2.0] is dated 2026-13-27; expected YYYY-MM-DD"),
        (
            "0.2.0",
            "0.3.0",
            "daemon/whosin/__init__.py says 0.2.0, the newest version in CHANGELOG.md is [0.3.0]",
        ),
        ("0.1.0", "0.2.1", "CHANGELOG.md has [0.2.0] above [0.2.1]: the newest stands on top"),
    ],
)
def test_a_changelog_that_says_something_else_contradicts(place, old, new, says):
    place.write(facts.CHANGELOG, CHANGELOG.replace(old, new))
    assert facts.contradictions(place.commit()) == [says]


def test_a_version_is_written_as_packages_are(place):
    place.write(facts.VERSION_FILE, '__version__ = "0.2.0-rc1"\n')
    place.write(facts.CHANGELOG, CHANGELOG.replace("0.2.0", "0.2.0-rc1"))
    assert facts.contradictions(place.commit()) == [
        "daemon/whosin/__init__.py says 0.2.0-rc1; written as packages are, 0.2.0rc1"
    ]


@needs_git
def test_the_version_is_written_in_one_place():
    """Documents and the changelog tell of versions, tests make some up; nothing else has one of its own."""
    assert facts.contradictions(facts.read(repository.ROOT)) == []
    version = re.compile(rf"(?<![\d.]){re.escape(facts.version_of(repository.ROOT))}(?![\d.])")
    found = [
        repository.name(path)
        for path in repository.files(
            "daemon/*", "config/*", "systemd/*", "examples/*", ".ci/*", "pyproject.toml"
        )
        if version.search(repository.text(path) or "")
    ]
    assert found == [facts.VERSION_FILE]
