"""The licences of all that Whosin needs at run time, from the locks and from what the packages say.

`python -m tests.release.licences` writes docs/licences.md anew. What a package of the lock says is believed
where it is installed; what it does not say, or a package that this platform has not, is in licences.toml.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "licences.md"
FACTS = Path(__file__).with_name("licences.toml")
CORE, EXTRAS = "requirements.lock", "requirements-extras.lock"
RUN_TIME_EXTRAS = ("alerts", "fast")

# Permissive, or copyleft that ends at the package's own files: who passes on Whosin owes no source for it.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "HPND", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0",
}  # fmt: skip
_CLASSIFIERS = {  # those that mean one licence
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_ENTRY = re.compile(
    r"^([a-z0-9-]+)==([^ ;\\]+)(?: ; ([^\\]+?))? \\\n(?: +--hash=\S+(?: \\)?\n)+ +# via (.+)$", re.MULTILINE
)


class Locked(NamedTuple):
    """`needed_by` are names of packages, or `whosin`."""

    name: str
    version: str
    marker: str
    needed_by: frozenset[str]


class Licence(NamedTuple):
    """`for_whom` is `core` or the extras that bring it."""

    package: Locked
    expression: str
    for_whom: str


class Unknown(Exception):  # noqa: N818
    """A licence that nobody has stated, or that contradicts what is stated."""


def locked(path: Path) -> dict[str, Locked]:
    text = path.read_text(encoding="utf-8")
    found = {}
    for name, version, marker, via in _ENTRY.findall(text):
        needed_by = frozenset(one.split()[0] for one in via.split(", "))
        found[name] = Locked(name, version, marker, needed_by)
    assert len(found) == len(re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)), (
        f"{path.name}: not all understood"
    )
    return found


def said_by_metadata(name: str, version: str) -> str | None:
    """The SPDX expression of a package, None where it says none, or is not installed in this version.

    Old forms count only where they mean one licence.
    """
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if metadata["Version"] != version:
        return None
    if expression := metadata.get("License-Expression"):
        return str(canonicalize_license_expression(expression))
    classified = [one for one in metadata.get_all("Classifier") or [] if one.startswith("License ::")]
    meant: set[str | None] = {_CLASSIFIERS.get(one) for one in classified}
    with contextlib.suppress(InvalidLicenseExpression):
        meant.add(str(canonicalize_license_expression(metadata.get("License", ""))))
    return meant.pop() if len(meant) == 1 else None


def facts() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = tomllib.loads(FACTS.read_text(encoding="utf-8"))
    return found


def expression_of(
    package: Locked, stated: Mapping[str, Any], said: Callable[[str, str], str | None] = said_by_metadata
) -> str:
    """Unknown if neither the package nor the table tells, or if they tell different things."""
    by_itself, by_us = said(package.name, package.version), stated.get(package.name, {}).get("licence")
    if by_itself and by_us and by_itself != by_us:
        raise Unknown(f"{package.name} {package.version} says {by_itself}, {FACTS.name} says {by_us}")
    if not by_itself and not by_us:
        raise Unknown(
            f"{package.name} {package.version} says no licence that is understood, or is not installed here: "
            f"look at its licence file and state it in {FACTS.name}"
        )
    return by_itself or str(by_us)


def is_allowed(expression: str, tolerated: Iterable[str] = ()) -> bool:
    """Of licences joined by OR one must be allowed, of those joined by AND each."""
    allowed = {*ALLOWED, *tolerated}
    tokens = re.findall(r"[()]|[^\s()]+", expression)

    def either() -> bool:
        found = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            found |= both()  # both sides are read
        return found

    def both() -> bool:
        found = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            found &= one()
        return found

    def one() -> bool:
        token = tokens.pop(0)
        if token == "(":
            found = either()
            tokens.pop(0)
            return found
        if tokens and tokens[0] == "WITH":  # an exception only allows more
            del tokens[:2]
        return token in allowed

    return either()


def run_time(root: Path = ROOT) -> Iterator[tuple[Locked, str]]:
    """Every package of the core and of the extras that are not for tests, with whom it is for."""
    core, every = locked(root / CORE), locked(root / EXTRAS)
    assert core.items() <= every.items() or {it.name for it in core.values()} <= set(every), (
        "make the locks anew"
    )
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    brought: dict[str, list[str]] = {}
    for extra in RUN_TIME_EXTRAS:
        wanted = [canonicalize_name(Requirement(it).name) for it in project["optional-dependencies"][extra]]
        for name in _with_what_they_need(every, wanted):
            brought.setdefault(name, []).append(extra)
    for name, package in every.items():
        yield package, "core" if name in core else ", ".join(brought[name])


def _with_what_they_need(every: Mapping[str, Locked], wanted: list[str]) -> set[str]:
    found: set[str] = set()
    left = {*wanted}
    while left:
        found |= left
        left = {it.name for it in every.values() if it.needed_by & left} - found
    return found


def licences(root: Path = ROOT) -> tuple[list[Licence], list[str]]:
    """All that are known, and what is wrong with the others, or not allowed."""
    stated, found, wrong = facts(), [], []
    for package, for_whom in run_time(root):
        try:
            licence = Licence(package, expression_of(package, stated["packages"]), for_whom)
        except Unknown as error:
            wrong.append(str(error))
            continue
        found.append(licence)
        about = stated["packages"].get(package.name, {})
        wrong += _says_otherwise(package.name, about.get("words", ""))
        if not is_allowed(licence.expression, about.get("tolerated", ())):
            wrong.append(
                f"{package.name} {package.version} is under {licence.expression}, which is not allowed"
            )
    names = {it.package.name for it in found}
    wrong += [f"{FACTS.name} states {name}, which is not needed" for name in set(stated["packages"]) - names]
    return found, wrong


def _says_otherwise(name: str, words: str) -> list[str]:
    """Where it is installed, its licence file is what we took it for."""
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    texts = [
        Path(str(it.locate())).read_text(encoding="utf-8") for it in files if "LICENSE" in it.name.upper()
    ]
    if not words or any(words in " ".join(text.split()) for text in texts):
        return []
    return [f"the licence file of {name} has no longer the words that {FACTS.name} knows it by: look at it"]


def page(found: list[Licence]) -> str:
    """The document, as it stands in docs/."""
    vendored = facts()["vendored"]
    stated = facts()["packages"]
    inside = [
        f"| {it['name']} | {it['version']} | {it['licence']} | `{'`, `'.join(it['files'])}` |"
        for it in vendored
    ]
    needed = [
        f"| {it.package.name} | {it.package.version} | {_with_reason(it, stated)} | {it.for_whom} "
        f"| {_only(it.package)} |"
        for it in sorted(found, key=lambda it: (it.for_whom != "core", it.package.name))
    ]
    return _PAGE.format(
        allowed=", ".join(sorted(ALLOWED)), inside="\n".join(inside), needed="\n".join(needed)
    )


def _with_reason(licence: Licence, stated: Mapping[str, Any]) -> str:
    why = stated.get(licence.package.name, {}).get("why")
    return f"{licence.expression} ({why})" if why else licence.expression


def _only(package: Locked) -> str:
    plain = package.marker.replace('"', "'")
    return {
        "": "",
        "sys_platform == 'win32'": "Windows",
        "sys_platform != 'win32'": "not Windows",
        "implementation_name != 'PyPy'": "",
    }.get(plain, f"`{plain}`")


_PAGE = """\
# Licences

Whosin itself is under the [MIT licence](../LICENSE). This page is made by `python -m tests.release.licences`
from the locks and from what the packages say themselves. A test compares it, and the
[release check](release.md) refuses a licence that is unknown or not one of these (of an `OR` one is enough):
{allowed}.

## Inside the wheel

Taken from elsewhere, unchanged, each with its licence beside it:

| what | version | licence | files in `whosin/web/page/assets/vendor/` |
| --- | --- | --- | --- |
{inside}

## Needed at run time

Installed beside Whosin, not part of it. *Core*: always; else the extra that brings it
(`pip install 'whosin[alerts]'`).

| package | version | licence | for | only on |
| --- | --- | --- | --- | --- |
{needed}
"""


def main() -> int:
    found, wrong = licences()
    for one in wrong:
        print(one)
    if not wrong:
        PAGE.write_text(page(found), encoding="utf-8", newline="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
