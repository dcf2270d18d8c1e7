"""The kinds of values that settings have: what each takes, and how it says so.

Owns: checking one value from TOML or from an environment variable, and the words for what is allowed.
Must not know: which keys there are, or which values go together.
"""

# ruff: noqa: ARG002 - all kinds are read alike, and only Location needs the folder

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

MANY = 100_000_000  # of seconds, more than three years; of things, more than any machine holds
SHOWN = 80  # characters of a wrong value that are worth showing
_CREDENTIALS = re.compile(r"://[^/@\s]*@")
_SECONDS_WORDS = "a number of seconds"


class Wrong(Exception):  # noqa: N818 - it becomes a sentence of a SettingsError
    """A value that does not fit: completes the sentence "key is value; because, expected …"."""

    def __init__(self, expected: str, because: str = "") -> None:
        super().__init__(f"{because}, expected {expected}" if because else f"expected {expected}")
        self.because = because


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Only this machine can reach it. A name other than localhost counts as reachable."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Broker(NamedTuple):
    """The broker that the link connects to."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{Address(self.host, self.port)}"


class Kind(Protocol):
    """`read` takes what TOML gave; `parse` makes of an environment variable's text what TOML would give.

    Both raise Wrong. `base` is the folder that relative paths start from.
    """

    @property
    def allowed(self) -> str: ...

    def parse(self, text: str) -> object: ...

    def read(self, value: object, base: Path) -> Any: ...


@dataclass(frozen=True)
class Number:
    """Finite; `above` is exclusive, `low` and `high` are inclusive. `whole` refuses fractions."""

    words: str
    above: float | None = None
    low: float | None = None
    high: float | None = None
    whole: bool = False

    @property
    def bounds(self) -> str:
        if self.above is not None:
            return f"more than {_plain(self.above)}" + (
                "" if self._endless else f", at most {_plain(self.high)}"
            )
        return (
            f"{_plain(self.low)} or more" if self._endless else f"{_plain(self.low)} to {_plain(self.high)}"
        )

    @property
    def _endless(self) -> bool:
        """The upper bound is there for the arithmetic only, and not worth a word until it is passed."""
        return self.high is None or self.high >= MANY

    @property
    def allowed(self) -> str:
        return f"{self.words}, {self.bounds}"

    def parse(self, text: str) -> object:
        try:
            return int(text)
        except ValueError:
            pass
        try:
            return float(text)
        except ValueError:
            raise Wrong(self.allowed) from None

    def read(self, value: object, base: Path) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Wrong(self.allowed)
        if self.whole and not isinstance(value, int):
            raise Wrong(self.allowed)
        if isinstance(value, float) and not math.isfinite(value):
            raise Wrong(self.allowed)
        too_low = value <= self.above if self.above is not None else self.low is not None and value < self.low
        if too_low or (self.high is not None and value > self.high):
            raise Wrong(self.bounds if too_low or not self._endless else f"at most {_plain(self.high)}")
        return value


def seconds() -> Number:
    """A duration: more than none."""
    return Number(_SECONDS_WORDS, above=0, high=MANY)


def seconds_between(low: float, high: float = MANY) -> Number:
    return Number(_SECONDS_WORDS, low=low, high=high)


def whole(low: int, high: int) -> Number:
    return Number("a whole number", low=low, high=high, whole=True)


@dataclass(frozen=True)
class Flag:
    allowed: str = "true or false"

    def parse(self, text: str) -> object:
        word = text.strip().lower()
        if word in {"true", "1", "yes", "on"}:
            return True
        if word in {"false", "0", "no", "off"}:
            return False
        raise Wrong(self.allowed)

    def read(self, value: object, base: Path) -> bool:
        if not isinstance(value, bool):
            raise Wrong(self.allowed)
        return value


@dataclass(frozen=True)
class Text:
    """Text that matches `pattern` as a whole. With `optional`, empty text means that it is not set."""

    words: str
    pattern: re.Pattern[str]
    optional: bool = False

    @property
    def allowed(self) -> str:
        return self.words

    def parse(self, text: str) -> object:
        return text

    def read(self, value: object, base: Path) -> str | None:
        if self.optional and value == "":
            return None
        if not isinstance(value, str) or not self.pattern.fullmatch(value):
            raise Wrong(self.allowed)
        return value


@dataclass(frozen=True)
class Choice:
    names: tuple[str, ...]

    @property
    def allowed(self) -> str:
        quoted = [f'"{name}"' for name in self.names]
        return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)

    def parse(self, text: str) -> object:
        return text

    def read(self, value: object, base: Path) -> str:
        if not isinstance(value, str) or value not in self.names:
            raise Wrong(self.allowed)
        return value


def choice(*names: str) -> Choice:
    return Choice(names)


@dataclass(frozen=True)
class Names:
    """A list of texts that each match `pattern`."""

    words: str
    pattern: re.Pattern[str]

    @property
    def allowed(self) -> str:
        return self.words

    def parse(self, text: str) -> object:
        return [part.strip() for part in text.split(",") if part.strip()]

    def read(self, value: object, base: Path) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise Wrong(self.allowed)
        for item in value:
            if not isinstance(item, str) or not self.pattern.fullmatch(item):
                raise Wrong(self.allowed)
        return tuple(value)


@dataclass(frozen=True)
class Choices:
    """A list of some of these names."""

    names: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return f"a list of {', '.join(self.names)}"

    def parse(self, text: str) -> object:
        return [part.strip() for part in text.split(",") if part.strip()]

    def read(self, value: object, base: Path) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(it, str) and it in self.names for it in value):
            raise Wrong(self.allowed)
        return tuple(value)


@dataclass(frozen=True)
class Location:
    """A path; relative ones start from the folder of the settings file. `exists`: a file to be read."""

    words: str
    exists: bool = False

    @property
    def allowed(self) -> str:
        return self.words

    def parse(self, text: str) -> object:
        return text

    def read(self, value: object, base: Path) -> Path | None:
        if value == "":
            return None
        if not isinstance(value, str) or "\0" in value:
            raise Wrong(self.allowed)
        try:
            path = base / Path(value).expanduser()
            missing = self.exists and not (path.is_file() and os.access(path, os.R_OK))
        except (OSError, ValueError, RuntimeError):  # RuntimeError: the home of an unknown ~user
            raise Wrong(self.allowed) from None
        if missing:
            where = str(path)
            raise Wrong(self.words, f"none is at {where if where.isprintable() else ascii(where)}")
        return path


@dataclass(frozen=True)
class OrOff:
    """What `kind` takes, or "off", which stays that word."""

    kind: Kind

    @property
    def allowed(self) -> str:
        return f'{self.kind.allowed}, or "off"'

    def parse(self, text: str) -> object:
        return text if text == "off" else self.kind.parse(text)

    def read(self, value: object, base: Path) -> Any:
        if value == "off":
            return value
        try:
            return self.kind.read(value, base)
        except Wrong as wrong:
            raise Wrong(self.allowed, wrong.because) from None


@dataclass(frozen=True)
class Listen:
    """host:port, or off (None)."""

    allowed: str = 'host:port, as in "127.0.0.1:1883" or "[::1]:1883", or "off"'

    def parse(self, text: str) -> object:
        return text

    def read(self, value: object, base: Path) -> Address | None:
        if value in ("", "off"):
            return None
        if not isinstance(value, str):
            raise Wrong(self.allowed)
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", value)
        if not found or int(found[3]) > 65535 or (found[1] and not _is_v6(found[1])):
            raise Wrong(self.allowed)
        return Address(found[1] or found[2], int(found[3]))


@dataclass(frozen=True)
class BrokerUrl:
    """mqtt:// or mqtts://, a host, perhaps a port; nothing else."""

    allowed: str = '"mqtt://host:port" or "mqtts://host:port"'

    def parse(self, text: str) -> object:
        return text

    def read(self, value: object, base: Path) -> Broker | None:
        if value == "":
            return None
        if not isinstance(value, str) or not value.isprintable() or " " in value:
            raise Wrong(self.allowed)
        try:
            url = urlsplit(value)
            port = url.port
        except ValueError:
            raise Wrong(self.allowed) from None
        if "@" in url.netloc:
            raise Wrong(self.allowed, "user and password go into mqtt.username and mqtt.password_file")
        rest = url.path not in ("", "/") or url.query or url.fragment
        if url.scheme not in {"mqtt", "mqtts"} or not url.hostname or rest or port == 0:
            raise Wrong(self.allowed)
        tls = url.scheme == "mqtts"
        return Broker(url.hostname, port or (8883 if tls else 1883), tls)


