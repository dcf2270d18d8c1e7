"""What every request passes before the app: the Host header, the number at work at once, and headers for all.

Plain ASGI, so that it also covers what the framework answers itself. Must not know any route but those of
health, which are always answered, and of event streams.
"""

from email.utils import formatdate
from time import time

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whosin.web.hosts import Hosts
from whosin.web.problem import Problem

_ALWAYS = frozenset({"/healthz", "/readyz"})
_STREAMS = frozenset({"/api/v1/events", "/changes"})
_UNBOUNDED = _ALWAYS | _STREAMS
_HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
"""For every answer that does not say otherwise itself."""


class Gate:
    """`most_at_once` counts requests that are being answered, but for event streams, which have a limit of
    their own. `head_bytes` bounds a head that came in one piece, which the parser lets pass.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, most_at_once: int, head_bytes: int) -> None:
        self._app = app
        self._hosts = hosts
        self._most = most_at_once
        self._head_bytes = head_bytes
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _complete(message.get("headers", []))
            await send(message)

        problem = self._refusal(scope)
        if problem is not None:
            await problem.response(scope["path"])(scope, receive, send_with_headers)
            return
        counts = scope["path"] not in _UNBOUNDED
        self._at_once += counts
        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            self._at_once -= counts

    def _refusal(self, scope: Scope) -> Problem | None:
        head = sum(len(name) + len(value) for name, value in scope["headers"])
        if head + len(scope["raw_path"]) + len(scope["query_string"]) > self._head_bytes:
            return Problem(431, "head", f"The request's head is larger than {self._head_bytes} bytes.")
        hosts = HTTPConnection(scope).headers.getlist("host")
        if len(hosts) != 1:
            return Problem(400, "host", "Exactly one Host header is needed.")
        arrived_at = scope["server"][0] if scope.get("server") else None
        if not self._hosts.allows(hosts[0], arrived_at):
            detail = f'"{hosts[0][:100]}" is not a name of this daemon; http.allowed_hosts allows more.'
            return Problem(421, "host", detail)
        if self._at_once >= self._most and scope["path"] not in _UNBOUNDED:
            detail = f"{self._at_once} requests are being answered; no more than {self._most} are at once."
            return Problem(503, "busy", detail, headers={"Retry-After": "1"})
        return None


def _complete(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    given = {name.lower() for name, _ in headers}
    added = [(name, value) for name, value in _HEADERS.items() if name not in given]
    return [*headers, *added, (b"date", formatdate(time(), usegmt=True).encode())]
