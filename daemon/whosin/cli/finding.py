"""Where the daemon is, and which token it knows: by WHOSIN_URL and WHOSIN_TOKEN, else by the settings.

Reading all settings takes longer than most questions, so the three keys that matter here are looked up
directly where that is plain, and the settings are loaded only where it is not: both ways give the same
answer, which the tests hold them to.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from whosin.errors import Refused
from whosin.service.manager import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whosin.settings import Settings

USUAL_LISTEN = "127.0.0.1:8787"
TOKEN_FILE = "admin-token"  # noqa: S105 - a file's name
if sys.platform == "win32":  # as `whosin service install` puts it
    SERVICE_CONFIG = Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData"), "Whosin", "config", "whosin.toml")
    SERVICE_DATA = SERVICE_CONFIG.parents[1] / "data"
else:
    SERVICE_CONFIG = Path(f"/etc/{NAME}/whosin.toml")
    SERVICE_DATA = Path(f"/var/lib/{NAME}")
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_PLAIN_LISTEN = re.compile(r"(127\.0\.0\.1|localhost|0\.0\.0\.0):([1-9][0-9]{0,4})")
_IRRELEVANT = {"WHOSIN_URL", "WHOSIN_TOKEN"}


class Place(NamedTuple):
    """Where the settings say that the daemon is, and where it keeps its administrator's token."""

    url: str | None  # None: the API is off
    data_dir: Path


def place(config: Path | None, environ: Mapping[str, str]) -> Place:
    return _plainly(config, environ) or _by_settings(config, environ)


def _plainly(config: Path | None, environ: Mapping[str, str]) -> Place | None:
    """The place, or None where only the settings can tell."""
    if any(name.upper().startswith("WHOSIN_") and name.upper() not in _IRRELEVANT for name in environ):
        return None
    http: dict[str, Any] = {}
    daemon: dict[str, Any] = {}
    if config is not None:
        import tomllib

        try:
            tables = tomllib.loads(config.read_text("utf-8"))
            http, daemon = dict(tables.get("http", {})), dict(tables.get("daemon", {}))
        except (OSError, ValueError, TypeError):
            return None
    listen = _PLAIN_LISTEN.fullmatch(str(http.get("listen", USUAL_LISTEN)))
    folder = Path(str(daemon["data_dir"])) if "data_dir" in daemon else _usual_folder(environ)
    if listen is None or "tls_cert" in http or folder is None or not folder.is_absolute():
        return None
    host = "127.0.0.1" if listen[1] == "0.0.0.0" else listen[1]  # noqa: S104 - compared only
    return Place(f"http://{host}:{listen[2]}", folder)


def _usual_folder(environ: Mapping[str, str]) -> Path | None:
    """Where a plain `whosin run` of this user keeps its data, on Linux; elsewhere the settings know."""
    if sys.platform != "linux" or "STATE_DIRECTORY" in environ or "HOME" not in environ:
        return None
    base = environ.get("XDG_DATA_HOME") or f"{environ['HOME']}/.local/share"
    return Path(base) / "whosin"


def _by_settings(config: Path | None, environ: Mapping[str, str]) -> Place:
    from whosin.settings import load

    settings = load(config, environ)
    return Place(settings.api_url, settings.daemon.data_dir)


class Target(NamedTuple):
    """Whom to ask, and as whom."""

    url: str
    token: str | None
    why_no_token: str | None = None
    by_settings: bool = False

    @property
    def hint(self) -> str:
        """What to do when nobody answers there."""
        if self.by_settings:
            return "Start it with `whosin run`; if it runs elsewhere, set WHOSIN_URL, or name its --config."
        return "Is WHOSIN_URL or --url right, and does the daemon run there?"


def as_installed(config: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, Mapping[str, str]]:
    """Where no settings are named, those of this machine's service, if it has one; and of that service, also
    what the system tells it alone: where its data lie."""
    if sys.platform not in {"linux", "win32"}:
        return config, environ
    its = SERVICE_CONFIG
    named = any(name.upper().startswith("WHOSIN_") and name.upper() not in _IRRELEVANT for name in environ)
    if config is None and not named and _readable(its):
        config = its
    if config is not None and config.absolute() == its and "STATE_DIRECTORY" not in environ:
        environ = {**environ, "STATE_DIRECTORY": str(SERVICE_DATA)}
    return config, environ


def settings_of(config: Path | None, environ: Mapping[str, str]) -> Settings:
    """All of them, likewise: those named, else the installed service's. Raises SettingsError."""
    from whosin.settings import load

    return load(*as_installed(config, environ))


def _readable(file: Path) -> bool:
    """Tried, since Windows' rights are not in the mode."""
    try:
        with file.open("rb"):
            return True
    except OSError:
        return False


def target(config: Path | None, url: str | None, environ: Mapping[str, str]) -> Target:
    """Raises Refused when nobody can be asked, SettingsError when the settings cannot be used."""
    config, environ = as_installed(config, environ)
    token = environ.get("WHOSIN_TOKEN")
    if url and token:
        return Target(url.rstrip("/"), token)
    here = place(config, environ)
    if not url and here.url is None:
        raise Refused(
            "http_off",
            "http.listen is off in these settings, so this daemon cannot be asked; set WHOSIN_URL.",
        )
    where = (url or str(here.url)).rstrip("/")
    if token:
        return Target(where, token, by_settings=not url)
    if where != here.url and urlsplit(where).hostname not in LOOPBACK:
        return Target(where, None, f"{where} is another machine: set WHOSIN_TOKEN to a token made there.")
    token, why = _from_file(here.data_dir / TOKEN_FILE)
    return Target(where, token, why, by_settings=not url)


def _from_file(file: Path) -> tuple[str | None, str | None]:
    """The token, or why there is none."""
    try:
        return file.read_text("ascii").strip(), f"The token in {file} is not this daemon's: set WHOSIN_TOKEN."
    except FileNotFoundError:
        return None, f"There is no {file}: set WHOSIN_TOKEN, or name the daemon's --config."
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a token"
        return None, f"{file}: {why}. Set WHOSIN_TOKEN, or ask as the user that the daemon runs as."
