"""The cookies of a browser that is signed in, and whether a request was made by our own page.

The session's cookie cannot be read by scripts, goes over HTTPS only (but on loopback, where there is none),
and is `SameSite=Lax`: not `Strict`, since a link in a message to people has to open the page that they are
signed in to; what such a link can do is read, for everything else has to come from our own origin and bring
the session's CSRF token. With HTTPS its name has the prefix `__Host-`, so no other host can set it.
Must not know who is signed in.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from whosin.web.hosts import Hosts, name_of
from whosin.web.problem import Problem

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
DEVICE_DAYS: Final = 180
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Front:
    """How browsers reach us: by HTTPS (ours or a proxy's), under which names, through whom."""

    secure: bool = False
    behind_proxy: bool = False
    hosts: Hosts = Hosts(())  # noqa: RUF009 - never changed

    def session_of(self, request: HTTPConnection) -> str | None:
        """The secret in the session's cookie. Two that differ are none: one of them is not ours."""
        return _only(request, self._name(request, "whosin"))

    def device_of(self, request: HTTPConnection) -> str | None:
        return _only(request, self._name(request, "whosin-device"))

    def session_cookie(self, request: HTTPConnection, secret: str) -> str:
        """For a Set-Cookie header; an empty secret takes the cookie away."""
        return self._cookie(request, "whosin", secret, None if secret else 0)

    def device_cookie(self, request: HTTPConnection, proof: str) -> str:
        return self._cookie(request, "whosin-device", proof, DEVICE_DAYS * 86_400)

    def address_of(self, request: HTTPConnection) -> str:
        """Who asks, as far as that can be known: behind the proxy of the settings what it says, which is the
        last entry, since the others are whatever the stranger sent."""
        peer = request.client.host if request.client else ""
        if not self.behind_proxy:
            return peer
        last = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
        return last[:64] if last else peer

    def check_origin(self, request: HTTPConnection) -> None:
        """Raises 403 for a request that another site's page made. Programs send neither header."""
        made_by = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        if made_by is not None and made_by != "same-origin":
            raise _foreign(f"Sec-Fetch-Site is {made_by[:20]}")
        if origin is None or (origin == "null" and made_by is not None):
            return
        if not self._ours(request, origin):
            raise _foreign(f'Origin is "{origin[:100]}"')

    def _ours(self, request: HTTPConnection, origin: str) -> bool:
        try:
            parts = urlsplit(origin)
            port = parts.port
        except ValueError:
            return False
        if parts.scheme != ("https" if self.secure else "http") or not parts.hostname:
            return False
        host = request.headers.get("host", "")
        if parts.netloc.lower() == host.lower():
            return True
        behind = self.behind_proxy and port is None and name_of(parts.netloc) is not None
        return behind and self.hosts.names(parts.hostname)

    def _name(self, request: HTTPConnection, name: str) -> str:
        """Cookies do not tell ports apart, and two daemons may run on one machine."""
        server = request.scope.get("server")
        port = f"-{server[1]}" if server and server[1] and not self.behind_proxy else ""
        return f"{'__Host-' if self.secure else ''}{name}{port}"

    def _cookie(self, request: HTTPConnection, name: str, value: str, age_s: int | None) -> str:
        parts = [f"{self._name(request, name)}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
        parts += ["Secure"] if self.secure else []
        parts += [f"Max-Age={age_s}"] if age_s is not None else []
        return "; ".join(parts)


def _only(request: HTTPConnection, name: str) -> str | None:
    found = set()
    for header in request.headers.getlist("cookie"):
        for part in header.split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                found.add(value.strip('"'))
    return found.pop() if len(found) == 1 and len(next(iter(found))) <= _LONGEST else None


def _foreign(why: str) -> Problem:
    return Problem(403, "cross_site", f"This was asked by another site's page ({why}); nothing was done.")
