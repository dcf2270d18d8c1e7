"""Licences: the page is that of the locks and the packages, and what is unknown or not allowed is refused."""

from __future__ import annotations

import importlib.metadata

import pytest

from tests.house import repository
from tests.release import licences
from tests.release.licences import Locked, Unknown


def test_every_licence_is_known_and_allowed():
    assert licences.licences()[1] == []


def test_the_page_is_up_to_date():
    found, _ = licences.licences()
    assert licences.PAGE.read_text(encoding="utf-8") == licences.page(found), (
        "make it anew with python -m tests.release.licences"
    )


def test_the_page_has_every_package_that_is_needed_at_run_time():
    named = {package.name for package, _ in licences.run_time()}
    project = importlib.metadata.requires("whosin") or []
    direct = {line.partition(";")[0].strip() for line in project if "extra ==" not in line}
    for requirement in direct:
        assert any(requirement.startswith(name) for name in named), requirement
    assert {"apprise", "uvloop", "pywin32", "tzdata"} <= named
    assert not named & {"pytest", "ruff", "schemathesis"}


def test_who_needs_a_package_is_told():
    for_whom = {package.name: whom for package, whom in licences.run_time()}
    assert for_whom["starlette"] == for_whom["pywin32"] == for_whom["click"] == "core"
    assert for_whom["apprise"] == for_whom["requests"] == "alerts"
    assert for_whom["uvloop"] == "fast"


def test_what_was_taken_into_the_wheel_is_listed_with_its_licence_beside_it():
    vendored = licences.facts()["vendored"]
    folder = repository.ROOT / "daemon/whosin/web/page/assets/vendor"
    listed = {name for it in vendored for name in it["files"]} | {it["text"] for it in vendored}
    assert listed == {path.name for path in folder.iterdir()}
    for it in vendored:
        assert licences.is_allowed(it["licence"])
        assert it["words"] in (folder / it["text"]).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "expression",
    ["MIT", "BSD-3-Clause", "EPL-2.0 OR BSD-3-Clause", "MIT AND 0BSD", "(GPL-3.0-only OR MIT) AND Apache-2.0",
     "Apache-2.0 WITH LLVM-exception"],
)  # fmt: skip
def test_these_are_allowed(expression):
    assert licences.is_allowed(expression)


@pytest.mark.parametrize(
    "expression",
    ["GPL-3.0-only", "AGPL-3.0-or-later", "LGPL-2.1-only", "MIT AND GPL-2.0-only", "EPL-2.0",
     "LicenseRef-Own", "GPL-2.0-only WITH Classpath-exception-2.0", "(MIT OR GPL-3.0-only) AND GPL-3.0-only"],
)  # fmt: skip
def test_these_are_not(expression):
    assert not licences.is_allowed(expression)


def test_what_is_tolerated_for_one_package_is_allowed_for_it_alone():
    assert licences.is_allowed("MIT AND LGPL-2.1-only", ["LGPL-2.1-only"])
    assert not licences.is_allowed("MIT AND LGPL-2.1-only")


PACKAGE = Locked("thing", "1.0", "", frozenset({"whosin"}))


def test_a_package_that_says_nothing_is_unknown():
    with pytest.raises(Unknown, match=r"thing 1\.0 says no licence that is understood"):
        licences.expression_of(PACKAGE, {}, lambda *_: None)


def test_a_package_that_says_something_else_than_we_do_is_unknown():
    """It has another licence since somebody looked."""
    with pytest.raises(Unknown, match=r"says GPL-3\.0-only, licences\.toml says MIT"):
        licences.expression_of(PACKAGE, {"thing": {"licence": "MIT"}}, lambda *_: "GPL-3.0-only")


def test_what_the_table_states_counts_where_the_package_says_nothing():
    assert licences.expression_of(PACKAGE, {"thing": {"licence": "MIT"}}, lambda *_: None) == "MIT"


def test_a_package_of_another_version_says_nothing():
    assert licences.said_by_metadata("click", importlib.metadata.version("click")) == "BSD-3-Clause"
    assert licences.said_by_metadata("click", "0.0") is None
    assert licences.said_by_metadata("not-installed-anywhere", "1.0") is None
