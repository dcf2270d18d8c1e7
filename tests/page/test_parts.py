"""Addresses, texts and assets of the page."""

from __future__ import annotations

import hashlib
import re
from importlib import resources

import pytest

from whosin.observe.journal import TABLE
from whosin.web.page import assets
from whosin.web.page.address import Address
from whosin.web.page.render import facts
from whosin.web.page.texts import Texts

PAGE = resources.files("whosin.web.page")

# What was taken from elsewhere, unchanged: package, version, file, digest.
VENDORED = {
    "vendor/htmx.min.js": (
        "htmx.org",
        "4.0.1",
        "dist/htmx.min.js",
        "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    ),
    "vendor/pico.min.css": (
        "@picocss/pico",
        "2.1.1",
        "css/pico.min.css",
        "fbc9a63fc9fc9f72d12fd7fc9806e11fa9f77ae4f9cad146b27003a1119ba3db",
    ),
    "vendor/uplot.min.js": (
        "uplot",
        "1.6.32",
        "dist/uPlot.iife.min.js",
        "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    ),
    "vendor/uplot.min.css": (
        "uplot",
        "1.6.32",
        "dist/uPlot.min.css",
        "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    ),
}


@pytest.mark.parametrize("path", VENDORED)
def test_what_was_taken_from_elsewhere_is_unchanged(path: str) -> None:
    assert hashlib.sha256(assets.files()[path]).hexdigest() == VENDORED[path][3]


def test_an_address_keeps_what_it_knows_and_a_change_leads_to_the_first_page() -> None:
    query = {"q": " anna ", "sort": "user", "cursor": "x", "from": "50", "evil": "1", "site": ""}
    address = Address.of("/users", query, ("q", "sort", "site"))
    assert address.given == {"q": " anna ", "sort": "user", "cursor": "x", "from": "50"}
    assert address.link(sort="-user") == "/users?q=+anna+&sort=-user"
    assert address.link(q=None) == "/users?sort=user"
    assert address.link(cursor="y", **{"from": 100}) == "/users?q=+anna+&sort=user&cursor=y&from=100"
    assert address.sorted_by("user", "user") == "/users?q=+anna+&sort=-user"
    assert address.sorted_by("user", "-user") == "/users?q=+anna+&sort=user"


def test_a_text_has_its_forms_and_an_unknown_one_is_an_error() -> None:
    t = Texts()
    assert t("logins.locks", n=1) == "1 lock"
    assert t("logins.locks", n=1200) == "1,200 locks"
    assert t.label("history.type", "newer.than_this") == "newer.than_this"
    with pytest.raises(KeyError):
        t("logins.nonsense")


def test_every_text_that_is_used_is_there() -> None:
    t = Texts()
    sources = "".join(
        it.read_text(encoding="utf-8")
        for folder in (PAGE / "templates", PAGE / "templates" / "entrance", PAGE)
        for it in folder.iterdir()
        if it.name.endswith((".html", ".py"))
    )
    used = set(re.findall(r'\bt\(\s*"([a-z_.0-9]+)"', sources))
    assert len(used) > 100
    assert {key for key in used if key[-1] not in "._" and not t.known(key)} == set()


def test_every_kind_of_event_has_its_words() -> None:
    known = Texts().tree["history"]["type"]
    assert [kind for kind in TABLE if kind not in known] == []


def test_the_facts_of_an_event_are_words() -> None:
    data = {
        "resource": "x",
        "sticky": True,
        "shared": False,
        "none": None,
        "locks": ["a", "b"],
        "by": {"c": 1},
    }
    assert facts({"data": data}) == [("sticky", "✓"), ("locks", "a, b"), ("by", "c 1")]
