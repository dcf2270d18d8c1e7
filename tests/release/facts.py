"""What git, the version and the changelog say of a release, and where they contradict each other.

Knows nothing of archives. The version is written in one place, `daemon/whosin/__init__.py`; all others take
it from there or are compared with it here.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from packaging.version import Version

VERSION_FILE = "daemon/whosin/__init__.py"
CHANGELOG = "CHANGELOG.md"
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_SECTION = re.compile(r"^## \[([^\]]+)\](?: - (\S+))?$", re.MULTILINE)


class Facts(NamedTuple):
    """`committed_s` is when the commit was made, which is the date of everything in the archives; `sections`
    are those of the changelog with their dates, from the top."""

    version: str
    commit: str
    committed_s: int
    changed: list[str]
    sections: list[tuple[str, str]]
    tags_here: list[str]
    tagged: str | None

    @property
    def tag(self) -> str:
        return f"v{self.version}"


def git(root: Path, *args: str) -> str:
    """What git prints; CalledProcessError if it fails."""
    done = subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n")


def version_of(root: Path) -> str:
    found = _VERSION.findall((root / VERSION_FILE).read_text(encoding="utf-8"))
    assert len(found) == 1, f'{VERSION_FILE} has {len(found)} lines `__version__ = "..."`; expected one'
    return str(found[0])


def read(root: Path) -> Facts:
    version = version_of(root)
    commit, committed = git(root, "log", "-1", "--format=%H %ct").split()
    return Facts(
        version=version,
        commit=commit,
        committed_s=int(committed),
        changed=git(root, "status", "--porcelain").splitlines(),
        sections=_SECTION.findall((root / CHANGELOG).read_text(encoding="utf-8")),
        tags_here=git(root, "tag", "--points-at", "HEAD", "--list", "v*").splitlines(),
        tagged=_commit_of(root, f"v{version}"),
    )


def _commit_of(root: Path, tag: str) -> str | None:
    """An annotated tag is an object of its own; `^{}` is the commit behind it."""
    if not git(root, "tag", "--list", tag):
        return None
    return git(root, "rev-parse", f"refs/tags/{tag}^{{}}")


def contradictions(facts: Facts) -> list[str]:
    """What is wrong whether this is a release or not yet one."""
    return [*_versions(facts), *_tags(facts)]


def _versions(facts: Facts) -> list[str]:
    numbers = [name for name, _ in facts.sections if name != "Unreleased"]
    wrong = [
        f"{CHANGELOG} has [{above}] above [{below}]: the newest stands on top"
        for above, below in itertools.pairwise(numbers)
        if Version(above) <= Version(below)
    ]
    if facts.version != str(Version(facts.version)):
        wrong.append(
            f"{VERSION_FILE} says {facts.version}; written as packages are, {Version(facts.version)}"
        )
    if not numbers or numbers[0] != facts.version:
        newest = f"[{numbers[0]}]" if numbers else "none"
        wrong.append(f"{VERSION_FILE} says {facts.version}, the newest version in {CHANGELOG} is {newest}")
    for name, said in facts.sections:
        if name != "Unreleased" and (problem := _not_a_date(said)):
            wrong.append(f"{CHANGELOG}: [{name}] {problem}")
    return wrong


def _tags(facts: Facts) -> list[str]:
    others = [tag for tag in facts.tags_here if tag != facts.tag]
    return [f"the commit is tagged {tag}, its version is {facts.version}" for tag in others]


def missing_for_a_release(facts: Facts) -> list[str]:
    """What only a release must have."""
    missing = []
    if facts.changed:
        some = ", ".join(line[3:] for line in facts.changed[:5])
        missing.append(f"the work tree is not clean ({len(facts.changed)}: {some}): commit or remove them")
    if not facts.sections or facts.sections[0][0] != facts.version:
        newest = facts.sections[0][0] if facts.sections else "none"
        missing.append(f"the newest section of {CHANGELOG} is [{newest}]; expected [{facts.version}], dated")
    if facts.tagged not in {None, facts.commit}:
        missing.append(f"{facts.tag} is the tag of another commit, {facts.tagged[:12]}: raise the version")
    return missing


def _not_a_date(said: str) -> str | None:
    try:
        dt.date.fromisoformat(said)
    except ValueError:
        return f"is dated {said or 'not at all'}; expected YYYY-MM-DD"
    return None
