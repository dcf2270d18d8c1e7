"""All texts of the page, in one file a language. Must not know what they are shown with.

A text may have the forms `one` and `other`, chosen by `n`; `{name}` is replaced by what is given.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

Json = dict[str, Any]


class Texts:
    """One language. An unknown key is an error at once, not an empty place on the page."""

    def __init__(self, language: str = "en") -> None:
        file = resources.files("whosin.web.page").joinpath("texts", f"{language}.toml")
        self.language = language
        self.tree: Json = tomllib.loads(file.read_text(encoding="utf-8"))

    def __call__(self, key: str, /, **given: object) -> str:
        """The text of `key` ("logins.empty"). `n` chooses the form and is shown with thousands apart."""
        found: Any = self.tree
        for part in key.split("."):
            found = found[part]
        if isinstance(found, dict):
            found = found["one" if given["n"] == 1 else "other"]
        if isinstance(given.get("n"), int):
            given["n"] = f"{given['n']:,}"
        text: str = found
        return text.format(**given) if given else text

    def label(self, key: str, name: str) -> str:
        """The text of a name that may be newer than this file: then the name itself."""
        found: Any = self.tree
        for part in key.split("."):
            found = found[part]
        return str(found.get(name, name))

    def known(self, key: str) -> bool:
        found: Any = self.tree
        for part in key.split("."):
            if not isinstance(found, dict) or part not in found:
                return False
            found = found[part]
        return True

    def part(self, key: str) -> Json:
        """A part of the tree, for the scripts."""
        found: Json = self.tree[key]
        return found