@dataclass(frozen=True)
class StoreUrl:
    """sqlite:///file, relative to the data folder, or sqlite:////absolute/file."""

    allowed: str = '"sqlite:///file" (in daemon.data_dir) or "sqlite:////folder/file"'

    def parse(self, text: str) -> object:
        return text

    def read(self, value: object, base: Path) -> str | None:
        if value == "":
            return None
        if not isinstance(value, str):
            raise Wrong(self.allowed)
        if value.startswith(("postgresql:", "postgres:")):
            raise Wrong(self.allowed, "not available in this version")
        path = value.removeprefix("sqlite:///")
        if (
            path in (value, "")
            or not path.isprintable()
            or path.endswith(("/", "\\"))
            or set(path) & set("?#")
        ):
            raise Wrong(self.allowed)
        return value


@dataclass(frozen=True)
class NotYet:
    """A setting of a part that is not built: only its default, since a switch that does nothing is worse."""

    kind: Kind
    only: object

    @property
    def allowed(self) -> str:
        return _unset(self.only)

    def parse(self, text: str) -> object:
        return self.kind.parse(text)

    def read(self, value: object, base: Path) -> Any:
        taken = self.kind.read(value, base)
        if taken != self.only:
            raise Wrong(self.allowed, "not available in this version")
        return taken


def shown(value: object) -> str:
    """A value as TOML would write it, short, on one line, without credentials."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, str):
        text = json.dumps(hidden(value[: 4 * SHOWN]), ensure_ascii=False)
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(shown(item) for item in value[:10])}{', …' if len(value) > 10 else ''}]"
    else:
        text = (
            str(value) if not isinstance(value, int) or abs(value) < 10**SHOWN else "a number of many digits"
        )
    text = "".join(mark if mark.isprintable() else f"\\u{ord(mark):04x}" for mark in text)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def hidden(text: str) -> str:
    """The text without the credentials of an address in it."""
    return _CREDENTIALS.sub("://***@", text)


def _unset(value: object) -> str:
    return "it unset" if value is None else shown(value)


def _plain(number: float | None) -> str:
    return f"{number:.10g}" if number is not None else ""


def _is_v6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
