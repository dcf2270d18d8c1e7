"""Addresses on the web as settings: where people click, and targets that may be secrets as a whole.

Owns checking one, and showing one without what could be a secret. Must not know which keys there are.
"""

# ruff: noqa: ARG002 - all kinds are read alike

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from whosin.settings.kinds import Wrong

LONGEST_URL = 2_000
_WEB = ("http", "https")
_URL_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[\x21-\x7e]+")


@dataclass(frozen=True)
class WebUrl:
    """http:// or https://, a host, perhaps a port and a path."""

    allowed: str = '"https://host" or "http://host:port"'

    def parse(self, text: str) -> object:
        return text

    def read(self, value: object, base: Path) -> str | None:
        text = _address(value, self.allowed)
        if text is None:
            return None
        url = urlsplit(text)
        if url.scheme not in _WEB or "@" in url.netloc or url.query or url.fragment:
            raise Wrong(self.allowed)
        return text.rstrip("/")


@dataclass(frozen=True, repr=False)
class HiddenUrl:
    """An address that may be a secret as a whole; shown without what could be one."""

    text: str

    @property
    def scheme(self) -> str:
        return self.text.partition(":")[0].lower()

    def __str__(self) -> str:
        if self.scheme not in _WEB:
            return f"{self.scheme}://…"
        url = urlsplit(self.text)
        port = f":{url.port}" if url.port else ""
        return f"{self.scheme}://{url.hostname}{port}/…"

    __repr__ = __str__


@dataclass(frozen=True)
class SecretUrl:
    """Any address. What is wrong with it is told without it."""

    allowed: str = "an address, as in https://host/path"
    secret: bool = True

    def parse(self, text: str) -> object:
        return text

    def read(self, value: object, base: Path) -> HiddenUrl | None:
        text = _address(value, self.allowed)
        return None if text is None else HiddenUrl(text)


def _address(value: object, allowed: str) -> str | None:
    """The text of an address, of which one on the web has a host; None for an empty one. Raises Wrong."""
    if value == "":
        return None
    if not isinstance(value, str) or len(value) > LONGEST_URL or not _URL_TEXT.fullmatch(value):
        raise Wrong(allowed)
    try:
        url = urlsplit(value)
        fits = url.scheme not in _WEB or (bool(url.hostname) and url.port != 0)
    except ValueError:
        raise Wrong(allowed) from None
    if not fits:
        raise Wrong(allowed)
    return value
